-- What people say of the steps that they carry out where there is no API (docs/adr/0017-steps-by-hand.md). Once a step.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.confirmation (
  operation_id   text           PRIMARY KEY REFERENCES app.intent (operation_id),
  key_id         uuid           NOT NULL REFERENCES app.key (id),
  effect         text           NOT NULL,
  -- False: it was not done, and `evidence` says why.
  done           boolean        NOT NULL,
  -- The version that the step was about, and what it is since.
  version        text           NOT NULL,
  became         text           NOT NULL CHECK (became IN ('enabled', 'current', 'disabled', 'destroyed')),
  -- HMAC(pepper, the SHA-256 that the person's client made of the new value).
  fingerprint    bytea,
  evidence       text,
  principal_id   text           NOT NULL,
  principal_name text           NOT NULL,
  at             timestamptz(3) NOT NULL
);
CREATE INDEX confirmation_of_key ON app.confirmation (key_id, at);

-- ENABLE ALWAYS, or a session in replica mode would write without an event.
CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.confirmation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited();
ALTER TABLE app.confirmation ENABLE ALWAYS TRIGGER must_be_audited;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.confirmation FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
ALTER TABLE app.confirmation ENABLE ALWAYS TRIGGER refuse_truncate;
COMMENT ON TABLE app.confirmation IS 'Guarded: a change here without an audit event does not commit.';

-- Never changed, never deleted.
GRANT SELECT, INSERT ON app.confirmation TO rekey_app;
RESET ROLE;
