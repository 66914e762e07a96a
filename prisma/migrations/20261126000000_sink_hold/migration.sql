-- A receiver that asks for silence (Retry-After) is left alone as a whole: also with news of which nothing is queued yet.
SET LOCAL ROLE rekey_owner;

ALTER TABLE app.sink_cursor ADD COLUMN held_until timestamptz(3);

RESET ROLE;
