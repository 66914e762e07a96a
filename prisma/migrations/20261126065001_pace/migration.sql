-- How fast a connection may be asked, over all processes: the line of its requests, and what the provider said of them.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.pace (
  connection text             PRIMARY KEY REFERENCES app.connection (name) ON DELETE CASCADE,
  -- The next request may be sent then; whoever takes a place moves it on.
  free_at    timestamptz      NOT NULL,
  -- Requests a second from when the provider said "too many" on. Twice as many with every minute after that.
  lowered    double precision CHECK (lowered > 0),
  lowered_at timestamptz      CHECK ((lowered_at IS NULL) = (lowered IS NULL))
);
COMMENT ON TABLE app.pace IS 'Not guarded: it says when a request is sent, and not which.';

GRANT SELECT, INSERT, UPDATE, DELETE ON app.pace TO rekey_app;
RESET ROLE;
