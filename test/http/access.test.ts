// Role × route × scope, cell by cell, against the running server. The cells are those of the OpenAPI document; what is
// expected of each stands in access-rows.ts.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { roles, type Role } from '#domain/actor.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'
import { consumerDocument, rows, type Row, type Side } from './access-rows.ts'

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
let api: Api
let sides: { readonly a: Side; readonly b: Side }
const neverSends = () => Promise.reject(new Error('nothing is sent here'))
/** By role, without a scope and with that of team a. */
const tokens = new Map<string, string>()

const side = async (team: 'a' | 'b'): Promise<Side> => {
  const { house } = api
  const labels = { team }
  const [connection, key, cryptoKey] = [`vault-${team}`, `secret-${team}`, `crypto-${team}`]
  const [policy, consumer, sink] = [`policy-${team}`, `app-${team}`, `sink-${team}`]
  const playbook = `playbook-${team}`
  await house.connection(connection, {
    labels,
    grants: [{ matchLabels: labels, refs: ['*'] }],
  })
  await house.playbook(playbook, labels)
  await house.consumer(consumer, { labels })
  const more = { connection, labels, consumers: [consumer] }
  await house.policy(policy, {
    labels,
    selector: { matchLabels: labels },
    manual: true,
    approval: { required: 1 },
  })
  await house.policy(`idle-${team}`, {
    labels,
    selector: { matchLabels: { ...labels, nothing: 'yet' } },
    manual: true,
  })
  await house.register(key, more)
  await house.register(cryptoKey, {
    ...more,
    type: 'local.key',
    generate: { algorithm: 'rsa3072' },
  })
  await house.sink(sink, { type: 'webhook', url: 'https://sink.example.com/x', secret })
  const apiKey = (
    await api.call('POST', '/v1/api-keys', {
      body: { name: `key-${team}`, type: 'svc', roles: ['viewer'], scope: { matchLabels: labels } },
    })
  ).json.id
  const start = async (name: string) => {
    const { json } = await api.call('POST', '/v1/rotations', {
      body: { key: name, reason: 'a test' },
      headers: { 'idempotency-key': `start-${name}` },
    })
    return json
  }
  const ended = (await start(cryptoKey)).id
  await api.call('POST', `/v1/rotations/${ended}/cancel`, {
    body: { reason: 'a test' },
    headers: { 'idempotency-key': 'cancel' },
  })
  const { id: rotation, planHash } = await start(key)
  await makeAdvanceRotation(
    {
      ledger: house.ledger,
      timers: house.timers,
      clock: house.clock,
      ids: house.ids,
      world: { sessions: house.sessions, types: house.deps.types, fetch, send: neverSends },
    },
    { instance: 'w', bell: { ring: async () => {} }, report: () => {} },
  )(rotation)
  const { json: plan } = await api.call('POST', '/v1/plans', {
    token: await api.token(['operator'], { scope: { matchLabels: labels } }),
    body: { documents: [consumerDocument({ team, consumer }, 'planned')] },
  })
  const open = async (name: string) => {
    const { json } = await api.call('POST', '/v1/incidents', {
      body: {
        title: name,
        severity: 'low',
        mode: 'disable',
        reason: 'a test',
        selector: { matchLabels: labels },
      },
    })
    return json.id
  }
  const incident = await open(`leak-${team}`)
  const closedIncident = await open(`old-${team}`)
  const { json: preview } = await api.call('POST', `/v1/incidents/${incident}/preview`)
  await api.call('POST', `/v1/incidents/${closedIncident}/closures`, { body: { reason: 'a test' } })
  return {
    team,
    incident: { id: incident, hash: preview.hash },
    closedIncident,
    connection,
    key,
    cryptoKey,
    policy,
    consumer,
    playbook,
    sink,
    apiKey,
    rotation,
    planHash,
    ended,
    plan: { id: plan.id, hash: plan.hash },
  }
}

const scope = { matchLabels: { team: 'a' } }
const bound = { consumer: 'app-a' }

beforeAll(async () => {
  api = await openApi()
  sides = { a: await side('a'), b: await side('b') }
  await api.house.freeze({
    until: '2099-01-01T00:00:00Z',
    reason: 'a test',
    selector: { matchLabels: { team: 'a' } },
  })
  for (const role of roles) {
    const more = role === 'consumer' ? bound : {}
    // oxlint-disable-next-line no-await-in-loop -- one server
    tokens.set(role, await api.token([role], more))
    // oxlint-disable-next-line no-await-in-loop -- one server
    tokens.set(`${role} of team a`, await api.token([role], { ...more, scope }))
  }
})
afterAll(() => api.close())

const ask = (row: Row, about: Side, token: string | null): Promise<Answer> => {
  const { url, body } = row.call(about)
  return api.call(row.method ?? 'GET', url, {
    token,
    ...(body === undefined ? {} : { body }),
    headers: {
      'idempotency-key': 'one',
      ...(['PUT', 'PATCH', 'DELETE'].includes(row.method ?? '') ? { 'if-match': '*' } : {}),
    },
  })
}

const mayEnter = ({ who }: Row, role: Role): boolean =>
  typeof who === 'string' || role === 'admin' || who.includes(role)

const told = ({ status, json, text }: Answer) => ({
  status,
  code: json?.code ?? text.slice(0, 200),
})

test('every operation of the document has a row, and no row is of none', async () => {
  const { paths } = (await api.call('GET', '/openapi.json')).json
  const operations = Object.values<Record<string, { operationId: string }>>(paths).flatMap((path) =>
    Object.values(path).map(({ operationId }) => operationId),
  )
  expect(operations.toSorted()).toEqual(Object.keys(rows).toSorted())
})

describe.each(Object.entries(rows))('%s', (_operation, row) => {
  test('without a token', async () => {
    const { status } = await ask(row, sides.a, null)
    expect(status).toBe(row.who === 'everybody' ? row.ok : 401)
  })

  test('by role', async () => {
    const cells = await Promise.all(
      roles.map(async (role) => {
        const answer = told(await ask(row, sides.a, tokens.get(role) ?? ''))
        return [role, answer.status === row.ok ? row.ok : answer] as const
      }),
    )
    const expected = roles.map((role) => [
      role,
      mayEnter(row, role) ? row.ok : { status: 403, code: 'auth.denied' },
    ])
    expect(Object.fromEntries(cells)).toEqual(Object.fromEntries(expected))
  })

  test('by scope', async () => {
    const { outside } = row
    await Promise.all(
      roles
        .filter((role) => mayEnter(row, role))
        .map(async (role) => {
          const token = tokens.get(`${role} of team a`) ?? ''
          const own = await ask(row, sides.a, token)
          expect(own.status, `${role}, own: ${own.text}`).toBe(row.inside ?? row.ok)
          if (row.list) expect(own.text, role).not.toMatch(/-b"/)
          if (outside === undefined) return
          const foreign = await ask(row, sides.b, token)
          const wanted = typeof outside === 'number' ? outside : outside(role)
          expect(foreign.status, `${role}, foreign: ${foreign.text}`).toBe(wanted)
        }),
    )
  })
})
