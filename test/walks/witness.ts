// Eyes of a walk that the engine does not know of: at the provider, and in the database beside the audit log.

import type { Intent } from '#domain/rotation.ts'
import type { Call } from '#domain/provider.ts'
import { machine, phases } from '#domain/rotation-machine.ts'
import type { Engine } from '#test/support/engine.ts'
import type { Shelf } from '#test/support/shelf.ts'
import type { SessionMethod } from './faults.ts'
import { livedBetween, type Model, type ModelKey, type Seen, tooEarly } from './model.ts'

export interface Witness {
  /** Of a write that is about to reach the provider. */
  ofWrite(
    model: Model,
    method: SessionMethod,
    args: readonly unknown[],
    call: Call,
  ): Promise<readonly string[]>
  look(keys: readonly ModelKey[]): Promise<{
    readonly now: Date
    readonly rotations: readonly Seen[]
    /** Keys that the planner has something to do about. */
    readonly toPlan: number
  }>
  /** All that is on record of a rotation and of its key, but for timers: a lease may be given back by whoever holds it. */
  fingerprint(rotation: string): Promise<string>
  /** All that is on record of the keys but the audit log. */
  fingerprintOf(keys: readonly ModelKey[]): Promise<string>
  /** Every text that was written down about the keys, but for the audit log. */
  texts(keys: readonly ModelKey[]): Promise<string>
  /** What the trigger saw: `from → to`, in order. */
  transitions(rotation: string): Promise<readonly string[]>
  /** What is wrong about occurrences and about overdue keys (I12, I13). */
  schedules(keys: readonly ModelKey[]): Promise<readonly string[]>
  /** Nothing of this walk is due any more: what it leaves open is not the next one's. */
  putToRest(keys: readonly ModelKey[]): Promise<void>
}

// The database refuses triggers that it does not know of; a witness must not be known.
const trigger = `
  ALTER EVENT TRIGGER rekey_guard DISABLE;
  CREATE TABLE app.test_transition (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, rotation_id uuid, was text, phase text, at timestamptz);
  CREATE INDEX ON app.test_transition (rotation_id);
  COMMENT ON TABLE app.test_transition IS 'Not guarded: only in test databases.';
  CREATE FUNCTION app.test_witness() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF NEW.phase <> OLD.phase THEN
        INSERT INTO app.test_transition (rotation_id, was, phase, at) 
          -- When the transaction began: the engine read its clock after that, and before this.
          VALUES (NEW.id, OLD.phase, NEW.phase, app.now() - (clock_timestamp() - now()));
      END IF;
      RETURN NULL;
    END $$;
  CREATE TRIGGER test_witness AFTER UPDATE ON app.rotation FOR EACH ROW EXECUTE FUNCTION app.test_witness();
  ALTER EVENT TRIGGER rekey_guard ENABLE ALWAYS;`

const lookSql = `
  SELECT app.now() AS now,
    (SELECT count(*)::int FROM app.key_schedule
      WHERE key_id = ANY ($1::uuid[]) AND (due_at <= app.now() OR overdue_at <= app.now() AND overdue_since IS NULL)) AS plan,
    (SELECT coalesce(json_agg(json_build_object('id', r.id, 'key', r.key_name, 'phase', r.phase, 'epoch', r.epoch,
        'group', r.group_id, 'max', r.plan->'group'->'max', 'from', r.from_version, 'to', r.to_version,
        'planHash', r.plan_hash, 'due', t.due_at, 'lease', t.lease_until) ORDER BY r.created_at, r.id), '[]'::json)
      FROM app.rotation r LEFT JOIN app.rotation_timer t ON t.rotation_id = r.id
      WHERE r.key_id = ANY ($1::uuid[])) AS rotations`

const recordSql = `
    (SELECT string_agg(r::text, '|' ORDER BY r.id) FROM app.rotation r WHERE r.key_id = ANY ($1::uuid[])),
    (SELECT string_agg(i::text, '|' ORDER BY i.operation_id) FROM app.intent i WHERE i.key_id = ANY ($1::uuid[])),
    (SELECT string_agg(v::text, '|' ORDER BY v.key_id, v.version) FROM app.version v WHERE v.key_id = ANY ($1::uuid[])),
    (SELECT string_agg(k::text, '|' ORDER BY k.id) FROM app.key k WHERE k.id = ANY ($1::uuid[]))`

const everythingSql = `${recordSql},
    (SELECT string_agg(s::text, '|' ORDER BY s.key_id) FROM app.key_schedule s WHERE s.key_id = ANY ($1::uuid[])),
    (SELECT string_agg(t::text, '|' ORDER BY t.rotation_id) FROM app.rotation_timer t
      JOIN app.rotation r ON r.id = t.rotation_id WHERE r.key_id = ANY ($1::uuid[])),
    (SELECT count(*) FROM app.sealed)`

const fingerprintSql = (of: string): string => `SELECT md5(concat(${of})) AS print`

const textsSql = `
  SELECT concat(
    (SELECT string_agg(r::text, '|') FROM app.rotation r WHERE r.key_id = ANY ($1::uuid[])),
    (SELECT string_agg(i::text, '|') FROM app.intent i WHERE i.key_id = ANY ($1::uuid[])),
    (SELECT string_agg(v::text, '|') FROM app.version v WHERE v.key_id = ANY ($1::uuid[])),
    (SELECT string_agg(t::text, '|') FROM app.rotation_timer t
      JOIN app.rotation r ON r.id = t.rotation_id WHERE r.key_id = ANY ($1::uuid[]))) AS texts`

const schedulesSql = `
  SELECT 'I12: ' || count(*) || ' rotations of ' || r.occurrence AS sentence FROM app.rotation r
    WHERE r.key_id = ANY ($1::uuid[]) AND r.occurrence IS NOT NULL GROUP BY r.key_id, r.occurrence HAVING count(*) > 1
  UNION ALL
  SELECT 'I12: ' || r.id || ' began before its time, ' || (r.plan->>'nominal') FROM app.rotation r
    WHERE r.key_id = ANY ($1::uuid[]) AND (r.plan->>'nominal')::timestamptz > r.created_at`

export const openWitness = async (engine: Engine, shelf: Shelf): Promise<Witness> => {
  await engine.sql(trigger)
  const idsOf = (keys: readonly ModelKey[]): readonly string[] => keys.map(({ id }) => id)
  const one = async (sql: string, keys: readonly string[]): Promise<Record<string, unknown>> => {
    const [row] = await engine.sql(sql, [keys])
    if (!row) throw new Error('the database told nothing')
    return row
  }
  return {
    ofWrite: async (model, method, args, call) => {
      const id = call.operationId ?? ''
      const intent = await engine.ledger.read((db) => db.intents.get(id))
      if (!intent || intent.closed) return [`I9: ${method} ${id} without an open intent`]
      return [
        ...whileHeld(model, method, intent),
        ...(intent.effect === 'mint' ? mintedTwice(shelf, model, intent) : []),
        ...(method === 'suspend' || method === 'retire'
          ? await early(engine, shelf, model, intent, String(args[1]))
          : []),
      ]
    },
    look: async (keys) => {
      const row = await one(lookSql, idsOf(keys))
      const rotations = row['rotations'] as readonly Record<string, unknown>[]
      return {
        now: row['now'] as Date,
        toPlan: Number(row['plan']),
        rotations: rotations.map(seenOf),
      }
    },
    fingerprint: async (rotation) => {
      const { keyId } = await engine.rotation(rotation)
      return String((await one(fingerprintSql(recordSql), [keyId]))['print'])
    },
    fingerprintOf: async (keys) =>
      String((await one(fingerprintSql(everythingSql), idsOf(keys)))['print']),
    texts: async (keys) => String((await one(textsSql, idsOf(keys)))['texts']),
    transitions: async (rotation) => {
      const rows = await engine.sql(
        'SELECT was, phase FROM app.test_transition WHERE rotation_id = $1::uuid ORDER BY n',
        [rotation],
      )
      return rows.map(({ was, phase }) => `${String(was)} → ${String(phase)}`)
    },
    schedules: async (keys) => {
      const rows = await engine.sql(schedulesSql, [idsOf(keys)])
      return rows.map(({ sentence }) => String(sentence))
    },
    putToRest: async (keys) => {
      const ids = [idsOf(keys)]
      await engine.sql(
        `WITH quiet AS (UPDATE app.key_schedule SET due_at = NULL, overdue_at = NULL WHERE key_id = ANY ($1::uuid[]))
         UPDATE app.rotation_timer t SET due_at = NULL, lease_until = NULL, lease_owner = NULL
         FROM app.rotation r WHERE r.id = t.rotation_id AND r.key_id = ANY ($1::uuid[])`,
        ids,
      )
    },
  }
}

const seenOf = (row: Record<string, unknown>): Seen => {
  const phase = phases.find((one) => one === row['phase'])
  if (!phase) throw new Error(`there is no phase ${String(row['phase'])}`)
  const date = (name: string): Date | null => {
    const text = row[name]
    return typeof text === 'string' ? new Date(text) : null
  }
  const number = (name: string): number | null => (row[name] === null ? null : Number(row[name]))
  return {
    id: String(row['id']),
    key: String(row['key']),
    phase,
    epoch: Number(row['epoch']),
    group: String(row['group']),
    max: Number(row['max']),
    from: number('from'),
    to: number('to'),
    planHash: String(row['planHash']),
    due: date('due'),
    lease: date('lease'),
  }
}

/** Forward writes whose intent is later than a freeze or a pause. Undo always may; so may the removal of an orphan. */
const whileHeld = (model: Model, method: SessionMethod, intent: Intent): readonly string[] => {
  const { effect, startedAt, operationId } = intent
  const phase = phases.find((one) => one === intent.phase)
  const forward = phase !== undefined && machine[phase].writes && phase !== 'rollingBack'
  if (!forward || (method === 'retire' && effect === 'mint')) return []
  const since = [model.frozenSince, model.policy ? model.pausedSince : null]
  return since.some((at) => at !== null && startedAt > at)
    ? [`${operationId} is sent while its key is frozen or paused`]
    : []
}

/** Probe before repeat: when a mint is sent, nothing that an earlier one of the rotation has made is there any more. */
const mintedTwice = (shelf: Shelf, model: Model, intent: Intent): readonly string[] => {
  const key = model.keys.find(({ id }) => id === intent.keyId)
  if (!key?.path) return []
  return shelf
    .rows(key.path)
    .filter(({ state, operationId }) => state === 'enabled' && operationId !== null)
    .filter(({ operationId }) => operationId !== intent.operationId)
    .filter(({ operationId }) => operationId?.startsWith(`${intent.rotationId}:minting:`))
    .map(({ id }) => `I5: ${intent.operationId} is sent, and ${id} was made by an earlier one`)
}

const early = async (
  engine: Engine,
  shelf: Shelf,
  model: Model,
  { effect, rotationId, operationId }: Intent,
  providerVersion: string,
): Promise<readonly string[]> => {
  if ((effect !== 'suspend' && effect !== 'retire') || rotationId === null) return []
  const rotation = await engine.rotation(rotationId)
  const intents = await engine.intents(rotationId)
  const now = await engine.timers.now()
  const rows = await engine.sql(
    `SELECT phase, at FROM app.test_transition WHERE rotation_id = $1::uuid AND phase IN ('overlapping', 'soaking') ORDER BY n`,
    [rotationId],
  )
  const at = (phase: string, found: typeof rows): Date | null => {
    const when = found.find((row) => row['phase'] === phase)?.['at']
    return when instanceof Date ? when : null
  }
  const { soakMs } = rotation.plan.policy
  const soakSince = effect === 'retire' ? at('soaking', rows.toReversed()) : null
  if (soakSince) {
    const lived = livedBetween(model, soakSince, now)
    return lived < soakMs ? [`${operationId} after ${lived} ms of a soak of ${soakMs} ms`] : []
  }
  // What is begun is gone on with, whatever is said meanwhile.
  const begun = intents.some(
    (intent) =>
      (intent.effect === 'suspend' || intent.effect === 'retire') &&
      intent.outcome === 'succeeded' &&
      !intents.some((later) => later.effect === 'reinstate' && later.startedAt > intent.startedAt),
  )
  const key = model.keys.find(({ id }) => id === rotation.keyId)
  if (begun || !key) return []
  const row = key.path ? shelf.rows(key.path).find(({ id }) => id === providerVersion) : undefined
  return tooEarly(model, {
    rotation: { id: rotationId, key: key.name, to: rotation.toVersion },
    plan: rotation.plan,
    now,
    overlapSince: at('overlapping', rows),
    lastUsed: row?.lastUsed ?? null,
  }).map((sentence) => `I10: ${operationId}: ${sentence}`)
}
