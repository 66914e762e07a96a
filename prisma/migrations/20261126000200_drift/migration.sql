-- Every key is compared with its provider for ever: when it is looked at next, and what the last look found.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.drift (
  key_id       uuid           PRIMARY KEY REFERENCES app.key (id),
  -- Of the last look that had an answer; `pending`: there was none.
  state        text           NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'equal', 'adopt', 'orphan', 'lost')),
  detail       text           NOT NULL DEFAULT '',
  facts        jsonb          NOT NULL DEFAULT '{}',
  since        timestamptz(3),
  looked_at    timestamptz(3),
  -- Since when the provider has given no answer, and why.
  silent_since timestamptz(3),
  silence      text           CHECK ((silence IS NULL) = (silent_since IS NULL)),
  -- A claim moves it on; whoever dies with it leaves the key due again then.
  look_at      timestamptz(3) NOT NULL
);
COMMENT ON TABLE app.drift IS 'Not guarded: what providers said when they were asked, and can be asked again. A change of what was found is told with it.';
CREATE INDEX drift_due ON app.drift (look_at, key_id);
-- Whatever is not as it should be: a handful of keys.
CREATE INDEX drift_found ON app.drift (state) WHERE state IN ('adopt', 'orphan', 'lost') OR silent_since IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON app.drift TO rekey_app;
RESET ROLE;
