-- Emergencies: what was asked, what was shown, who agreed, what was sent for which version, and what proves it.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.incident (
  id               uuid           PRIMARY KEY,
  title            text           NOT NULL,
  severity         text           NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
  mode             text           NOT NULL CHECK (mode IN ('disable', 'rotateFast', 'revokeFirst', 'revokeOnly')),
  reason           text           NOT NULL,
  selector         jsonb          NOT NULL,
  state            text           NOT NULL CHECK (state IN ('draft', 'previewed', 'awaitingApproval', 'executing', 'contained', 'partly', 'closed')),
  revision         integer        NOT NULL,
  opened_by_id     text           NOT NULL,
  opened_by_name   text           NOT NULL,
  commander        text,
  -- The token by which it is worked on, where that is one to break glass with.
  break_glass      text,
  -- Of the last preview: hash, time, end, who, approvals needed, how many keys. The whole of it is in incident_preview.
  preview          jsonb,
  executed_hash    text,
  executed_at      timestamptz(3),
  executed_by_id   text,
  executed_by_name text,
  -- When nothing was pending any more, the last time.
  settled_at       timestamptz(3),
  closed_at        timestamptz(3),
  closed_by        text,
  close_reason     text,
  reviewed_at      timestamptz(3),
  reviewed_by_id   text,
  reviewed_by_name text,
  review           text,
  created_at       timestamptz(3) NOT NULL,
  updated_at       timestamptz(3) NOT NULL,
  CONSTRAINT incident_executed CHECK ((executed_at IS NULL) = (executed_hash IS NULL) AND (executed_at IS NULL) = (executed_by_id IS NULL)),
  CONSTRAINT incident_closed CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
  CONSTRAINT incident_reviewed CHECK ((reviewed_at IS NULL) = (review IS NULL))
);
CREATE INDEX incident_in_state ON app.incident (state, id);

CREATE TABLE app.incident_preview (
  incident_id uuid PRIMARY KEY REFERENCES app.incident (id),
  hash        text  NOT NULL,
  body        jsonb NOT NULL
);

CREATE TABLE app.incident_key (
  incident_id   uuid           NOT NULL REFERENCES app.incident (id),
  key_id        uuid           NOT NULL REFERENCES app.key (id),
  key_name      text           NOT NULL,
  connection    text           NOT NULL,
  -- The most dangerous one is 0.
  position      integer        NOT NULL,
  -- As it was previewed.
  plan          jsonb          NOT NULL,
  state         text           NOT NULL CHECK (state IN ('pending', 'revoking', 'refused', 'refusedAfter', 'unproven', 'failed', 'replacing', 'replaced', 'restored')),
  replacement   text           CHECK (replacement IN ('pending', 'running', 'done', 'failed')),
  rotation_id   uuid           REFERENCES app.rotation (id),
  restoration   text           CHECK (restoration IN ('asked', 'done', 'failed')),
  detail        text,
  updated_at    timestamptz(3) NOT NULL,
  PRIMARY KEY (incident_id, key_id)
);
CREATE UNIQUE INDEX incident_key_position ON app.incident_key (incident_id, position);
CREATE INDEX incident_key_state ON app.incident_key (incident_id, state, position);
CREATE INDEX incident_of_key ON app.incident_key (key_id, incident_id);
CREATE INDEX incident_of_rotation ON app.incident_key (rotation_id) WHERE rotation_id IS NOT NULL;

CREATE TABLE app.incident_version (
  incident_id    uuid           NOT NULL,
  key_id         uuid           NOT NULL,
  version        integer        NOT NULL,
  containment    text           NOT NULL CHECK (containment IN ('suspend', 'disable', 'destroy', 'switchOffKey', 'byHand', 'none')),
  state          text           NOT NULL CHECK (state IN ('pending', 'revoking', 'refused', 'refusedAfter', 'unproven', 'failed', 'restored')),
  requested_at   timestamptz(3),
  effective_at   timestamptz(3),
  proven_at      timestamptz(3),
  operation      text,
  code           text,
  refused_after  timestamptz(3),
  detail         text,
  operation_id   text,
  audit_event_id uuid,
  PRIMARY KEY (incident_id, key_id, version),
  CONSTRAINT incident_version_of_key FOREIGN KEY (incident_id, key_id) REFERENCES app.incident_key (incident_id, key_id),
  -- Refused is what was tried and refused, and nothing else.
  CONSTRAINT incident_version_proven CHECK (state <> 'refused' OR (proven_at IS NOT NULL AND operation IS NOT NULL))
);
CREATE INDEX incident_version_of ON app.incident_version (key_id, version);

CREATE TABLE app.incident_approval (
  incident_id    uuid           NOT NULL REFERENCES app.incident (id),
  preview_hash   text           NOT NULL,
  principal_id   text           NOT NULL,
  principal_name text           NOT NULL,
  -- Those that the principal had then.
  roles          text[]         NOT NULL,
  at             timestamptz(3) NOT NULL,
  PRIMARY KEY (incident_id, preview_hash, principal_id)
);

CREATE TABLE app.incident_note (
  id             uuid           PRIMARY KEY,
  incident_id    uuid           NOT NULL REFERENCES app.incident (id),
  kind           text           NOT NULL CHECK (kind IN ('fact', 'hypothesis', 'note')),
  text           text           NOT NULL,
  corrects       uuid           REFERENCES app.incident_note (id),
  principal_id   text           NOT NULL,
  principal_name text           NOT NULL,
  at             timestamptz(3) NOT NULL
);
CREATE INDEX incident_note_of ON app.incident_note (incident_id, id);

CREATE TABLE app.incident_key_timer (
  incident_id uuid           NOT NULL,
  key_id      uuid           NOT NULL,
  -- With whom it takes turns: its connection.
  lane        text           NOT NULL,
  -- What is done before what: containment, proof, replacement.
  stage       integer        NOT NULL DEFAULT 0,
  position    integer        NOT NULL,
  due_at      timestamptz(3),
  lease_owner text,
  lease_until timestamptz(3),
  progress    jsonb,
  PRIMARY KEY (incident_id, key_id),
  CONSTRAINT incident_key_timer_of FOREIGN KEY (incident_id, key_id) REFERENCES app.incident_key (incident_id, key_id),
  CONSTRAINT incident_key_timer_lease CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX incident_key_timer_in_lane ON app.incident_key_timer (lane, stage, position, key_id) WHERE due_at IS NOT NULL AND lease_owner IS NULL;
CREATE INDEX incident_key_timer_leased ON app.incident_key_timer (lease_until, key_id) WHERE lease_owner IS NOT NULL;
COMMENT ON TABLE app.incident_key_timer IS 'Not guarded: leases and due times change every second and decide nothing.';

-- Effects of an incident have intents like all others. Their phase names the incident, so that two of them on one key do not
-- stand in each other's way.
ALTER TABLE app.intent ADD COLUMN incident_id uuid REFERENCES app.incident (id);
DROP INDEX app.intent_of_creation;
CREATE INDEX intent_of_creation ON app.intent (key_id, started_at) WHERE rotation_id IS NULL AND incident_id IS NULL;
CREATE INDEX intent_of_incident ON app.intent (key_id, incident_id, started_at) WHERE incident_id IS NOT NULL;

-- Equal to incidentEdges, containmentEdges and incidentKeyEdges in src/domain/incident.ts; test/store/edges.test.ts compares.
CREATE FUNCTION app.incident_may_go(old_state text, new_state text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT new_state = ANY (CASE old_state
    WHEN 'draft' THEN '{previewed,awaitingApproval,closed}'::text[]
    WHEN 'previewed' THEN '{awaitingApproval,executing,closed}'
    WHEN 'awaitingApproval' THEN '{previewed,executing,closed}'
    WHEN 'executing' THEN '{contained,partly}'
    WHEN 'contained' THEN '{executing,partly,closed}'
    WHEN 'partly' THEN '{executing,contained,closed}'
    ELSE '{}' END)
$$;
CREATE FUNCTION app.incident_version_may_go(old_state text, new_state text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT new_state = ANY (CASE old_state
    WHEN 'pending' THEN '{revoking,refused,refusedAfter,unproven,failed}'::text[]
    WHEN 'revoking' THEN '{refused,refusedAfter,unproven,failed}'
    WHEN 'refused' THEN '{restored}'
    WHEN 'refusedAfter' THEN '{refused,unproven,failed,restored}'
    WHEN 'unproven' THEN '{pending,restored}'
    WHEN 'failed' THEN '{pending,restored}'
    ELSE '{}' END)
$$;
CREATE FUNCTION app.incident_key_may_go(old_state text, new_state text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT new_state = ANY (CASE old_state
    WHEN 'pending' THEN '{revoking,replacing,refused,refusedAfter,unproven,failed,replaced}'::text[]
    WHEN 'revoking' THEN '{replacing,refused,refusedAfter,unproven,failed,replaced}'
    WHEN 'replacing' THEN '{pending,revoking,refused,refusedAfter,unproven,failed,replaced}'
    WHEN 'refused' THEN '{pending,replacing,replaced,restored}'
    WHEN 'refusedAfter' THEN '{pending,refused,unproven,failed,replacing,replaced,restored}'
    WHEN 'unproven' THEN '{pending,revoking,replacing,replaced,restored}'
    WHEN 'failed' THEN '{pending,revoking,replacing,replaced,restored}'
    WHEN 'replaced' THEN '{pending,revoking,refused,unproven,failed}'
    ELSE '{}' END)
$$;

CREATE FUNCTION app.check_incident_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND NOT app.incident_may_go(OLD.state, NEW.state) THEN
    RAISE EXCEPTION 'an incident goes not from % to %', OLD.state, NEW.state USING ERRCODE = 'RK008';
  END IF;
  IF OLD.executed_hash IS NOT NULL AND (NEW.executed_hash, NEW.mode, NEW.selector) IS DISTINCT FROM (OLD.executed_hash, OLD.mode, OLD.selector) THEN
    RAISE EXCEPTION 'what an incident has executed is frozen' USING ERRCODE = 'RK008';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION app.check_incident_version_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND NOT app.incident_version_may_go(OLD.state, NEW.state) THEN
    RAISE EXCEPTION 'a version in an incident goes not from % to %', OLD.state, NEW.state USING ERRCODE = 'RK008';
  END IF;
  IF NEW.containment <> OLD.containment THEN
    RAISE EXCEPTION 'what an incident has executed is frozen' USING ERRCODE = 'RK008';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION app.check_incident_key_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND NOT app.incident_key_may_go(OLD.state, NEW.state) THEN
    RAISE EXCEPTION 'a key in an incident goes not from % to %', OLD.state, NEW.state USING ERRCODE = 'RK008';
  END IF;
  IF NEW.plan IS DISTINCT FROM OLD.plan THEN
    RAISE EXCEPTION 'what an incident has executed is frozen' USING ERRCODE = 'RK008';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER check_edge BEFORE UPDATE ON app.incident FOR EACH ROW EXECUTE FUNCTION app.check_incident_edge();
CREATE TRIGGER check_edge BEFORE UPDATE ON app.incident_version FOR EACH ROW EXECUTE FUNCTION app.check_incident_version_edge();
CREATE TRIGGER check_edge BEFORE UPDATE ON app.incident_key FOR EACH ROW EXECUTE FUNCTION app.check_incident_key_edge();
ALTER TABLE app.incident ENABLE ALWAYS TRIGGER check_edge;
ALTER TABLE app.incident_version ENABLE ALWAYS TRIGGER check_edge;
ALTER TABLE app.incident_key ENABLE ALWAYS TRIGGER check_edge;

-- ENABLE ALWAYS, or a session in replica mode would write without an event.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['incident', 'incident_preview', 'incident_key', 'incident_version', 'incident_approval', 'incident_note'] LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.%I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER must_be_audited', t);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.%I FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER refuse_truncate', t);
    EXECUTE format('COMMENT ON TABLE app.%I IS %L', t, 'Guarded: a change here without an audit event does not commit.');
  END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE ON app.incident, app.incident_preview, app.incident_key, app.incident_version, app.incident_key_timer TO rekey_app;
GRANT SELECT, INSERT ON app.incident_approval, app.incident_note TO rekey_app;
RESET ROLE;
