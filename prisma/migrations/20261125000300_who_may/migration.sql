-- Who may do what: floors below which no policy goes, the external id of each connection, when a token was last used.
SET LOCAL ROLE rekey_owner;

-- One row, like the freeze switch; it is there from the beginning, so that GET → edit → PUT works the first time too.
CREATE TABLE app.floors (
  id         boolean        PRIMARY KEY DEFAULT true CHECK (id),
  items      jsonb          NOT NULL,
  revision   integer        NOT NULL,
  set_by     text,
  updated_at timestamptz(3) NOT NULL
);
INSERT INTO app.floors (items, revision, updated_at) VALUES ('[]', 1, app.now());

-- Made here and never by a caller: a role in somebody else's account that trusts this id trusts this connection alone.
ALTER TABLE app.connection ADD COLUMN external_id uuid NOT NULL DEFAULT gen_random_uuid();

CREATE TABLE app.api_key_use (
  api_key_id   uuid           PRIMARY KEY REFERENCES app.api_key (id),
  last_used_at timestamptz(3) NOT NULL
);
COMMENT ON TABLE app.api_key_use IS 'Not guarded: when each token was last used; it decides nothing.';

CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.floors
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited();
ALTER TABLE app.floors ENABLE ALWAYS TRIGGER must_be_audited;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.floors FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
ALTER TABLE app.floors ENABLE ALWAYS TRIGGER refuse_truncate;
COMMENT ON TABLE app.floors IS 'Guarded: a change here without an audit event does not commit.';

GRANT SELECT, UPDATE ON app.floors TO rekey_app;
GRANT SELECT, INSERT, UPDATE ON app.api_key_use TO rekey_app;

RESET ROLE;
