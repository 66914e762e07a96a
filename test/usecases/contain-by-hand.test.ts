// What only people can switch off, in an emergency: they are told what to do, say that it is done, and nothing is called proven.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Incident, IncidentMode } from '#domain/incident.ts'
import type { Json } from '#test/support/examples.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'

let api: RunningApi
let incidents: ReturnType<typeof withIncidents>

beforeAll(async () => {
  api = await openRunningApi()
  const { house, drain, deps } = api
  const { ledger, ids, clock, database } = house
  incidents = withIncidents({ ledger, ids, clock, database, drain, deps })
  await api.put('/v1/connections/hands', { provider: 'manual' })
})
afterAll(async () => {
  expect(api.faults).toEqual([])
  expect(incidents.faults).toEqual([])
  await api.close()
})

const steps = [
  { when: 'mint', do: 'Portal, Create' },
  { when: 'promote', do: 'restart the shop' },
  { when: 'suspend', do: 'Portal, Disable' },
  { when: 'reinstate', do: 'Portal, Enable' },
  { when: 'retire', do: 'Portal, Delete' },
]

const begin = async (name: string, mode: IncidentMode, lines = steps): Promise<Incident> => {
  await api.post('/v1/keys', {
    name,
    connection: 'hands',
    type: 'manual.credential',
    ref: { description: 'API key of the partner', steps: lines },
    purpose: 'payments',
    owner: 'payments',
    environment: 'prod',
  })
  return incidents.settle(await incidents.begin(mode, [name]))
}
const confirm = ({ id }: Incident, body: object) =>
  api.call('POST', `/v1/incidents/${id}/confirmations`, {
    body: { version: 1, outcome: 'done', evidence: 'a call got 401', ...body },
  })
const restore = ({ id }: Incident) =>
  api.post(`/v1/incidents/${id}/restorations`, { reason: 'it was a colleague' })
const report = async ({ id }: Incident): Promise<Json> =>
  (await api.call('GET', `/v1/incidents/${id}/report`)).json
const stateOf = async (name: string): Promise<string> =>
  (await api.call('GET', `/v1/keys/${name}/versions`)).json.items[0].state

test('it is asked for with its checklist, confirmed with evidence, and stays unproven', async () => {
  const incident = await begin('asked', 'revokeOnly')
  expect(incident.state).toBe('partly')
  const before = await report(incident)
  expect(before.keys[0].versions[0]).toMatchObject({ state: 'unproven', effectiveAt: null })
  expect(before.open.join('\n')).toContain('By hand: Portal, Disable.')
  expect(before.open.join('\n')).toContain(
    `rekey incident confirm incident/${incident.id} --key asked`,
  )
  expect(before.open.join('\n')).not.toContain('Switched off, and not proven')

  const answer = await confirm(incident, { key: 'asked' })
  expect(answer.status, answer.text).toBe(201)
  const [version] = answer.json.versions
  expect(version).toMatchObject({ state: 'unproven', provenAt: null, operation: null })
  expect(version.detail).toMatch(/^switched off by hand, said .+ at 20.+: a call got 401$/)
  expect(version.effectiveAt).not.toBe(null)
  expect(await stateOf('asked')).toBe('compromised')
  const after = await report(incident)
  expect(after.open).toContain(
    'Switched off, and not proven to be refused: asked. Ask whoever accepts it.',
  )
  const again = await confirm(incident, { key: 'asked' })
  expect([again.status, again.json.code]).toEqual([409, 'resource.exists'])
  // The type knows it too: whoever looks later finds it as it was said.
  const said = await api.house.ledger.read(async (db) =>
    db.confirmations.ofKey((await db.keys.byName('asked'))?.id ?? ''),
  )
  expect(said).toMatchObject([{ effect: 'suspend', done: true, became: 'disabled' }])
})

test('executed once more it is not asked for again', async () => {
  const incident = await begin('again', 'revokeOnly')
  await confirm(incident, { key: 'again' })
  await incidents.execute(incident)
  expect((await incidents.settle(incident)).state).toBe('partly')
  const { keys, open } = await report(incident)
  expect(keys[0].versions[0]).toMatchObject({ state: 'unproven' })
  expect(keys[0].versions[0].detail).toContain('Switched off by hand')
  expect(open.join('\n')).not.toContain('nobody has said')
})

test('what was not done has failed, and may be done later', async () => {
  const incident = await begin('undone', 'revokeOnly')
  const not = await confirm(incident, {
    key: 'undone',
    outcome: 'notDone',
    evidence: 'the portal is down',
  })
  expect(not.json).toMatchObject({ state: 'failed', versions: [{ state: 'failed' }] })
  const { open } = await report(incident)
  expect(open.join('\n')).toContain('Failed, and perhaps still accepted: undone')
  const done = await confirm(incident, { key: 'undone' })
  expect(done.json).toMatchObject({ state: 'unproven', versions: [{ state: 'unproven' }] })
})

test('what was only disabled comes back by hand too', async () => {
  const incident = await begin('disabled', 'disable')
  expect(await stateOf('disabled')).toBe('active')
  const early = await confirm(incident, { key: 'disabled', step: 'on' })
  expect([early.status, early.json.code]).toEqual([422, 'request.impossible'])
  await confirm(incident, { key: 'disabled' })
  expect(await stateOf('disabled')).toBe('suspended')
  await restore(incident)
  await incidents.settle(incident)
  // It waits for a person: Rekey cannot switch it on.
  expect((await report(incident)).keys[0]).toMatchObject({ restoration: 'failed' })
  expect(await stateOf('disabled')).toBe('suspended')
  const on = await confirm(incident, { key: 'disabled', step: 'on', evidence: 'enabled again' })
  expect(on.status, on.text).toBe(201)
  await restore(incident)
  await incidents.settle(incident)
  expect((await report(incident)).keys[0]).toMatchObject({ restoration: 'done' })
  expect(await stateOf('disabled')).toBe('active')
})

test('what cannot be switched off for a while is deleted by hand, in the modes that end it', async () => {
  const lines = steps.filter(({ when }) => when !== 'suspend')
  const incident = await begin('deleted', 'revokeOnly', lines)
  expect((await report(incident)).open.join('\n')).toContain('By hand: Portal, Delete.')
  expect((await confirm(incident, { key: 'deleted' })).status).toBe(201)
})

test.each([
  ['another key', { key: 'nobody' }, 404, 'resource.notFound'],
  ['a version that is not in it', { version: 7 }, 422, 'request.impossible'],
  ['no evidence', { evidence: '' }, 400, 'request.invalid'],
])('a word about %s is refused, and changes nothing', async (what, more, status, code) => {
  const name = `refused-${what.replaceAll(' ', '-')}`
  const incident = await begin(name, 'revokeOnly')
  const answer = await confirm(incident, { key: name, ...more })
  expect([answer.status, answer.json.code]).toEqual([status, code])
  expect((await report(incident)).keys[0].versions[0].effectiveAt).toBe(null)
})

test('what Rekey ends itself is confirmed by nobody', async () => {
  await api.house.connection('vault')
  await api.house.register('own', { connection: 'vault' })
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['own']))
  const answer = await confirm(incident, { key: 'own' })
  expect([answer.status, answer.json.code]).toEqual([422, 'request.impossible'])
})
