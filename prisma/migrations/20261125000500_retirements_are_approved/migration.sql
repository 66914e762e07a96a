-- A rotation that only retires an adopted version asks for the approvals of its policy, then begins at overlapping.
SET LOCAL ROLE rekey_owner;

-- Equal to `machine` in src/domain/rotation-machine.ts; test/store/edges.test.ts compares.
CREATE OR REPLACE FUNCTION app.rotation_may_go(old_phase text, new_phase text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT new_phase = ANY (CASE old_phase
    WHEN 'planned' THEN '{awaitingApproval,preflight,overlapping,cancelled}'::text[]
    WHEN 'awaitingApproval' THEN '{preflight,overlapping,cancelled}'
    WHEN 'preflight' THEN '{minting,cancelled,stalled}'
    WHEN 'minting' THEN '{verifying,rollingBack,stalled}'
    WHEN 'verifying' THEN '{distributing,promoting,rollingBack,stalled}'
    WHEN 'distributing' THEN '{promoting,rollingBack,stalled}'
    WHEN 'promoting' THEN '{overlapping,retiring,completed,rollingBack,stalled}'
    WHEN 'overlapping' THEN '{suspending,retiring,rollingBack,stalled}'
    WHEN 'suspending' THEN '{soaking,rollingBack,stalled}'
    WHEN 'soaking' THEN '{retiring,rollingBack,stalled}'
    WHEN 'retiring' THEN '{completed,stalled}'
    WHEN 'rollingBack' THEN '{rolledBack,stalled}'
    WHEN 'stalled' THEN '{preflight,minting,verifying,distributing,promoting,overlapping,suspending,retiring,rollingBack,abandoned}'
    ELSE '{}' END)
$$;

RESET ROLE;
