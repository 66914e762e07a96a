// Credentials without an API, through Rekey's own: people are asked for each step, say what they did, and the machine goes on.

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createInstallationReader } from '#store/installation.ts'
import type { Answer } from '#test/support/http.ts'
import { goBack } from '#test/support/recovery.ts'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'
import { startWebhookReceiver } from '#test/support/webhook-receiver.ts'

let api: RunningApi
beforeAll(async () => {
  api = await openRunningApi({ allow: ['127.0.0.1'] })
  await api.put('/v1/connections/hands', { provider: 'manual' })
})
afterAll(async () => {
  expect(api.faults).toEqual([])
  await api.close()
})

const steps = [
  { when: 'mint', do: 'Partner portal, API keys, Create' },
  { when: 'mint', do: 'put it into the safe' },
  { when: 'promote', do: 'set PARTNER_KEY and restart the shop' },
  { when: 'suspend', do: 'Partner portal, API keys, Disable' },
  { when: 'retire', do: 'Partner portal, API keys, Delete' },
]
const keyOf = async (name: string, spec: object = {}, ref: object = {}): Promise<void> => {
  await api.put(`/v1/policies/${name}`, {
    selector: { matchLabels: { key: name } },
    manual: true,
    overlap: { min: '0s' },
    soak: '0s',
    ...spec,
  })
  await api.post('/v1/keys', {
    name,
    connection: 'hands',
    type: 'manual.credential',
    ref: { description: 'API key of the partner', steps, ...ref },
    purpose: 'payments',
    owner: 'payments',
    environment: 'prod',
    labels: { key: name },
  })
}
const rotationOf = async (id: string): Promise<Answer['json']> =>
  (await api.call('GET', `/v1/rotations/${id}`)).json
const states = async (name: string): Promise<Record<number, string>> => {
  const { json } = await api.call('GET', `/v1/keys/${name}/versions`)
  return Object.fromEntries(
    json.items.map(({ version, state, primary }: Answer['json']) => [
      version,
      primary ? `${state}, primary` : state,
    ]),
  )
}
const digestOf = (value: string): string =>
  `sha256:${createHash('sha256').update(value).digest('hex')}`

/** What it waits for a person for, as the person is told. */
const asked = async (id: string) => {
  await api.drain()
  const { waitingFor, steps: begun } = await rotationOf(id)
  expect(waitingFor?.gate, JSON.stringify(waitingFor)).toBe('person')
  const { operationId } = begun.find(({ endedAt }: Answer['json']) => endedAt === null)
  return {
    text: waitingFor.text,
    missing: waitingFor.missing,
    until: waitingFor.until,
    operationId,
  }
}
const confirm = (id: string, body: object, token?: string): Promise<Answer> =>
  api.call('POST', `/v1/rotations/${id}/confirmations`, {
    body: { outcome: 'done', ...body },
    ...(token === undefined ? {} : { token }),
  })
/** Does what is asked for, and says so; what was asked. */
const doIt = async (id: string, more: object = {}): Promise<string> => {
  const { operationId, text } = await asked(id)
  const reply = await confirm(id, { operationId, evidence: 'seen', ...more })
  expect(reply.status, reply.text).toBe(201)
  return text
}

test('a person is asked for each step in order, and what they said is the evidence', async () => {
  await keyOf('partner', { retire: 'destroy' })
  expect(await states('partner')).toEqual({ 1: 'active, primary' })
  const id = await api.rotate('partner')
  const { text, missing, until } = await asked(id)
  expect(text).toBe('make a new credential for partner, beside version 1')
  expect(missing).toEqual(['Partner portal, API keys, Create', 'put it into the safe'])
  const days = (Date.parse(until) - (await api.deps.timers.now()).getTime()) / 86_400_000
  expect(Math.round(days)).toBe(7)

  await doIt(id, { fingerprint: digestOf('a new value of the partner') })
  expect(await doIt(id)).toBe('hand out version 2 of partner in place of version 1')
  expect(await doIt(id)).toBe(
    'switch version 1 of partner off, so that it can be switched on again',
  )
  expect(await doIt(id, { evidence: 'HTTP 401 with the old key' })).toBe(
    'delete version 1 of partner',
  )
  expect((await api.reach(id, 'end')).phase).toBe('completed')
  expect(await states('partner')).toEqual({ 1: 'destroyed', 2: 'active, primary' })

  const events = await api.house.events({ correlationId: id })
  const said = events.filter(({ action }) => action === 'rotation.stepConfirmed')
  expect(said).toHaveLength(4)
  expect(said.map(({ reason }) => reason)).toContain('HTTP 401 with the old key')
  expect(events.filter(({ action }) => action === 'rotation.stepAsked')).toHaveLength(4)
  const all = JSON.stringify(events)
  expect(all).not.toContain(digestOf('a new value of the partner').slice(7))
  expect(events.filter(({ outcome }) => outcome === 'unknown')).toEqual([])
})

test('nothing is done before it is said, however long it takes and whoever looks', async () => {
  await keyOf('slow', {}, { within: '30d' })
  const id = await api.rotate('slow')
  const { operationId } = await asked(id)
  for (let day = 0; day < 20; day++) {
    await api.house.clock.advance(86_400_000)
    await api.drain()
  }
  expect(await asked(id)).toMatchObject({ operationId })
  expect(await states('slow')).toEqual({ 1: 'active, primary' })
  // Nobody is paged about a reply that was lost.
  const told = await createInstallationReader(api.house.database, 'test').look()
  expect(told.find(({ name }) => name === 'rekey_intents_unknown')?.value).toBe(0)
})

test('a step that passes its date stalls the rotation; who confirms it then lets it go on', async () => {
  await keyOf('late', { retire: 'keep' }, { within: '1d' })
  const id = await api.rotate('late')
  await asked(id)
  await api.house.clock.advance(90_000_000)
  const stalled = await api.until(id, ['stalled'])
  expect(stalled.stalledReason).toMatch(/^nobody has confirmed by .*: make a new credential/)
  const { steps: begun } = await rotationOf(id)
  const { operationId } = begun.at(-1)
  const reply = await confirm(id, { operationId, fingerprint: digestOf('late, but new') })
  expect(reply.status, reply.text).toBe(201)
  await doIt(id)
  expect((await api.reach(id, 'end')).phase).toBe('completed')
})

test('resumed, a step that had passed its date is waited for as long again', async () => {
  await keyOf('again', {}, { within: '1d' })
  const id = await api.rotate('again')
  const { operationId } = await asked(id)
  await api.house.clock.advance(90_000_000)
  await api.until(id, ['stalled'])
  await api.post(`/v1/rotations/${id}/resume`, { reason: 'Ada is back' })
  const now = await asked(id)
  expect(now.operationId).toBe(operationId)
  expect(Date.parse(now.until)).toBeGreaterThan(
    (await api.deps.timers.now()).getTime() + 80_000_000,
  )
})

test('a step that was not done leads where a refusal of a provider leads', async () => {
  await keyOf('refused')
  const id = await api.rotate('refused')
  const { operationId } = await asked(id)
  const no = { operationId, outcome: 'notDone', evidence: 'the portal is down' }
  expect((await confirm(id, no)).status).toBe(201)
  expect((await api.reach(id, 'end')).phase).toBe('rolledBack')
  expect(await states('refused')).toEqual({ 1: 'active, primary' })
  const failed = (await rotationOf(id)).steps.at(-1)
  expect(failed).toMatchObject({
    outcome: 'failed',
    detail: expect.stringMatching(/says that it was not done: the portal is down$/),
  })
})

test('undone after handing out: a person swaps back and removes the new one', async () => {
  await keyOf('undone', { overlap: { min: '1d' } })
  const id = await api.rotate('undone')
  await doIt(id, { fingerprint: digestOf('one that is bad') })
  await doIt(id)
  await api.until(id, ['overlapping'])
  expect((await api.rollback(id)).status).toBe(202)
  expect(await doIt(id)).toBe('hand out version 1 of undone again, in place of version 2')
  expect(await doIt(id)).toBe('delete version 2 of undone: it is not to be used')
  expect((await api.reach(id, 'end')).phase).toBe('rolledBack')
  expect(await states('undone')).toEqual({ 1: 'active, primary', 2: 'destroyed' })
})

test('undone while a step is under way: what was done is known first, then removed', async () => {
  await keyOf('half')
  const id = await api.rotate('half')
  await asked(id)
  expect((await api.rollback(id)).status).toBe(202)
  expect(await doIt(id, { fingerprint: digestOf('made in vain') })).toBe(
    'say whether this was done before it was undone: make a new credential for half, beside version 1',
  )
  expect(await doIt(id)).toBe('delete version 2 of half: it is not to be used')
  expect((await api.reach(id, 'end')).phase).toBe('rolledBack')

  await keyOf('none')
  const other = await api.rotate('none')
  const { operationId } = await asked(other)
  expect((await api.rollback(other)).status).toBe(202)
  await asked(other)
  await confirm(other, { operationId, outcome: 'notDone', evidence: 'not begun' })
  expect((await api.reach(other, 'end')).phase).toBe('rolledBack')
  expect(await states('none')).toEqual({ 1: 'active, primary' })
})

test('undone before the old one was switched off: nobody is asked to switch it on, nor said to have', async () => {
  await keyOf('still-on', {}, { steps: [...steps, { when: 'reinstate', do: 'Enable' }] })
  const id = await api.rotate('still-on')
  await doIt(id, { fingerprint: digestOf('bad too') })
  await doIt(id)
  await asked(id)
  expect((await api.rollback(id)).status).toBe(202)
  const { operationId } = await asked(id)
  const no = { operationId, outcome: 'notDone', evidence: 'not begun' }
  expect((await confirm(id, no)).status).toBe(201)
  expect(await doIt(id)).toBe('hand out version 1 of still-on again, in place of version 2')
  expect(await doIt(id)).toBe('delete version 2 of still-on: it is not to be used')
  expect((await api.reach(id, 'end')).phase).toBe('rolledBack')

  const events = await api.house.events({ correlationId: id })
  const of = (action: string) => events.filter((event) => event.action === action)
  expect(of('rotation.stepAsked')).toHaveLength(5)
  expect(of('rotation.stepConfirmed')).toHaveLength(5)
  expect(events.filter(({ reason }) => reason === 'confirmed by a person')).toHaveLength(4)
})

test('of a rotation that was abandoned nothing is said any more', async () => {
  await keyOf('given-up', {}, { within: '1d' })
  const id = await api.rotate('given-up')
  const { operationId } = await asked(id)
  await api.house.clock.advance(90_000_000)
  await api.until(id, ['stalled'])
  await api.post(`/v1/rotations/${id}/abandon`, { reason: 'nobody can' })
  const said = await confirm(id, { operationId, fingerprint: digestOf('too late') })
  expect([said.status, said.json.code]).toEqual([409, 'rotation.wrongPhase'])
  expect(said.json.detail).toBe('It waits for no step of a person (abandoned).')
})

test('a checklist without a line for suspend has no phase for it, and deleting then needs an approval', async () => {
  const ref = { steps: steps.filter(({ when }) => when !== 'suspend') }
  await keyOf('abrupt', {}, ref)
  const id = await api.rotate('abrupt')
  expect((await rotationOf(id)).phases).not.toContain('suspending')
  await doIt(id, { fingerprint: digestOf('abrupt, two') })
  await doIt(id)
  expect(await doIt(id)).toBe('switch version 1 of abrupt off for good')
  expect((await api.reach(id, 'end')).phase).toBe('completed')

  await keyOf('unproven', { retire: 'destroy' }, ref)
  const start = await api.call('POST', '/v1/rotations', {
    body: { key: 'unproven', reason: 'a test' },
    headers: { 'idempotency-key': 'unproven' },
  })
  expect(start.status).toBe(422)
  expect(start.json.hint).toMatch(/approval\.required/)
})

test('a webhook of the policy is proof of a new value too', async () => {
  const receiver = await startWebhookReceiver()
  await keyOf('tried', { retire: 'keep', verify: [{ type: 'webhook', url: receiver.url }] })
  const id = await api.rotate('tried')
  await doIt(id)
  await doIt(id)
  expect((await api.reach(id, 'end')).phase).toBe('completed')
  await receiver.close()
})

test('a time plan asks people at its time', async () => {
  await keyOf('planned', { manual: undefined, maxAge: '30d' })
  await api.house.clock.advance(31 * 86_400_000)
  await api.drain()
  const { json } = await api.call('GET', '/v1/rotations?key=planned')
  expect(json.items[0]).toMatchObject({ trigger: 'maxAge' })
  await asked(json.items[0].id)
  const told = await api.house.events({ action: 'rotation.stepAsked', key: 'planned' })
  expect(told[0]?.reason).toMatch(/^make a new credential for planned.*; put it into the safe$/)
})

test('who may not is refused, and nonsense is told where it is wrong', async () => {
  await keyOf('asked')
  const id = await api.rotate('asked')
  const { operationId } = await asked(id)
  const fingerprint = digestOf('asked, two')
  const refusals: readonly (readonly [number, string | null, object, string?])[] = [
    [403, null, { operationId, fingerprint }, await api.token(['viewer', 'auditor', 'approver'])],
    [
      404,
      null,
      { operationId, fingerprint },
      await api.token(['operator'], { scope: { matchLabels: { team: 'other' } } }),
    ],
    [409, '/operationId', { operationId: `${id}:minting:9`, fingerprint }],
    [409, '/operationId', { operationId: 'none', fingerprint }],
    [422, '/fingerprint', { operationId }],
    [422, '/evidence', { operationId, outcome: 'notDone' }],
    [422, '/fingerprint', { operationId, outcome: 'notDone', evidence: 'e', fingerprint }],
    [400, '/fingerprint', { operationId, fingerprint: 'the value itself' }],
    [400, '/outcome', { operationId, outcome: 'perhaps' }],
    [400, '/evidence', { operationId, fingerprint, evidence: '' }],
  ]
  for (const [status, pointer, body, token] of refusals) {
    const reply = await confirm(id, body, token)
    expect(reply.status, `${JSON.stringify(body)} ${reply.text}`).toBe(status)
    if (pointer !== null) expect(reply.json.errors[0].pointer).toBe(pointer)
  }
  expect(await asked(id)).toMatchObject({ operationId })

  const operator = await api.token(['operator'])
  expect((await confirm(id, { operationId, fingerprint }, operator)).status).toBe(201)
  const twice = await confirm(id, { operationId, fingerprint: digestOf('another') }, operator)
  expect([twice.status, twice.json.code]).toEqual([409, 'resource.exists'])

  // What takes something away is seen to be gone; what makes nothing has no fingerprint.
  await doIt(id)
  const off = await asked(id)
  const blind = await confirm(id, { operationId: off.operationId })
  expect([blind.status, blind.json.errors[0].pointer]).toEqual([422, '/evidence'])
  const odd = await confirm(id, { operationId: off.operationId, evidence: 'e', fingerprint })
  expect([odd.status, odd.json.errors[0].pointer]).toEqual([422, '/fingerprint'])
  // The same from a key that no person changes.
  await api.put('/v1/connections/vault', { provider: 'local' })
  await api.house.register('no-hands', { labels: { key: 'no-hands' } })
  await api.policy('no-hands')
  const machine = await api.rotate('no-hands')
  expect((await confirm(machine, { operationId: `${machine}:minting:1` })).status).toBe(409)
})

test('the value of an older version, or of another key, is not a new one', async () => {
  await keyOf('first', { retire: 'keep' })
  const id = await api.rotate('first')
  await doIt(id, { fingerprint: digestOf('used before') })
  await doIt(id)
  await api.reach(id, 'end')
  const second = await api.rotate('first')
  const { operationId } = await asked(second)
  const same = await confirm(second, { operationId, fingerprint: digestOf('used before') })
  expect([same.status, same.json.detail]).toEqual([
    422,
    'this is the value of version 2: make a new one',
  ])
  await keyOf('other')
  const third = await api.rotate('other')
  const step = await asked(third)
  const copied = await confirm(third, {
    operationId: step.operationId,
    fingerprint: digestOf('used before'),
  })
  expect(copied.json.detail).toBe('another key has this very value: make a new one')
})

test('a ref without steps, or with words that mean nothing, registers nothing', async () => {
  const about = { purpose: 'p', owner: 'o', environment: 'e', connection: 'hands' }
  const register = (ref: object, more: object = {}) =>
    api.call('POST', '/v1/keys', {
      body: { name: 'odd', type: 'manual.credential', ...about, ref, ...more },
    })
  const bad = [
    {},
    { description: 'x', steps: [] },
    { description: 'x', steps: [{ when: 'sometime', do: 'it' }] },
    { description: 'x', steps: [{ when: 'mint', do: 'a\u0007b' }] },
    { description: 'x', steps, within: '3 days' },
    { description: 'x', steps, extra: 1 },
  ]
  for (const ref of bad) {
    const reply = await register(ref)
    expect([reply.status, reply.json.errors[0].pointer], reply.text).toEqual([
      400,
      expect.stringMatching(/^\/ref/),
    ])
  }
  expect((await api.call('GET', '/v1/keys/odd')).status).toBe(404)
})

test('to confirm a step does not let a rotation go on that recovery mode has stalled', async () => {
  await keyOf('restored')
  const id = await api.rotate('restored')
  const { operationId } = await asked(id)
  await goBack(api.house)
  const said = await confirm(id, { operationId, fingerprint: digestOf('after the backup') })
  expect([said.status, said.json.code]).toEqual([409, 'recovery.active'])
  expect((await rotationOf(id)).phase).toBe('stalled')
})
