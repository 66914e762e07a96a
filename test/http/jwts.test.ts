// JWTs as tokens, against an issuer of the test's own: who gets in, and every way of RFC 8725 to get in without the right.

import { createHmac } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { decodeJwt, exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Issuer } from '#domain/issuer.ts'
import { openApi, type Api } from '../support/http.ts'
import { audience, json, startIssuer, type TestIssuer } from '../support/issuer.ts'

let api: Api
let issuer: TestIssuer
beforeAll(async () => {
  api = await openApi({ allow: ['127.0.0.1'] })
})
afterAll(() => api.close())
// An issuer of its own for each test: what Rekey knows of one is kept.
beforeEach(async () => {
  issuer = await startIssuer(() => api.house.clock.now())
  await believe([shop()])
})
afterEach(() => issuer.close())

type Rule = Issuer['claims'][number]
const shop = (rules: readonly Rule[] = [{ match: { sub: 'repo:acme/*' }, roles: ['viewer'] }]) => ({
  issuer: issuer.url,
  audience,
  claims: rules,
})
const put = (items: readonly unknown[], query = '') =>
  api.call('PUT', `/v1/issuers${query}`, { body: { items }, headers: { 'if-match': '*' } })
const believe = async (items: readonly unknown[]) => {
  const { status, text } = await put(items)
  expect(status, text).toBe(200)
}
const me = (token: string) => api.call('GET', '/v1/me', { token })
const minutes = (n: number) => n * 60_000
const endOf = (token: string): string => new Date(Number(decodeJwt(token).exp) * 1000).toISOString()

const part = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

describe('a JWT of an issuer that is believed', () => {
  test('is known by issuer and subject, with the roles, the scope and the end of its rules', async () => {
    await believe([
      shop([
        {
          match: { repository: 'acme/shop', groups: ['ops', 'dev-*'] },
          roles: ['viewer'],
          scope: { matchLabels: { team: 'shop' } },
          name: 'email',
          type: 'service',
        },
        {
          match: { sub: 'repo:acme/*' },
          roles: ['operator'],
          scope: { matchLabels: { team: 'shop' } },
        },
        { match: { sub: 'repo:acme/*' }, roles: ['auditor'] },
      ]),
    ])
    const token = await issuer.sign({
      repository: 'acme/shop',
      groups: ['x', 'dev-7'],
      email: 'ada@acme.example',
    })
    const { status, json: told } = await me(token)
    expect(status).toBe(200)
    expect(told).toEqual({
      id: `${issuer.url}#repo:acme/shop`,
      name: 'ada@acme.example',
      type: 'service',
      roles: ['viewer', 'operator'],
      scope: { matchLabels: { team: 'shop' } },
      consumer: null,
      keys: null,
      expiresAt: endOf(token),
    })
  })

  test('of a Kubernetes service account is known by claims within claims', async () => {
    await believe([
      shop([
        {
          match: {
            '/kubernetes.io/namespace': 'shop',
            '/kubernetes.io/serviceaccount/name': 'api',
          },
          roles: ['consumer'],
          consumer: 'shop-api',
        },
      ]),
    ])
    const claims = (namespace: string) => ({
      sub: `system:serviceaccount:${namespace}:api`,
      aud: ['https://kubernetes.default.svc', audience],
      'kubernetes.io': { namespace, serviceaccount: { name: 'api', uid: 'u' } },
    })
    expect((await me(await issuer.sign(claims('shop')))).json).toMatchObject({
      roles: ['consumer'],
      consumer: 'shop-api',
    })
    expect((await me(await issuer.sign(claims('other')))).status).toBe(401)
  })

  test.each(['RS256', 'PS512', 'ES384', 'EdDSA'])('may be signed by %s', async (alg) => {
    await issuer.addKey('k2', alg)
    const { status } = await me(await issuer.sign({}, { alg, signedWith: 'k2', typ: 'at+jwt' }))
    expect(status).toBe(200)
  })

  test('may do what its roles may, leaves its id in the log, and makes no token that outlives it', async () => {
    await believe([shop([{ match: { sub: 'repo:acme/shop' }, roles: ['admin'] }])])
    const token = await issuer.sign()
    const longer = await api.call('POST', '/v1/api-keys', {
      token,
      body: { name: 'longer', type: 'svc', roles: ['viewer'], expiresIn: '1h' },
    })
    expect(longer.json).toMatchObject({ status: 403, errors: [{ pointer: '/expiresIn' }] })
    const made = await api.call('POST', '/v1/api-keys', {
      token,
      body: { name: 'made', type: 'svc', roles: ['viewer'] },
    })
    expect(made.status).toBe(201)
    expect(made.json).toMatchObject({
      createdBy: `${issuer.url}#repo:acme/shop`,
      expiresAt: endOf(token),
    })
    const [event] = await api.house.events({ actor: `${issuer.url}#repo:acme/shop` })
    const found = await api.call(
      'GET',
      `/v1/audit/events?actor=${encodeURIComponent(made.json.createdBy)}`,
    )
    expect(found.json.items[0].id).toBe(event?.id)
    expect(event).toMatchObject({ action: 'apiKey.created', actor: { name: 'repo:acme/shop' } })
  })

  test('has no longer what the list does not give it any more', async () => {
    const token = await issuer.sign()
    expect((await me(token)).status).toBe(200)
    await believe([])
    expect((await me(token)).json).toMatchObject({
      status: 401,
      detail: expect.stringMatching(/issuer/),
    })
  })

  test('is taken 30 seconds early and late, and not more', async () => {
    // Ten seconds to spare on either side of the thirty: a slow machine is no attack.
    for (const [claims, status] of [
      [(at: number) => ({ exp: at - 20 }), 200],
      [(at: number) => ({ exp: at - 31 }), 401],
      [(at: number) => ({ nbf: at + 29 }), 200],
      [(at: number) => ({ nbf: at + 40 }), 401],
      [(at: number) => ({ iat: at + 40 }), 401],
      [(at: number) => ({ iat: at - 86_400 - 31, exp: at + 60 }), 401],
    ] as const) {
      const given = claims(issuer.seconds())
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect((await me(await issuer.sign(given))).status, claims.toString()).toBe(status)
    }
  })

  test('hides nothing in the name that it gives itself', async () => {
    await believe([shop([{ match: { sub: 'repo:acme/*' }, roles: ['viewer'], name: 'email' }])])
    for (const email of ['a\nb', 'a\u0000', '\u202Eadmin', 'x'.repeat(201), { first: 'a' }, '']) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect((await me(await issuer.sign({ email }))).json.name).toBe('repo:acme/shop')
    }
  })
})

describe('a JWT is refused, and nothing executed,', () => {
  const attacks: Readonly<
    Record<string, readonly [why: string, make: () => Promise<string> | string]>
  > = {
    'without a signature (alg none)': [
      'jwt.algorithm',
      () =>
        new UnsecuredJWT({ sub: 'repo:acme/shop' })
          .setIssuer(issuer.url)
          .setAudience(audience)
          .setIssuedAt()
          .setExpirationTime('5m')
          .encode(),
    ],
    'with a signature and alg none': [
      'jwt.algorithm',
      async () => reheaded(await issuer.sign(), { alg: 'none' }),
    ],
    'signed by HMAC with the public key as the secret': [
      'jwt.algorithm',
      async () => {
        const spki = await exportSPKI(publicKey())
        const [, body] = (await issuer.sign()).split('.')
        const head = `${part({ alg: 'HS256', kid: 'k1' })}.${body}`
        return `${head}.${createHmac('sha256', spki).update(head).digest('base64url')}`
      },
    ],
    'with a key of its own in the header (jwk)': [
      'jwt.header',
      async () => foreign({ jwk: await exportJWK(await another()) }),
    ],
    'with an address of keys in the header (jku)': [
      'jwt.header',
      () => issuer.sign({}, { jku: `${issuer.url}/keys` }),
    ],
    'with an address of certificates in the header (x5u)': [
      'jwt.header',
      () => issuer.sign({}, { x5u: issuer.url }),
    ],
    'with certificates in the header (x5c)': [
      'jwt.header',
      () => issuer.sign({}, { x5c: ['MII'] }),
    ],
    'with what must be understood and is not (crit)': [
      'jwt.header',
      () => issuer.sign({}, { crit: ['urn:x'], 'urn:x': 1 }),
    ],
    'around another token (cty)': ['jwt.header', () => issuer.sign({}, { cty: 'JWT' })],
    encrypted: ['jwt.malformed', () => `${part({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a.b.c.d`],
    'of another kind (a logout token)': ['jwt.kind', () => issuer.sign({}, { typ: 'logout+jwt' })],
    'signed by somebody else under a known kid': ['jwt.signature', () => foreign({ kid: 'k1' })],
    'signed by a key that its issuer does not have': ['jwt.key', () => foreign({ kid: 'unheard' })],
    'with a kid that is a path': ['jwt.key', () => foreign({ kid: '../../dev/null' })],
    'with a kid that is SQL': ['jwt.key', () => foreign({ kid: "x' UNION SELECT 'k1" })],
    'with a kid that is no text': [
      'jwt.key',
      async () => reheaded(await issuer.sign(), { alg: 'ES256', kid: ['k1'] }),
    ],
    'without a kid, where several keys could be it': [
      'jwt.key',
      async () => {
        await issuer.addKey('k2')
        return issuer.sign({}, { kid: undefined as never })
      },
    ],
    'of an algorithm that its key does not have': [
      'jwt.key',
      async () => reheaded(await issuer.sign(), { alg: 'RS256', kid: 'k1' }),
    ],
    'for another audience': ['jwt.audience', () => issuer.sign({ aud: 'sts.amazonaws.com' })],
    'for a list of other audiences': [
      'jwt.audience',
      () => issuer.sign({ aud: ['a', `${audience}.evil`] }),
    ],
    'without an audience': ['jwt.unnamed', () => issuer.sign({ aud: undefined })],
    'of another issuer': ['jwt.issuer', () => issuer.sign({ iss: 'https://evil.example' })],
    'of an issuer that only nearly is the one': [
      'jwt.issuer',
      () => issuer.sign({ iss: `${issuer.url}/` }),
    ],
    'of an issuer in a list': ['jwt.issuer', () => issuer.sign({ iss: [issuer.url] })],
    'without an issuer': ['jwt.issuer', () => issuer.sign({ iss: undefined })],
    'when it has expired': ['jwt.expired', () => issuer.sign({ exp: issuer.seconds() - 60 })],
    'before its time': ['jwt.early', () => issuer.sign({ nbf: issuer.seconds() + 60 })],
    'without an end': ['jwt.unnamed', () => issuer.sign({ exp: undefined })],
    'with an end that is a text': ['jwt.unnamed', () => issuer.sign({ exp: '9999999999' })],
    'with an end beyond all dates': ['jwt.unnamed', () => issuer.sign({ exp: 1e300 })],
    'without a beginning': ['jwt.unnamed', () => issuer.sign({ iat: undefined })],
    'without a subject': ['jwt.unnamed', () => issuer.sign({ sub: undefined })],
    'with a subject that no log could hold': [
      'jwt.unnamed',
      () => issuer.sign({ sub: 'repo:acme/\u0000' }),
    ],
    'with a subject that reads like another': [
      'jwt.unnamed',
      () => issuer.sign({ sub: 'repo:acme/sho\u200Bp' }),
    ],
    'with half a character in its subject': [
      'jwt.unnamed',
      () =>
        signedText(
          JSON.stringify({
            iss: issuer.url,
            aud: audience,
            iat: issuer.seconds(),
            exp: issuer.seconds() + 60,
            sub: 'repo:acme/X',
          }).replace('X', '\\ud800'),
        ),
    ],
    'with an empty subject': ['jwt.unnamed', () => issuer.sign({ sub: '' })],
    'with a subject beyond measure': ['jwt.unnamed', () => issuer.sign({ sub: 'x'.repeat(300) })],
    'whose claims give no role': ['jwt.unmapped', () => issuer.sign({ sub: 'repo:evil/shop' })],
    'whose claims have a name twice': [
      'jwt.malformed',
      async () => {
        const claims = {
          iss: issuer.url,
          aud: audience,
          iat: issuer.seconds(),
          exp: issuer.seconds() + 60,
        }
        return signedText(
          JSON.stringify({ ...claims, sub: 'repo:evil/x' }).replace(
            '}',
            ',"sub":"repo:acme/shop"}',
          ),
        )
      },
    ],
    'whose header has a name twice': [
      'jwt.malformed',
      async () => {
        const [, body, signature] = (await issuer.sign()).split('.')
        return `${part('{"alg":"none","alg":"ES256","kid":"k1"}')}.${body}.${signature}`
      },
    ],
    'whose claims are a list': ['jwt.malformed', () => signedText('["sub"]')],
    'whose claims are no UTF-8': [
      'jwt.malformed',
      async () => {
        const [head, , signature] = (await issuer.sign()).split('.')
        return `${head}.${Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')}.${signature}`
      },
    ],
    'written in another base64 than its own': [
      'jwt.malformed',
      async () => {
        const [head, body, signature] = (await issuer.sign()).split('.')
        return `${head}=.${body}.${signature}`
      },
    ],
    'whose claims were exchanged': [
      'jwt.signature',
      async () => {
        const [head, , signature] = (await issuer.sign()).split('.')
        const [, body] = (await issuer.sign({ sub: 'repo:acme/other' })).split('.')
        return `${head}.${body}.${signature}`
      },
    ],
    'whose signature was cut off': [
      'jwt.signature',
      async () => `${(await issuer.sign()).split('.').slice(0, 2).join('.')}.`,
    ],
    'longer than any should be': ['jwt.long', () => issuer.sign({ padding: 'x'.repeat(8_200) })],
    'nested deeper than any should be': [
      'jwt.malformed',
      () => signedText(`{"a":${'['.repeat(500)}${']'.repeat(500)}}`),
    ],
  }

  const sources = new Map<string, string>()
  const publicKey = () => {
    const pair = issuer.keys.get('k1')
    if (pair === undefined) throw new Error('no key')
    return pair.publicKey
  }
  const another = async () => (await generateKeyPair('ES256', { extractable: true })).publicKey
  const reheaded = (token: string, header: unknown) =>
    [part(header), ...token.split('.').slice(1)].join('.')
  const foreign = async (header: Readonly<Record<string, unknown>>) => {
    const { privateKey } = await generateKeyPair('ES256')
    const claims = {
      iss: issuer.url,
      aud: audience,
      sub: 'repo:acme/shop',
      iat: issuer.seconds(),
      exp: issuer.seconds() + 60,
    }
    return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', ...header }).sign(privateKey)
  }
  /** Claims as a text that no JSON.stringify would write, signed by the issuer all the same. */
  const signedText = async (claims: string) => {
    const pair = issuer.keys.get('k1')
    if (pair === undefined) throw new Error('no key')
    const head = `${part({ alg: 'ES256', kid: 'k1' })}.${part(claims)}`
    const signature = await crypto.subtle.sign(
      { name: 'ECDSA', hash: 'SHA-256' },
      pair.privateKey,
      Buffer.from(head),
    )
    return `${head}.${Buffer.from(signature).toString('base64url')}`
  }

  test.each(Object.entries(attacks))('%s', async (_name, [why, make]) => {
    const token = await make()
    const from = `10.0.0.${sources.size}`
    sources.set(from, why)
    const {
      status,
      headers,
      json: told,
      text,
    } = await api.call('PUT', '/v1/freeze', {
      token,
      from,
      body: { until: '2099-01-01T00:00:00Z', reason: 'an attack' },
    })
    expect({ status, code: told.code }).toEqual({ status: 401, code: 'auth.invalid' })
    expect(headers['www-authenticate']).toBe('Bearer realm="rekey", error="invalid_token"')
    for (const claim of ['acme', 'evil', issuer.url]) expect(text).not.toContain(claim)
    expect((await api.call('GET', '/v1/freeze')).json.code).toBe('resource.notFound')
  })

  test('and each is counted in the log, by its source and for what it was', async () => {
    api.house.clock.turnProcess(minutes(1))
    const told = async () =>
      (await api.house.events({ action: 'request.denied' }))
        .filter(({ target }) => target.name.startsWith('10.0.0.'))
        .map(({ target, after }) => [target.name, (after as { reasons: unknown }).reasons])
    // The housekeeping of the server writes minutes that are over, every few seconds.
    await expect.poll(async () => (await told()).length, { timeout: 50_000 }).toBe(sources.size)
    expect(Object.fromEntries(await told())).toEqual(
      Object.fromEntries([...sources].map(([from, why]) => [from, { [why]: 1 }])),
    )
  })
})

describe('the keys of an issuer', () => {
  test('are asked for once, by many at once, and again after ten minutes', async () => {
    const token = await issuer.sign()
    const all = await Promise.all(Array.from({ length: 20 }, () => me(token)))
    expect(all.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200))
    expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys'])
    api.house.clock.turnProcess(minutes(9))
    expect((await me(await issuer.sign())).status).toBe(200)
    expect(issuer.asked).toHaveLength(2)
    api.house.clock.turnProcess(minutes(1))
    expect((await me(await issuer.sign())).status).toBe(200)
    expect(issuer.asked).toHaveLength(4)
  })

  test('are asked for anew when a token names another, and not sooner than half a minute after the last time', async () => {
    expect((await me(await issuer.sign())).status).toBe(200)
    await issuer.addKey('k2')
    const token = await issuer.sign({}, { signedWith: 'k2' })
    expect((await me(token)).status).toBe(401)
    expect(issuer.asked).toHaveLength(2)
    api.house.clock.turnProcess(30_000)
    const all = await Promise.all(Array.from({ length: 20 }, () => me(token)))
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]))
    expect(issuer.asked).toHaveLength(4)
  })

  test('that it took back verify nothing once they were asked for again', async () => {
    await issuer.addKey('k2')
    const token = await issuer.sign({ exp: issuer.seconds() + 3_600 })
    expect((await me(token)).status).toBe(200)
    await issuer.dropKey('k1')
    api.house.clock.turnProcess(minutes(10))
    expect((await me(token)).json.code).toBe('auth.invalid')
  })

  test('serve for six hours while it is down, and then nobody can say whether a token holds', async () => {
    expect((await me(await issuer.sign())).status).toBe(200)
    issuer.answer('discovery', json('down', 502))
    api.house.clock.turnProcess(minutes(5 * 60))
    expect((await me(await issuer.sign())).status).toBe(200)
    expect(issuer.asked).toHaveLength(3)
    expect((await me(await issuer.sign())).status).toBe(200)
    expect(issuer.asked).toHaveLength(3)
    api.house.clock.turnProcess(minutes(61))
    const { status, headers, json: told } = await me(await issuer.sign())
    expect({ status, told }).toMatchObject({
      status: 503,
      told: {
        code: 'auth.issuerUnavailable',
        detail: "The keys of the token's issuer cannot be had: it answered 502.",
      },
    })
    expect(headers['retry-after']).toMatch(/^[0-9]+$/)
    await issuer.restore()
    api.house.clock.turnProcess(30_000)
    expect((await me(await issuer.sign())).status).toBe(200)
  })

  const bad: Readonly<Record<string, readonly [why: string, break_: () => void]>> = {
    'of a document for another issuer': [
      'its document names another issuer',
      () =>
        issuer.answer(
          'discovery',
          json({ issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/keys` }),
        ),
    ],
    'of a document without keys': [
      'its document names no keys',
      () => issuer.answer('discovery', json({ issuer: issuer.url })),
    ],
    'behind a redirect': [
      'it answered 302',
      () =>
        issuer.answer('discovery', (_request, reply) =>
          reply.writeHead(302, { location: `${issuer.url}/keys` }).end(),
        ),
    ],
    'at an address of metadata': [
      'its address is not dialled',
      () =>
        issuer.answer(
          'discovery',
          json({ issuer: issuer.url, jwks_uri: 'http://169.254.169.254/keys' }),
        ),
    ],
    'over plain http elsewhere': [
      'its address is not dialled',
      () =>
        issuer.answer(
          'discovery',
          json({ issuer: issuer.url, jwks_uri: 'http://keys.example.com/keys' }),
        ),
    ],
    'in a file': [
      'its address is not dialled',
      () =>
        issuer.answer('discovery', json({ issuer: issuer.url, jwks_uri: 'file:///etc/passwd' })),
    ],
    'in a document that never ends': [
      'what it answered is too long',
      () => issuer.answer('discovery', endless),
    ],
    'in a set that never ends': [
      'what it answered is too long',
      () => issuer.answer('/keys', endless),
    ],
    'that are too many': [
      'it has more than 100 keys',
      () =>
        issuer.answer('/keys', json({ keys: Array.from({ length: 101 }, () => ({ kty: 'EC' })) })),
    ],
    'that are secrets': [
      'it has no key that could verify a signature',
      () => issuer.answer('/keys', json({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'k1' }] })),
    ],
    'in no JSON': ['what it answered is not JSON', () => issuer.answer('/keys', json('<html>'))],
    compressed: [
      'the connection failed',
      () =>
        issuer.answer('/keys', (_request, reply) =>
          reply.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
        ),
    ],
    'of one that hangs up': [
      'the connection failed',
      () => issuer.answer('/keys', (request) => request.socket.destroy()),
    ],
  }
  const endless = (_request: unknown, reply: ServerResponse) => {
    const more = (): void => {
      while (!reply.destroyed && reply.write('x'.repeat(64 * 1024)));
      if (!reply.destroyed) reply.once('drain', more)
    }
    reply.writeHead(200)
    more()
  }

  test.each(Object.entries(bad))('%s are not taken', async (_name, [why, break_]) => {
    break_()
    const token = await issuer.sign()
    expect((await me(token)).json).toMatchObject({
      status: 503,
      code: 'auth.issuerUnavailable',
      detail: `The keys of the token's issuer cannot be had: ${why}.`,
    })
    const asked = issuer.asked.length
    expect((await me(token)).status).toBe(503)
    expect(issuer.asked).toHaveLength(asked)
  })

  test('of one that never answers are waited for a bounded time', async () => {
    const tokens = await issuer.sign()
    issuer.answer('discovery', () => undefined)
    const waiting = me(tokens)
    await expect.poll(() => issuer.asked.length).toBe(1)
    api.house.clock.turnProcess(0)
    expect((await waiting).json).toMatchObject({
      status: 503,
      detail: expect.stringContaining('no answer within 5 s'),
    })
  })
})
