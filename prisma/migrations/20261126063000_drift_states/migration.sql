-- What a comparison may find, further: the provider is set to rotate the key by itself, what serves ends there before it is
-- rotated here, or the connection may no longer rotate it.
SET LOCAL ROLE rekey_owner;

ALTER TABLE app.drift DROP CONSTRAINT drift_state_check;
ALTER TABLE app.drift ADD CONSTRAINT drift_state_check
  CHECK (state IN ('pending', 'equal', 'adopt', 'orphan', 'lost', 'automatic', 'expiring', 'denied'));
DROP INDEX app.drift_found;
-- Whatever is not as it should be: a handful of keys.
CREATE INDEX drift_found ON app.drift (state)
  WHERE state IN ('adopt', 'orphan', 'lost', 'automatic', 'expiring', 'denied') OR silent_since IS NOT NULL;

RESET ROLE;
