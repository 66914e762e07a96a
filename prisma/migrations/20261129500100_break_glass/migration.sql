-- Tokens to break glass with: who approved one, when its hour began, and which incident it works on.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.break_glass (
  api_key_id       uuid           PRIMARY KEY REFERENCES app.api_key (id),
  -- Somebody else than its maker. It opens nothing before.
  approved_at      timestamptz(3),
  approved_by      text,
  approved_by_name text,
  -- The first use, and the address that it came from.
  used_at          timestamptz(3),
  used_from        text,
  -- The first incident that it worked on, and no other. Written before the incident's own row, where it opens that.
  incident_id      uuid,
  CONSTRAINT break_glass_approved CHECK ((approved_at IS NULL) = (approved_by IS NULL) AND (approved_at IS NULL) = (approved_by_name IS NULL)),
  CONSTRAINT break_glass_used CHECK (used_at IS NULL OR approved_at IS NOT NULL),
  CONSTRAINT break_glass_bound CHECK (incident_id IS NULL OR used_at IS NOT NULL)
);

-- The sinks that there were when it was made, each with a copy of its secret: they are told of its use whatever became of them.
CREATE TABLE app.break_glass_sink (
  -- `brk:<token>:<sink>`, which no sink can be called: its deliveries and its cursor go by it.
  name       text PRIMARY KEY CHECK (name LIKE 'brk:%'),
  api_key_id uuid NOT NULL REFERENCES app.break_glass (api_key_id),
  type       text NOT NULL,
  url        text NOT NULL,
  sealed_id  uuid NOT NULL
);
CREATE INDEX break_glass_sink_of ON app.break_glass_sink (api_key_id);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['break_glass', 'break_glass_sink'] LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.%I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER must_be_audited', t);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.%I FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER refuse_truncate', t);
    EXECUTE format('COMMENT ON TABLE app.%I IS %L', t, 'Guarded: a change here without an audit event does not commit.');
  END LOOP;
END $$;

-- What is frozen is changed and deleted by nobody.
GRANT SELECT, INSERT, UPDATE ON app.break_glass TO rekey_app;
GRANT SELECT, INSERT ON app.break_glass_sink TO rekey_app;

RESET ROLE;
