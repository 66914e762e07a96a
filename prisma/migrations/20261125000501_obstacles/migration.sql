-- Why the planner cannot rotate a key by itself, and how often it has tried.
SET LOCAL ROLE rekey_owner;

ALTER TABLE app.key_schedule ADD COLUMN obstacle jsonb;

RESET ROLE;
