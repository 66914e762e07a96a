-- What was under way when a key was contained may land after the proof and switch a version on again. Such a key is looked at once
-- more when nothing of it can land any more, and until then the incident is not at rest.
SET LOCAL ROLE rekey_owner;
ALTER TABLE app.incident_key ADD COLUMN late_until timestamptz(3);

-- Equal to containmentEdges and incidentKeyEdges in src/domain/incident.ts; test/store/edges.test.ts compares.
CREATE OR REPLACE FUNCTION app.incident_version_may_go(old_state text, new_state text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT new_state = ANY (CASE old_state
    WHEN 'pending' THEN '{revoking,refused,refusedAfter,unproven,failed}'::text[]
    WHEN 'revoking' THEN '{refused,refusedAfter,unproven,failed}'
    WHEN 'refused' THEN '{pending,unproven,restored}'
    WHEN 'refusedAfter' THEN '{pending,refused,unproven,failed,restored}'
    WHEN 'unproven' THEN '{pending,restored}'
    WHEN 'failed' THEN '{pending,restored}'
    ELSE '{}' END)
$$;
CREATE OR REPLACE FUNCTION app.incident_key_may_go(old_state text, new_state text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT new_state = ANY (CASE old_state
    WHEN 'pending' THEN '{revoking,replacing,refused,refusedAfter,unproven,failed,replaced}'::text[]
    WHEN 'revoking' THEN '{replacing,refused,refusedAfter,unproven,failed,replaced}'
    WHEN 'replacing' THEN '{pending,revoking,refused,refusedAfter,unproven,failed,replaced}'
    WHEN 'refused' THEN '{pending,unproven,replacing,replaced,restored}'
    WHEN 'refusedAfter' THEN '{pending,refused,unproven,failed,replacing,replaced,restored}'
    WHEN 'unproven' THEN '{pending,revoking,replacing,replaced,restored}'
    WHEN 'failed' THEN '{pending,revoking,replacing,replaced,restored}'
    WHEN 'replaced' THEN '{pending,revoking,refused,unproven,failed}'
    ELSE '{}' END)
$$;
RESET ROLE;
