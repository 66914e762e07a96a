// What a rotation had sent before its key was contained, and that lands after the old credential was tried and refused: what leaked
// is on again. The incident finds it, switches it off once more and proves it once more, whoever else looks or does not.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { IncidentMode } from '#domain/incident.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { checkKey } from '#usecases/check-invariants.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { type FaultyMethod, makeDeferral, shutSessions } from '#test/support/faults.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf()
const deferral = makeDeferral()
let engine: Engine
let incidents: ReturnType<typeof withIncidents>
beforeAll(async () => {
  engine = await openEngine({ providers: [shelf.provider], wrap: deferral.wrap })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())
afterEach(() => deferral.none())

let count = 0
const keyOf = async (type: string) => {
  const name = `late-${++count}`
  const labels = { set: name }
  const at = type.startsWith('shelf') ? { connection: 'shelf', ref: { path: name } } : {}
  const key = await engine.key(name, { type, labels, ...at })
  await engine.policy(name, {
    selector: { matchLabels: labels },
    overlap: { min: '1h' },
    soak: '1h',
  })
  return key
}

/** A rotation whose next request of this kind is on its way, and whose worker is gone. */
const underWay = async (
  key: { readonly name: string },
  method: FaultyMethod,
  from: Phase | 'promoting' = 'overlapping',
): Promise<string> => {
  const id = await engine.rotate(key.name)
  if (from !== 'promoting') await engine.until(id, [from], 8 * 3_600_000, 60_000)
  const sent = deferral.next(method)
  if (from !== 'promoting') await engine.steer.rollback(admin, id, { reason: 'a test' })
  void engine.worker('gone')(id)
  await sent
  return id
}

const statesOf = async (keyId: string, version: number) => {
  const key = await engine.ledger.read((db) => db.keys.byId(keyId))
  const connection = await engine.ledger.read((db) => db.connections.get(key?.connection ?? ''))
  const versions = await engine.versions(keyId)
  if (!key || !connection) throw new Error('no such key')
  const session = await engine.deps.world.sessions.open(connection)
  const object = { type: key.type, ref: key.ref, keyId, keyName: key.name }
  const ids = versions.find((one) => one.version === version)?.providerVersions ?? []
  return Promise.all(
    ids.map((id) => session.stateOf(object, id, { signal: AbortSignal.timeout(10_000) })),
  )
}

/** Keys that somebody works on, or will. */
const dueOf = (incidentId: string) =>
  engine.sql(
    'SELECT key_id FROM app.incident_key_timer WHERE incident_id = $1 AND (due_at IS NOT NULL OR lease_owner IS NOT NULL)',
    [incidentId],
  )

const breachesOf = async (keyId: string) => {
  const { ledger, timers, keyring, clock, deps } = engine
  const { sessions, types } = deps.world
  const key = await ledger.read((db) => db.keys.byId(keyId))
  if (!key) throw new Error('no such key')
  return (await checkKey({ ledger, timers, keyring, types, clock, sessions }, key)).breaches
}

const cases = [
  // The undo of a soak switches the old version on.
  { type: 'local.secret', method: 'reinstate', from: 'soaking', leaked: 1 },
  { type: 'shelf.pass', method: 'reinstate', from: 'soaking', leaked: 1 },
  // The undo of a hand-over moves the pointer back, or writes the old value once more.
  { type: 'local.secret', method: 'promote', from: 'overlapping', leaked: 1 },
  { type: 'shelf.value', method: 'mint', from: 'overlapping', leaked: 1 },
  // A promotion hands the new version out.
  { type: 'local.secret', method: 'promote', from: 'promoting', leaked: 2 },
] as const
const modes: readonly IncidentMode[] = ['revokeFirst', 'revokeOnly', 'disable']

describe.each(cases)('$method of $type, sent from $from', ({ type, method, from, leaked }) => {
  test.each(modes)('lands after the proof of %s', async (mode) => {
    const key = await keyOf(type)
    const id = await underWay(key, method, from)
    const incident = await incidents.begin(mode, [key.name], [{ key: key.name, version: leaked }])
    await incidents.contain()
    expect(await incidents.evidence(incident)).toMatchObject([{ state: 'refused' }])
    expect(await incidents.get(incident), 'not at rest').toMatchObject({ state: 'executing' })
    await deferral.land()

    const settled = await incidents.settle(incident, 5_000)
    // The lease of the one that is gone is over, and what it had sent is asked about.
    await engine.clock.advance(30_000)
    await engine.drain()
    await incidents.contain()
    expect([settled.state, incidents.faults, engine.faults]).toEqual(['contained', [], []])
    expect(await incidents.evidence(incident)).toMatchObject([
      { state: 'refused', provenAt: expect.any(Date) },
    ])
    const states = await statesOf(key.id, leaked)
    expect(states).not.toHaveLength(0)
    for (const state of states) expect(state).not.toBe('enabled')
    const version = (await engine.versions(key.id)).find((one) => one.version === leaked)
    expect(mode === 'disable' ? ['suspended'] : ['compromised', 'destroyed']).toContain(
      version?.state,
    )
    expect(version?.primary).toBe(false)
    expect((await engine.intents(id)).filter(({ closed }) => !closed)).toEqual([])
    expect(await breachesOf(key.id)).toEqual([])
  })
})

test('nobody resolves what was under way: the incident looks by itself, when it can land no more', async () => {
  const key = await keyOf('local.secret')
  const id = await underWay(key, 'reinstate', 'soaking')
  const incident = await incidents.begin('revokeOnly', [key.name], [{ key: key.name, version: 1 }])
  await incidents.contain()
  const [proven] = await incidents.evidence(incident)
  await deferral.land()
  expect(await statesOf(key.id, 1)).toEqual(['enabled'])
  const [open] = (await engine.intents(id)).filter(({ closed }) => !closed)
  await engine.clock.advance(
    (open?.sentNotAfter.getTime() ?? 0) - engine.clock.now().getTime() + 1_000,
  )
  await incidents.contain()
  expect(await statesOf(key.id, 1)).toEqual(['disabled'])
  const [again] = await incidents.evidence(incident)
  expect(again).toMatchObject({ state: 'refused' })
  expect(again?.provenAt?.getTime()).toBeGreaterThan(proven?.provenAt?.getTime() ?? Infinity)
  expect(await incidents.intents(incident)).toMatchObject([
    { attempt: 1, outcome: 'succeeded' },
    { attempt: 2, outcome: 'succeeded' },
  ])
})

test('a key that is restored before that is left alone by the incident from then on', async () => {
  const key = await keyOf('local.secret')
  const id = await underWay(key, 'reinstate', 'soaking')
  const incident = await incidents.begin('disable', [key.name], [{ key: key.name, version: 1 }])
  await incidents.contain()
  expect(await incidents.keys(incident)).toMatchObject([{ lateUntil: expect.any(Date) }])
  await incidents.restore(incident)
  await incidents.contain()
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'restored', lateUntil: null }])
  await deferral.land()

  // The undo goes on where it was held, and what it switches on stays on.
  await engine.clock.advance(30_000)
  await engine.drain()
  for (let look = 0; look < 5; look++) {
    await incidents.contain()
    await engine.clock.advance(10_000)
  }
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect((await engine.intents(id)).filter(({ closed }) => !closed)).toEqual([])
  expect(await statesOf(key.id, 1)).toEqual(['enabled'])
  expect([incidents.faults, await dueOf(incident.id)]).toEqual([[], []])
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'restored' }])
  expect(await incidents.intents(incident)).toHaveLength(1)
})

test('looking once more, as long as nobody has found out, takes no rotation from whoever has it', async () => {
  const key = await keyOf('local.secret')
  const id = await underWay(key, 'reinstate', 'soaking')
  const incident = await incidents.begin('revokeOnly', [key.name], [{ key: key.name, version: 1 }])
  await incidents.contain()
  const { epoch } = await engine.rotation(id)
  const [open] = (await engine.intents(id)).filter(({ closed }) => !closed)
  await engine.clock.advance(
    (open?.sentNotAfter.getTime() ?? 0) - engine.clock.now().getTime() + 1_000,
  )
  for (let look = 0; look < 3; look++) {
    await incidents.contain()
    await engine.clock.advance(6_000)
  }
  expect(await incidents.get(incident), 'not at rest').toMatchObject({ state: 'executing' })
  expect((await engine.rotation(id)).epoch).toBe(epoch)
})

test('a connection that cannot be opened any more ends the look: what nobody could try again is unproven', async () => {
  const key = await keyOf('local.secret')
  await underWay(key, 'reinstate', 'soaking')
  const incident = await incidents.begin('revokeOnly', [key.name], [{ key: key.name, version: 1 }])
  await incidents.contain()
  expect(await incidents.evidence(incident)).toMatchObject([{ state: 'refused' }])
  const { world } = engine.deps
  const shut = incidents.worker('shut', {
    world: { ...world, sessions: shutSessions(world.sessions) },
  })
  for (let turn = 0; turn < 20; turn++) {
    await shut()
    await engine.clock.advance(30_000)
  }
  expect(await incidents.get(incident)).toMatchObject({ state: 'partly' })
  expect(await incidents.evidence(incident)).toMatchObject([
    { state: 'unproven', provenAt: null, detail: expect.stringContaining('no door') },
  ])
  incidents.faults.length = 0
})
