-- A provider that refuses a login is tried again less and less often, by all workers together: each try counts towards a lock.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.refused_login (
  connection text           PRIMARY KEY REFERENCES app.connection (name) ON DELETE CASCADE,
  -- Of the connection; another one has not been refused yet.
  revision   integer        NOT NULL,
  times      integer        NOT NULL CHECK (times > 0),
  why        text           NOT NULL,
  -- Whoever tries moves it on first, so that one does.
  try_at     timestamptz(3) NOT NULL
);
COMMENT ON TABLE app.refused_login IS 'Not guarded: what providers said when they were asked, and when they are asked again.';

GRANT SELECT, INSERT, UPDATE, DELETE ON app.refused_login TO rekey_app;
RESET ROLE;
