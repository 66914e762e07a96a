-- Guards against DDL, by a superuser, in a schema of the superuser's: a guard that lived in `audit` would go with
-- DROP SCHEMA audit CASCADE. They compare the state after a command with a picture of it, not the command's text:
-- SET SCHEMA, CREATE OR REPLACE FUNCTION, DO blocks and rules get past any match of text.
-- Nothing here stops a superuser; the Merkle tree and whoever kept a checkpoint find that out.
CREATE SCHEMA IF NOT EXISTS rekey_guard;
GRANT USAGE ON SCHEMA rekey_guard TO PUBLIC;

-- One row a thing that must not change, and its state in words.
CREATE OR REPLACE FUNCTION rekey_guard.observe() RETURNS TABLE (thing text, state text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  -- Tables of the log and guarded tables: kind, owner, rights.
  WITH watched AS (
    SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relpersistence
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND (n.nspname = 'audit'
      OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'must_be_audited'))
  )
  SELECT 'table ' || name, concat_ws(' ', relkind, relowner::regrole, relacl, relrowsecurity, relpersistence) FROM watched
  UNION ALL
  SELECT 'column ' || w.name || '.' || a.attname,
    concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attacl, pg_get_expr(d.adbin, d.adrelid))
  FROM watched w JOIN pg_attribute a ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  UNION ALL
  SELECT 'trigger ' || t.tgname || ' on ' || w.name,
    concat_ws(' ', t.tgenabled, t.tgtype, t.tgdeferrable, t.tginitdeferred, t.tgfoid::regprocedure, pg_get_expr(t.tgqual, t.tgrelid))
  FROM watched w JOIN pg_trigger t ON t.tgrelid = w.oid AND NOT t.tgisinternal
  UNION ALL
  SELECT 'constraint ' || k.conname || ' on ' || w.name, pg_get_constraintdef(k.oid)
  FROM watched w JOIN pg_constraint k ON k.conrelid = w.oid AND k.contype IN ('c', 'p', 'u')
  UNION ALL
  SELECT 'function ' || p.oid::regprocedure, concat_ws(' ', p.proowner::regrole, p.proacl, md5(pg_get_functiondef(p.oid)))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = 'audit' OR (n.nspname = 'app' AND p.prorettype = 'trigger'::regtype)
  UNION ALL
  SELECT 'schema ' || nspname, concat_ws(' ', nspowner::regrole, nspacl) FROM pg_namespace WHERE nspname IN ('audit', 'app')
$$;

-- What must be so whatever the months bring, so that new partitions pass and lost ones do not.
CREATE OR REPLACE FUNCTION rekey_guard.faults() RETURNS SETOF text
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY
    SELECT e.thing || ' is not what it was' FROM rekey_guard.expected e
    LEFT JOIN rekey_guard.observe() o USING (thing)
    WHERE o.state IS DISTINCT FROM e.state;
  -- Added triggers, rules and policies could swallow or bend a write.
  RETURN QUERY
    SELECT o.thing || ' was added' FROM rekey_guard.observe() o
    LEFT JOIN rekey_guard.expected e USING (thing)
    WHERE e.thing IS NULL AND o.thing LIKE 'trigger %' AND o.thing NOT LIKE 'trigger % on audit.event\_%';
  RETURN QUERY
    SELECT 'rule ' || r.rulename || ' on ' || r.ev_class::regclass FROM pg_rewrite r
    JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('audit', 'app') AND c.relkind IN ('r', 'p');
  IF to_regclass('audit.partition') IS NULL OR to_regclass('audit.event') IS NULL THEN RETURN; END IF;
  RETURN QUERY
    SELECT 'partition audit.' || p.name || ' is not attached' FROM audit.partition p
    WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = 'audit.event'::regclass
      AND i.inhrelid = to_regclass(format('audit.%I', p.name)));
  RETURN QUERY
    SELECT 'trigger ' || want.name || ' on ' || i.inhrelid::regclass || ' is missing or not ALWAYS'
    FROM pg_inherits i CROSS JOIN (VALUES ('refuse_change', 27), ('refuse_truncate', 34)) want (name, kind)
    WHERE i.inhparent = 'audit.event'::regclass AND NOT EXISTS (
      SELECT FROM pg_trigger t WHERE t.tgrelid = i.inhrelid AND t.tgname = want.name AND t.tgtype = want.kind
        AND t.tgenabled = 'A' AND t.tgqual IS NULL AND t.tgfoid = to_regprocedure('audit.refuse_change()'));
  RETURN QUERY
    SELECT 'table ' || c.oid::regclass || ' has another owner, or rights of its own' FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'audit.event'::regclass AND (c.relowner <> 'rk_audit_owner'::regrole OR c.relacl IS NOT NULL);
END $$;

CREATE OR REPLACE FUNCTION rekey_guard.check_state() RETURNS event_trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE fault text;
BEGIN
  SELECT f INTO fault FROM rekey_guard.faults() f LIMIT 1;
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION '% is refused: %', tg_tag, fault USING ERRCODE = 'RK003';
  END IF;
END $$;

DROP EVENT TRIGGER IF EXISTS rekey_guard;
DROP TABLE IF EXISTS rekey_guard.expected;
CREATE TABLE rekey_guard.expected AS
  SELECT thing, state FROM rekey_guard.observe()
  -- Partitions come and go by rule, not by picture.
  WHERE thing !~ '(^table| on|^column) audit\.event_\d';
GRANT SELECT ON rekey_guard.expected TO PUBLIC;

CREATE EVENT TRIGGER rekey_guard ON ddl_command_end EXECUTE FUNCTION rekey_guard.check_state();
ALTER EVENT TRIGGER rekey_guard ENABLE ALWAYS;
