import { afterEach, beforeEach, expect, test } from 'vitest'
import type { InstallationSample } from '#domain/metrics.ts'
import { createInstallationReader } from '#store/installation.ts'
import { type Engine, openEngine } from '#test/support/engine.ts'

let engine: Engine
beforeEach(async () => {
  engine = await openEngine()
})
afterEach(() => engine.close())

const readerOf = (holder: string) => createInstallationReader(engine.database, holder)
const told = async (holder = 'a'): Promise<Readonly<Record<string, number>>> => {
  const samples: readonly InstallationSample[] = (await readerOf(holder).read()) ?? []
  return Object.fromEntries(
    samples.map(({ name, labels, value }) => [[name, ...Object.values(labels)].join(' '), value]),
  )
}

test('an empty installation tells zeros, every gauge of it', async () => {
  const { rekey_observed_clock_lag_seconds: turned, ...facts } = await told()
  // Since the migrations: nobody has swept here.
  expect(turned).toBeGreaterThan(0)
  expect(new Set(Object.values(facts))).toEqual(new Set([0]))
  expect(Object.keys(facts).length).toBeGreaterThan(25)
})

test('open rotations by phase, what is due and for how long, leases', async () => {
  await engine.policy('manual', { overlap: { min: '1h' } })
  await engine.key('one')
  await engine.key('two')
  const first = await engine.rotate('one')
  await engine.until(first, ['overlapping'])
  await engine.rotate('two')
  await engine.clock.advance(90_000)
  const facts = await told()
  expect(facts['rekey_rotations_open overlapping']).toBe(1)
  expect(facts['rekey_rotations_open planned']).toBe(1)
  // The other one is looked at again too.
  expect(facts['rekey_rotations_due']).toBe(2)
  expect(facts['rekey_queue_lag_seconds']).toBeGreaterThanOrEqual(90)
  expect(facts['rekey_queue_lag_seconds']).toBeLessThan(120)

  await engine.timers.claim(first, 'w1', 20_000)
  expect((await told())['rekey_leases held']).toBe(1)
  await engine.clock.advance(21_000)
  expect(await told()).toMatchObject({ 'rekey_leases held': 0, 'rekey_leases expired': 1 })
})

test('keys that are due and keys that are overdue, with their age', async () => {
  await engine.policy('aged', { manual: undefined, maxAge: '10d' } as never)
  await engine.key('old')
  await engine.clock.advance(10 * 86_400_000)
  const before = await told()
  expect(before['rekey_keys_due']).toBe(1)
  expect(before['rekey_planner_lag_seconds']).toBeGreaterThan(0)
  expect(before['rekey_keys_overdue']).toBe(0)
  while ((await engine.plan()) > 0);
  await engine.clock.advance(60_000)
  const after = await told()
  expect(after['rekey_keys_due']).toBe(0)
  expect(after['rekey_keys_overdue']).toBe(1)
  expect(after['rekey_key_overdue_oldest_seconds']).toBeGreaterThanOrEqual(60)
})

test('an effect whose fate is unknown, and one whose sender died', async () => {
  await engine.policy('manual')
  const key = await engine.key('one')
  const id = await engine.rotate('one')
  const insert = (phase: string, outcome: string | null, sentNotAfterMs: number) =>
    engine.ledger.commit(
      { type: 'system', id: 's', name: 's', roles: [], scope: null, consumer: null, keys: null },
      async (tx) => {
        const now = await tx.now()
        await tx.writeIntent.insert({
          operationId: `${id}:${phase}:1`,
          rotationId: id,
          incidentId: null,
          keyId: key.id,
          phase,
          target: null,
          attempt: 1,
          effect: 'mint',
          preImage: {},
          sealedId: null,
          sentNotAfter: new Date(now.getTime() + sentNotAfterMs),
          outcome: outcome as never,
          closed: false,
          result: null,
          detail: null,
          eventId: engine.ids.next(),
          startedAt: now,
          endedAt: null,
        })
        const target = { id, name: 'one' }
        return { value: null, audit: [{ action: 'effect.mint', target, outcome: 'intent' }] }
      },
    )
  await insert('minting', 'unknown', 60_000)
  await insert('promoting', null, 12_000)
  expect((await told())['rekey_intents_unknown']).toBe(1)
  await engine.clock.advance(30_000)
  const facts = await told()
  expect(facts['rekey_intents_unknown']).toBe(2)
  expect(facts['rekey_intent_unknown_oldest_seconds']).toBeGreaterThanOrEqual(30)
})

test('a database that is taken for a restored one', async () => {
  await engine.sql(`BEGIN; ALTER EVENT TRIGGER rekey_guard DISABLE; ALTER TABLE app.recovery DISABLE TRIGGER must_be_audited;
    INSERT INTO app.recovery (id, reason, detail, evidence, incarnation, began_at)
    VALUES (gen_random_uuid(), 'restored', 'a test', '{}', gen_random_uuid(), app.now()); COMMIT`)
  expect((await told())['rekey_recovery_active']).toBe(1)
  await engine.sql('UPDATE app.recovery SET ended_at = app.now()')
  expect((await told())['rekey_recovery_active']).toBe(0)
})

test('messages to sinks that wait and those that are dead', async () => {
  const insert = (state: string, s: number) =>
    engine.sql(
      `INSERT INTO app.sink_delivery (sink, event_id, state, next_at) VALUES ('s', gen_random_uuid(), $1, app.now() - $2 * interval '1 second')`,
      [state, s],
    )
  await insert('pending', 45)
  await insert('pending', -600)
  await insert('dead', 0)
  await insert('delivered', 0)
  const facts = await told()
  expect(facts['rekey_sink_deliveries_pending']).toBe(2)
  expect(facts['rekey_sink_delivery_lag_seconds']).toBeGreaterThanOrEqual(45)
  expect(facts['rekey_sink_dead_letters']).toBe(1)
})

test('a receiver that asked for silence is no lag while it lasts', async () => {
  await engine.sql(
    `INSERT INTO app.sink_cursor (sink, after_txid, after_id) VALUES ('s', 0, gen_random_uuid())`,
  )
  await engine.sql(
    `INSERT INTO app.sink_delivery (sink, event_id, next_at) VALUES ('s', gen_random_uuid(), app.now())`,
  )
  await engine.outbox.hold({ name: 's', url: 'https://s.example' }, 3_600_000)
  await engine.clock.advance(3_000_000)
  expect((await told())['rekey_sink_delivery_lag_seconds']).toBe(0)
  await engine.clock.advance(900_000)
  const lag = (await told())['rekey_sink_delivery_lag_seconds']
  expect(lag).toBeGreaterThanOrEqual(300)
  expect(lag).toBeLessThan(330)
})

test('one process tells it; another does when the first one stops, or is silent for longer than its lease', async () => {
  const [a, b, c] = [readerOf('a'), readerOf('b'), readerOf('c')]
  expect(await a.read()).not.toBeNull()
  expect(await b.read()).toBeNull()
  await engine.clock.advance(60_000)
  expect(await a.read()).not.toBeNull()
  await engine.clock.advance(60_000)
  expect(await b.read()).toBeNull()
  await engine.clock.advance(31_000)
  expect(await b.read()).not.toBeNull()
  expect(await a.read()).toBeNull()
  await a.release()
  expect(await c.read()).toBeNull()
  await b.release()
  expect(await c.read()).not.toBeNull()
})

test('of many that ask at once, one tells it', async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => readerOf(`process-${i}`).read()),
  )
  expect(answers.filter((answer) => answer !== null)).toHaveLength(1)
})
