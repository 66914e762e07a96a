// What verifiers were promised of a signing key holds when the settings change while it lives: in any order of changes,
// rotations, undoings and looks of verifiers that keep a set exactly as long as they were told, every token is taken until
// its end, and a version is gone at the end that it had when it was made.

import fc from 'fast-check'
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify } from 'jose'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isOpen } from '#domain/rotation-machine.ts'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'

const issuer = 'https://id.example.com'
const audience = 'https://orders.example.com'
const minute = 60_000

let api: RunningApi
let signer: string
beforeAll(async () => {
  api = await openRunningApi()
  signer = await api.token(['consumer'], { type: 'svc', consumer: 'shop' })
  await api.put('/v1/consumers/shop', { owner: 'team-shop', labels: {} })
})
afterAll(() => api.close())

interface Said {
  readonly cacheMaxAge: string
  readonly tokenLifetime: string
  readonly notAfter: string
}

type Deed =
  | { readonly what: 'say'; readonly said: Partial<Said> }
  /** `looks`: which of the verifiers have tokens to verify then. */
  | { readonly what: 'pass'; readonly minutes: number; readonly looks: readonly boolean[] }
  | { readonly what: 'rotate' | 'undo' }

const say = (said: Partial<Said>): Deed => ({ what: 'say', said })
const pass = (minutes: number, ...looks: readonly boolean[]): Deed => ({
  what: 'pass',
  minutes,
  looks,
})
const rotate: Deed = { what: 'rotate' }
const undo: Deed = { what: 'undo' }

/** Dozens of lives instead of two. */
const patient = process.env['REKEY_TESTS'] === 'all'

const first: Said = { cacheMaxAge: '2m', tokenLifetime: '5m', notAfter: '3h' }

const deeds = fc.array(
  fc.oneof(
    fc.record({
      what: fc.constant('say' as const),
      said: fc.record(
        {
          cacheMaxAge: fc.constantFrom('0s', '1m', '4m', '9m'),
          tokenLifetime: fc.constantFrom('1m', '5m', '12m'),
          notAfter: fc.constantFrom('20m', '3h', '1d'),
        },
        { requiredKeys: [] },
      ),
    }),
    fc.record({
      what: fc.constant('pass' as const),
      minutes: fc.integer({ min: 1, max: 4 }),
      looks: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
    }),
    fc.record({ what: fc.constantFrom('rotate' as const, 'rotate' as const, 'undo' as const) }),
  ),
  { minLength: 6, maxLength: 10 },
)

const changes: readonly (readonly [string, readonly Deed[]])[] = [
  [
    'caches were told nine minutes, and none before the rotation',
    [
      say({ cacheMaxAge: '9m' }),
      pass(1, true),
      say({ cacheMaxAge: '0s' }),
      rotate,
      pass(3, true),
      pass(7, true),
    ],
  ],
  [
    'caches are told nine minutes while a new key is published, and it is taken back',
    [rotate, say({ cacheMaxAge: '9m' }), pass(4, true), undo, say({ cacheMaxAge: '0s' }), pass(5)],
  ],
  [
    'tokens lived twelve minutes, and one before the rotation',
    [say({ tokenLifetime: '12m' }), pass(1), say({ tokenLifetime: '1m' }), rotate, pass(12)],
  ],
  [
    'tokens live twelve minutes once the rotation has begun',
    [say({ tokenLifetime: '1m' }), rotate, say({ tokenLifetime: '12m' }), pass(15)],
  ],
  [
    'tokens of a new key lived twelve minutes, and it is taken back',
    [
      rotate,
      pass(3),
      say({ tokenLifetime: '12m' }),
      pass(1),
      undo,
      say({ tokenLifetime: '1m' }),
      pass(11),
    ],
  ],
  ['the end comes nearer', [pass(4), say({ notAfter: '3m' }), pass(2)]],
  [
    'the end goes away',
    [say({ notAfter: '6m' }), rotate, pass(4), say({ notAfter: '1d' }), pass(4)],
  ],
]

let made = 0
test.each(changes)('what was promised holds where %s', (_what, chosen) =>
  live(`id-${(made += 1)}`, chosen),
)

test(
  'what was promised holds whatever is said, and when',
  () =>
    fc.assert(
      fc.asyncProperty(deeds, (chosen) => live(`id-${(made += 1)}`, chosen)),
      { numRuns: patient ? 40 : 2 },
    ),
  patient ? 1_800_000 : undefined,
)

test('what was promised before it was written down is taken from the settings by the migration', async () => {
  const { client } = api.house.database
  await api.put('/v1/connections/before', {
    provider: 'jwks',
    settings: { issuer, cachedFor: '1h', tokenLifetime: '90s', notAfter: '90d' },
  })
  await makeKey('before')
  await sign('before')
  await fetchSet('before')
  const read = () => client.$queryRaw`
    SELECT (m.not_after - m.created_at)::text AS life, (m.honoured_until - m.last_used_at)::text AS honoured, p.kept_for_s
    FROM vault.material m JOIN vault.pointer p USING (object) JOIN app.key k ON k.id::text = object WHERE k.name = 'before'`
  await client.$executeRaw`UPDATE vault.material SET not_after = NULL, honoured_until = NULL`
  await client.$executeRaw`UPDATE vault.pointer SET kept_for_s = NULL`
  const name = '20261201300000_promises_of_signing_keys'
  const sql = await readFile(
    new URL(`../../../prisma/migrations/${name}/migration.sql`, import.meta.url),
    'utf8',
  )
  await client.$executeRawUnsafe(sql.slice(sql.indexOf('WITH issuer'), sql.indexOf('RESET ROLE')))
  expect(await read()).toEqual([{ life: '90 days', honoured: '00:01:30', kept_for_s: 3_600 }])
})

interface Token {
  readonly text: string
  readonly endsAt: number
}

const live = async (name: string, chosen: readonly Deed[]): Promise<void> => {
  let said = first
  const now = () => api.house.clock.now().getTime()
  const connect = async (headers: Readonly<Record<string, string>> = {}): Promise<void> => {
    const body = { provider: 'jwks', settings: { issuer, ...said } }
    const { status, text } = await api.call('PUT', `/v1/connections/${name}`, { body, headers })
    expect(status, text).toBeLessThan(300)
  }
  await connect()
  await makeKey(name)

  /** The end that each version had when it was seen first. */
  const ends = new Map<string, number>()
  const retired = new Set<string>()
  const tokens: Token[] = []
  const verifiers = [0, 1, 2].map(() => makeVerifier(name))
  const history: string[] = []

  const meet = (set: JSONWebKeySet): readonly string[] => {
    const shown = kidsOf(set)
    for (const kid of shown)
      if (!ends.has(kid)) ends.set(kid, now() + minutesOf(said.notAfter) * minute)
    return shown
  }
  const look = async (looks: readonly boolean[]): Promise<void> => {
    const token = await sign(name)
    if (token !== null) tokens.push(token)
    const { json } = await fetchSet(name)
    const shown = meet(json)
    const alive = tokens.filter(({ endsAt }) => endsAt > now())
    const told = history.join('\n')
    for (const kid of shown) {
      expect(ends.get(kid), `a version beyond its end\n${told}`).toBeGreaterThan(now())
      expect(retired, `a version that was retired\n${told}`).not.toContain(kid)
    }
    const asked = [
      (text: string) => verify(json, text),
      ...verifiers.filter((_one, at) => looks[at]),
    ]
    for (const { text } of alive)
      for (const takes of asked) await expect(takes(text), told).resolves.toBeDefined()
  }

  let open: string | null = null
  let before: readonly string[] = []
  meet((await fetchSet(name)).json)
  for (const deed of chosen) {
    history.push(JSON.stringify(deed))
    switch (deed.what) {
      case 'say':
        said = { ...said, ...deed.said }
        await connect({ 'if-match': '*' })
        break
      case 'rotate':
        if (open !== null) break
        before = kidsOf((await fetchSet(name)).json)
        open = await start(name)
        await api.drain()
        meet((await fetchSet(name)).json)
        break
      case 'undo':
        if (open !== null) await api.rollback(open)
        await api.drain()
        break
      case 'pass':
        for (let passed = 0; passed < deed.minutes; passed++) {
          await api.house.clock.advance(minute)
          await api.drain()
          await look(deed.looks)
        }
    }
    if (open === null) continue
    const { phase } = await api.rotation(open)
    if (isOpen(phase)) continue
    const after = kidsOf((await fetchSet(name)).json)
    const gone =
      phase === 'completed' ? before : [...ends.keys()].filter((kid) => !before.includes(kid))
    for (const kid of gone.filter((one) => !after.includes(one))) retired.add(kid)
    open = null
  }
}

const minutesOf = (text: string): number =>
  Number(text.slice(0, -1)) * ({ m: 1, h: 60, d: 1_440 }[text.slice(-1)] ?? 0)

const makeKey = async (name: string): Promise<void> => {
  await api.post('/v1/keys', {
    ...{ name, connection: name, type: 'jwks.signing', ref: { audiences: [audience] } },
    ...{ purpose: 'tokens', owner: 'team', environment: 'test', labels: { set: name } },
    ...{ consumers: ['shop'], create: true },
  })
  await api.put(`/v1/policies/${name}`, {
    selector: { matchLabels: { set: name } },
    ...{ manual: true, overlap: { min: '0s' }, soak: '0s', retire: 'destroy' },
  })
}

/** Null: preflight may refuse what has come to its end. */
const start = async (key: string): Promise<string | null> => {
  const { status, json } = await api.call('POST', '/v1/rotations', {
    body: { key, reason: 'a test' },
    headers: { 'idempotency-key': `${key}-${api.house.clock.now().getTime()}` },
  })
  return status === 202 ? json.id : null
}

/** Null: the version that would sign is past its end. */
const sign = async (key: string): Promise<Token | null> => {
  const { status, json, text } = await api.call('POST', `/v1/keys/${key}/signatures`, {
    token: signer,
    body: { input: Buffer.from('{"sub": "order"}').toString('base64') },
  })
  if (status === 409) {
    expect(json.detail, text).toMatch(/past its notAfter/)
    return null
  }
  expect(status, text).toBe(200)
  const token = Buffer.from(json.output, 'base64').toString()
  return { text: token, endsAt: (decodeJwt(token).exp ?? 0) * 1_000 }
}

const fetchSet = (connection: string) => api.call('GET', `/jwks/${connection}`, { token: null })
const kidsOf = ({ keys }: JSONWebKeySet): readonly string[] => keys.map(({ kid }) => kid ?? '')
const verify = (set: JSONWebKeySet, token: string) => {
  const currentDate = api.house.clock.now()
  return jwtVerify(token, createLocalJWKSet(set), { issuer, audience, currentDate })
}

/** Keeps what it fetched for as long as it was told, and no shorter. */
const makeVerifier = (connection: string) => {
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
