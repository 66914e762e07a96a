-- Issuers of JWTs whose claims give roles here.
SET LOCAL ROLE rekey_owner;

-- One row, like the floors, and there from the beginning.
CREATE TABLE app.issuers (
  id         boolean        PRIMARY KEY DEFAULT true CHECK (id),
  items      jsonb          NOT NULL,
  revision   integer        NOT NULL,
  set_by     text,
  updated_at timestamptz(3) NOT NULL
);
INSERT INTO app.issuers (items, revision, updated_at) VALUES ('[]', 1, app.now());

CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.issuers
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited();
ALTER TABLE app.issuers ENABLE ALWAYS TRIGGER must_be_audited;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.issuers FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
ALTER TABLE app.issuers ENABLE ALWAYS TRIGGER refuse_truncate;
COMMENT ON TABLE app.issuers IS 'Guarded: a change here without an audit event does not commit.';

GRANT SELECT, UPDATE ON app.issuers TO rekey_app;

RESET ROLE;
