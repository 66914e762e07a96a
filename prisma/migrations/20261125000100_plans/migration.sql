-- Policies as code: who owns a resource that came from files, and the plans by which files are applied.
SET LOCAL ROLE rekey_owner;

-- The owner set of a file apply; null for what was written by hand. app.policy has it as `owner`.
ALTER TABLE app.connection ADD COLUMN managed_by text;
ALTER TABLE app.key ADD COLUMN managed_by text;
ALTER TABLE app.consumer ADD COLUMN managed_by text;
CREATE INDEX key_managed_by ON app.key (managed_by, name) WHERE managed_by IS NOT NULL AND deleted_at IS NULL;

CREATE TABLE app.plan (
  id              uuid           PRIMARY KEY,
  hash            text           NOT NULL,
  owner           text,
  prune           boolean        NOT NULL,
  allow           text[]         NOT NULL,
  -- What was sent, until nothing is left to do with it.
  documents       jsonb,
  -- What it does, as it was shown.
  items           jsonb          NOT NULL,
  -- What of `allow` it makes use of.
  needs           jsonb          NOT NULL,
  -- Approvals that it needs, with the reasons.
  approvals       jsonb          NOT NULL,
  -- The scope of its author: who may see it.
  scope           jsonb,
  author_id       text           NOT NULL,
  author_name     text           NOT NULL,
  created_at      timestamptz(3) NOT NULL,
  applied_at      timestamptz(3),
  applied_by      text,
  -- When the last of its new keys was registered; for a plan without any, when it was applied.
  finished_at     timestamptz(3),
  CONSTRAINT plan_applied CHECK ((applied_at IS NULL) = (applied_by IS NULL)),
  CONSTRAINT plan_finished CHECK (finished_at IS NULL OR applied_at IS NOT NULL),
  CONSTRAINT plan_documents CHECK ((documents IS NULL) = (finished_at IS NOT NULL))
);
CREATE INDEX plan_open ON app.plan (created_at) WHERE applied_at IS NULL;

CREATE TABLE app.plan_approval (
  plan_id        uuid           NOT NULL REFERENCES app.plan (id) ON DELETE CASCADE,
  principal_id   text           NOT NULL,
  principal_name text           NOT NULL,
  -- Those that the principal had then.
  roles          text[]         NOT NULL,
  at             timestamptz(3) NOT NULL,
  PRIMARY KEY (plan_id, principal_id)
);

-- ENABLE ALWAYS, or a session in replica mode would write without an event.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['plan', 'plan_approval'] LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.%I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER must_be_audited', t);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.%I FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER refuse_truncate', t);
    EXECUTE format('COMMENT ON TABLE app.%I IS %L', t, 'Guarded: a change here without an audit event does not commit.');
  END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE ON app.plan TO rekey_app;
GRANT SELECT, INSERT ON app.plan_approval TO rekey_app;
-- Plans that nobody applied are deleted after a while, with what was said about them.
GRANT DELETE ON app.plan TO rekey_app;

RESET ROLE;
