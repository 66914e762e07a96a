-- Browsers of people who logged in at an issuer: what the cookie is worth.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.browser_session (
  id         uuid           PRIMARY KEY,
  -- SHA-256 of what the cookie holds.
  hash       bytea          NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
  -- Of the login that it came from: one login gives one session.
  login_id   uuid           NOT NULL UNIQUE,
  issuer     text           NOT NULL,
  client_id  text           NOT NULL,
  subject    text           NOT NULL,
  -- As the issuer told them; what they are worth is asked of its rules with every request.
  claims     jsonb          NOT NULL,
  source     text           NOT NULL,
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  ended_at   timestamptz(3)
);
CREATE INDEX browser_session_of ON app.browser_session (issuer, subject) WHERE ended_at IS NULL;
CREATE INDEX browser_session_expiry ON app.browser_session (expires_at);

CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.browser_session
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited();
ALTER TABLE app.browser_session ENABLE ALWAYS TRIGGER must_be_audited;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.browser_session
  FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
ALTER TABLE app.browser_session ENABLE ALWAYS TRIGGER refuse_truncate;
COMMENT ON TABLE app.browser_session IS 'Guarded: a change here without an audit event does not commit.';

CREATE TABLE app.browser_session_use (
  session_id   uuid           PRIMARY KEY REFERENCES app.browser_session (id) ON DELETE CASCADE,
  last_used_at timestamptz(3) NOT NULL
);
COMMENT ON TABLE app.browser_session_use IS 'Not guarded: it changes every few seconds, and lets a session live no longer than its row says.';

GRANT SELECT, INSERT, UPDATE, DELETE ON app.browser_session TO rekey_app;
GRANT SELECT, INSERT, UPDATE ON app.browser_session_use TO rekey_app;

RESET ROLE;
