-- What `rekey restore` leaves for the first start after it: from which backup this database was made. Recovery mode begins with
-- it, also where the host is new and remembers nothing, and its acceptance clears it.
SET LOCAL ROLE rekey_owner;

ALTER TABLE app.installation ADD COLUMN restored_from jsonb;

RESET ROLE;
