// What holds for every resource: methods, media types, paging, preconditions, dry runs, limits. Shown on connections and
// tokens, since they need nothing else.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkBind } from '#http/check-bind.ts'
import { openApi, type Api } from '../support/http.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api.close())

describe('paths and methods', () => {
  test('that nobody knows are 404, with or without a token', async () => {
    for (const token of [null, undefined]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const answer = await api.call('GET', '/v1/nothing', token === null ? { token } : {})
      expect(answer).toMatchObject({ status: 404, json: { code: 'resource.notFound' } })
      expect(answer.json.hint).toContain('/docs')
    }
    expect((await api.call('GET', '/v1/connections/a/b')).status).toBe(404)
  })

  test('that a path does not take are 405 with those that it takes', async () => {
    const patch = await api.call('PATCH', '/v1/connections/x', { token: null })
    expect(patch).toMatchObject({ status: 405, json: { code: 'request.method' } })
    expect(patch.headers['allow']).toBe('DELETE, GET, HEAD, PUT')
    expect((await api.call('POST', '/v1/me', { raw: '{', token: null })).status).toBe(405)
    expect((await api.call('OPTIONS', '/v1/me')).headers['allow']).toBe('GET, HEAD')
    expect((await api.call('TRACE', '/livez')).status).toBe(405)
  })

  test('HEAD is GET without its body', async () => {
    const { status, text } = await api.call('HEAD', '/v1/me')
    expect({ status, text }).toEqual({ status: 200, text: '' })
    expect((await api.call('HEAD', '/v1/me', { token: null })).status).toBe(401)
  })

  test('that are no URL are 400', async () => {
    const answer = await api.call('GET', '/v1/keys/%zz')
    expect(answer).toMatchObject({
      status: 400,
      json: { code: 'request.invalid', requestId: expect.any(String) },
    })
  })
})

describe('replies', () => {
  test('say what is left of the rate, are not cached, and are safe to show', async () => {
    const { headers } = await api.call('GET', '/v1/me')
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'content-type': 'application/json; charset=utf-8',
    })
    expect(headers['ratelimit-policy']).toBe('"default";q=100000;w=60')
    expect(headers['ratelimit']).toMatch(/^"default";r=\d+;t=\d+$/)
  })

  test('after the last request of the minute are 429 until it is over', async () => {
    const small = await openApi({ config: { perMinute: 3 } })
    const other = await small.token(['viewer'])
    for (const left of [2, 1, 0]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { status, headers } = await small.call('GET', '/v1/me')
      expect(status).toBe(200)
      expect(headers['ratelimit']).toMatch(new RegExp(`^"default";r=${left};t=\\d+$`))
    }
    const refused = await small.call('GET', '/v1/me')
    expect(refused).toMatchObject({ status: 429, json: { code: 'request.rateLimited' } })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect((await small.call('GET', '/v1/me', { token: other })).status).toBe(200)
    expect((await small.call('GET', '/livez', { token: null })).status).toBe(200)
    await small.close()
  })

  test('to whom has no token are 429 after as many refusals', async () => {
    const small = await openApi({ config: { perMinute: 2 } })
    const statuses = []
    for (let i = 0; i < 4; i++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      statuses.push((await small.call('GET', '/v1/me', { token: null, from: '192.0.2.9' })).status)
    }
    expect(statuses).toEqual([401, 401, 429, 429])
    expect((await small.call('GET', '/v1/me', { from: '192.0.2.9' })).status).toBe(200)
    await small.close()
  })
})

test('load is shed, but not the load of the start, and never health', async () => {
  const busy = await openApi({ config: { maxEventLoopDelay: 5 } })
  await busy.app.listen({ host: '127.0.0.1', port: 0 })
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  // The mean delay is looked at once a second.
  const underLoad = () => {
    Atomics.wait(nothing, 0, 0, 200)
    return busy.app.isUnderPressure()
  }
  await expect.poll(underLoad).toBe(true)
  expect((await busy.call('GET', '/v1/me')).status).toBe(200)
  await busy.house.clock.advance(2_000)
  await expect.poll(underLoad).toBe(true)
  expect(await busy.call('GET', '/v1/me')).toMatchObject({
    status: 503,
    json: { code: 'service.unavailable', hint: expect.any(String) },
  })
  expect((await busy.call('GET', '/livez', { token: null })).status).toBe(200)
  await busy.close()
})

describe('what the fuzzer found', () => {
  test.each([
    [
      'a version beyond the column',
      '/v1/keys/orders/value?version=46243205704013',
      '/query/version',
    ],
    ['a version beyond all numbers', '/v1/keys/orders/value?version=2e31', '/query/version'],
    ['the year 0', '/v1/schedule?from=0000-01-01T00:00:00Z', '/query/from'],
    ['the year 10000 in UTC', '/v1/schedule?to=9999-12-31T23:59:59-01:00', '/query/to'],
    ['the year 0 in the log', '/v1/audit/events?from=0000-01-01T00:00:00Z', '/query/from'],
  ])('%s is malformed, and named', async (_, path, pointer) => {
    const answer = await api.call('GET', path)
    expect([answer.status, answer.json.errors?.[0]?.pointer], answer.text).toEqual([400, pointer])
  })

  test('an empty Last-Event-ID is none of this stream', async () => {
    const path = '/v1/rotations/01a214c2-32c0-7051-b212-1106795cc6da/events'
    const answer = await api.call('GET', path, { headers: { 'last-event-id': '' } })
    expect([answer.status, answer.json.errors?.[0]?.pointer], answer.text).toEqual([
      400,
      '/headers/Last-Event-ID',
    ])
  })
})

describe('query parameters', () => {
  test.each([
    ['/v1/connections?limit=0', '/query/limit'],
    ['/v1/connections?limit=201', '/query/limit'],
    ['/v1/connections?limit=ten', '/query/limit'],
    ['/v1/connections?limit=1&limit=2', '/query/limit'],
    ['/v1/connections?nope=1', '/query/nope'],
    ['/v1/connections?dryRun=all', '/query/dryRun'],
    ['/v1/connections?__proto__=1', '/query/__proto__'],
    ['/v1/me?x=%E2%80%AE', '/query/x'],
  ])('%s is 400', async (url, pointer) => {
    const { status, json } = await api.call('GET', url)
    expect(status).toBe(400)
    expect(json.code).toBe('request.invalid')
    expect(json.errors[0].pointer).toBe(pointer)
  })

  test('a near miss is told', async () => {
    const { json } = await api.call('GET', '/v1/connections?limt=5')
    expect(json.errors).toEqual([
      { pointer: '/query/limt', detail: 'unknown query parameter; did you mean limit?' },
    ])
  })
})

describe('lists', () => {
  beforeAll(async () => {
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await api.call('PUT', `/v1/connections/${name}`, { body: { provider: 'local' } })
    }
  })

  test('come in pages that hold everything once', async () => {
    const names: string[] = []
    let url = '/v1/connections?limit=2'
    for (let pages = 0; pages < 10; pages++) {
      // oxlint-disable-next-line no-await-in-loop -- a page names the next one
      const { json } = await api.call('GET', url)
      names.push(...json.items.map((item: { name: string }) => item.name))
      if (json.nextCursor === null) break
      url = `/v1/connections?limit=2&cursor=${json.nextCursor}`
    }
    expect(names).toEqual(['a1', 'a2', 'a3', 'a4', 'a5'])
  })

  test('take no cursor of another list, filter or hand', async () => {
    const { nextCursor } = (await api.call('GET', '/v1/connections?limit=1')).json
    const cursors: readonly (readonly [string, string])[] = [
      ['/v1/consumers', nextCursor],
      ['/v1/keys', nextCursor],
      ['/v1/connections', `${nextCursor}A`],
      ['/v1/connections', nextCursor.slice(0, -1)],
      ['/v1/connections', Buffer.from('a3').toString('base64url')],
      ['/v1/connections', 'a3'],
    ]
    for (const [path, cursor] of cursors) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { status, json } = await api.call('GET', `${path}?cursor=${cursor}`)
      expect({ path, status, code: json.code }).toEqual({
        path,
        status: 400,
        code: 'cursor.foreign',
      })
    }
    expect((await api.call('GET', `/v1/connections?cursor=${nextCursor}&limit=100`)).status).toBe(
      200,
    )
  })
})

describe('writes', () => {
  test('create with 201, Location, ETag and a receipt; the same again changes nothing', async () => {
    const body = { provider: 'local', labels: { team: 'x' } }
    const created = await api.call('PUT', '/v1/connections/fresh', { body })
    expect(created.status).toBe(201)
    expect(created.headers).toMatchObject({ location: '/v1/connections/fresh', etag: '"1"' })
    expect(created.json.audit).toEqual({
      eventId: expect.any(String),
      leafHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      writerKid: expect.any(String),
      writerSig: expect.any(String),
    })
    const again = await api.call('PUT', '/v1/connections/fresh', {
      body,
      headers: { 'if-match': '"1"' },
    })
    expect(again).toMatchObject({ status: 200, headers: { etag: '"1"' } })
    const changed = await api.call('PUT', '/v1/connections/fresh', {
      body: { provider: 'local' },
      headers: { 'if-match': '"1"' },
    })
    expect(changed).toMatchObject({ status: 200, headers: { etag: '"2"' } })
  })

  test('need If-Match with the present revision where the resource exists', async () => {
    const body = { provider: 'local' }
    await api.call('PUT', '/v1/connections/held', { body })
    const put = (headers: Readonly<Record<string, string>>) =>
      api.call('PUT', '/v1/connections/held', { body, headers })
    expect((await put({})).json).toMatchObject({ status: 428, code: 'precondition.required' })
    expect((await put({ 'if-match': '"7"' })).json).toMatchObject({
      status: 412,
      code: 'precondition.failed',
    })
    expect((await put({ 'if-match': '"foreign"' })).status).toBe(412)
    expect((await put({ 'if-match': '1' })).json).toMatchObject({
      status: 400,
      errors: [{ pointer: '/headers/If-Match' }],
    })
    expect((await put({ 'if-none-match': '*' })).status).toBe(412)
    expect((await put({ 'if-none-match': '"1"' })).status).toBe(400)
    expect((await put({ 'if-match': '"1"', 'if-none-match': '*' })).status).toBe(400)
    expect((await put({ 'if-match': '"9", "1"' })).status).toBe(200)
    expect((await put({ 'if-match': '*' })).status).toBe(200)
    expect(
      (await api.call('PUT', '/v1/connections/absent', { body, headers: { 'if-match': '"1"' } }))
        .status,
    ).toBe(412)
    expect(
      (await api.call('PUT', '/v1/connections/absent', { body, headers: { 'if-none-match': '*' } }))
        .status,
    ).toBe(201)
    expect((await api.call('DELETE', '/v1/connections/held')).status).toBe(428)
    expect(
      (await api.call('DELETE', '/v1/connections/held', { headers: { 'if-match': '"1"' } })).status,
    ).toBe(200)
    expect((await api.call('GET', '/v1/connections/held')).status).toBe(404)
  })

  test('on dryRun=all check everything and do nothing', async () => {
    const body = { provider: 'local' }
    const answer = await api.call('PUT', '/v1/connections/rehearsed?dryRun=all', { body })
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({ dryRun: true, name: 'rehearsed', provider: 'local' })
    expect(answer.headers['etag']).toBeUndefined()
    expect(answer.headers['location']).toBeUndefined()
    expect((await api.call('GET', '/v1/connections/rehearsed')).status).toBe(404)
    const [event] = await api.house.events({ action: 'request.rehearsed' })
    expect(event).toMatchObject({ id: answer.json.audit.eventId, target: { name: 'rehearsed' } })
    expect(
      (await api.call('PUT', '/v1/connections/rehearsed?dryRun=true', { body })).json,
    ).toMatchObject({
      status: 400,
      errors: [{ pointer: '/query/dryRun', detail: 'must be one of all' }],
    })
    const bad = await api.call('PUT', '/v1/connections/rehearsed?dryRun=all', {
      body: { provider: 'nobody' },
    })
    expect(bad.status).toBe(400)
    const viewer = await api.token(['viewer'])
    expect(
      (await api.call('PUT', '/v1/connections/rehearsed?dryRun=all', { body, token: viewer }))
        .status,
    ).toBe(403)
  })

  test('with no database to write to are not done, and said to be not done', async () => {
    const dark = await openApi()
    const [{ name } = {}] = await dark.house.sql('SELECT current_database() AS name')
    await dark.house.sql(`ALTER DATABASE ${String(name)} CONNECTION LIMIT 0`)
    await dark.house.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rekey_app' AND datname = current_database()",
    )
    const { status, json, headers } = await dark.call('PUT', '/v1/connections/x', {
      body: { provider: 'local' },
    })
    expect(status).toBe(503)
    expect(headers['retry-after']).toBe('5')
    expect(json.detail).toBe('The database cannot be reached')
    expect((await dark.call('GET', '/livez', { token: null })).status).toBe(200)
    await dark.house.sql(`ALTER DATABASE ${String(name)} CONNECTION LIMIT -1`)
    // Sessions that ended with the others may be found one by one.
    await expect.poll(async () => (await dark.call('GET', '/v1/connections/x')).status).toBe(404)
    await dark.close()
  })
})

describe('a bind', () => {
  const refused = { tls: false, trustedProxy: null }
  test.each(['127.0.0.1', '127.8.9.1', '::1', '[::1]', 'localhost', '::ffff:127.0.0.1'])(
    'to %s needs no TLS',
    (host) => {
      expect(() => checkBind({ host, ...refused })).not.toThrow()
    },
  )
  test.each([
    '0.0.0.0',
    '::',
    '10.0.0.1',
    'rekey.example.com',
    '128.0.0.1',
    'localhost.example.com',
  ])('to %s without TLS or a trusted proxy is refused', (host) => {
    expect(() => checkBind({ host, ...refused })).toThrow(/REKEY_TLS_CERT/)
    expect(() => checkBind({ host, tls: true, trustedProxy: null })).not.toThrow()
    expect(() => checkBind({ host, tls: false, trustedProxy: '10.0.0.0/8' })).not.toThrow()
  })
})
