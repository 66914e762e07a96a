// One place, and the value that a rotation has just written into it leaks before it is handed out: the one before it is gone from
// there. Nothing is switched off: the next value ends it, and that is what the plan says.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { openEngine, type Engine } from '#test/support/engine.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf({ undo: 'none' })
let engine: Engine
let incidents: ReturnType<typeof withIncidents>
let isShut = false
beforeAll(async () => {
  engine = await openEngine({
    providers: [shelf.provider],
    wrap: (session) => ({
      ...session,
      // A new value that cannot be proven yet: it is in its place, and handed out to nobody.
      verify: async (order, call) =>
        isShut && order.providerVersion !== '1' && order.how !== 'refused'
          ? { ok: false, detail: 'not yet', facts: {} }
          : session.verify(order, call),
    }),
  })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())

test('the new value of a single slot leaks: it is replaced at once, by a third one', async () => {
  const labels = { set: 'slot' }
  const ref = { path: 'slot' }
  const key = await engine.key('slot', { connection: 'shelf', type: 'shelf.slot', labels, ref })
  await engine.policy('slot', { selector: { matchLabels: labels }, acceptGap: true })
  isShut = true
  const id = await engine.rotate('slot')
  await engine.until(id, ['stalled'])
  expect((await engine.versions(key.id)).map(({ state }) => state)).toEqual([
    'suspended',
    'preActivation',
  ])
  isShut = false
  const leaked = shelf.rows('slot').at(-1)?.value
  const incident = await incidents.begin('revokeFirst', ['slot'], [{ key: 'slot', version: 2 }])
  const [row] = await incidents.keys(incident)
  expect(row?.plan).toMatchObject({
    replacement: 'new',
    versions: [
      {
        version: 2,
        containment: 'replace',
        reversible: false,
        why: 'Only the next value ends it. It has overwritten the one before it already.',
      },
    ],
  })
  const settled = await incidents.settle(incident)
  expect([settled.state, await incidents.said(incident)]).toEqual(['contained', expect.anything()])
  expect(await incidents.evidence(incident)).toMatchObject([{ version: 2, state: 'refused' }])
  expect(
    (await engine.versions(key.id)).map(({ version, state, primary }) => [version, state, primary]),
  ).toEqual([
    [1, 'suspended', false],
    [2, 'compromised', false],
    [3, 'active', true],
  ])
  expect(shelf.rows('slot')).toHaveLength(1)
  expect(shelf.rows('slot')[0]?.value).not.toBe(leaked)
})
