-- The audit log: append-only by the database. Owner: rk_audit_owner, who cannot log in and has no members.
-- Why each line is there, and which attempt it stops: docs/threat-model.md; performed as tests in test/store/audit-guard.test.ts.
SET LOCAL ROLE rk_audit_owner;

CREATE SCHEMA IF NOT EXISTS audit AUTHORIZATION rk_audit_owner;

-- convert_to() is only STABLE; a generated column needs IMMUTABLE, and the encoding of a database never changes.
-- RETURN binds every name when the function is made: no search_path of a caller can put another sha256 in its place.
CREATE FUNCTION audit.leaf_hash(body text) RETURNS bytea
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN sha256('\x00'::bytea || convert_to(body, 'UTF8'));

-- What an event is about, by the name of its key: rotations and provider objects carry their key's name.
CREATE FUNCTION audit.key_name(body jsonb) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN CASE WHEN body #>> '{target,kind}' IN ('key', 'rotation', 'object') THEN body #>> '{target,name}' END;

CREATE TABLE audit.event (
  id             uuid        NOT NULL,
  -- The database's clock, not app.now(): a test shifts that one, and the owner of app could.
  recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  txid           xid8        NOT NULL DEFAULT pg_current_xact_id(),
  db_user        text        NOT NULL DEFAULT session_user,
  -- RFC 8785 form, exact bytes: the entry of the Merkle tree. All else here is derived from it or by the database.
  body           text        NOT NULL CHECK (octet_length(body) <= 32768),
  writer_kid     bytea       NOT NULL CHECK (octet_length(writer_kid) = 4),
  writer_sig     bytea       NOT NULL CHECK (octet_length(writer_sig) = 64),
  leaf_hash      bytea       GENERATED ALWAYS AS (audit.leaf_hash(body)) STORED,
  action         text        GENERATED ALWAYS AS (body::jsonb ->> 'action') STORED,
  outcome        text        GENERATED ALWAYS AS (body::jsonb ->> 'outcome') STORED,
  actor_id       text        GENERATED ALWAYS AS (body::jsonb #>> '{actor,id}') STORED,
  correlation_id text        GENERATED ALWAYS AS (body::jsonb ->> 'correlationId') STORED,
  key_name       text        GENERATED ALWAYS AS (audit.key_name(body::jsonb)) STORED,
  PRIMARY KEY (id, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE INDEX event_txid_id ON audit.event (txid, id);
CREATE INDEX event_key ON audit.event (key_name, id) WHERE key_name IS NOT NULL;
CREATE INDEX event_correlation ON audit.event (correlation_id, id) WHERE correlation_id IS NOT NULL;
CREATE INDEX event_actor ON audit.event (actor_id, id);

COMMENT ON TABLE audit.event IS 'Append-only: what happened, signed by the process that wrote it. Monthly partitions.';

-- Every partition there ever was: a guard compares, so that DETACH does not pass unseen.
CREATE TABLE audit.partition (
  name       text        PRIMARY KEY,
  from_at    timestamptz NOT NULL,
  to_at      timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE audit.partition IS 'Append-only: the partitions of audit.event.';

-- Public keys of the processes that sign events.
CREATE TABLE audit.writer_key (
  kid         bytea       PRIMARY KEY CHECK (octet_length(kid) = 4),
  public_key  bytea       NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
  enrolled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  db_user     text        NOT NULL DEFAULT session_user
);
COMMENT ON TABLE audit.writer_key IS 'Append-only: who may sign events. Guarded: enrolling is an event.';

CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on %.% is refused: audit records are never changed', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'RK001';
END $$;

-- Fires at COMMIT, once for each changed row of a guarded table. It looks in one partition, by its name: a query on the
-- parent opens all of them and costs more with every month. The neighbours are for a transaction over a month's end.
CREATE FUNCTION audit.must_be_audited() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  month text;
  audited boolean;
BEGIN
  FOREACH month IN ARRAY ARRAY[
    to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY_MM'),
    to_char(clock_timestamp() AT TIME ZONE 'UTC' - interval '1 month', 'YYYY_MM'),
    to_char(clock_timestamp() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')]
  LOOP
    CONTINUE WHEN to_regclass('audit.event_' || month) IS NULL;
    EXECUTE format('SELECT EXISTS (SELECT FROM audit.%I WHERE txid = $1)', 'event_' || month)
      INTO audited USING pg_current_xact_id();
    IF audited THEN RETURN NULL; END IF;
  END LOOP;
  RAISE EXCEPTION '% on %.% has no audit event in its transaction', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'RK002';
END $$;

-- This month's partition and those of the months that follow. Order: the table alone, its own TRUNCATE trigger (statement
-- triggers of a parent do not reach its partitions), then ATTACH, which brings the row trigger along; then the list.
CREATE FUNCTION audit.ensure_partitions(months integer) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  first_month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
  starts timestamptz;
  ends timestamptz;
  part text;
  made integer := 0;
BEGIN
  IF months NOT BETWEEN 0 AND 36 THEN
    RAISE EXCEPTION 'partitions are made for 0 to 36 months ahead' USING ERRCODE = '22023';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('audit.ensure_partitions', 0));
  FOR i IN 0..months LOOP
    starts := (first_month + make_interval(months => i)) AT TIME ZONE 'UTC';
    ends := (first_month + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
    part := 'event_' || to_char(starts AT TIME ZONE 'UTC', 'YYYY_MM');
    CONTINUE WHEN EXISTS (SELECT FROM audit.partition WHERE name = part);
    EXECUTE format('CREATE TABLE audit.%I (LIKE audit.event INCLUDING ALL)', part);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit.%I FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', part);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_truncate', part);
    EXECUTE format('ALTER TABLE audit.event ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)', part, starts, ends);
    INSERT INTO audit.partition (name, from_at, to_at) VALUES (part, starts, ends);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

-- ENABLE ALWAYS: an ordinary trigger sleeps under session_replication_role = replica.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['event', 'partition', 'writer_key'] LOOP
    EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit.%I FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_change', t);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit.%I FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', t);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_truncate', t);
  END LOOP;
END $$;

CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON audit.writer_key
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited();
ALTER TABLE audit.writer_key ENABLE ALWAYS TRIGGER must_be_audited;

SELECT audit.ensure_partitions(3);

GRANT USAGE ON SCHEMA audit TO rekey_app, rekey_owner;
GRANT SELECT ON audit.event, audit.partition, audit.writer_key TO rekey_app;
-- Named columns only: who could name txid or db_user could lie about them.
GRANT INSERT (id, body, writer_kid, writer_sig) ON audit.event TO rekey_app;
GRANT INSERT (kid, public_key) ON audit.writer_key TO rekey_app;
REVOKE ALL ON FUNCTION audit.ensure_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.ensure_partitions(integer) TO rekey_app;

RESET ROLE;
