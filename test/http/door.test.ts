import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openApi, type Api } from '../support/http.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api.close())

const hour = 3_600_000

describe('a request', () => {
  test('without a token is told to send one', async () => {
    const { status, headers, json } = await api.call('GET', '/v1/me', { token: null })
    expect(status).toBe(401)
    expect(headers['www-authenticate']).toBe('Bearer realm="rekey"')
    expect(headers['content-type']).toBe('application/problem+json')
    expect(json).toEqual({
      type: '/problems/auth.missing',
      title: 'A token is required',
      status: 401,
      detail: 'Send a token.',
      instance: '/v1/me',
      code: 'auth.missing',
      requestId: headers['x-request-id'],
      hint: expect.any(String),
    })
  })

  test.each(['', 'x', 'rekey_pat_0000000000000000000000000000000000000', '..', 'Bearer'])(
    'with the token %j is told that it is not valid, without the database',
    async (token) => {
      const { status, headers, json } = await api.call('GET', '/v1/me', { token })
      expect(status).toBe(401)
      expect(json.code).toBe(token === '' ? 'auth.invalid' : 'auth.invalid')
      expect(headers['www-authenticate']).toContain('error="invalid_token"')
    },
  )

  test('with another scheme is told that it is not valid', async () => {
    const { json } = await api.call('GET', '/v1/me', {
      token: null,
      headers: { authorization: 'Basic YTpi' },
    })
    expect(json.code).toBe('auth.invalid')
  })

  test('with a token is known by it', async () => {
    const token = await api.token(['viewer', 'approver'], {
      type: 'svc',
      scope: { matchLabels: { team: 'a' } },
    })
    const { status, json } = await api.call('GET', '/v1/me', { token })
    expect(status).toBe(200)
    expect(json).toMatchObject({
      type: 'service',
      roles: ['viewer', 'approver'],
      scope: { matchLabels: { team: 'a' } },
      consumer: null,
    })
    expect(Date.parse(json.expiresAt)).toBeGreaterThan(Date.now() + 89 * 24 * hour)
  })

  test('of a role that may not is told which role may', async () => {
    const token = await api.token(['viewer'])
    const { status, json } = await api.call('GET', '/v1/api-keys', { token })
    expect(status).toBe(403)
    expect(json).toMatchObject({ code: 'auth.denied', detail: 'This needs the role admin.' })
  })

  test('carries its id back, its own where it is harmless', async () => {
    const kept = await api.call('GET', '/v1/me', { headers: { 'x-request-id': 'build-42.a_b' } })
    expect(kept.headers['x-request-id']).toBe('build-42.a_b')
    for (const bad of ['a b', '"x"', 'é', 'x'.repeat(65)]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { headers } = await api.call('GET', '/v1/me', { headers: { 'x-request-id': bad } })
      expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
    }
  })
})

describe('a token', () => {
  test('is dead when it has expired', async () => {
    const token = await api.token(['viewer'], { expiresIn: '1h' })
    expect((await api.call('GET', '/v1/me', { token })).status).toBe(200)
    api.house.clock.turnProcess(hour + 1000)
    expect((await api.call('GET', '/v1/me', { token })).json.code).toBe('auth.invalid')
    api.house.clock.turnProcess(-hour - 1000)
  })

  test('is dead as soon as it is deleted', async () => {
    const token = await api.token(['viewer'])
    const { id } = (await api.call('GET', '/v1/me', { token })).json
    const deleted = await api.call('DELETE', `/v1/api-keys/${id}`)
    expect(deleted.status).toBe(200)
    expect(deleted.json.audit.eventId).toMatch(/^[0-9a-f-]{36}$/)
    expect((await api.call('GET', '/v1/me', { token })).status).toBe(401)
    expect((await api.call('DELETE', `/v1/api-keys/${id}`)).status).toBe(404)
  })

  test('works only from its addresses', async () => {
    const token = await api.token(['viewer'], {
      addresses: ['10.1.0.0/16', '2001:db8::/32', '192.0.2.7'],
    })
    const from = async (address: string) =>
      (await api.call('GET', '/v1/me', { token, from: address })).status
    expect(await from('10.1.255.255')).toBe(200)
    expect(await from('::ffff:10.1.0.1')).toBe(200)
    expect(await from('2001:db8::1')).toBe(200)
    expect(await from('192.0.2.7')).toBe(200)
    expect(await from('10.2.0.1')).toBe(401)
    expect(await from('192.0.2.8')).toBe(401)
    expect(await from('::1')).toBe(401)
  })

  test('is not believed to come from where X-Forwarded-For says, without a trusted proxy', async () => {
    const token = await api.token(['viewer'], { addresses: ['10.1.0.1'] })
    const headers = { 'x-forwarded-for': '10.1.0.1' }
    expect((await api.call('GET', '/v1/me', { token, from: '10.9.9.9', headers })).status).toBe(401)
    const behind = await openApi({ config: { trustedProxy: '10.9.0.0/16' } })
    const theirs = await behind.token(['viewer'], { addresses: ['10.1.0.1'] })
    expect(
      (await behind.call('GET', '/v1/me', { token: theirs, from: '10.9.9.9', headers })).status,
    ).toBe(200)
    expect(
      (await behind.call('GET', '/v1/me', { token: theirs, from: '10.8.9.9', headers })).status,
    ).toBe(401)
    await behind.close()
  })

  test('never stands in the log', async () => {
    const token = await api.token(['viewer'])
    await api.call('GET', '/v1/keys?limit=0', { token })
    await api.call('GET', '/v1/api-keys', { token })
    await api.call('GET', '/v1/me', { token: `${token}x` })
    expect(api.logged.length).toBeGreaterThan(0)
    expect(api.logged.join('')).not.toContain(token.slice(10))
  })
})

describe('the audit log', () => {
  test('has who was denied, and what for', async () => {
    const token = await api.token(['viewer'])
    const { json: me } = await api.call('GET', '/v1/me', { token })
    const { headers } = await api.call('POST', '/v1/api-keys', {
      token,
      body: { name: 'secret-of-mine' },
    })
    const [event] = await api.house.events({ actor: me.id })
    expect(event).toMatchObject({
      action: 'request.denied',
      outcome: 'denied',
      target: { kind: 'request', id: headers['x-request-id'], name: 'POST /v1/api-keys' },
      after: { code: 'auth.denied' },
      requestId: headers['x-request-id'],
    })
    expect(JSON.stringify(event)).not.toContain('secret-of-mine')
  })

  test('has what was malformed by code and pointer, never by value', async () => {
    const token = await api.token(['admin'])
    const { json: me } = await api.call('GET', '/v1/me', { token })
    await api.call('POST', '/v1/api-keys', {
      token,
      body: { name: 'Not A Name', hunter2: 'swordfish' },
    })
    const [event] = await api.house.events({ actor: me.id })
    expect(event).toMatchObject({
      action: 'request.invalid',
      outcome: 'failed',
      after: { code: 'request.invalid' },
    })
    expect(JSON.stringify(event)).toContain('/name')
    expect(JSON.stringify(event)).not.toMatch(/Not A Name|swordfish/)
  })

  test('has one event a source and minute for requests without a valid token', async () => {
    const flooded = await openApi()
    const leaked = await flooded.token(['viewer'], { addresses: ['192.0.2.1'] })
    for (let i = 0; i < 20; i++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await flooded.call('GET', '/v1/me', { token: null, from: '203.0.113.5' })
    }
    await flooded.call('GET', '/v1/keys', { token: leaked, from: '203.0.113.5' })
    await flooded.call('GET', '/v1/me', { token: 'nonsense', from: '203.0.113.6' })
    await flooded.app.close()
    const events = await flooded.house.events({ action: 'request.denied' })
    expect(events.map((e) => e.target.name).toSorted()).toEqual(['203.0.113.5', '203.0.113.6'])
    const [five] = events.filter((e) => e.target.name === '203.0.113.5')
    expect(five).toMatchObject({
      outcome: 'denied',
      after: {
        source: '203.0.113.5',
        count: 21,
        reasons: { missing: 20, address: 1 },
        apiKeys: [expect.any(String)],
      },
    })
    await flooded.house.shut()
  })
})
