// Emergencies on the built-in vault and on a shelf: what each mode leaves, what is proven, and who is held up by whom.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { openEngine, type Engine } from '#test/support/engine.ts'
import { makeStandIns } from '#test/support/faults.ts'
import { withIncidents } from '#test/support/incidents.ts'

let engine: Engine
let incidents: ReturnType<typeof withIncidents>
const standIns = makeStandIns()

beforeAll(async () => {
  engine = await openEngine({ wrap: standIns.wrap })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())

test('what is revoked first is refused before anything else is made, and then replaced', async () => {
  const key = await engine.key('first')
  const incident = await incidents.settle(await incidents.begin('revokeFirst', ['first']))
  expect(incidents.faults).toEqual([])
  expect(incident.state).toBe('contained')
  const [row] = await incidents.keys(incident)
  expect(row).toMatchObject({ state: 'replaced', replacement: 'done' })
  const [evidence] = await incidents.evidence(incident)
  expect(evidence).toMatchObject({ state: 'refused', operation: 'open', code: 'disabled' })
  const versions = await engine.versions(key.id)
  expect(versions.map(({ state, primary }) => [state, primary])).toEqual([
    ['compromised', false],
    ['active', true],
  ])
  const rotation = await engine.rotation(row?.rotationId ?? '')
  expect(rotation).toMatchObject({ trigger: 'incident', phase: 'completed', fromVersion: null })
  expect(evidence?.provenAt?.getTime()).toBeLessThanOrEqual(rotation.createdAt.getTime())
})

test('what is revoked only has nothing that serves', async () => {
  const key = await engine.key('only')
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['only']))
  expect(incident.state).toBe('contained')
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'compromised', primary: false }])
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'refused', replacement: null }])
})

test('rotated fast, the old version is compromised in the very transaction that hands out the new one', async () => {
  const key = await engine.key('fast')
  const incident = await incidents.begin('rotateFast', ['fast'])
  await incidents.contain()
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'active', primary: true }])
  const [begun] = await incidents.keys(incident)
  expect(begun).toMatchObject({ state: 'replacing', replacement: 'running' })
  await engine.until(begun?.rotationId ?? '', 'end')
  expect(await engine.versions(key.id)).toMatchObject([
    { state: 'compromised', primary: false },
    { state: 'active', primary: true },
  ])
  expect(await incidents.intents(incident)).toEqual([])
  const settled = await incidents.settle(incident)
  expect(settled.state).toBe('contained')
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'replaced' }])
  expect(await incidents.evidence(incident)).toMatchObject([{ state: 'refused' }])
})

test('what was disabled is restored: it works, serves, and was suspended in between', async () => {
  const key = await engine.key('back')
  const incident = await incidents.settle(await incidents.begin('disable', ['back']))
  expect(incident.state).toBe('contained')
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'suspended', primary: false }])
  await incidents.restore(incident)
  const restored = await incidents.settle(incident)
  expect(restored.state).toBe('contained')
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'restored', restoration: 'done' }])
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'active', primary: true }])
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual(['enabled'])
})
