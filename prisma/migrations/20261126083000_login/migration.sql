-- Logins at systems that lock themselves after a few wrong ones: tried by one process at a time, and one that was refused by none.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.login (
  connection  text           PRIMARY KEY REFERENCES app.connection (name) ON DELETE CASCADE,
  -- Of the connection; another one has not been refused yet.
  revision    integer        NOT NULL,
  -- HMAC(pepper, SHA-256(credential)).
  fingerprint bytea          NOT NULL,
  state       text           NOT NULL CHECK (state IN ('trying', 'accepted', 'refused')),
  at          timestamptz(3) NOT NULL
);
COMMENT ON TABLE app.login IS 'Not guarded: what providers said when they were asked, and who asks them now.';

GRANT SELECT, INSERT, UPDATE, DELETE ON app.login TO rekey_app;
RESET ROLE;
