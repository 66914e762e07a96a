// How fast a connection is asked: by all processes together, by what the connection says and by what its provider answers.

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Type } from 'typebox'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Connection } from '#domain/connection.ts'
import { declaredPace, requestsPerSecondSchema } from '#domain/pace.ts'
import { type Provider, ProviderError } from '#domain/provider.ts'
import { local } from '#providers/local/provider.ts'
import { makeCredentials } from '#runtime/credentials.ts'
import { makeEgress } from '#runtime/egress.ts'
import { makeSessions } from '#runtime/sessions.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'

let db: TestDatabase
let server: Server
/** When each request arrived, in ms. */
let arrived: number[] = []
/** Answered with 429 and this Retry-After. */
let refuseWith: string | null = null
const processes: ReturnType<typeof makeSessions>[] = []

beforeAll(async () => {
  db = await openTestDatabase()
  server = createServer((_request, reply) => {
    arrived.push(performance.now())
    if (refuseWith === null) return void reply.end('{}')
    reply.writeHead(429, { 'retry-after': refuseWith }).end('{}')
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
})
beforeEach(() => {
  arrived = []
  refuseWith = null
})
afterEach(async () => {
  await Promise.all(processes.splice(0).map((one) => one.close()))
})
afterAll(async () => {
  server.close()
  await db.close()
})

/** Its one operation is one request. */
const web: Provider = {
  ...local,
  id: 'web',
  settingsSchema: Type.Object({ requestsPerSecond: Type.Optional(requestsPerSecondSchema) }),
  types: [],
  endpoints: () => [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
  connect: (at) => ({
    ...local.connect(at),
    check: async ({ signal }) => {
      const [address = ''] = web.endpoints({})
      const { status } = await at.ports.fetch(address, { signal })
      if (status === 429) throw new ProviderError('throttled', 'none', 'too many')
      return []
    },
  }),
}

/** As another worker process has it. */
const process = () => {
  const providers = new Map([web, local].map((provider) => [provider.id, provider]))
  const credentials = makeCredentials({ env: {}, directory: null, defaults: false })
  const sessions = makeSessions({
    ledger: db.ledger,
    providers,
    credentials,
    egress: makeEgress({ allow: ['127.0.0.1'] }),
    host: {
      clock: db.clock,
      ids: db.ids,
      vault: db.vault,
      paces: db.paces,
      keyring: db.keyring,
      logins: db.logins,
      native: { modules: [], env: () => ({}) },
    },
  })
  processes.push(sessions)
  return sessions
}

const connection = async (
  name: string,
  provider: 'web' | 'local',
  settings: Connection['settings'],
): Promise<Connection> => {
  const { value } = await db.ledger.commit(
    { type: 'system', id: 's', name: 's', roles: [], scope: null, consumer: null, keys: null },
    async (tx) => {
      const now = await tx.now()
      const row = await tx.writeConnection.insert({
        name,
        provider,
        settings,
        credential: { from: 'none' },
        grants: [],
        labels: {},
        managedBy: null,
        revision: 1,
        createdAt: now,
        updatedAt: now,
      })
      const target = { id: name, name }
      return { value: row, audit: [{ action: 'connection.put', target, outcome: 'succeeded' }] }
    },
  )
  return value
}

const ask = async (of: ReturnType<typeof makeSessions>, at: Connection, ms = 10_000) => {
  const session = await of.open(at)
  return session.check({ signal: AbortSignal.timeout(ms) })
}

/** The most that arrived within a second, wherever it begins. */
const busiestSecond = (at: readonly number[]): number =>
  Math.max(...at.map((start) => at.filter((t) => t >= start && t < start + 1_000).length))

test('two processes together send no more than the limit in any second', async () => {
  const limit = 40
  const at = await connection('shared', 'web', { requestsPerSecond: limit })
  const workers = [process(), process()]
  const left = Array.from({ length: 80 }, (_, n) => n)
  const one = async (of: (typeof workers)[number]) => {
    while (left.pop() !== undefined) await ask(of, at) // oxlint-disable-line no-await-in-loop -- one caller
  }
  await Promise.all(workers.flatMap((of) => Array.from({ length: 6 }, () => one(of))))
  expect(arrived).toHaveLength(80)
  expect(busiestSecond(arrived)).toBeLessThanOrEqual(limit)
})

test('a request that would wait for long is refused before it is sent; whoever asks first is told how long', async () => {
  const at = await connection('slow', 'web', { requestsPerSecond: 1 })
  const sessions = process()
  await sessions.open(at)
  expect(await sessions.enter(at)).toBeNull()
  await db.paces.take('slow', { limit: 1, count: 60, withinMs: 60_000 })
  const full = await sessions.enter(at)
  expect(full?.why).toBe('the connection slow is at its limit of 1 requests a second')
  expect(full?.afterMs).toBeGreaterThan(30_000)
  const answers = await Promise.allSettled([1, 2, 3].map(() => ask(sessions, at)))
  const refused = answers.filter(({ status }) => status === 'rejected')
  // The place that was taken at first may be used still.
  expect(refused.length).toBeGreaterThanOrEqual(2)
  for (const answer of refused)
    expect(answer).toMatchObject({ reason: { kind: 'throttled', effect: 'none' } })
  expect(arrived).toHaveLength(answers.length - refused.length)
})

test('without a limit nothing waits, until a provider says "too many": then no process sends before it may', async () => {
  const at = await connection('open', 'web', {})
  const [one, other] = [process(), process()]
  await Promise.all(Array.from({ length: 50 }, () => ask(one, at)))
  expect(arrived).toHaveLength(50)
  refuseWith = '60'
  await expect(ask(one, at)).rejects.toMatchObject({ kind: 'throttled' })
  refuseWith = null
  for (const each of [one, other])
    await expect(ask(each, at)).rejects.toMatchObject({ kind: 'throttled', effect: 'none' }) // oxlint-disable-line no-await-in-loop -- two
  expect(arrived).toHaveLength(51)
  await db.clock.advance(61_000)
  await ask(other, at)
  expect(arrived).toHaveLength(52)
})

describe('"too many"', () => {
  const rateOf = async (name: string, limit: number | null) => {
    await db.paces.take(name, { limit, count: 100_000, withinMs: 1e12 })
    const turn = await db.paces.take(name, { limit, count: 1, withinMs: 0 })
    return turn.kind === 'full' ? Math.round(turn.rate) : turn.kind
  }

  test('halves what is sent, once for all that are refused at once, and doubles it with every minute without', async () => {
    await connection('halved', 'web', {})
    const limit = 100
    const slow = () => db.paces.slow('halved', { limit, holdMs: 0 })
    expect(await rateOf('halved', limit)).toBe(100)
    await Promise.all([slow(), slow(), slow()])
    expect(await rateOf('halved', limit)).toBe(50)
    await db.clock.advance(2_000)
    await slow()
    expect(await rateOf('halved', limit)).toBeLessThanOrEqual(26)
    await db.clock.advance(60_000)
    expect(await rateOf('halved', limit)).toBeGreaterThanOrEqual(50)
    await db.clock.advance(120_000)
    expect(await rateOf('halved', limit)).toBe(100)
  })

  test('slows a connection without a limit too, for some minutes', async () => {
    await connection('told', 'web', {})
    expect(await rateOf('told', null)).toBe('free')
    await db.paces.slow('told', { limit: null, holdMs: 0 })
    expect(await rateOf('told', null)).toBe(16)
    await db.clock.advance(15 * 60_000)
    expect(await rateOf('told', null)).toBe('free')
  })
})

test('where a provider does not speak HTTP each of its operations takes a place', async () => {
  const at = await connection('built-in', 'local', { requestsPerSecond: 20 })
  const session = await process().open(at)
  const began = performance.now()
  for (let n = 0; n < 10; n++) await session.check({ signal: AbortSignal.timeout(10_000) }) // oxlint-disable-line no-await-in-loop -- one caller
  expect(performance.now() - began).toBeGreaterThan(400)
})

test('a connection’s own limit goes before what its types declare, of which the least counts', () => {
  const [type] = local.types
  if (!type) throw new Error('the built-in vault has no type')
  const limited = (requestsPerSecond: number) => ({
    ...type,
    traits: { ...type.traits, limits: { requestsPerSecond } },
  })
  expect(declaredPace(local, {})).toBeNull()
  expect(declaredPace({ types: [type, limited(30), limited(20)] }, {})).toBe(20)
  expect(declaredPace({ types: [limited(30)] }, { requestsPerSecond: 5 })).toBe(5)
})
