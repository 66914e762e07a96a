-- What a visit of a phase has come to (tries of each effect, uses that were passed) is a column, so that waiting for it is too.
-- Nothing but a preview has run on the schema before, and it does not run beside this one.
-- contract: app.rotation_timer.attempts: progress counts the tries of each effect
-- contract: app.rotation.passage_at: written by every start of a rotation from here on
-- contract: app.approval.passage_at: written by every approval from here on
-- contract: app.approval: one word a person, gate and passage
SET LOCAL ROLE rekey_owner;

ALTER TABLE app.rotation_timer ADD COLUMN progress jsonb;
ALTER TABLE app.rotation_timer DROP COLUMN attempts;

-- Overrides count for the passage through the gates in which they were said. Rows from before share one.
ALTER TABLE app.rotation ADD COLUMN passage_at timestamptz(3) NOT NULL DEFAULT 'epoch';
ALTER TABLE app.rotation ALTER COLUMN passage_at DROP DEFAULT;
ALTER TABLE app.approval ADD COLUMN passage_at timestamptz(3) NOT NULL DEFAULT 'epoch';
ALTER TABLE app.approval ALTER COLUMN passage_at DROP DEFAULT;
DROP INDEX app.approval_once;
CREATE UNIQUE INDEX approval_once ON app.approval (rotation_id, kind, gate, passage_at, principal_id) NULLS NOT DISTINCT;

RESET ROLE;
