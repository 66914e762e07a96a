// A signing key as those see it who verify its tokens: `jose` fetches the set that Rekey serves, keeps it as long as it is
// told, and takes or refuses tokens at every step of a rotation.

import { createServer, type Server } from 'node:http'
import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  type JSONWebKeySet,
  jwtVerify,
} from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'

const issuer = 'https://id.example.com'
const audience = 'https://orders.example.com'
const minute = 60_000
const hour = 60 * minute

let api: RunningApi
let signer: string
beforeAll(async () => {
  api = await openRunningApi({ allow: ['127.0.0.1'] })
  signer = await api.token(['consumer'], { type: 'svc', consumer: 'shop' })
  await api.put('/v1/consumers/shop', { owner: 'team-shop', labels: { uses: 'tokens' } })
  await connect('id', {})
})
afterAll(() => api.close())

const connect = (name: string, more: object) =>
  api.put(`/v1/connections/${name}`, {
    provider: 'jwks',
    settings: { issuer, cacheMaxAge: '2m', tokenLifetime: '5m', ...more },
  })

/** A key with its policy: the shortest waits that a policy may ask for. */
const makeKey = async (
  name: string,
  {
    spec = {},
    connection = 'id',
    generate = {},
  }: { spec?: object; connection?: string; generate?: object } = {},
) => {
  await api.post('/v1/keys', {
    name,
    connection,
    type: 'jwks.signing',
    ref: { audiences: [audience] },
    purpose: 'tokens',
    owner: 'team',
    environment: 'test',
    labels: { set: name },
    consumers: ['shop'],
    create: true,
    generate,
  })
  await api.put(`/v1/policies/${name}`, {
    selector: { matchLabels: { set: name } },
    manual: true,
    overlap: { min: '0s' },
    soak: '1m',
    retire: 'destroy',
    ...spec,
  })
}

const ask = (key: string, claims: unknown, more: object = {}) =>
  api.call('POST', `/v1/keys/${key}/signatures`, {
    token: signer,
    body: { input: Buffer.from(JSON.stringify(claims)).toString('base64'), ...more },
  })
const sign = async (key: string, claims: object = { sub: 'order-1' }): Promise<string> => {
  const { status, json, text } = await ask(key, claims)
  expect(status, text).toBe(200)
  return Buffer.from(json.output, 'base64').toString()
}
/** Without a token: verifiers have none. */
const fetchSet = (connection = 'id') => api.call('GET', `/jwks/${connection}`, { token: null })
const kidsOf = ({ json }: { json: JSONWebKeySet }) => json.keys.map(({ kid }) => kid)
const verify = (set: JSONWebKeySet, token: string, at = api.house.clock.now()) =>
  jwtVerify(token, createLocalJWKSet(set), { issuer, audience, currentDate: at })

/** A verifier that keeps what it fetched as long as it may, and no shorter. */
const makeVerifier = (connection = 'id') => {
  let kept: { readonly set: JSONWebKeySet; readonly until: number } | null = null
  return async (token: string) => {
    const now = api.house.clock.now().getTime()
    if (kept === null || kept.until <= now) {
      const { headers, json } = await fetchSet(connection)
      const seconds = Number(/^public, max-age=(\d+)$/.exec(headers['cache-control'] ?? '')?.[1])
      kept = { set: json, until: now + seconds * 1_000 }
    }
    return verify(kept.set, token)
  }
}

test('a set holds public members only, and nobody needs a token for it', async () => {
  await makeKey('shown')
  const { status, json, headers } = await fetchSet()
  expect(status).toBe(200)
  expect(headers['cache-control']).toBe('public, max-age=120')
  for (const key of json.keys) {
    expect(Object.keys(key).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    expect(key).toMatchObject({ alg: 'ES256', use: 'sig' })
  }
  expect((await fetchSet('nothing')).status).toBe(404)
})

test('of a connection of another provider there is no set', async () => {
  await api.put('/v1/connections/vault', { provider: 'local' })
  expect((await fetchSet('vault')).status).toBe(404)
})

test.each(['ES256', 'EdDSA', 'RS256', 'PS256'])(
  '%s tokens are verified by jose',
  async (algorithm) => {
    const name = `alg-${algorithm.toLowerCase()}`
    await makeKey(name, { generate: { algorithm } })
    const token = await sign(name)
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: algorithm, typ: 'JWT' })
    await verify((await fetchSet()).json, token)
  },
)

describe('a key signs for its issuer and audiences, and nothing else', () => {
  beforeAll(() => makeKey('bound'))
  const now = () => Math.floor(api.house.clock.now().getTime() / 1_000)

  test('what is missing is added', async () => {
    const since = now()
    const { iat = 0, ...claims } = decodeJwt(await sign('bound', { sub: 'x', role: 'reader' }))
    expect(iat).toBeGreaterThanOrEqual(since)
    expect(iat).toBeLessThanOrEqual(now())
    expect(claims).toEqual({ sub: 'x', role: 'reader', iss: issuer, aud: audience, exp: iat + 300 })
  })

  test.each([
    ['another issuer', { iss: 'https://evil.example.com' }, 'iss'],
    ['another audience', { aud: 'https://mail.example.com' }, 'aud'],
    ['one audience too many', { aud: [audience, 'https://mail.example.com'] }, 'aud'],
    ['no audience', { aud: [] }, 'aud'],
    ['a time long ago', { iat: 1 }, 'iat'],
    ['a life that is too long', { exp: 9_999_999_999 }, 'exp'],
    ['a life that is over', { exp: 1 }, 'exp'],
    ['words for a time', { exp: 'tomorrow' }, 'exp'],
    ['a beginning after the end', { nbf: 9_999_999_999 }, 'nbf'],
  ])('%s is refused', async (_what, claims, claim) => {
    const { status, json } = await ask('bound', claims)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    expect(json.hint).toMatch(claim)
  })

  test.each([['text'], [[1]], [null], [7]])('%j is no set of claims', async (claims) => {
    const { status } = await ask('bound', claims)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
  })
})

test('through a whole rotation no token is refused that a verifier should take, whatever it keeps', async () => {
  await makeKey('orders')
  const patient = makeVerifier()
  const before = await sign('orders')
  await patient(before)
  const id = await api.rotate('orders')

  // Published, and it does not sign.
  await api.until(id, ['promoting'])
  const published = kidsOf(await fetchSet())
  const oldKid = decodeProtectedHeader(before).kid
  expect(published).toContain(oldKid)
  const { json: waits } = await api.call('GET', `/v1/rotations/${id}`)
  expect(waits.waitingFor).toMatchObject({ gate: 'propagation' })
  const second = await ask('orders', {}, { version: 2 })
  expect(second.status).toBe(409)
  for (let passed = 0; passed < 2 * minute; passed += minute) {
    expect((await api.rotation(id)).phase).toBe('promoting')
    const token = await sign('orders')
    expect(decodeProtectedHeader(token).kid).toBe(oldKid)
    await patient(token)
    await api.house.clock.advance(minute)
    await api.drain()
  }

  // Signing. The old one is only verified, until its last token is over.
  await api.until(id, ['overlapping'])
  const after = await sign('orders')
  const newKid = decodeProtectedHeader(after).kid
  expect(newKid).not.toBe(oldKid)
  await patient(after)
  await verify((await fetchSet()).json, before)
  expect((await ask('orders', {}, { version: 1 })).status).toBe(409)
  const promotedAt = api.house.clock.now().getTime()
  await api.until(id, ['soaking'], { stepMs: minute })
  // Five minutes of life, two of caches, one of skew.
  expect(api.house.clock.now().getTime() - promotedAt).toBeGreaterThanOrEqual(8 * minute)

  // Removed: whoever fetches the set anew refuses a token that the old key signs.
  const removed = await fetchSet()
  expect(kidsOf(removed)).toContain(newKid)
  expect(kidsOf(removed)).not.toContain(oldKid)
  await expect(
    verify(removed.json, before, new Date(Date.parse('2000-01-01'))),
  ).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })

  const ended = await api.until(id, 'end', { stepMs: minute })
  expect(ended.phase).toBe('completed')
  await patient(await sign('orders'))
  const keyId = ended.keyId
  expect(await api.house.vault.open(keyId, 1, true)).toBeNull()
  expect((await api.house.vault.list(keyId)).map(({ state }) => state)).toEqual([
    'destroyed',
    'enabled',
  ])
})

describe('undo', () => {
  test('before it signs, the new key leaves the set and nobody has seen a token of it', async () => {
    await makeKey('back-early')
    const id = await api.rotate('back-early')
    await api.until(id, ['promoting'])
    const during = kidsOf(await fetchSet()).length
    await api.post(`/v1/rotations/${id}/rollback`, { reason: 'not now' })
    expect((await api.until(id, 'end')).phase).toBe('rolledBack')
    expect(kidsOf(await fetchSet())).toHaveLength(during - 1)
    await verify((await fetchSet()).json, await sign('back-early'))
  })

  test('once it has signed, its tokens are honoured to their end after the swap back', async () => {
    await makeKey('back-late')
    const id = await api.rotate('back-late')
    await api.until(id, ['overlapping'], { stepMs: minute })
    const token = await sign('back-late')
    const newKid = decodeProtectedHeader(token).kid
    await api.post(`/v1/rotations/${id}/rollback`, { reason: 'a bad library' })
    await api.drain()
    expect(decodeProtectedHeader(await sign('back-late')).kid).not.toBe(newKid)
    for (let passed = 0; passed < 4 * minute; passed += minute) {
      await verify((await fetchSet()).json, token)
      await api.house.clock.advance(minute - 1_000)
      await api.drain()
      expect((await api.rotation(id)).phase).toBe('rollingBack')
    }
    const ended = await api.until(id, 'end', { stepMs: minute })
    expect(ended.phase).toBe('rolledBack')
    expect(kidsOf(await fetchSet())).not.toContain(newKid)
  })

  test('an old key that was removed signs again only when every cache knows it again', async () => {
    await makeKey('back-soak', { spec: { soak: '1h' } })
    const old = decodeProtectedHeader(await sign('back-soak')).kid
    const id = await api.rotate('back-soak')
    await api.until(id, ['soaking'], { stepMs: minute })
    const keeps = makeVerifier()
    await keeps(await sign('back-soak'))
    await api.post(`/v1/rotations/${id}/rollback`, { reason: 'a client was forgotten' })
    const kids = new Set<string | undefined>()
    for (let passed = 0; passed < 5; passed++) {
      await api.drain()
      const token = await sign('back-soak')
      kids.add(decodeProtectedHeader(token).kid)
      await keeps(token)
      await api.house.clock.advance(minute)
    }
    expect([...kids].at(-1)).toBe(old)
    expect(kids.size).toBe(2)
  })
})

test('when it is due it rotates by itself, and the old key is removed and destroyed', async () => {
  await makeKey('due', { spec: { manual: undefined, maxAge: '10d' } })
  const [before] = kidsOf(await fetchSet())
  await api.house.clock.advance(10 * 24 * hour)
  await api.drain()
  const { json } = await api.call('GET', '/v1/rotations?key=due')
  expect(json.items).toMatchObject([{ trigger: 'maxAge' }])
  const old = await sign('due')
  expect((await api.reach(json.items[0].id, 'end')).phase).toBe('completed')
  const set = await fetchSet()
  await expect(verify(set.json, await sign('due'))).resolves.toBeDefined()
  await expect(verify(set.json, old)).rejects.toThrow()
  expect(before).toBeDefined()
  const versions = await api.call('GET', '/v1/keys/due/versions')
  expect(versions.json.items.map(({ state }: { state: string }) => state).toSorted()).toEqual([
    'active',
    'destroyed',
  ])
})

test('past its notAfter a key neither signs nor is published, with no worker running', async () => {
  await connect('short', { notAfter: '30d' })
  await makeKey('ends', { connection: 'short' })
  const token = await sign('ends')
  await api.house.clock.advance(30 * 24 * hour - minute)
  const { json, headers } = await fetchSet('short')
  expect(json.keys).toHaveLength(1)
  expect(headers['cache-control']).toMatch(/^public, max-age=(60|5\d)$/)
  const last = decodeJwt(await sign('ends'))
  expect((last.exp ?? 0) - (last.iat ?? 0)).toBeLessThanOrEqual(60)
  await api.house.clock.advance(minute)
  expect((await fetchSet('short')).json.keys).toEqual([])
  const refused = await ask('ends', {})
  expect(refused.status).toBe(409)
  expect(refused.json.detail).toMatch(/past its notAfter/)
  await expect(verify((await fetchSet('short')).json, token)).rejects.toThrow()
  const { json: checked } = await api.post('/v1/connections/short/checks', {})
  expect(checked.items.find(({ name }: { name: string }) => name === 'notAfter')).toMatchObject({
    outcome: 'missing',
  })
})

describe('a public copy', () => {
  let server: Server
  let url: string
  let copy: { body: unknown; headers: Record<string, string>; status: number }
  beforeAll(async () => {
    copy = { body: { keys: [] }, headers: {}, status: 200 }
    server = createServer((_request, response) => {
      response.writeHead(copy.status, { 'content-type': 'application/json', ...copy.headers })
      response.end(typeof copy.body === 'string' ? copy.body : JSON.stringify(copy.body))
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const address = server.address()
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/jwks.json`
  })
  afterAll(() => server.close())

  test('what it lets caches keep is waited for, and a key that it does not show does not sign', async () => {
    await connect('cdn', { publicUrl: url })
    await makeKey('behind-cdn', {
      connection: 'cdn',
      spec: { retry: { attempts: 2, initial: '1s', max: '1s' } },
    })
    copy = {
      body: (await fetchSet('cdn')).json,
      headers: { 'cache-control': 'max-age=60, s-maxage=120, stale-while-revalidate=60' },
      status: 200,
    }
    const first = decodeProtectedHeader(await sign('behind-cdn')).kid
    const id = await api.rotate('behind-cdn')
    await api.until(id, ['promoting'])
    const since = api.house.clock.now().getTime()
    const stalled = await api.until(id, ['stalled'], { stepMs: 30_000 })
    expect(api.house.clock.now().getTime() - since).toBeGreaterThanOrEqual(3 * minute)
    expect(stalled).toMatchObject({ stalledIn: 'promoting' })
    expect(stalled.stalledReason).toMatch(/does not show the new key/)
    expect(decodeProtectedHeader(await sign('behind-cdn')).kid).toBe(first)

    copy = { ...copy, body: (await fetchSet('cdn')).json }
    await api.post(`/v1/rotations/${id}/resume`, { reason: 'the CDN is up to date' })
    await api.until(id, ['overlapping'], { stepMs: minute })
    expect(decodeProtectedHeader(await sign('behind-cdn')).kid).not.toBe(first)
  })

  test.each([
    ['an error', { status: 503 }],
    ['a page of HTML', { body: '<html>no</html>' }],
    ['something else', { body: { hello: 'world' } }],
  ])('%s instead of a set is told by the checks of the connection', async (what, change) => {
    const name = what.replaceAll(' ', '-').toLowerCase()
    copy = { body: {}, headers: {}, status: 200, ...change }
    await connect(name, { publicUrl: url })
    const { json } = await api.post(`/v1/connections/${name}/checks`, {})
    expect(json.items.some(({ outcome }: { outcome: string }) => outcome === 'missing')).toBe(true)
  })
})

test('no reply and no record carries a private key', async () => {
  await makeKey('kept')
  await sign('kept')
  await ask('kept', { exp: 1 })
  const seen = [
    (await fetchSet()).text,
    (await api.call('GET', '/v1/keys/kept')).text,
    (await api.call('GET', '/v1/keys/kept/versions')).text,
    JSON.stringify(await api.house.events()),
    api.logged.join('\n'),
  ].join('\n')
  const key = await api.house.ledger.read((db) => db.keys.byName('kept'))
  const material = await api.house.vault.open(key?.id ?? '', 1)
  if (!material) throw new Error('there is no material')
  for (const encoding of ['base64', 'base64url', 'hex'] as const)
    expect(seen).not.toContain(Buffer.from(material.reveal()).toString(encoding).slice(40, 100))
  expect(seen).not.toContain('"d":')
})
