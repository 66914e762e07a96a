// Attacks of 9-security.md 3, 4, 5 and 11: on labels, policies and tokens, and on the log itself. Each is tried as an attacker
// would, over HTTP, and refused.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { documentOf } from '#domain/resource-document.ts'
import { deleteConsumer } from '#usecases/delete-consumer.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { putConsumer } from '#usecases/put-consumer.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'
import { admin, type Engine, openEngine } from '../support/engine.ts'

let api: Api
const scope = { matchLabels: { team: 'a' } }
/** Without a scope, and with that of team a. */
let operator: string
let mine: string
let approver: string

beforeAll(async () => {
  api = await openApi()
  operator = await api.token(['operator'])
  mine = await api.token(['operator'], { scope })
  approver = await api.token(['approver'])
  await api.house.connection('vault', {
    labels: { team: 'a' },
    grants: [{ matchLabels: { team: 'a' }, refs: ['*'] }],
  })
  await api.house.register('mine', { labels: { team: 'a' } })
  await api.house.register('theirs', { labels: { team: 'b' } })
})
afterAll(() => api.close())

const neverSends = () => Promise.reject(new Error('nothing is sent here'))
const told = ({ status, json }: Answer) => [status, json?.code, json?.errors?.[0]?.pointer]
const send = (method: string, path: string, token: string, body?: unknown) =>
  api.call(method, path, {
    token,
    ...(body === undefined ? {} : { body }),
    headers: {
      'idempotency-key': api.house.ids.next(),
      ...(method === 'PUT' || method === 'DELETE' ? { 'if-match': '*' } : {}),
    },
  })
/** A PUT of what is not there yet. */
const create = (path: string, token: string, body: unknown) =>
  api.call('PUT', path, { token, body })
const keyWith = async (name: string, labels: object) => {
  const { status: _status, ...key } = (await api.call('GET', `/v1/keys/${name}`)).json
  return { ...key, labels }
}

describe('a label', () => {
  test('of somebody else’s key is not edited into one’s own scope', async () => {
    const body = await keyWith('theirs', { team: 'a' })
    expect(told(await send('PUT', '/v1/keys/theirs', mine, body))[0]).toBe(404)
    // Nor by a friend without a scope: rights depend on the label.
    expect(told(await send('PUT', '/v1/keys/theirs', operator, body))).toEqual([
      403,
      'auth.denied',
      '/labels/team',
    ])
  })

  test('of one’s own key does not leave the scope, and none is added that a grant or floor looks at', async () => {
    const put = async (labels: object) =>
      send('PUT', '/v1/keys/mine', mine, await keyWith('mine', labels))
    expect((await put({})).status).toBe(403)
    expect((await put({ team: 'b' })).status).toBe(403)
    await api.call('PUT', '/v1/floors', {
      body: { items: [{ matchLabels: { tier: 'critical' }, spec: { soak: '1h' } }] },
      headers: { 'if-match': '*' },
    })
    expect(told(await put({ team: 'a', tier: 'critical' }))).toEqual([
      403,
      'auth.denied',
      '/labels/tier',
    ])
    expect((await put({ team: 'a', note: 'harmless' })).status).toBe(200)
  })

  test.each(['rekey.dev/role', 'rekey.dev'])('%s is nobody’s but an admin’s', async (label) => {
    const labels = { team: 'a', [label]: 'x' }
    const put = await send('PUT', '/v1/keys/mine', operator, await keyWith('mine', labels))
    expect(told(put)[1]).toBe('auth.denied')
    const born = await send('POST', '/v1/keys', operator, {
      ...(await keyWith('mine', labels)),
      name: 'born',
      create: true,
    })
    expect(told(born)[1]).toBe('auth.denied')
    const consumer = await create('/v1/consumers/born', operator, { owner: 'o', labels })
    expect(told(consumer)[1]).toBe('auth.denied')
    const policy = await create('/v1/policies/born', operator, {
      labels,
      selector: { type: 'local.key' },
      manual: true,
    })
    expect(told(policy)[1]).toBe('auth.denied')
  })

  test('of a new key is not that of another team', async () => {
    const born = { ...(await keyWith('mine', { team: 'b' })), name: 'born', create: true }
    expect((await send('POST', '/v1/keys', mine, born)).status).toBe(403)
  })

  test('of one’s own things stays in the scope, for an admin with a scope too', async () => {
    const chief = await api.token(['admin'], { scope })
    const out = ['auth.denied', '/labels']
    for (const labels of [{}, { team: 'b' }]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const key = await send('PUT', '/v1/keys/mine', chief, await keyWith('mine', labels))
      expect(told(key)).toEqual([403, ...out])
      // oxlint-disable-next-line no-await-in-loop -- one server
      const consumer = await create('/v1/consumers/gone', chief, { owner: 'o', labels })
      expect(told(consumer)).toEqual([403, ...out])
      const connection = { provider: 'local', labels }
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect(told(await create('/v1/connections/gone', chief, connection))).toEqual([403, ...out])
    }
    const theirs = await send(
      'PUT',
      '/v1/keys/theirs',
      chief,
      await keyWith('theirs', { team: 'a' }),
    )
    expect(theirs.status).toBe(404)
  })

  test('of a key at a connection beyond the scope is none: the key is not made', async () => {
    await api.house.connection('elsewhere', { grants: [{ matchLabels: {}, refs: ['*'] }] })
    const narrow = await api.token(['operator'], { scope: { connections: ['vault'] } })
    const born = { ...(await keyWith('mine', {})), name: 'born', create: true }
    const away = await send('POST', '/v1/keys', narrow, { ...born, connection: 'elsewhere' })
    expect(told(away)).toEqual([403, 'auth.denied', '/labels'])
  })

  test('is not changed by way of a plan either', async () => {
    const plan = async (name: string, labels: object) => {
      const document = documentOf('Key', await keyWith(name, labels))
      return told(await send('POST', '/v1/plans', operator, { documents: [document] }))
    }
    expect((await plan('mine', { team: 'a', note: 'by plan' }))[0]).toBe(201)
    expect(await plan('theirs', { team: 'a' })).toEqual([
      403,
      'auth.denied',
      '/documents/0/metadata/labels/team',
    ])
  })

  test('selects nothing beyond a scope: policies, freezes and consumers reach no further', async () => {
    for (const selector of [
      { matchLabels: { team: 'b' } },
      { type: 'local.secret' },
      { matchExpressions: [{ key: 'team', operator: 'In', values: ['a'] }] },
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const policy = await send('POST', '/v1/policies', mine, {
        name: 'wide',
        labels: { team: 'a' },
        selector,
        manual: true,
      })
      expect(policy.status, JSON.stringify(selector)).toBe(403)
    }
    const freeze = {
      until: '2099-01-01T00:00:00Z',
      reason: 'x',
      selector: { type: 'local.secret' },
    }
    expect((await create('/v1/freeze', mine, freeze)).status).toBe(403)
    const spy = { owner: 'o', labels: { team: 'a' }, keys: ['theirs'] }
    expect((await create('/v1/consumers/spy', mine, spy)).status).toBe(422)
  })
})

describe('a policy', () => {
  const strict = {
    selector: { matchLabels: { team: 'a' } },
    manual: true,
    approval: { required: 1 },
  }
  const document = (spec: object) => ({
    apiVersion: 'rekey.dev/v1',
    kind: 'RotationPolicy',
    metadata: { name: 'guard' },
    spec,
  })
  beforeAll(() => api.call('PUT', '/v1/policies/guard', { body: strict }))

  test.each([
    ['fewer approvals', { approval: { required: 0 } }, '/approval/required'],
    ['a shorter overlap', { overlap: { min: '1h' } }, '/overlap/min'],
    ['destruction', { retire: 'destroy' }, '/retire'],
    ['no soak', { soak: '0s' }, '/soak'],
  ])('is not weakened by one person: %s', async (_what, change, pointer) => {
    for (const token of [operator, api.adminToken]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const answer = await send('PUT', '/v1/policies/guard', token, { ...strict, ...change })
      expect(told(answer)).toEqual([409, 'policy.weakening', pointer])
    }
  })

  test('is not walked around by deleting it, from above, or with the key', async () => {
    expect(told(await send('DELETE', '/v1/policies/guard', operator))[1]).toBe('policy.weakening')
    const above = await send('POST', '/v1/policies', operator, {
      name: 'above',
      selector: strict.selector,
      manual: true,
      priority: 9,
    })
    expect(told(above)[1]).toBe('policy.weakening')
    expect(told(await send('DELETE', '/v1/keys/mine', operator))[1]).toBe('policy.weakening')
  })

  test('is weakened by a plan that somebody else approves, exactly as it was shown', async () => {
    const plan = await send('POST', '/v1/plans', operator, {
      documents: [document({ ...strict, approval: { required: 0 } })],
    })
    expect(plan.status).toBe(201)
    expect(plan.json.approvals.needed).toMatchObject([{ required: 1, roles: ['approver'] }])
    const { id, hash } = plan.json
    const apply = (token: string) => send('POST', `/v1/plans/${id}/apply`, token, { hash })
    const approve = (token: string, what = hash) =>
      send('POST', `/v1/plans/${id}/approvals`, token, { hash: what })
    expect(told(await apply(operator))[1]).toBe('policy.weakening')
    expect(told(await apply(api.adminToken))[1]).toBe('policy.weakening')
    // Not by its author, not by the wrong hash, and not by somebody whose role the policy does not name.
    expect(told(await approve(operator))[1]).toBe('rotation.selfApproval')
    expect((await approve(approver, hash.replaceAll(/./g, '0'))).status).toBe(409)
    const other = await api.token(['operator'])
    await approve(other)
    expect(told(await apply(operator))[1]).toBe('policy.weakening')
    // Nor by somebody who sees only a part of it.
    const narrow = await api.token(['approver'], { scope })
    expect((await approve(narrow)).status).toBe(404)
    expect((await approve(approver)).status).toBe(201)
    expect((await apply(operator)).status).toBe(200)
    expect((await api.call('GET', '/v1/policies/guard')).json.approval).toEqual({ required: 0 })
  })

  test('that was planned before is not weakened by an approval of yesterday', async () => {
    await api.call('PUT', '/v1/policies/guard', { body: strict, headers: { 'if-match': '*' } })
    const make = (soak: string) =>
      send('POST', '/v1/plans', operator, { documents: [document({ ...strict, soak })] })
    const { id, hash } = (await make('30m')).json
    await send('POST', `/v1/plans/${id}/approvals`, approver, { hash })
    await api.call('PUT', '/v1/policies/guard', {
      body: { ...strict, soak: '2h' },
      headers: { 'if-match': '*' },
    })
    const stale = await send('POST', `/v1/plans/${id}/apply`, operator, { hash })
    expect(told(stale)[1]).toBe('plan.stale')
    const harsher = (await make('1m')).json
    const borrowed = await send('POST', `/v1/plans/${harsher.id}/apply`, operator, {
      hash: harsher.hash,
    })
    expect(told(borrowed)[1]).toBe('policy.weakening')
  })

  test('below a floor is refused, by whoever writes it and by a plan', async () => {
    await api.call('PUT', '/v1/floors', {
      body: { items: [{ matchLabels: { app: 'floored' }, spec: { approval: { required: 2 } } }] },
      headers: { 'if-match': '*' },
    })
    const low = { selector: { matchLabels: { app: 'floored' } }, manual: true }
    for (const token of [operator, api.adminToken]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const answer = await send('POST', '/v1/policies', token, { name: 'low', ...low })
      expect(told(answer)).toEqual([422, 'policy.belowFloor', '/approval/required'])
    }
    const plan = await send('POST', '/v1/plans', operator, {
      documents: [{ ...document(low), metadata: { name: 'low' } }],
    })
    expect(told(plan)).toEqual([422, 'policy.belowFloor', '/documents/0/spec/approval/required'])
    expect((await send('PUT', '/v1/floors', operator, { items: [] })).status).toBe(403)
    expect(
      (await send('PUT', '/v1/floors', await api.token(['admin'], { scope }), { items: [] }))
        .status,
    ).toBe(403)
  })

  test('has its scheduled rotations not approved by whoever wrote it last', async () => {
    const own = await openApi()
    const author = await own.token(['operator', 'approver'])
    await own.house.connection('vault')
    await own.house.register('timed', { labels: { app: 'timed' } })
    await own.call('PUT', '/v1/policies/timed', {
      token: author,
      body: {
        selector: { matchLabels: { app: 'timed' } },
        schedule: { cron: '* * * * *', timezone: 'UTC' },
        approval: { required: 1, roles: ['approver', 'operator'] },
      },
    })
    await own.house.clock.advance(120_000)
    const { house } = own
    await makePlanRotations({ ...house.deps, timers: house.timers }, 'w')()
    const [rotation] = (await own.call('GET', '/v1/rotations?key=timed')).json.items
    await makeAdvanceRotation(
      {
        ...house.deps,
        timers: house.timers,
        world: { sessions: house.sessions, types: house.deps.types, fetch, send: neverSends },
      },
      { instance: 'w', bell: { ring: async () => {} }, report: () => {} },
    )(rotation.id)
    const approve = (token: string) =>
      own.call('POST', `/v1/rotations/${rotation.id}/approvals`, {
        token,
        body: { planHash: rotation.planHash },
      })
    expect(told(await approve(author))[1]).toBe('rotation.selfApproval')
    expect((await approve(await own.token(['approver']))).status).toBe(201)
    await own.close()
  })
})

describe('a consumer that is taken from the record', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = await openEngine()
  })
  afterAll(() => engine.close())

  /** A rotation that waits for these consumers; what it waits for, after a minute. */
  const frozen = async (set: string, consumers: readonly string[]) => {
    for (const consumer of consumers) await engine.consumer(consumer, { uses: set }) // oxlint-disable-line no-await-in-loop -- one database
    await engine.key(set, { labels: { set } })
    await engine.policy(set, {
      selector: { matchLabels: { set } },
      consumers: { matchLabels: { uses: set }, acknowledgement: { required: 'all' } },
    })
    const id = await engine.rotate(set)
    await engine.until(id, ['overlapping'])
    const missing = async () => {
      await engine.clock.advance(60_000)
      await engine.drain()
      const waiting = await engine.waitsFor(id)
      return waiting?.gate === 'acknowledgement' ? waiting.missing : null
    }
    return { id, missing }
  }

  test('is still waited for by the rotation that froze it, and may still speak', async () => {
    const { id, missing } = await frozen('removed', ['other', 'slow'])
    expect(await missing()).toEqual(['other', 'slow'])
    await deleteConsumer(engine)(admin, {
      name: 'slow',
      precondition: { match: 'any', absent: false },
    })
    expect(await missing()).toEqual(['other', 'slow'])
    const acknowledge = (name: string) =>
      engine.steer.acknowledge(
        { ...admin, id: `ack:${name}`, roles: ['consumer'], consumer: name },
        id,
        { consumer: name, version: 2 },
      )
    await acknowledge('other')
    expect(await missing()).toEqual(['slow'])
    await acknowledge('slow')
    expect(await missing()).toBeNull()
  })

  test('of a label loses it without leaving the list', async () => {
    const { missing } = await frozen('unlabelled', ['moved'])
    await putConsumer({ ledger: engine.ledger, egress: { checkUrl: () => undefined } })(admin, {
      name: 'moved',
      body: { owner: 'team', labels: {} },
      precondition: { match: 'any', absent: false },
    })
    expect(await missing()).toEqual(['moved'])
  })
})

describe('a token of a consumer', () => {
  const consumer = (name: string) => api.token(['consumer'], { type: 'ack', consumer: name })

  test('speaks for itself alone, for the version that was made, of rotations that ask it', async () => {
    await api.house.consumer('shop', { labels: {} })
    await api.house.consumer('bank', { labels: {} })
    await api.house.register('asked', { labels: { app: 'asked' }, consumers: ['shop'] })
    await api.house.register('not-asked', { labels: { app: 'not-asked' } })
    const started = await send('POST', '/v1/rotations', operator, { key: 'asked', reason: 'x' })
    const other = await send('POST', '/v1/rotations', operator, { key: 'not-asked', reason: 'x' })
    const shop = await consumer('shop')
    const say = (id: string, name: string, version: number) =>
      send('POST', `/v1/rotations/${id}/acknowledgements`, shop, { consumer: name, version })
    expect(told(await say(started.json.id, 'bank', 2))[1]).toBe('auth.denied')
    expect(told(await say(started.json.id, 'shop', 2))).toEqual([
      422,
      'request.impossible',
      '/version',
    ])
    expect(told(await say(started.json.id, 'shop', 1))[0]).toBe(422)
    expect((await say(other.json.id, 'shop', 2)).status).toBe(404)
    expect((await say('01890000-0000-7000-8000-000000000000', 'shop', 2)).status).toBe(404)
  })

  test('reads no key but its own, and does nothing else', async () => {
    const shop = await consumer('shop')
    expect((await send('GET', '/v1/keys/asked/value', shop)).status).toBe(200)
    expect((await send('GET', '/v1/keys/not-asked/value', shop)).status).toBe(404)
    for (const [method, path] of [
      ['GET', '/v1/keys'],
      ['GET', '/v1/policies'],
      ['GET', '/v1/rotations'],
      ['GET', '/v1/audit/events'],
      ['POST', '/v1/rotations'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect((await send(method, path, shop, method === 'GET' ? undefined : {})).status).toBe(403)
    }
  })

  test('for a consumer is made with no other role', async () => {
    const made = await api.call('POST', '/v1/api-keys', {
      body: { name: 'both', type: 'ack', roles: ['consumer', 'admin'], consumer: 'shop' },
    })
    expect(told(made)).toEqual([422, 'request.impossible', '/roles'])
  })
})

describe('the log', () => {
  test('is not flooded by who has no token, from any number of addresses', async () => {
    const flooded = await openApi()
    await Promise.all(
      Array.from({ length: 400 }, (_, i) =>
        flooded.call('GET', '/v1/keys', { token: null, from: `203.0.113.${i % 250}` }),
      ),
    )
    await flooded.app.close()
    const [written] = await flooded.house.sql(
      `SELECT count(*) <= 201 AS few, sum((body::jsonb #>> '{after,count}')::int)::int AS denials
       FROM audit.event WHERE body::jsonb ->> 'action' = 'request.denied'`,
    )
    expect(written).toEqual({ few: true, denials: 400 })
    await flooded.house.shut()
  })

  test('has one event of a reader and hour, however often he reads', async () => {
    const auditor = await api.token(['auditor'])
    const { id } = (await send('GET', '/v1/me', auditor)).json
    for (let n = 0; n < 10; n += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect((await send('GET', '/v1/audit/events', auditor)).status).toBe(200)
    }
    expect(await api.house.events({ action: 'audit.read', actor: id })).toHaveLength(1)
  })

  test('has the code and pointers of what was refused, a few of them, and nothing of the body', async () => {
    const { id } = (await send('GET', '/v1/me', operator)).json
    const body = {
      ...(await keyWith('mine', {})),
      labels: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`l${i}`, 7])),
      purpose: 'swordfish',
    }
    expect((await send('PUT', '/v1/keys/mine', operator, body)).status).toBe(400)
    const [event] = await api.house.events({ action: 'request.invalid', actor: id })
    const after = event?.after as { readonly code: string; readonly pointers: readonly string[] }
    expect(after.code).toBe('request.invalid')
    expect(after.pointers.length).toBeLessThanOrEqual(20)
    expect(after.pointers[0]).toMatch(/^\/labels\/l/)
    expect(JSON.stringify(event)).not.toContain('swordfish')
    expect(event?.target.name).toBe('PUT /v1/keys/{name}')
  })
})
