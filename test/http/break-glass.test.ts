// Tokens to break glass with: two admins make one, its first use begins an hour and is told to everybody, whatever became of
// those who were to be told.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Actor } from '#domain/actor.ts'
import { mayBreakGlass } from '#http/access.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { holdToOneIncident } from '#usecases/break-glass.ts'
import { makeDeliverToSinks } from '#usecases/deliver-to-sinks.ts'
import { putFloors } from '#usecases/floors.ts'
import { openApi, productRoutes, type Api } from '../support/http.ts'
import { actorOf } from '../support/house.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts'

let api: Api
let ada: string
let bob: string
beforeAll(async () => {
  api = await openApi({ allow: ['127.0.0.1'] })
  ada = await api.token(['admin'], { by: actorOf('one', ['admin']) })
  bob = await api.token(['admin'], { by: actorOf('two', ['admin']) })
  await api.house.connection('vault')
  await api.house.register('orders')
})
afterAll(() => api.close())

const make = async (more: object = {}, token = ada) => {
  const { status, json } = await api.call('POST', '/v1/api-keys', {
    token,
    body: { name: 'envelope', type: 'brk', ...more },
  })
  expect([status, json.code]).toEqual([201, undefined])
  return json
}
const approve = (id: string, token = bob) =>
  api.call('POST', `/v1/api-keys/${id}/approvals`, { token, body: {} })
const approved = async () => {
  const made = await make()
  expect((await approve(made.id)).status).toBe(201)
  return made
}
const me = (token: string) => api.call('GET', '/v1/me', { token })
const shown = async (id: string) => {
  const { json } = await api.call('GET', '/v1/api-keys?limit=200')
  return json.items.find((item: { id: string }) => item.id === id)
}
const admin = async (by: string) =>
  (
    await api.call('POST', '/v1/api-keys', {
      token: by,
      body: { name: 'more', type: 'pat', roles: ['admin'] },
    })
  ).json.token
const incidentBody = {
  title: 'a leak',
  severity: 'high',
  mode: 'disable',
  reason: 'a laptop was lost',
  selector: { keys: ['orders'] },
}
const openIncident = async (token: string): Promise<string> => {
  const { status, json } = await api.call('POST', '/v1/incidents', { token, body: incidentBody })
  expect([status, json.code]).toEqual([201, undefined])
  return json.id
}
const routeOf = (text: string) => {
  const [method = '', path = ''] = text.split(' ')
  return { method: method as 'POST', path }
}
const minutes = (n: number) => n * 60_000

describe('a token to break glass with', () => {
  test('opens nothing until a second admin has agreed, and then for an hour from its first use', async () => {
    const made = await make()
    expect(made).toMatchObject({
      roles: ['viewer', 'responder'],
      breakGlass: { approvedBy: null, usedAt: null, endsAt: null, incident: null },
    })
    expect((await me(made.token)).json).toMatchObject({ status: 401, code: 'auth.invalid' })
    expect((await approve(made.id)).json).toMatchObject({
      breakGlass: { approvedBy: 't-admin', usedAt: null },
      audit: { eventId: expect.any(String) },
    })
    // In its envelope it waits for as long as it lives.
    await api.house.clock.advance(minutes(24 * 60))
    const first = await me(made.token)
    expect(first.json).toMatchObject({ type: 'breakGlass', roles: ['viewer', 'responder'] })
    const { breakGlass } = await shown(made.id)
    expect(breakGlass).toMatchObject({ usedFrom: '127.0.0.1', endsAt: first.json.expiresAt })
    expect(Date.parse(breakGlass.endsAt) - Date.parse(breakGlass.usedAt)).toBe(minutes(60))
    await api.house.clock.advance(minutes(50))
    expect((await me(made.token)).json.expiresAt).toBe(breakGlass.endsAt)
    await api.house.clock.advance(minutes(10))
    expect((await me(made.token)).json.code).toBe('auth.invalid')
  })

  test('has one first use, however many requests come at once', async () => {
    const { token, id } = await approved()
    const all = await Promise.all(Array.from({ length: 10 }, () => me(token)))
    expect(new Set(all.map(({ json }) => json.expiresAt)).size).toBe(1)
    const used = (await api.house.events({ action: 'breakGlass.used', actor: id })).filter(
      ({ after }) => (after as { again: boolean }).again === false,
    )
    expect(used).toHaveLength(1)
  })

  test('is not approved by its maker, nor by what the maker made, nor by what one hand made both', async () => {
    const made = await make()
    expect((await approve(made.id, ada)).json.code).toBe('rotation.selfApproval')
    const child = await admin(ada)
    expect((await approve(made.id, child)).json.code).toBe('rotation.selfApproval')
    const byChild = await make({}, child)
    expect((await approve(byChild.id, ada)).json.code).toBe('rotation.selfApproval')
    expect((await approve(byChild.id, await admin(ada))).json.code).toBe('rotation.selfApproval')
    expect((await approve(byChild.id, await admin(await admin(ada)))).json.code).toBe(
      'rotation.selfApproval',
    )
    expect((await approve(byChild.id, await admin(bob))).status).toBe(201)
    expect((await shown(made.id)).breakGlass.approvedAt).toBeNull()
  })

  test('is approved by admins only, once, while it is there', async () => {
    const made = await make()
    expect((await approve(made.id, await api.token(['approver', 'responder']))).status).toBe(403)
    const dry = await api.call('POST', `/v1/api-keys/${made.id}/approvals?dryRun=all`, {
      token: bob,
      body: {},
    })
    expect(dry.json).toMatchObject({ dryRun: true })
    expect((await me(made.token)).status).toBe(401)
    expect((await approve(made.id)).status).toBe(201)
    expect((await approve(made.id)).json.code).toBe('request.impossible')
    const scoped = await api.token(['admin'], { scope: { matchLabels: { team: 'a' } } })
    expect((await approve((await make()).id, scoped)).status).toBe(404)
    const gone = await make()
    await api.call('DELETE', `/v1/api-keys/${gone.id}`)
    expect((await approve(gone.id)).status).toBe(404)
    const { json: plain } = await api.call('POST', '/v1/api-keys', {
      token: ada,
      body: { name: 'plain', type: 'svc', roles: ['viewer'] },
    })
    expect((await approve(plain.id)).json.code).toBe('request.impossible')
  })

  test('takes no other roles, and no binding', async () => {
    for (const [more, pointer] of [
      [{ roles: ['admin'] }, '/roles'],
      [{ roles: ['viewer'] }, '/roles'],
      [{ consumer: 'c' }, '/roles'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { json } = await api.call('POST', '/v1/api-keys', {
        token: ada,
        body: { name: 'x', type: 'brk', ...more },
      })
      expect(json).toMatchObject({ status: 422, errors: [{ pointer }] })
    }
    expect((await make({ roles: ['responder', 'viewer'] })).roles).toEqual(['viewer', 'responder'])
  })

  test('touches no policy, connection, token, rotation or freeze, and agrees to nothing', async () => {
    const { token } = await approved()
    for (const [method, path, body] of [
      ['PUT', '/v1/policies/p', {}],
      ['PUT', '/v1/connections/c', { provider: 'local' }],
      ['POST', '/v1/api-keys', { name: 'x', type: 'pat', roles: ['viewer'] }],
      ['PUT', '/v1/freeze', { until: '2099-01-01T00:00:00Z', reason: 'x' }],
      ['DELETE', '/v1/freeze', undefined],
      ['POST', '/v1/plans', { documents: [] }],
      ['POST', `/v1/rotations/${api.house.ids.next()}/approvals`, { planHash: 'x' }],
      ['POST', `/v1/rotations/${api.house.ids.next()}/abandon`, { reason: 'x' }],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { json } = await api.call(method, path, { token, ...(body && { body }) })
      expect([path, json.code]).toEqual([path, 'auth.denied'])
    }
    expect((await api.call('GET', '/v1/keys', { token })).status).toBe(200)
    expect((await api.call('GET', '/v1/sinks', { token })).status).toBe(403)
  })

  test('writes to incidents alone, on any route that there is', () => {
    const open = productRoutes(api.house)
      .filter((route) => route.method !== 'GET' && mayBreakGlass(route))
      .map(({ path }) => path)
    for (const path of open) expect(path).toMatch(/^\/v1\/incidents/)
    expect(mayBreakGlass({ method: 'POST', path: '/v1/incidentsx' })).toBe(false)
  })

  /** Every way to write to an incident. Giving back, agreeing and ending are for people who are awake. */
  const writes: Readonly<Record<string, { readonly body: object; readonly may: boolean }>> = {
    'PATCH /v1/incidents/{id}': { body: { commander: 'ada' }, may: true },
    'POST /v1/incidents/{id}/notes': { body: { kind: 'fact', text: 'x' }, may: true },
    'POST /v1/incidents/{id}/steps': { body: { step: 1, outcome: 'done' }, may: true },
    'POST /v1/incidents/{id}/confirmations': {
      body: { key: 'k', version: 1, outcome: 'done', evidence: 'x' },
      may: true,
    },
    'POST /v1/incidents/{id}/preview': { body: {}, may: true },
    'POST /v1/incidents/{id}/executions': { body: {}, may: true },
    'POST /v1/incidents/{id}/approvals': { body: {}, may: false },
    'POST /v1/incidents/{id}/restorations': { body: { reason: 'x' }, may: false },
    'POST /v1/incidents/{id}/closures': { body: { reason: 'x' }, may: false },
    'POST /v1/incidents/{id}/reviews': { body: { text: 'x' }, may: false },
    'POST /v1/incidents': { body: incidentBody, may: false },
  }

  test('contains, and writes down what it sees: it gives nothing back, agrees to nothing and ends nothing', async () => {
    const { token } = await approved()
    const id = await openIncident(token)
    const { hash } = (await api.call('POST', `/v1/incidents/${id}/preview`, { token, body: {} }))
      .json
    const answers: Record<string, unknown> = {}
    for (const [route, { body, may }] of Object.entries(writes)) {
      const [method = '', path = ''] = route.split(' ')
      // oxlint-disable-next-line no-await-in-loop -- one server, one after the other
      const { status, json } = await api.call(method, path.replace('{id}', id), {
        token,
        body: path.endsWith('executions') ? { previewHash: hash, confirm: id } : body,
        headers: { 'idempotency-key': `glass-${path}`, 'if-match': '*' },
      })
      // It has no playbook, and nothing that is done by hand: past the door all the same.
      const entered = status < 300 || (may && [404, 409].includes(status))
      answers[route] = entered ? may : [status, json.code]
    }
    expect(answers).toEqual(
      Object.fromEntries(
        Object.entries(writes).map(([route, { may }]) => [
          route,
          may ? true : [403, 'auth.denied'],
        ]),
      ),
    )
  })

  test('has its say on every route that writes to incidents', () => {
    const all = productRoutes(api.house)
      .filter(({ method, path }) => method !== 'GET' && path.startsWith('/v1/incidents'))
      .map((route) => `${route.method} ${route.path}`)
    for (const route of all.filter((one) => writes[one] === undefined))
      expect([route, mayBreakGlass(routeOf(route))]).toEqual([route, false])
    expect(all).toEqual(expect.arrayContaining(Object.keys(writes)))
  })

  test('works on the first incident that it wrote to, without another’s word, and on no other', async () => {
    const { token, id } = await approved()
    const before = await openIncident(ada)
    const mine = await openIncident(token)
    expect((await shown(id)).breakGlass.incident).toBe(mine)
    const on = (incident: string, path: string, body: object) =>
      api.call('POST', `/v1/incidents/${incident}/${path}`, { token, body })
    const note = { kind: 'fact', text: 'it was in a log' }
    expect((await on(mine, 'notes', note)).status).toBe(201)
    const preview = await on(mine, 'preview', {})
    expect([preview.status, preview.json.approvalsNeeded]).toEqual([200, 0])
    for (const path of ['notes', 'preview'] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { json } = await on(before, path, path === 'notes' ? note : {})
      expect(json).toMatchObject({ code: 'auth.denied', detail: expect.stringContaining(mine) })
    }
    const second = await api.call('POST', '/v1/incidents', { token, body: incidentBody })
    expect(second.json.code).toBe('auth.denied')
    const agreeing = await on(before, 'approvals', { previewHash: '0'.repeat(64) })
    expect(agreeing.json.code).toBe('auth.denied')
    const bound = await api.house.events({ action: 'breakGlass.bound', actor: id })
    expect(bound).toHaveLength(1)
    expect(bound[0]).toMatchObject({ correlationId: mine, after: { incident: mine } })
    expect((await api.call('GET', `/v1/incidents/${before}`)).json.state).toBe('draft')
  })

  test('executes where others would need a second word, and leaves a review that somebody else signs', async () => {
    const { house } = api
    await house.register('guarded', { labels: { team: 'g' } })
    const items = [{ matchLabels: { team: 'g' }, spec: { emergency: { approvals: 1 } } }] as const
    await putFloors(house.deps)(actorOf('ada', ['admin']), {
      items,
      precondition: { match: 'any', absent: false },
    })
    const executed = async (token: string) => {
      const body = { ...incidentBody, selector: { keys: ['guarded'] } }
      const { id } = (await api.call('POST', '/v1/incidents', { token, body })).json
      const { hash } = (await api.call('POST', `/v1/incidents/${id}/preview`, { token, body: {} }))
        .json
      const { status, json } = await api.call('POST', `/v1/incidents/${id}/executions`, {
        token,
        body: { previewHash: hash, confirm: id },
        headers: { 'idempotency-key': `execute-${id}` },
      })
      return { id, status, code: json.code }
    }
    const rosa = await api.token(['responder'])
    expect(await executed(rosa)).toMatchObject({ status: 409, code: 'incident.approvalMissing' })
    const { token } = await approved()
    const { id, ...done } = await executed(token)
    expect(done).toEqual({ status: 202, code: undefined })
    expect((await api.call('GET', `/v1/incidents/${id}`)).json).toMatchObject({ breakGlass: true })
    const review = (as: string) =>
      api.call('POST', `/v1/incidents/${id}/reviews`, { token: as, body: { text: 'I looked' } })
    expect((await review(token)).json.code).toBe('auth.denied')
    expect((await review(rosa)).status).toBe(201)
  })

  test('commits nothing but to an incident, were a door left open', async () => {
    const { token, id } = await approved()
    await me(token)
    const holder: Actor = { ...actorOf('envelope', ['admin']), type: 'breakGlass', id }
    const ledger = holdToOneIncident(api.house.ledger, holder)
    await expect(
      putFloors({ ledger })(holder, { items: [], precondition: { match: 'any', absent: false } }),
    ).rejects.toMatchObject({ code: 'auth.denied' })
  })

  test('shows in what auditors and admins are told of the installation', async () => {
    const { token, id } = await approved()
    await me(token)
    const told = async (as: string) =>
      (await api.call('GET', '/v1/checks', { token: as })).json.items
        .filter(({ name }: { name: string }) => name === 'break-glass')
        .map(({ detail }: { detail: string }) => detail)
        .join('\n')
    await expect.poll(() => told(ada), { timeout: 30_000 }).toContain(id)
    expect(await told(await api.token(['viewer']))).not.toContain(id)
  })
})

describe('its use is told', () => {
  let receiver: WebhookReceiver
  let other: WebhookReceiver
  let pass: () => Promise<number>
  const http = () =>
    makeSafeFetch({ egress: api.house.deps.egress, kind: 'webhook', insecure: false })
  beforeEach(async () => {
    receiver = await startWebhookReceiver()
    other = await startWebhookReceiver(`whsec_${Buffer.alloc(24, 9).toString('base64')}`)
    const { ledger, outbox, ids, clock } = api.house
    const client = http()
    pass = makeDeliverToSinks({
      ledger,
      outbox,
      ids,
      // Receivers compare the signed time with theirs.
      send: makeSendToWebhook({ fetch: client.fetch, clock: systemClock }),
      clock,
    })
    return async () => {
      await client.close()
      await receiver.close()
      await other.close()
      for (const { name } of (await api.call('GET', '/v1/sinks')).json.items)
        await api.call('DELETE', `/v1/sinks/${name}`, { headers: { 'if-match': '*' } }) // oxlint-disable-line no-await-in-loop -- one server
    }
  })
  const sink = async (name: string, to: WebhookReceiver, more: object = {}) => {
    const { status } = await api.call('PUT', `/v1/sinks/${name}`, {
      body: { type: 'webhook', url: to.url, secret: to.secret, ...more },
      headers: { 'if-none-match': '*' },
    })
    expect(status).toBe(201)
  }
  const drop = (name: string) =>
    api.call('DELETE', `/v1/sinks/${name}`, { headers: { 'if-match': '*' } })
  const messages = (of: WebhookReceiver) =>
    of.received.map((one) => ({
      id: one.headers['webhook-id'],
      ...(of.verify(one) as { type: string; data: Record<string, unknown> }),
    }))
  const ofToken = (of: WebhookReceiver, name: string) =>
    messages(of).filter(({ data }) => data['token'] === name)
  const told = (of: WebhookReceiver, name: string, action: string) =>
    expect
      .poll(
        async () => {
          await pass()
          return ofToken(of, name).map(({ data }) => data['action'])
        },
        { timeout: 50_000 },
      )
      .toContain(action)

  test('to those who were to be told when it was made, though the list was emptied since, with their signature', async () => {
    await sink('oncall', receiver)
    const made = await make({ name: 'emptied' })
    expect(made.breakGlass.sinks).toEqual([{ name: 'oncall', url: receiver.url }])
    expect((await drop('oncall')).status).toBe(200)
    await approve(made.id)
    await me(made.token)
    // Ending the token ends no message.
    await api.call('DELETE', `/v1/api-keys/${made.id}`)
    await told(receiver, 'emptied', 'breakGlass.used')
    expect(ofToken(receiver, 'emptied')[0]).toMatchObject({
      type: 'rekey.breakGlass',
      data: {
        token: 'emptied',
        reason: 'a token to break glass with is used from 127.0.0.1',
        next: `rekey get audit-events --actor ${made.id}`,
      },
    })
  })

  test('though a sink was pointed elsewhere, or silenced, and to those that came later, whatever they chose', async () => {
    await sink('moved', receiver)
    const made = await make({ name: 'moved' })
    await drop('moved')
    await sink('moved', other, { events: ['stalled'] })
    await approve(made.id)
    await me(made.token)
    await told(receiver, 'moved', 'breakGlass.used')
    await told(other, 'moved', 'apiKey.approved')
    await told(other, 'moved', 'breakGlass.used')
  })

  test('with what it does, not with what it was refused, and twice under one id to who is in both lists', async () => {
    await sink('both', receiver)
    const made = await make({ name: 'busy' })
    await approve(made.id)
    await api.call('PUT', '/v1/freeze', {
      token: made.token,
      body: { until: '2099-01-01T00:00:00Z', reason: 'x' },
    })
    const incident = await openIncident(made.token)
    await told(receiver, 'busy', 'breakGlass.bound')
    await expect
      .poll(
        async () => {
          await pass()
          return ofToken(receiver, 'busy')
            .map(({ data }) => String(data['action']))
            .toSorted((a, b) => a.localeCompare(b))
        },
        { timeout: 50_000 },
      )
      .toEqual([
        'apiKey.approved',
        'breakGlass.bound',
        'breakGlass.bound',
        'breakGlass.used',
        'breakGlass.used',
        'incident.opened',
      ])
    const [opened] = ofToken(receiver, 'busy').filter(
      ({ data }) => data['action'] === 'incident.opened',
    )
    expect(opened?.data).toMatchObject({ incident, by: 'busy' })
    const ids = new Set(ofToken(receiver, 'busy').map(({ id }) => id))
    expect(ids.size).toBe(4)
  })
})
