-- What Rekey knows. Owner: rekey_owner, who cannot log in and has no members. rekey_app serves.
SET LOCAL ROLE rekey_owner;

CREATE SCHEMA IF NOT EXISTS app AUTHORIZATION rekey_owner;

-- The database's clock, for leases and gates. STABLE, so that an index can be used and one statement sees one time.
CREATE FUNCTION app.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
  RETURN clock_timestamp();
COMMENT ON FUNCTION app.now() IS 'The only clock in SQL. A test database replaces it by one that can be shifted.';

-- ── Guarded: written only together with an audit event ───────────────────────────────────────────────────────────────────

CREATE TABLE app.connection (
  name       text           PRIMARY KEY,
  provider   text           NOT NULL,
  settings   jsonb          NOT NULL,
  credential jsonb          NOT NULL,
  grants     jsonb          NOT NULL,
  labels     jsonb          NOT NULL,
  revision   integer        NOT NULL,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL
);

CREATE TABLE app.key (
  id                 uuid           PRIMARY KEY,
  name               text           NOT NULL,
  connection         text           NOT NULL,
  type               text           NOT NULL,
  ref                jsonb          NOT NULL,
  object_id          text           NOT NULL,
  purpose            text           NOT NULL,
  owner              text           NOT NULL,
  environment        text           NOT NULL,
  labels             jsonb          NOT NULL,
  consumers          text[]         NOT NULL,
  usable_by          text[]         NOT NULL,
  observe            text,
  generate           jsonb,
  policy             text,
  policy_selected_at timestamptz(3),
  revision           integer        NOT NULL,
  created_at         timestamptz(3) NOT NULL,
  updated_at         timestamptz(3) NOT NULL,
  deleted_at         timestamptz(3)
);
CREATE UNIQUE INDEX key_name_taken ON app.key (name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX key_object_taken ON app.key (object_id) WHERE deleted_at IS NULL;
CREATE INDEX key_connection ON app.key (connection, name) WHERE deleted_at IS NULL;
CREATE INDEX key_policy ON app.key (policy, name) WHERE deleted_at IS NULL;
CREATE INDEX key_type ON app.key (type, name) WHERE deleted_at IS NULL;
CREATE INDEX key_labels ON app.key USING gin (labels jsonb_path_ops);

CREATE TABLE app.version (
  key_id            uuid           NOT NULL REFERENCES app.key (id),
  version           integer        NOT NULL CHECK (version >= 1),
  state             text           NOT NULL CHECK (state IN ('preActivation', 'active', 'suspended', 'deactivated', 'compromised', 'destroyed')),
  is_primary        boolean        NOT NULL,
  provider_versions text[]         NOT NULL,
  material_known    boolean        NOT NULL,
  fingerprint       bytea,
  sealed_id         uuid,
  rotation_id       uuid,
  verified_at       timestamptz(3),
  created_at        timestamptz(3) NOT NULL,
  activated_at      timestamptz(3),
  suspended_at      timestamptz(3),
  deactivated_at    timestamptz(3),
  compromised_at    timestamptz(3),
  destroyed_at      timestamptz(3),
  PRIMARY KEY (key_id, version),
  CONSTRAINT version_primary_is_active CHECK (NOT is_primary OR state = 'active')
);
CREATE UNIQUE INDEX version_one_primary ON app.version (key_id) WHERE is_primary;
CREATE INDEX version_fingerprint ON app.version (fingerprint);

CREATE TABLE app.policy (
  name        text           PRIMARY KEY,
  labels      jsonb          NOT NULL,
  annotations jsonb          NOT NULL,
  spec        jsonb          NOT NULL,
  revision    integer        NOT NULL,
  author_id   text           NOT NULL,
  author_name text           NOT NULL,
  owner       text,
  created_at  timestamptz(3) NOT NULL,
  updated_at  timestamptz(3) NOT NULL
);

-- Kept when the policy is deleted: rotations stay on their revision. A later policy of the same name has another created_at.
CREATE TABLE app.policy_revision (
  name        text           NOT NULL,
  revision    integer        NOT NULL,
  created_at  timestamptz(3) NOT NULL,
  labels      jsonb          NOT NULL,
  annotations jsonb          NOT NULL,
  spec        jsonb          NOT NULL,
  author_id   text           NOT NULL,
  author_name text           NOT NULL,
  owner       text,
  updated_at  timestamptz(3) NOT NULL,
  PRIMARY KEY (name, created_at, revision)
);

CREATE TABLE app.consumer (
  name       text           PRIMARY KEY,
  owner      text           NOT NULL,
  labels     jsonb          NOT NULL,
  keys       text[]         NOT NULL,
  reload     jsonb,
  revision   integer        NOT NULL,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL
);

CREATE TABLE app.sink (
  name            text           PRIMARY KEY,
  type            text           NOT NULL,
  url             text           NOT NULL,
  sealed_id       uuid           NOT NULL,
  events          jsonb,
  disabled_reason text,
  revision        integer        NOT NULL,
  created_at      timestamptz(3) NOT NULL,
  updated_at      timestamptz(3) NOT NULL
);

CREATE TABLE app.freeze (
  id         boolean        PRIMARY KEY DEFAULT true CHECK (id),
  until      timestamptz(3) NOT NULL,
  reason     text           NOT NULL,
  selector   jsonb,
  set_by     text           NOT NULL,
  revision   integer        NOT NULL,
  updated_at timestamptz(3) NOT NULL
);

CREATE TABLE app.api_key (
  id         uuid           PRIMARY KEY,
  name       text           NOT NULL,
  type       text           NOT NULL,
  roles      text[]         NOT NULL,
  scope      jsonb,
  consumer   text,
  keys       jsonb,
  addresses  jsonb,
  hash       bytea          NOT NULL CHECK (octet_length(hash) = 32),
  expires_at timestamptz(3),
  created_by text           NOT NULL,
  created_at timestamptz(3) NOT NULL,
  deleted_at timestamptz(3)
);
CREATE UNIQUE INDEX api_key_hash ON app.api_key (hash);

CREATE TABLE app.rotation (
  id                uuid           PRIMARY KEY,
  key_id            uuid           NOT NULL REFERENCES app.key (id),
  key_name          text           NOT NULL,
  policy            text,
  policy_revision   integer,
  plan              jsonb          NOT NULL,
  plan_hash         text           NOT NULL,
  group_id          text           NOT NULL,
  phase             text           NOT NULL,
  epoch             integer        NOT NULL CHECK (epoch >= 0),
  trigger           text           NOT NULL,
  reason            text           NOT NULL,
  occurrence        text,
  from_version      integer,
  to_version        integer,
  pre_image         jsonb          NOT NULL,
  stalled_in        text,
  stalled_reason    text,
  undo              jsonb,
  phase_observed_ms bigint         NOT NULL,
  phase_entered_at  timestamptz(3) NOT NULL,
  mint_entered_at   timestamptz(3),
  promoted_at       timestamptz(3),
  created_at        timestamptz(3) NOT NULL,
  ended_at          timestamptz(3),
  CONSTRAINT rotation_phase CHECK (phase IN ('planned', 'awaitingApproval', 'preflight', 'minting', 'verifying', 'distributing', 'promoting', 'overlapping', 'suspending', 'soaking', 'retiring', 'rollingBack', 'stalled', 'completed', 'cancelled', 'rolledBack', 'abandoned'))
);
CREATE UNIQUE INDEX rotation_one_open ON app.rotation (key_id) WHERE phase NOT IN ('completed', 'cancelled', 'rolledBack', 'abandoned');
CREATE UNIQUE INDEX rotation_one_an_occurrence ON app.rotation (key_id, occurrence);
CREATE INDEX rotation_of_key ON app.rotation (key_id, id);
CREATE INDEX rotation_ended ON app.rotation (key_id, ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX rotation_of_policy ON app.rotation (policy, id);
CREATE INDEX rotation_in_phase ON app.rotation (phase, id);
CREATE INDEX rotation_open_group ON app.rotation (group_id, created_at) WHERE phase NOT IN ('completed', 'cancelled', 'rolledBack', 'abandoned');
CREATE INDEX rotation_group_minted ON app.rotation (group_id, mint_entered_at);

CREATE TABLE app.intent (
  operation_id   text           PRIMARY KEY,
  rotation_id    uuid           REFERENCES app.rotation (id),
  key_id         uuid           NOT NULL,
  phase          text           NOT NULL,
  target         text,
  attempt        integer        NOT NULL,
  effect         text           NOT NULL,
  pre_image      jsonb          NOT NULL,
  sealed_id      uuid,
  sent_not_after timestamptz(3) NOT NULL,
  outcome        text           CHECK (outcome IN ('succeeded', 'failed', 'unknown')),
  closed         boolean        NOT NULL,
  result         jsonb,
  detail         text,
  event_id       uuid           NOT NULL,
  started_at     timestamptz(3) NOT NULL,
  ended_at       timestamptz(3)
);
CREATE UNIQUE INDEX intent_one_open ON app.intent (key_id, rotation_id, phase, target, effect) NULLS NOT DISTINCT WHERE NOT closed;
CREATE INDEX intent_of_rotation ON app.intent (rotation_id, started_at, operation_id);
CREATE INDEX intent_of_creation ON app.intent (key_id, started_at) WHERE rotation_id IS NULL;

CREATE TABLE app.approval (
  id             uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
  rotation_id    uuid           NOT NULL REFERENCES app.rotation (id),
  kind           text           NOT NULL CHECK (kind IN ('approval', 'override')),
  gate           text,
  phase          text           NOT NULL,
  principal_id   text           NOT NULL,
  principal_name text           NOT NULL,
  approver       boolean        NOT NULL,
  reason         text           NOT NULL,
  at             timestamptz(3) NOT NULL
);
CREATE UNIQUE INDEX approval_once ON app.approval (rotation_id, kind, gate, phase, principal_id) NULLS NOT DISTINCT;

CREATE TABLE app.acknowledgement (
  key_id       uuid           NOT NULL REFERENCES app.key (id),
  consumer     text           NOT NULL,
  version      integer        NOT NULL,
  rotation_id  uuid           NOT NULL REFERENCES app.rotation (id),
  evidence     text,
  principal_id text           NOT NULL,
  at           timestamptz(3) NOT NULL,
  PRIMARY KEY (key_id, version, consumer, rotation_id)
);

-- ── Not guarded: what changes without being an event ─────────────────────────────────────────────────────────────────────

CREATE TABLE app.sealed (
  id          uuid           PRIMARY KEY,
  purpose     text           NOT NULL,
  kek_id      text           NOT NULL,
  wrapped_key bytea,
  ciphertext  bytea,
  created_at  timestamptz(3) NOT NULL DEFAULT app.now(),
  erased_at   timestamptz(3),
  CONSTRAINT sealed_or_erased CHECK (
    (erased_at IS NULL AND wrapped_key IS NOT NULL AND ciphertext IS NOT NULL)
    OR (erased_at IS NOT NULL AND wrapped_key IS NULL AND ciphertext IS NULL))
);
CREATE INDEX sealed_kek ON app.sealed (kek_id) WHERE erased_at IS NULL;

CREATE TABLE app.rotation_timer (
  rotation_id uuid           PRIMARY KEY REFERENCES app.rotation (id),
  due_at      timestamptz(3),
  lease_owner text,
  lease_until timestamptz(3),
  attempts    integer        NOT NULL DEFAULT 0,
  waiting_for jsonb,
  CONSTRAINT rotation_timer_lease CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX rotation_timer_due ON app.rotation_timer (due_at, rotation_id) WHERE due_at IS NOT NULL;
CREATE INDEX rotation_timer_leased ON app.rotation_timer (lease_until, rotation_id) WHERE lease_owner IS NOT NULL;
CREATE INDEX rotation_timer_lease ON app.rotation_timer (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE app.key_schedule (
  key_id          uuid           PRIMARY KEY REFERENCES app.key (id),
  due_at          timestamptz(3),
  occurrence      text,
  nominal         timestamptz(3),
  trigger         text,
  last_occurrence text,
  overdue_since   timestamptz(3),
  overdue_at      timestamptz(3)
);
CREATE INDEX key_schedule_due ON app.key_schedule (due_at, key_id) WHERE due_at IS NOT NULL;
CREATE INDEX key_schedule_overdue ON app.key_schedule (overdue_at, key_id) WHERE overdue_since IS NULL AND overdue_at IS NOT NULL;

CREATE TABLE app.idempotency (
  principal    text           NOT NULL,
  method       text           NOT NULL,
  path         text           NOT NULL,
  key          text           NOT NULL,
  request_hash text           NOT NULL,
  state        text           NOT NULL CHECK (state IN ('running', 'done')),
  status       integer,
  response     jsonb,
  created_at   timestamptz(3) NOT NULL,
  expires_at   timestamptz(3) NOT NULL,
  PRIMARY KEY (principal, method, path, key)
);
CREATE INDEX idempotency_expiry ON app.idempotency (expires_at);

CREATE TABLE app.observed_clock (
  id          boolean        PRIMARY KEY DEFAULT true CHECK (id),
  observed_ms bigint         NOT NULL,
  last_at     timestamptz(3) NOT NULL
);
INSERT INTO app.observed_clock (observed_ms, last_at) VALUES (0, app.now());

CREATE TABLE app.stream_head (
  stream    text    PRIMARY KEY,
  seq       integer NOT NULL,
  leaf_hash bytea
);

CREATE TABLE app.sink_cursor (
  sink       text           PRIMARY KEY,
  -- The place in the order of commits: every event up to (txid, id) was turned into deliveries.
  after_txid bigint         NOT NULL,
  after_id   uuid           NOT NULL,
  updated_at timestamptz(3) NOT NULL DEFAULT app.now()
);

CREATE TABLE app.sink_delivery (
  sink         text           NOT NULL,
  event_id     uuid           NOT NULL,
  state        text           NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts     integer        NOT NULL DEFAULT 0,
  next_at      timestamptz(3) NOT NULL DEFAULT app.now(),
  last_status  integer,
  last_error   text,
  created_at   timestamptz(3) NOT NULL DEFAULT app.now(),
  updated_at   timestamptz(3) NOT NULL DEFAULT app.now(),
  PRIMARY KEY (sink, event_id)
);
CREATE INDEX sink_delivery_due ON app.sink_delivery (next_at, sink, event_id) WHERE state = 'pending';
CREATE INDEX sink_delivery_dead ON app.sink_delivery (sink, event_id) WHERE state = 'dead';

COMMENT ON TABLE app.sealed IS 'Not guarded: material under envelope encryption; the rows that refer to it are.';
COMMENT ON TABLE app.rotation_timer IS 'Not guarded: leases and due times change every second and decide nothing.';
COMMENT ON TABLE app.key_schedule IS 'Not guarded: computed from policy, key and version, which are.';
COMMENT ON TABLE app.idempotency IS 'Not guarded: replies kept for a day.';
COMMENT ON TABLE app.observed_clock IS 'Not guarded: the time that was seen to pass.';
COMMENT ON TABLE app.stream_head IS 'Not guarded: the last event of each stream; derived from the log.';
COMMENT ON TABLE app.sink_cursor IS 'Not guarded: how far each sink was told.';
COMMENT ON TABLE app.sink_delivery IS 'Not guarded: what each sink is still to be told.';

-- ── The rules that the domain states, once more ──────────────────────────────────────────────────────────────────────────

-- Equal to versionEdges in src/domain/key.ts; test/store/edges.test.ts compares.
CREATE FUNCTION app.version_may_become(old_state text, new_state text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT (old_state, new_state) IN (
    ('preActivation', 'active'), ('preActivation', 'compromised'), ('preActivation', 'destroyed'),
    ('active', 'suspended'), ('active', 'deactivated'), ('active', 'compromised'),
    ('suspended', 'active'), ('suspended', 'deactivated'), ('suspended', 'compromised'),
    ('deactivated', 'compromised'), ('deactivated', 'destroyed'),
    ('compromised', 'destroyed'))
$$;

-- Equal to `machine` in src/domain/rotation-machine.ts; test/store/edges.test.ts compares.
CREATE FUNCTION app.rotation_may_go(old_phase text, new_phase text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT new_phase = ANY (CASE old_phase
    WHEN 'planned' THEN '{awaitingApproval,preflight,overlapping,cancelled}'::text[]
    WHEN 'awaitingApproval' THEN '{preflight,cancelled}'
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

CREATE FUNCTION app.check_version_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND NOT app.version_may_become(OLD.state, NEW.state) THEN
    RAISE EXCEPTION 'a version goes not from % to %', OLD.state, NEW.state USING ERRCODE = 'RK004';
  END IF;
  IF (NEW.key_id, NEW.version) IS DISTINCT FROM (OLD.key_id, OLD.version) THEN
    RAISE EXCEPTION 'a version keeps its key and number' USING ERRCODE = 'RK004';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION app.check_rotation_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.phase <> OLD.phase AND NOT app.rotation_may_go(OLD.phase, NEW.phase) THEN
    RAISE EXCEPTION 'a rotation goes not from % to %', OLD.phase, NEW.phase USING ERRCODE = 'RK005';
  END IF;
  IF NEW.epoch < OLD.epoch THEN
    RAISE EXCEPTION 'the epoch of a rotation only grows' USING ERRCODE = 'RK006';
  END IF;
  IF (NEW.key_id, NEW.plan_hash, NEW.occurrence, NEW.plan) IS DISTINCT FROM (OLD.key_id, OLD.plan_hash, OLD.occurrence, OLD.plan) THEN
    RAISE EXCEPTION 'the plan of a rotation is frozen' USING ERRCODE = 'RK005';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION app.refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'TRUNCATE of %.% is refused: it would leave no event', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'RK001';
END $$;

CREATE TRIGGER check_edge BEFORE UPDATE ON app.version FOR EACH ROW EXECUTE FUNCTION app.check_version_edge();
ALTER TABLE app.version ENABLE ALWAYS TRIGGER check_edge;
CREATE TRIGGER check_edge BEFORE UPDATE ON app.rotation FOR EACH ROW EXECUTE FUNCTION app.check_rotation_edge();
ALTER TABLE app.rotation ENABLE ALWAYS TRIGGER check_edge;

-- ENABLE ALWAYS, or a session in replica mode would write without an event.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['connection', 'key', 'version', 'policy', 'policy_revision', 'consumer', 'sink', 'freeze',
                           'api_key', 'rotation', 'intent', 'approval', 'acknowledgement'] LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.%I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER must_be_audited', t);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.%I FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER refuse_truncate', t);
    EXECUTE format('COMMENT ON TABLE app.%I IS %L', t, 'Guarded: a change here without an audit event does not commit.');
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA app TO rekey_app;
GRANT SELECT ON ALL TABLES IN SCHEMA app TO rekey_app;
GRANT INSERT, UPDATE ON app.connection, app.key, app.version, app.policy, app.consumer, app.sink, app.freeze, app.api_key,
  app.rotation, app.intent, app.sealed, app.rotation_timer, app.key_schedule, app.idempotency, app.stream_head,
  app.sink_cursor, app.sink_delivery TO rekey_app;
GRANT INSERT ON app.policy_revision, app.approval, app.acknowledgement TO rekey_app;
GRANT UPDATE ON app.observed_clock TO rekey_app;
-- Keys, versions, rotations, intents and what people said are never deleted.
GRANT DELETE ON app.connection, app.policy, app.consumer, app.sink, app.freeze, app.key_schedule, app.idempotency,
  app.sink_cursor, app.sink_delivery TO rekey_app;

RESET ROLE;
