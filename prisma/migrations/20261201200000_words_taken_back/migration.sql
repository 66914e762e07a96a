-- People whose sessions an admin has ended: what they have agreed to until then counts no more.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.taken_back (
  -- `https://issuer#subject`
  principal text           PRIMARY KEY,
  at        timestamptz(3) NOT NULL
);

CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.taken_back
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited();
ALTER TABLE app.taken_back ENABLE ALWAYS TRIGGER must_be_audited;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.taken_back
  FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
ALTER TABLE app.taken_back ENABLE ALWAYS TRIGGER refuse_truncate;
COMMENT ON TABLE app.taken_back IS 'Guarded: a change here without an audit event does not commit.';

GRANT SELECT, INSERT, UPDATE ON app.taken_back TO rekey_app;

-- Logins that have come back from their issuer: each is asked about once.
CREATE TABLE app.spent_login (
  id    uuid           PRIMARY KEY,
  until timestamptz(3) NOT NULL
);
CREATE INDEX spent_login_until ON app.spent_login (until);
COMMENT ON TABLE app.spent_login IS 'Not guarded: of logins under way, of which nothing is known yet; a row lives ten minutes.';

GRANT SELECT, INSERT, DELETE ON app.spent_login TO rekey_app;

RESET ROLE;
