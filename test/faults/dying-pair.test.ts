// A worker of an emergency dies at each point of its work on a pair whose halves are both in use. Whoever takes over goes on in the
// order that was shown: with `rotateFast` the half that is handed out is not touched before the other one has the new password.

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
/** What was sent of each pair, in order. */
let sent: string[] = []
beforeAll(async () => {
  engine = await openEngine({
    providers: [shelf.provider],
    wrap: (session) => ({
      ...session,
      suspend: (of, id, call) => {
        sent.push(`off ${id}`)
        return session.suspend(of, id, call)
      },
      mint: (order, call) => {
        sent.push('mint')
        return session.mint(order, call)
      },
    }),
  })
  incidents = withIncidents(engine)
  await engine.policy('pairs', {
    selector: { connection: 'shelf' },
    overlap: { min: '30d' },
    concurrency: { max: 1_000 },
  })
})
afterAll(() => engine.close())

let count = 0
const run = async (mode: IncidentMode, at: number): Promise<number> => {
  const name = `p${++count}`
  const ref = { path: name }
  const key = await engine.key(name, { connection: 'shelf', type: 'shelf.pair', ref })
  await engine.until(await engine.rotate(name), ['overlapping'])
  sent = []
  const incident = await incidents.begin(mode, [name])
  const mortal = makeMortal(engine, at)
  await Promise.race([mortal.died, incidents.worker(`m${count}`, mortal.deps)()])
  await engine.clock.advance(containLeaseMs + 1_000)
  const settled = await incidents.settle(incident)
  expect([settled.state, incidents.faults], await incidents.said(incident)).toEqual([
    'contained',
    [],
  ])
  const evidence = await incidents.evidence(incident)
  expect(evidence.map(({ state, provenAt }) => [state, provenAt])).toEqual(
    [1, 2].map(() => ['refused', expect.any(Date)]),
  )
  expect((await incidents.intents(incident)).filter(({ closed }) => !closed)).toEqual([])
  const rows = shelf.rows(name).map(({ user, state }) => [user, state])
  const versions = await engine.versions(key.id)
  if (mode === 'disable') {
    expect(rows).toEqual([
      ['a', 'disabled'],
      ['b', 'disabled'],
    ])
    return mortal.points()
  }
  expect(rows).toEqual([
    ['a', 'destroyed'],
    ['b', 'disabled'],
    ['a', 'enabled'],
  ])
  expect(versions.map(({ state, primary }) => [state, primary])).toEqual([
    ['compromised', false],
    ['compromised', false],
    ['active', true],
  ])
  const order = [...new Set(sent)]
  if (mode === 'rotateFast') expect(order).toEqual(['off 1', 'mint', 'off 2'])
  else expect(order.at(-1)).toBe('mint')
  return mortal.points()
}

describe.each(['revokeFirst', 'rotateFast', 'disable'] as const)('%s of a pair', (mode) => {
  test('dies at each of its points', async () => {
    const points = await run(mode, Infinity)
    expect(points).toBeGreaterThanOrEqual(8)
    // With the rotations it is long: a part of it, another one every day.
    const step = process.env['REKEY_TEST_MATRIX'] === undefined ? 7 : 1
    const today = Math.floor(Date.now() / 86_400_000)
    for (let at = 1 + (today % step); at <= points; at += step) await run(mode, at)
  }, 240_000)
})
