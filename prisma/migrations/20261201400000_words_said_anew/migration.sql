-- Whoever's word counts no more, since an admin has ended their sessions, may say it anew: another row, later. Whether the one of
-- before still counts is asked when it is written (usecases/another-person.ts), under a lock.
SET LOCAL ROLE rekey_owner;

DROP INDEX app.approval_once;
CREATE UNIQUE INDEX approval_once ON app.approval (rotation_id, kind, gate, passage_at, principal_id, at) NULLS NOT DISTINCT;

ALTER TABLE app.incident_approval DROP CONSTRAINT incident_approval_pkey;
ALTER TABLE app.incident_approval ADD PRIMARY KEY (incident_id, preview_hash, principal_id, at);

ALTER TABLE app.plan_approval DROP CONSTRAINT plan_approval_pkey;
ALTER TABLE app.plan_approval ADD PRIMARY KEY (plan_id, principal_id, at);

RESET ROLE;
