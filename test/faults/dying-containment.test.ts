// A worker of an emergency dies at each point of its work: before and after each of its commits, before and after each call at a
// provider. Another one takes over when the leases have expired; it ends as previewed, no version is switched off twice by our
// records, and none is forgotten.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { IncidentMode } from '#domain/incident.ts'
import { containLeaseMs } from '#usecases/contain-keys.ts'
import { type Engine, openEngine } from '#test/support/engine.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { makeMortal } from '#test/support/mortal.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf()
let engine: Engine
let incidents: ReturnType<typeof withIncidents>
beforeAll(async () => {
  engine = await openEngine({ providers: [shelf.provider] })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())

let count = 0
const keysOf = async (type: string): Promise<readonly string[]> => {
  const names = [`d${++count}`, `d${++count}`]
  for (const name of names) {
    const at = type === 'local.secret' ? {} : { connection: 'shelf', ref: { path: name } }
    await engine.key(name, { type, ...at })
  }
  return names
}

/** Lets one worker begin, which dies at the point, and another one end it. Returns how many points there were. */
const run = async (mode: IncidentMode, type: string, at: number): Promise<number> => {
  const names = await keysOf(type)
  const incident = await incidents.begin(mode, names)
  const mortal = makeMortal(engine, at)
  const first = incidents.worker(`m${count}`, mortal.deps)
  await Promise.race([mortal.died, first()])
  await engine.clock.advance(containLeaseMs + 1_000)
  const settled = await incidents.settle(incident)
  expect([settled.state, incidents.faults], await incidents.said(incident)).toEqual([
    'contained',
    [],
  ])
  const succeeded = (await incidents.intents(incident)).filter(
    ({ outcome, phase }) => outcome === 'succeeded' && phase.startsWith('contain:'),
  )
  expect(succeeded.map(({ keyId }) => keyId)).toHaveLength(names.length)
  for (const { state, provenAt } of await incidents.evidence(incident))
    expect([state, provenAt]).toEqual(['refused', expect.any(Date)])
  expect((await incidents.intents(incident)).filter(({ closed }) => !closed)).toEqual([])
  const events = await engine.ledger.read((db) => db.audit.after(incident.id, null, 500))
  expect(events.map(({ body }) => body.stream?.seq)).toEqual(events.map((_, n) => n + 1))
  return mortal.points()
}

describe.each([
  ['revokeFirst', 'local.secret'],
  ['revokeOnly', 'shelf.badge'],
  ['disable', 'shelf.pass'],
] as const)('%s of %s', (mode, type) => {
  test('dies at each of its points', async () => {
    const points = await run(mode, type, Infinity)
    expect(points).toBeGreaterThanOrEqual(10)
    // With the rotations that follow it is long: a third of it, another one every day.
    const step = mode === 'revokeFirst' && process.env['REKEY_TEST_MATRIX'] === undefined ? 3 : 1
    const today = Math.floor(Date.now() / 86_400_000)
    for (let at = 1 + (today % step); at <= points; at += step) await run(mode, type, at)
  }, 240_000)
})

test('a restoration that dies at each of its points brings back what was disabled, once', async () => {
  const restoreFrom = async (at: number): Promise<number> => {
    const names = await keysOf('local.secret')
    const incident = await incidents.settle(await incidents.begin('disable', names))
    await incidents.restore(incident)
    const mortal = makeMortal(engine, at)
    await Promise.race([mortal.died, incidents.worker(`r${count}`, mortal.deps)()])
    await engine.clock.advance(containLeaseMs + 1_000)
    const restored = await incidents.settle(incident)
    expect(restored.state).toBe('contained')
    for (const { state, keyId } of await incidents.keys(incident)) {
      expect(state).toBe('restored')
      expect(await engine.versions(keyId)).toMatchObject([{ state: 'active', primary: true }])
      expect((await engine.vault.list(keyId)).map((row) => row.state)).toEqual(['enabled'])
    }
    return mortal.points()
  }
  const points = await restoreFrom(Infinity)
  for (let at = 1; at <= points; at++) await restoreFrom(at)
}, 240_000)
