-- What a trace, and whoever asks how the installation is, need of the database.
SET LOCAL ROLE rekey_owner;

-- The W3C traceparent under which a rotation was opened, so that every step of it, in whatever process, is one trace.
ALTER TABLE app.rotation ADD COLUMN traceparent text
  CHECK (traceparent ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');

-- The one process that tells what the database holds, so that several do not tell it several times.
CREATE TABLE app.installation_reader (
  id     boolean        PRIMARY KEY DEFAULT true CHECK (id),
  holder text           NOT NULL,
  until  timestamptz(3) NOT NULL
);
INSERT INTO app.installation_reader (holder, until) VALUES ('', app.now());
COMMENT ON TABLE app.installation_reader IS 'Not guarded: a lease that changes with every scrape and decides nothing.';
GRANT SELECT, UPDATE ON app.installation_reader TO rekey_app;

CREATE INDEX key_schedule_is_overdue ON app.key_schedule (overdue_since) WHERE overdue_since IS NOT NULL;
CREATE INDEX intent_open ON app.intent (started_at, outcome, sent_not_after) WHERE NOT closed;
RESET ROLE;
