// What an emergency asks of the database, who hears of it, and that no key suffers for what the database refuses of another.
// REKEY_TEST_STATEMENTS=1 prints the statements.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { VersionEvidence } from '#domain/incident.ts'
import { noTelemetry } from '#domain/telemetry.ts'
import { createIncidentTimers } from '#store/incident-timers.ts'
import { createLedger } from '#store/ledger.ts'
import { type Engine, openEngine } from '#test/support/engine.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { hearing } from '#test/support/statements.ts'
import { openDoorbell } from '#worker/doorbell.ts'
import { startWorker } from '#worker/worker.ts'

let engine: Engine
let incidents: ReturnType<typeof withIncidents>
beforeAll(async () => {
  engine = await openEngine()
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())

const keysNamed = async (prefix: string, count: number): Promise<readonly string[]> => {
  const names = Array.from({ length: count }, (_, n) => `${prefix}-${n}`)
  for (const name of names) await engine.key(name)
  return names
}

test('sixteen keys are contained and proven by statements and transactions that do not grow with them', async () => {
  const incident = await incidents.begin('revokeOnly', await keysNamed('many', 16))
  const { statements: all, commits } = await hearing(() => incidents.contain())
  // How often it is asked whether more is due depends on how long it takes.
  const statements = all.filter((text) => !/^WITH RECURSIVE lanes|^SELECT i\.id FROM/.test(text))
  if (process.env['REKEY_TEST_STATEMENTS'])
    console.info(statements.map((text) => text.slice(0, 160)).join('\n'))
  expect(incidents.faults).toEqual([])
  expect(await engine.ledger.read((db) => db.incidents.counts(incident.id))).toEqual({
    refused: 16,
  })
  // Intents, outcomes, proofs, and the incident's rest; the built-in vault's own writes are transactions without BEGIN.
  expect(commits).toBeLessThanOrEqual(6)
  expect(statements.length).toBeLessThanOrEqual(60)
})

test('a key that cannot be written holds up no other, and is contained once it can be', async () => {
  const names = await keysNamed('poisoned', 5)
  const incident = await incidents.begin('revokeOnly', names)
  const [bad] = await incidents.keys(incident)
  let poisoned = true
  // An edge that there is not: the database refuses the statement, and with it the transaction of all.
  const wrong = (of: VersionEvidence): VersionEvidence =>
    poisoned && of.keyId === bad?.keyId ? { ...of, state: 'restored' } : of
  const sick = withIncidents({
    ...engine,
    ledger: {
      ...engine.ledger,
      commit: (actor, work) =>
        engine.ledger.commit(actor, (tx) =>
          work({
            ...tx,
            writeIncident: {
              ...tx.writeIncident,
              putVersions: (versions) => tx.writeIncident.putVersions(versions.map(wrong)),
            },
          }),
        ),
    },
  })
  await sick.contain()
  expect((await incidents.keys(incident)).map(({ state }) => state)).toEqual([
    'pending',
    'refused',
    'refused',
    'refused',
    'refused',
  ])
  expect(sick.faults).not.toEqual([])
  poisoned = false
  expect((await incidents.settle(incident)).state).toBe('contained')
})

test('a key that cannot be read holds up no other, and is contained once it can be', async () => {
  const names = await keysNamed('unread', 4)
  const incident = await incidents.begin('revokeOnly', names)
  const [, bad] = await incidents.keys(incident)
  let broken = true
  const blind = withIncidents({
    ...engine,
    ledger: {
      ...engine.ledger,
      read: (work) =>
        engine.ledger.read((db) =>
          work({
            ...db,
            versions: {
              ...db.versions,
              ofKeys: async (ids) => {
                if (broken && ids.includes(bad?.keyId ?? '')) throw new Error('it cannot be read')
                return db.versions.ofKeys(ids)
              },
            },
          }),
        ),
    },
  })
  await blind.contain()
  expect((await incidents.keys(incident)).map(({ state }) => state)).toEqual([
    'refused',
    'pending',
    'refused',
    'refused',
  ])
  broken = false
  expect((await incidents.settle(incident)).state).toBe('contained')
})

test('what is executed, executed again or restored is told to the worker of its process, once it is committed', async () => {
  let heard = 0
  const { database, keyring, writer, ids, clock } = engine
  const bell = { ring: async () => {}, alarm: () => (heard += 1) }
  const trace = noTelemetry.tracer
  const ledger = createLedger({ database, keyring, writer, ids, clock, bell, trace })
  const told = withIncidents({ ...engine, ledger })
  await keysNamed('told', 1)
  const incident = await told.begin('disable', ['told-0'])
  expect(heard).toBe(1)
  expect((await told.settle(incident)).state).toBe('contained')
  expect(heard).toBe(1)
  await told.restore(incident)
  expect(heard).toBe(2)
  await told.settle(incident)
  expect(heard).toBe(2)
})

test('an emergency is there from its execution on until it has come to rest', async () => {
  const { busy } = createIncidentTimers(engine.database)
  expect(await busy()).toBe(false)
  await keysNamed('there', 1)
  const incident = await incidents.begin('revokeOnly', ['there-0'])
  expect(await busy()).toBe(true)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(await busy()).toBe(false)
})

test('without an emergency a worker asks once a second whether there is one, and at once where it is told of one', async () => {
  const began = engine.clock.now().getTime()
  let passedMs = 0
  const clock = { ...engine.clock, now: () => new Date(began + passedMs) }
  const queue = { databaseUrl: engine.urls.app, redisUrl: null }
  const errors: unknown[] = []
  const bell = openDoorbell(queue, clock, (error) => errors.push(error))
  const runs: { readonly ms: number; readonly run: () => Promise<void> }[] = []
  let [asked, passes, rung] = [0, 0, 0]
  let there = false
  const nothing = async (): Promise<number> => 0
  const worker = startWorker(
    {
      queue,
      bell,
      timers: engine.timers,
      clock,
      meter: noTelemetry.meter,
      jobs: {
        advanceRotation: async () => {},
        renewLeases: async () => {},
        planRotations: nothing,
        reconcileKeys: nothing,
        compareKeys: nothing,
        hasEmergency: async () => {
          asked += 1
          return there
        },
        containKeys: async () => (passes += 1),
        renewContainLeases: async () => {},
        deliverToSinks: nothing,
        housekeeping: async () => {},
      },
    },
    {
      leaseMs: 20_000,
      concurrency: 1,
      every: (ms, run) => {
        runs.push({ ms, run })
        return { now: () => (rung += 1), stop: async () => {} }
      },
      onError: (_where, error) => errors.push(error),
    },
  )
  try {
    const sweep = runs.find(({ ms }) => ms === 1_000)
    const look = runs.find(({ ms }) => ms < 1_000)
    if (!sweep || !look) throw new Error('it neither sweeps nor looks')
    await sweep.run()
    const lookFor = async (seconds: number) => {
      for (const end = passedMs + seconds * 1_000; passedMs < end; passedMs += look.ms)
        await look.run()
      return [asked, passes]
    }
    expect(await lookFor(10)).toEqual([10, 0])
    worker.alarm()
    expect(rung).toBe(1)
    there = true
    expect(await lookFor(1)).toEqual([10 + 1_000 / look.ms, 1_000 / look.ms])
    there = false
    expect(await lookFor(1)).toEqual([11 + 1_000 / look.ms, 1_000 / look.ms])
    expect(errors).toEqual([])
  } finally {
    await worker.stop()
    await bell.close()
  }
})
