// One walk through every resource. The server under test fails where a reply or a refusal is not as its operation documents
// it, so this also shows that the document is true.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openApi, productRoutes, type Answer, type Api } from '../support/http.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api.close())

const put = (path: string, body: unknown) => api.call('PUT', path, { body })
const get = (path: string) => api.call('GET', path)
const expectStatus = (answer: Answer, status: number): Answer => {
  expect({ status: answer.status, json: answer.json }).toMatchObject({ status })
  return answer
}

const key = {
  name: 'orders',
  connection: 'vault',
  type: 'local.key',
  ref: {},
  purpose: 'signs orders',
  owner: 'team-a',
  environment: 'test',
  labels: { team: 'a' },
  consumers: ['shop'],
  create: true,
}
const policy = {
  apiVersion: 'rekey.dev/v1',
  kind: 'RotationPolicy',
  metadata: { name: 'monthly' },
  spec: {
    selector: { matchLabels: { team: 'a' } },
    schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris' },
    maxAge: '60d',
  },
}

describe('a walk', () => {
  test('writes what can be written', async () => {
    expectStatus(await put('/v1/connections/vault', { provider: 'local' }), 201)
    expectStatus(await put('/v1/consumers/shop', { owner: 'team-a' }), 201)
    const types = (await get('/v1/providers')).json.items.find(
      (p: { id: string }) => p.id === 'local',
    ).types
    const type = types.find((t: { type: string }) => t.type === 'local.key')?.type ?? types[0].type
    expectStatus(await api.call('POST', '/v1/keys', { body: { ...key, type } }), 201)
    const made = await put('/v1/policies/monthly', policy)
    expectStatus(made, 201)
    expectStatus(
      await put('/v1/freeze', {
        until: '2099-01-01T00:00:00Z',
        reason: 'holiday',
        selector: { matchLabels: { team: 'z' } },
      }),
      201,
    )
  })

  test('reads every list and every thing as documented', async () => {
    const params: Readonly<Record<string, string>> = {
      connections: 'vault',
      keys: 'orders',
      policies: 'monthly',
      consumers: 'shop',
      sinks: 'none',
    }
    const id = '01890000-0000-7000-8000-000000000000'
    for (const { method, path, answer } of productRoutes(api.house)) {
      if (method !== 'GET' || answer.kind === 'events') continue
      const resource = /^\/v1\/([a-z-]+)/.exec(path)?.[1] ?? ''
      const url = path
        .replace('{name}', params[resource] ?? 'none')
        .replace('{id}', id)
        .replace(/\{[A-Za-z]+\}/, '1')
      const query =
        path === '/v1/schedule'
          ? '?from=2026-12-01T00:00:00Z&to=2026-12-31T00:00:00Z'
          : path.endsWith('/inventory')
            ? '?type=local.key'
            : ''
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { status, text } = await get(`${url}${query}`)
      expect(status, `${path}: ${text}`).toBeLessThan(500)
    }
  })

  test('GET, edit, PUT changes what was edited', async () => {
    for (const path of ['/v1/connections/vault', '/v1/consumers/shop', '/v1/keys/orders']) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { json, headers } = await get(path)
      const edited = { ...json, labels: { ...json.labels, edited: 'yes' } }
      // oxlint-disable-next-line no-await-in-loop -- one server
      const answer = await api.call('PUT', path, {
        body: edited,
        headers: { 'if-match': headers['etag'] ?? '' },
      })
      expectStatus(answer, 200)
      expect(answer.json.labels).toMatchObject({ edited: 'yes' })
    }
  })

  test('opens a rotation and follows it', async () => {
    const opened = await api.call('POST', '/v1/rotations', {
      body: { key: 'orders', reason: 'a walk' },
      headers: { 'idempotency-key': 'walk-1' },
    })
    expectStatus(opened, 202)
    const one = expectStatus(await get(`/v1/rotations/${opened.json.id}`), 200)
    expect(one.json).toMatchObject({ id: opened.json.id, key: 'orders', reason: 'a walk' })
    const cancelled = await api.call('POST', `/v1/rotations/${opened.json.id}/cancel`, {
      body: { reason: 'enough' },
      headers: { 'idempotency-key': 'walk-2' },
    })
    expectStatus(cancelled, 202)
    const { text, status } = await api.call('GET', `/v1/rotations/${opened.json.id}/events`)
    expect(status).toBe(200)
    expect(text).toContain('event: rotation.planned')
    expect(text).toContain('event: rotation.cancelled')
  })

  test('an empty write is refused by every operation as it documents', async () => {
    const id = '01890000-0000-7000-8000-000000000000'
    for (const { method, path } of productRoutes(api.house)) {
      if (method === 'GET') continue
      const url = path
        .replace('{name}', 'nobody')
        .replace('{id}', id)
        .replace(/\{[A-Za-z]+\}/, '1')
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { status, text } = await api.call(method, `${url}?dryRun=all`, {
        body: {},
        headers: { 'idempotency-key': 'walk-3' },
      })
      expect(status, `${method} ${path}: ${text}`).toBeLessThan(500)
    }
  })
})
