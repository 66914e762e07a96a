-- Which writer key a process signs with: whoever exchanges it sees who still signs with the one of before.
SET LOCAL ROLE rekey_owner;

-- Null: a process of before, which does not tell.
ALTER TABLE app.process ADD COLUMN signs text;

RESET ROLE;
