-- Fair share: what waits is taken in turns over lanes, one a policy, so that twenty thousand of one do not stand before three
-- of another.
SET LOCAL ROLE rekey_owner;

-- Of a rotation that the planner opened: its policy. What people start has a lane of its own, the empty one.
ALTER TABLE app.rotation_timer ADD COLUMN lane text NOT NULL DEFAULT '';
UPDATE app.rotation_timer t SET lane = r.policy
  FROM app.rotation r WHERE r.id = t.rotation_id AND r.policy IS NOT NULL AND r.trigger IN ('schedule', 'maxAge') AND t.due_at IS NOT NULL;
CREATE INDEX rotation_timer_in_lane ON app.rotation_timer (lane, due_at, rotation_id)
  WHERE due_at IS NOT NULL AND lease_owner IS NULL;
-- rotation_timer_leased finds the same rows.
DROP INDEX app.rotation_timer_lease;

-- The policy of the key when its schedule was written. It decides whose turn it is and nothing else.
ALTER TABLE app.key_schedule ADD COLUMN lane text NOT NULL DEFAULT '';
UPDATE app.key_schedule s SET lane = k.policy FROM app.key k WHERE k.id = s.key_id AND k.policy IS NOT NULL;
CREATE INDEX key_schedule_in_lane ON app.key_schedule (lane, due_at, key_id) WHERE due_at IS NOT NULL;
RESET ROLE;
