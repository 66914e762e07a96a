// What runs every second, and the lists that people page through, go by an index when there are many keys. With
// 100,000, and with times: `npm run bench planner`.

import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AuditFilter } from '#domain/ports.ts'
import { createInstallationReader } from '#store/installation.ts'
import { createLooks } from '#store/looks.ts'
import { scheduleWrites } from '#store/tables/schedules.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
  // As the superuser in one statement each; the event makes the commit whole.
  const session = await db.session('superuser')
  await session.query('BEGIN')
  await session.query(`INSERT INTO audit.event (id, body, writer_kid, writer_sig)
    VALUES (gen_random_uuid(), '{}', '\\x00000000', decode(repeat('00', 64), 'hex'))`)
  // As many deferred checks would take longer than the test is worth; this session makes the rows without them.
  await session.query('ALTER EVENT TRIGGER rekey_guard DISABLE')
  await session.query('ALTER TABLE app.key DISABLE TRIGGER must_be_audited')
  await session.query('ALTER TABLE app.rotation DISABLE TRIGGER must_be_audited')
  await session.query(`INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at)
    SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'key-' || lpad(n::text, 6, '0'), 'c' || n % 50, 'local.secret', '{}', 'o' || n,
      'p', 'o', 'e', jsonb_build_object('app', 'app-' || n % 1000, 'env', 'e' || n % 3), '{}', '{}', 1, now(), now()
    FROM generate_series(1, 15000) n`)
  await session.query(`INSERT INTO app.key_schedule (key_id, due_at, overdue_at)
    SELECT id, now() + row_number() OVER () * interval '1 minute', now() + row_number() OVER () * interval '1 hour' FROM app.key`)
  await session.query(`INSERT INTO app.drift (key_id, state, look_at)
    SELECT id, CASE WHEN row_number() OVER () % 3000 = 0 THEN 'lost' ELSE 'equal' END, now() + row_number() OVER () * interval '1 second' - interval '1 minute' FROM app.key`)
  await session.query(`INSERT INTO app.rotation (id, key_id, key_name, plan, plan_hash, group_id, phase, epoch, trigger, reason, pre_image, phase_observed_ms, phase_entered_at, passage_at, created_at, ended_at)
    SELECT gen_random_uuid(), id, name, '{}', 'h', 'g' || substr(name, 8), 'completed', 0, 'manual', 'r', '{}', 0, now(), now(), now(), now() FROM app.key`)
  await session.query(
    `INSERT INTO app.rotation_timer (rotation_id, due_at) SELECT id, now() + row_number() OVER () * interval '1 minute' FROM app.rotation`,
  )
  // Events of all of them: most by one worker, each hundredth by a person.
  await session.query(`INSERT INTO audit.event (id, body, writer_kid, writer_sig)
    SELECT ('0199a000-' || lpad(to_hex(n), 4, '0') || '-7000-8000-000000000000')::uuid,
      jsonb_build_object('action', 'rotation.planned', 'outcome', CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'succeeded' END,
        'actor', jsonb_build_object('id', CASE WHEN n % 100 = 0 THEN 'user:' || n ELSE 'worker:w1' END),
        'correlationId', 'r' || n % 5000, 'target', jsonb_build_object('kind', 'key', 'name', 'key-' || lpad(n::text, 6, '0')))::text,
      '\\x00000000', decode(repeat('00', 64), 'hex')
    FROM generate_series(1, 30000) n`)
  await session.query('COMMIT')
  await session.query('ANALYZE')
})
afterAll(() => db.close())

interface Plan {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly Plans?: readonly Plan[]
}
/** Where all the rows are; partitions of months that have not come are empty. */
const big = new RegExp(
  `^(key|key_schedule|drift|rotation|rotation_timer|event_${new Date().toISOString().slice(0, 7).replace('-', '_')})$`,
)
const scans = (plan: Plan): readonly string[] => [
  ...(plan['Node Type'] === 'Seq Scan' ? [plan['Relation Name'] ?? ''] : []),
  ...(plan.Plans ?? []).flatMap(scans),
]

const queries: Readonly<Record<string, () => Promise<unknown>>> = {
  'keys that are due': () => scheduleWrites(db.database.client).holdDue(db.clock.now(), 50),
  'keys that become overdue': () =>
    scheduleWrites(db.database.client).holdOverdue(db.clock.now(), 50),
  'keys that are due to be compared': () => createLooks(db.database).claim(16, 300_000),
  'keys that drifted': () =>
    db.ledger.read((r) => r.keys.list({ drifted: true }, { limit: 50, after: null })),
  'objects that are managed': () =>
    db.ledger.read((r) => r.keys.managed(Array.from({ length: 200 }, (_, n) => `o${n * 9}`))),
  'rotations that are due': () => db.timers.due(100),
  'keys by name': () => db.ledger.read((r) => r.keys.list({}, { limit: 50, after: 'key-007000' })),
  'keys by labels': () =>
    db.ledger.read((r) => r.keys.list({ labels: { app: 'app-7' } }, { limit: 50, after: null })),
  'keys of a connection in a scope': () =>
    db.ledger.read((r) =>
      r.keys.list(
        { connection: 'c7', scope: { matchLabels: { app: 'app-7' } } },
        { limit: 50, after: null },
      ),
    ),
  'keys in batches': () =>
    db.ledger.read((r) =>
      r.keys.batch({}, { limit: 500, after: '00000000-0000-7000-8000-000000010000' }),
    ),
  'rotations of a key': () =>
    db.ledger.read((r) =>
      r.rotations.list(
        { keyId: '00000000-0000-7000-8000-000000010000' },
        { limit: 50, after: null },
      ),
    ),
  'rotations, newest first': () =>
    db.ledger.read((r) => r.rotations.list({}, { limit: 50, after: null })),
  'a group': () => db.ledger.read((r) => r.rotations.group('g7')),
  'what the database holds': () => createInstallationReader(db.database, 'a').read(),
  ...Object.fromEntries(
    Object.entries({
      key: { key: 'key-000001' },
      rotation: { rotation: 'r17' },
      correlation: { correlationId: 'r17' },
      'person as actor': { actor: 'user:100' },
      'worker as actor': { actor: 'worker:w1' },
      action: { action: 'rotation.planned' },
      outcome: { outcome: 'failed' },
      'span of time': { from: new Date(0x0199a000_0100), to: new Date(0x0199a000_0200) },
      'key, of one outcome in a span of time': {
        key: 'key-000001',
        outcome: 'failed',
        from: new Date(0x0199a000_0100),
      },
      log: {},
    } satisfies Readonly<Record<string, AuditFilter>>).map(([name, filter]) => [
      `events by ${name}`,
      () => db.ledger.read((r) => r.audit.list(filter, { limit: 50, after: null })),
    ]),
  ),
}

test('none of them reads a table from end to end', async () => {
  // auto_explain is not in the embedded server: the statements are taken from the pool's own log of queries.
  const asked: { readonly text: string; readonly values: readonly unknown[] }[] = []
  const real = pg.Client.prototype.query
  pg.Client.prototype.query = function query(this: unknown, ...args: unknown[]) {
    const [config] = args
    if (
      typeof config === 'object' &&
      config !== null &&
      'text' in config &&
      'values' in config &&
      /^\s*\(?(SELECT|WITH)/i.test(String(config.text))
    ) {
      asked.push({ text: String(config.text), values: config.values as readonly unknown[] })
    }
    return Reflect.apply(real, this, args)
  } as typeof real
  try {
    for (const [name, run] of Object.entries(queries)) {
      asked.length = 0
      await run()
      expect(asked.length, name).toBeGreaterThan(0)
      for (const { text, values } of [...asked]) {
        const [row] = await db.sql(`EXPLAIN (FORMAT JSON) ${text}`, values)
        const plans = (row?.['QUERY PLAN'] ?? []) as readonly { readonly Plan: Plan }[]
        expect(plans).toHaveLength(1)
        const read = plans
          .flatMap(({ Plan: plan }) => scans(plan))
          .filter((table) => big.test(table))
        expect(read, `${name}: ${text}`).toEqual([])
      }
    }
  } finally {
    pg.Client.prototype.query = real
  }
})
