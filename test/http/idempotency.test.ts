// The same request with the same Idempotency-Key: one effect, one reply, whatever happens in between.

import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RekeyError } from '#domain/errors.ts'
import { route, type Route } from '#http/route.ts'
import { strict } from '#http/schemas.ts'
import { idempotencyLeaseMs } from '#store/idempotency.ts'
import { openApi, productRoutes, type Answer, type Api } from '../support/http.ts'
import type { House } from '../support/house.ts'

/** What the effects below did, and what they are told to do next. */
const world = {
  effects: 0,
  refuse: null as 'before' | 'after' | 'crash' | null,
  hold: Promise.resolve(),
}

const effectRoutes = (house: House): readonly Route[] => {
  const one = (path: string, more: Partial<Parameters<typeof route>[0]>): Route =>
    route({
      method: 'POST',
      path,
      operationId: path.replaceAll(/[^a-z]/g, ''),
      tag: 'keys',
      summary: 'An effect',
      access: ['operator'],
      body: strict({ name: Type.String() }),
      replies: { 201: strict({ id: Type.String(), value: Type.String() }) },
      errors: ['rotation.inProgress'],
      ...more,
      handler: async ({ ledger, actor, body }) => {
        if (world.refuse === 'before') throw new RekeyError('rotation.inProgress')
        const id = house.ids.next()
        // Its own, also when the test gives the next request another one before this transaction begins.
        const { hold } = world
        await ledger.commit(actor, async () => {
          await hold
          return {
            value: null,
            audit: [
              {
                action: 'key.used',
                target: { id, name: (body as { name: string }).name },
                outcome: 'succeeded',
              },
            ],
          }
        })
        world.effects += 1
        if (world.refuse === 'after')
          throw new RekeyError('rotation.inProgress', { detail: 'after the effect' })
        if (world.refuse === 'crash') throw new Error('the process dies here')
        return { status: 201, body: { id, value: 'v' }, location: `/v1/effects/${id}`, revision: 3 }
      },
    })
  return [
    one('/v1/effects', {}),
    one('/v1/required', { idempotency: 'required' }),
    one('/v1/secrets', { secret: true }),
  ]
}

let api: Api
let operator: string
beforeAll(async () => {
  api = await openApi({ routes: (house) => [...productRoutes(house), ...effectRoutes(house)] })
  operator = await api.token(['operator'])
})
afterAll(() => api.close())

let serial = 0
const newKey = () => `key-${(serial += 1)}`
const post = (
  path: string,
  key: string | null,
  body: unknown = { name: 'a' },
  token = operator,
): Promise<Answer> =>
  api.call('POST', path, { token, body, headers: key === null ? {} : { 'idempotency-key': key } })

const claimed = (key: string): Promise<void> =>
  expect
    .poll(
      async () =>
        (await api.house.sql('SELECT 1 FROM app.idempotency WHERE key = $1', [key])).length,
    )
    .toBe(1)

const events = async (): Promise<number> => (await api.house.events({ action: 'key.used' })).length

describe('a request that is repeated with its key', () => {
  test('gets the first reply, byte for byte, and has one effect', async () => {
    const key = newKey()
    const before = await events()
    const first = await post('/v1/effects', key)
    expect(first.status).toBe(201)
    expect(first.headers['idempotency-replayed']).toBeUndefined()
    const again = await post('/v1/effects', key)
    expect(again.headers['idempotency-replayed']).toBe('true')
    expect({ status: again.status, text: again.text }).toEqual({ status: 201, text: first.text })
    expect(again.headers['location']).toBe(first.headers['location'])
    expect(again.headers['etag']).toBe('"3"')
    expect(again.headers['x-request-id']).not.toBe(first.headers['x-request-id'])
    expect(await events()).toBe(before + 1)
  })

  test('is the same whatever the order of its members and the quotes of its key', async () => {
    const key = newKey()
    await api.call('POST', '/v1/effects', {
      token: operator,
      raw: '{"name":"b"}',
      headers: { 'idempotency-key': key },
    })
    const again = await api.call('POST', '/v1/effects', {
      token: operator,
      raw: ' { "name" : "b" } ',
      headers: { 'idempotency-key': `"${key}"` },
    })
    expect(again.headers['idempotency-replayed']).toBe('true')
  })

  test('but another body is 422', async () => {
    const key = newKey()
    await post('/v1/effects', key)
    expect(await post('/v1/effects', key, { name: 'other' })).toMatchObject({
      status: 422,
      json: { code: 'idempotency.mismatch' },
    })
  })

  test('by another principal, or on another path, is another request', async () => {
    const key = newKey()
    const other = await api.token(['operator'])
    const [a, b, c] = [
      await post('/v1/effects', key),
      await post('/v1/effects', key, { name: 'a' }, other),
      await post('/v1/required', key),
    ]
    expect(new Set([a.json.id, b.json.id, c.json.id]).size).toBe(3)
  })

  test('after 24 hours is a new request', async () => {
    const key = newKey()
    const first = await post('/v1/effects', key)
    await api.house.clock.turnDatabase(24 * 3_600_000 - 60_000)
    expect((await post('/v1/effects', key)).json.id).toBe(first.json.id)
    await api.house.clock.turnDatabase(61_000)
    expect((await post('/v1/effects', key)).json.id).not.toBe(first.json.id)
  })

  test('while the first still runs is 409, and then gets its reply', async () => {
    const key = newKey()
    let release = () => undefined as void
    world.hold = new Promise<void>((resolve) => (release = resolve))
    const first = post('/v1/effects', key)
    await claimed(key)
    const meanwhile = await post('/v1/effects', key)
    expect(meanwhile).toMatchObject({ status: 409, json: { code: 'idempotency.running' } })
    expect(meanwhile.headers['retry-after']).toBe('2')
    release()
    world.hold = Promise.resolve()
    const { json } = await first
    expect((await post('/v1/effects', key)).json.id).toBe(json.id)
  })

  test('twenty times at once has one effect', async () => {
    const key = newKey()
    const before = await events()
    const answers = await Promise.all(Array.from({ length: 20 }, () => post('/v1/effects', key)))
    expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true)
    expect(
      new Set(answers.filter(({ status }) => status === 201).map(({ json }) => json.id)).size,
    ).toBe(1)
    expect(await events()).toBe(before + 1)
  })
})

describe('a key', () => {
  test('is needed where the route says so', async () => {
    expect(await post('/v1/required', null)).toMatchObject({
      status: 428,
      json: { code: 'idempotency.missing' },
    })
    const rotation = await api.call('POST', '/v1/rotations', {
      token: operator,
      body: { key: 'x', reason: 'y' },
    })
    expect(rotation).toMatchObject({ status: 428, json: { code: 'idempotency.missing' } })
    expect((await post('/v1/required', newKey())).status).toBe(201)
  })

  test.each(['', ' ', 'a b', 'é', 'x'.repeat(256)])('like %j is 400', async (key) => {
    expect(await post('/v1/effects', key)).toMatchObject({
      status: 400,
      json: { code: 'request.invalid', errors: [{ pointer: '/headers/Idempotency-Key' }] },
    })
  })

  test('is not used up by a dry run', async () => {
    const key = newKey()
    const rehearsed = await post('/v1/effects?dryRun=all', key)
    expect(rehearsed).toMatchObject({ status: 200, json: { dryRun: true } })
    expect((await post('/v1/effects', key)).status).toBe(201)
  })

  test('is not used up by a refusal before any effect', async () => {
    const key = newKey()
    world.refuse = 'before'
    expect((await post('/v1/effects', key)).json.code).toBe('rotation.inProgress')
    world.refuse = null
    expect((await post('/v1/effects', key)).status).toBe(201)
  })
})

describe('a reply', () => {
  test('that held a secret is not kept', async () => {
    const key = newKey()
    const first = await post('/v1/secrets', key)
    expect(first.status).toBe(201)
    expect(await post('/v1/secrets', key)).toMatchObject({
      status: 409,
      json: { code: 'idempotency.secretNotReplayable' },
    })
    const rows = await api.house.sql('SELECT response FROM app.idempotency WHERE key = $1', [key])
    expect(rows).toEqual([{ response: null }])
  })

  test('with a token is not kept', async () => {
    const key = newKey()
    const make = () =>
      api.call('POST', '/v1/api-keys', {
        body: { name: 'k', type: 'svc', roles: ['viewer'] },
        headers: { 'idempotency-key': key },
      })
    const { json } = await make()
    expect((await make()).json.code).toBe('idempotency.secretNotReplayable')
    const everything = await api.house.sql(
      'SELECT row_to_json(i)::text AS row FROM app.idempotency i',
    )
    expect(JSON.stringify(everything)).not.toContain(json.token.slice(10))
  })

  test('that refused after the effect is the reply for good', async () => {
    const key = newKey()
    world.refuse = 'after'
    const first = await post('/v1/effects', key)
    expect(first.status).toBe(409)
    world.refuse = null
    const again = await post('/v1/effects', key)
    expect(again).toMatchObject({
      status: 409,
      json: { code: 'rotation.inProgress', detail: 'after the effect' },
    })
    expect(again.headers['idempotency-replayed']).toBe('true')
    expect(again.headers['content-type']).toBe('application/problem+json')
  })
})

describe('a crash', () => {
  test('after the effect and before the reply was kept never repeats the effect', async () => {
    const key = newKey()
    const before = await events()
    world.refuse = 'crash'
    expect((await post('/v1/effects', key)).status).toBe(500)
    world.refuse = null
    expect((await post('/v1/effects', key)).json.code).toBe('idempotency.running')
    await api.house.clock.turnDatabase(idempotencyLeaseMs + 1000)
    expect(await post('/v1/effects', key)).toMatchObject({
      status: 409,
      json: { code: 'idempotency.replyLost' },
    })
    expect(await events()).toBe(before + 1)
  })

  test('before the effect frees the key when the claim has expired', async () => {
    const key = newKey()
    const { id } = (await api.call('GET', '/v1/me', { token: operator })).json
    const slot = { principal: id, method: 'POST', path: '/v1/effects', key }
    // What the first leaves: a claim, and nothing that will ever finish it.
    const hash = Buffer.from(
      api.house.keyring.mac('idempotency', api.house.hashJson({ query: {}, body: { name: 'a' } })),
    ).toString('hex')
    expect((await api.house.idempotency.begin(slot, [hash])).state).toBe('begun')
    expect((await post('/v1/effects', key)).json.code).toBe('idempotency.running')
    await api.house.clock.turnDatabase(idempotencyLeaseMs + 1000)
    expect((await post('/v1/effects', key)).status).toBe(201)
  })

  test('that only looked like one does not double the effect: who lost the claim is rolled back', async () => {
    const key = newKey()
    const before = await events()
    let release = () => undefined as void
    world.hold = new Promise<void>((resolve) => (release = resolve))
    const slow = post('/v1/effects', key)
    await claimed(key)
    await api.house.clock.turnDatabase(idempotencyLeaseMs + 1000)
    world.hold = Promise.resolve()
    const second = await post('/v1/effects', key)
    release()
    expect((await slow).json.code).toBe('idempotency.running')
    expect(second.status).toBe(201)
    expect((await post('/v1/effects', key)).json.id).toBe(second.json.id)
    expect(await events()).toBe(before + 1)
  })
})

test('what has expired is deleted, a few at a time', async () => {
  const count = async () =>
    Number((await api.house.sql('SELECT count(*)::int AS n FROM app.idempotency'))[0]?.['n'])
  // Before they expire: the server's own housekeeping deletes them too.
  expect(await count()).toBeGreaterThan(3)
  await api.house.clock.turnDatabase(25 * 3_600_000)
  await post('/v1/effects', newKey())
  expect(await api.house.idempotency.purge(2)).toBeLessThanOrEqual(2)
  await api.house.idempotency.purge(1000)
  expect(await count()).toBe(1)
})
