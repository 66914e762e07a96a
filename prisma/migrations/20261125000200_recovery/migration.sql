-- A database that was restored: which installation it is, and what is known of a return to an earlier state.
SET LOCAL ROLE rekey_owner;

-- One row, written at the first start. `incarnation` changes with each restore that an admin accepts.
CREATE TABLE app.installation (
  id              boolean        PRIMARY KEY DEFAULT true CHECK (id),
  installation_id uuid           NOT NULL,
  incarnation     uuid           NOT NULL,
  -- System identifier of the PostgreSQL cluster and OID of the database in it.
  cluster         text           NOT NULL,
  pepper_id       text           NOT NULL,
  created_at      timestamptz(3) NOT NULL,
  updated_at      timestamptz(3) NOT NULL
);

-- Every recovery there was; at most one is open. While one is, nothing is written to any provider.
CREATE TABLE app.recovery (
  id            uuid           PRIMARY KEY,
  reason        text           NOT NULL CHECK (reason IN ('regress', 'otherCluster', 'otherInstallation', 'restored')),
  detail        text           NOT NULL,
  evidence      jsonb          NOT NULL,
  -- The incarnation that it began in, and the one that its acceptance began.
  incarnation   uuid           NOT NULL,
  led_to        uuid,
  began_at      timestamptz(3) NOT NULL,
  reconciled_at timestamptz(3),
  ended_at      timestamptz(3),
  ended_by      text
);
CREATE UNIQUE INDEX recovery_one_open ON app.recovery ((true)) WHERE ended_at IS NULL;

-- What each key's provider said, compared with what is known here.
CREATE TABLE app.recovery_finding (
  recovery_id uuid           NOT NULL REFERENCES app.recovery (id),
  key_id      uuid           NOT NULL REFERENCES app.key (id),
  state       text           NOT NULL CHECK (state IN ('pending', 'equal', 'adopt', 'orphan', 'lost', 'unreachable', 'adopted')),
  detail      text           NOT NULL,
  facts       jsonb          NOT NULL,
  -- The rotation that the recovery stalled.
  rotation_id uuid           REFERENCES app.rotation (id),
  looked_at   timestamptz(3),
  PRIMARY KEY (recovery_id, key_id)
);

COMMENT ON TABLE app.recovery_finding IS 'Not guarded: what providers said when they were asked, and can be asked again.';

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['installation', 'recovery'] LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.%I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER must_be_audited', t);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.%I FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER refuse_truncate', t);
    EXECUTE format('COMMENT ON TABLE app.%I IS %L', t, 'Guarded: a change here without an audit event does not commit.');
  END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE ON app.installation, app.recovery, app.recovery_finding TO rekey_app;

RESET ROLE;
SET LOCAL ROLE rk_audit_owner;

-- The place of a transaction in the order of the log. Where the log began it is the transaction's own number. A log that was
-- restored into another cluster would meet numbers again that it holds already, and new events would sort before old ones:
-- there `rekey migrate` replaces this function by one that adds what is missing (src/store/log-order.ts).
CREATE FUNCTION audit.log_xid(of xid8) RETURNS xid8
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN of;

ALTER TABLE audit.event ALTER COLUMN txid SET DEFAULT audit.log_xid(pg_current_xact_id());

CREATE OR REPLACE FUNCTION audit.must_be_audited() RETURNS trigger
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
      INTO audited USING audit.log_xid(pg_current_xact_id());
    IF audited THEN RETURN NULL; END IF;
  END LOOP;
  RAISE EXCEPTION '% on %.% has no audit event in its transaction', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'RK002';
END $$;

-- A month of the log, attached with its guards. Nothing where there is one. Months that have passed are made by a restore,
-- which is the owner's; `ensure_partitions`, which the app may call, makes those to come.
CREATE FUNCTION audit.make_partition(month timestamp) RETURNS boolean
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  starts timestamptz := date_trunc('month', month) AT TIME ZONE 'UTC';
  ends timestamptz := (date_trunc('month', month) + interval '1 month') AT TIME ZONE 'UTC';
  part text := 'event_' || to_char(month, 'YYYY_MM');
BEGIN
  IF EXISTS (SELECT FROM audit.partition WHERE name = part) THEN RETURN false; END IF;
  EXECUTE format('CREATE TABLE audit.%I (LIKE audit.event INCLUDING ALL)', part);
  EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit.%I FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', part);
  EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_truncate', part);
  EXECUTE format('ALTER TABLE audit.event ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)', part, starts, ends);
  INSERT INTO audit.partition (name, from_at, to_at) VALUES (part, starts, ends);
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION audit.ensure_partitions(months integer) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  first_month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
  made integer := 0;
BEGIN
  IF months NOT BETWEEN 0 AND 36 THEN
    RAISE EXCEPTION 'partitions are made for 0 to 36 months ahead' USING ERRCODE = '22023';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('audit.ensure_partitions', 0));
  FOR i IN 0..months LOOP
    IF audit.make_partition(first_month + make_interval(months => i)) THEN
      made := made + 1;
    END IF;
  END LOOP;
  RETURN made;
END $$;

REVOKE ALL ON FUNCTION audit.make_partition(timestamp) FROM PUBLIC;

RESET ROLE;
