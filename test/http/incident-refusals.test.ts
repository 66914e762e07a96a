// The bad input of an emergency, as a client sends it: each is refused with its code, its place and what to do, and nothing is
// executed. Why each is refused is told in execute-incident, another-person, unseen and jwts.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { mostKeys } from '#domain/incident-schema.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'
import { audience, startIssuer, type TestIssuer } from '../support/issuer.ts'

let api: Api
let issuer: TestIssuer
let rosa: string
let anna: string

beforeAll(async () => {
  api = await openApi({ allow: ['127.0.0.1'] })
  issuer = await startIssuer(() => api.house.clock.now())
  rosa = await api.token(['responder'], { expiresIn: '3650d' })
  anna = await api.token(['approver'], { expiresIn: '3650d' })
  await api.house.connection('vault')
  for (const name of ['one', 'two']) await api.house.register(name, { labels: { set: 'these' } }) // oxlint-disable-line no-await-in-loop -- one database
  await believe(['responder', 'approver'])
  while (!(await isHeard())); // oxlint-disable-line no-await-in-loop -- until it is
})
afterAll(async () => {
  await issuer.close()
  await api.close()
})

const believe = async (roles: readonly string[]): Promise<void> => {
  const claims = [{ match: { sub: 'jane' }, roles }]
  const { status, text } = await api.call('PUT', '/v1/issuers', {
    body: { items: [{ issuer: issuer.url, audience, claims }] },
    headers: { 'if-match': '*' },
  })
  expect(status, text).toBe(200)
}

/** The keys of an issuer must be there within seconds, or it is not asked again for half a minute; then they are kept for hours. On
 *  a machine that is busy a first answer may come too late. */
const isHeard = async (): Promise<boolean> => {
  const { status } = await api.call('GET', '/v1/me', { token: await issuer.sign({ sub: 'jane' }) })
  expect([200, 503]).toContain(status)
  if (status === 503) await api.house.clock.advance(31_000)
  return status === 200
}

const post = (token: string, path: string, body: unknown = {}, key?: string): Promise<Answer> =>
  api.call('POST', path, {
    token,
    body,
    headers: { 'idempotency-key': key ?? api.house.ids.next() },
  })
const asked = { title: 'x', severity: 'low', mode: 'disable', reason: 'x' }
const selector = { matchLabels: { set: 'these' } }
const of = (id: string, path = '') => `/v1/incidents/${id}${path}`

interface Drawn {
  readonly id: string
  readonly hash: string
}
const drawn = async (what: object = selector): Promise<Drawn> => {
  const opened = await post(rosa, '/v1/incidents', { ...asked, selector: what })
  expect(opened.status, opened.text).toBe(201)
  const { id } = opened.json
  const preview = await post(rosa, of(id, '/preview'))
  expect(preview.status, preview.text).toBe(200)
  return { id, hash: preview.json.hash }
}
const approve = (token: string, { id, hash }: Drawn, previewHash = hash) =>
  post(token, of(id, '/approvals'), { previewHash })
const agreed = async (one: Drawn, token = anna): Promise<Drawn> => {
  const answer = await approve(token, one)
  expect(answer.status, answer.text).toBe(201)
  return one
}
const execute = ({ id, hash }: Drawn, more: object = {}, token = rosa, key?: string) =>
  post(token, of(id, '/executions'), { previewHash: hash, confirm: id, ...more }, key)

type Refused = readonly [status: number, code: string, pointer: string | null, hint: RegExp | null]
const told = ({ status, json }: Answer) => [status, json?.code, json?.errors?.[0]?.pointer ?? null]
const other = 'f'.repeat(64)

const table: readonly (readonly [string, () => Promise<Answer>, Refused])[] = [
  [
    'a hash of nothing is approved',
    async () => approve(anna, await drawn(), other),
    [409, 'incident.previewStale', '/previewHash', /incident preview/],
  ],
  [
    'the hash of another incident is executed',
    async () => {
      const foreign = await drawn({ keys: ['one'] })
      return execute(await agreed(await drawn()), { previewHash: foreign.hash })
    },
    [409, 'incident.previewStale', '/previewHash', /incident preview/],
  ],
  [
    'a hash is malformed',
    async () => execute(await agreed(await drawn()), { previewHash: 'F'.repeat(64) }),
    [400, 'request.invalid', '/previewHash', null],
  ],
  [
    'a preview is too old',
    async () => {
      const one = await agreed(await drawn())
      await api.house.clock.advance(3_600_001)
      return execute(one)
    },
    [409, 'incident.previewExpired', null, /incident preview/],
  ],
  [
    'the confirmation is that of another incident',
    async () => execute(await agreed(await drawn()), { confirm: (await drawn()).id }),
    [422, 'incident.confirmationWrong', '/confirm', /^Type [0-9a-f-]{36}$/],
  ],
  [
    'the confirmation is left out',
    async () => execute(await agreed(await drawn()), { confirm: undefined }),
    [400, 'request.invalid', '/confirm', null],
  ],
  [
    'nothing is selected',
    async () => post(rosa, '/v1/incidents', { ...asked, selector: {} }),
    [400, 'request.invalid', '/selector', null],
  ],
  [
    'what is selected is nothing',
    async () => {
      const { json } = await post(rosa, '/v1/incidents', {
        ...asked,
        selector: { owner: 'nobody' },
      })
      return post(rosa, of(json.id, '/preview'))
    },
    [422, 'incident.empty', '/selector', /narrows the set/],
  ],
  [
    'more is named than an incident may mean',
    async () => {
      const keys = Array.from({ length: mostKeys + 1 }, (_, n) => `k${n}`)
      return post(rosa, '/v1/incidents', { ...asked, selector: { keys } })
    },
    [400, 'request.invalid', '/selector/keys', null],
  ],
  [
    'nobody has agreed',
    async () => execute(await drawn()),
    [409, 'incident.approvalMissing', null, /Another person/],
  ],
  [
    'whoever opened it agrees',
    async () => approve(rosa, await drawn()),
    [403, 'incident.selfApproval', null, /comes from elsewhere/],
  ],
  [
    'whoever agreed has lost the role: their token was deleted',
    async () => {
      const body = { name: 'short', type: 'pat', roles: ['approver'] }
      const made = await api.call('POST', '/v1/api-keys', { body })
      const one = await agreed(await drawn(), made.json.token)
      await api.call('DELETE', `/v1/api-keys/${made.json.id}`)
      return execute(one)
    },
    [409, 'incident.approvalMissing', null, /Another person/],
  ],
  [
    'whoever agreed has lost the role: their token has expired',
    async () => {
      const one = await agreed(await drawn(), await api.token(['approver'], { expiresIn: '10m' }))
      await api.house.clock.advance(11 * 60_000)
      return execute(one)
    },
    [409, 'incident.approvalMissing', null, /Another person/],
  ],
  [
    'whoever agreed has lost the role: the rules of their issuer give it no more',
    async () => {
      const one = await agreed(await drawn(), await issuer.sign({ sub: 'jane' }))
      await believe(['viewer'])
      return execute(one)
    },
    [409, 'incident.approvalMissing', null, /Another person/],
  ],
  [
    'the token of whoever executes has expired',
    async () => {
      const one = await agreed(await drawn())
      const token = await api.token(['responder'], { expiresIn: '10m' })
      await api.house.clock.advance(11 * 60_000)
      return execute(one, {}, token)
    },
    [401, 'auth.invalid', null, null],
  ],
  [
    'the JWT of whoever executes has expired',
    async () => {
      await believe(['responder', 'approver'])
      const one = await agreed(await drawn())
      const jane = await issuer.sign({ sub: 'jane' })
      await api.house.clock.advance(11 * 60_000)
      return execute(one, {}, jane)
    },
    [401, 'auth.invalid', null, null],
  ],
  [
    'the key of another request is sent again',
    async () => {
      const { id, hash } = await drawn()
      const say = (previewHash: string) =>
        post(anna, of(id, '/approvals'), { previewHash }, 'replayed')
      expect((await say(hash)).status).toBe(201)
      return say(other)
    },
    [422, 'idempotency.mismatch', null, null],
  ],
  [
    'no key is sent',
    async () => {
      const { id, hash } = await agreed(await drawn())
      const body = { previewHash: hash, confirm: id }
      return api.call('POST', of(id, '/executions'), { token: rosa, body })
    },
    [428, 'idempotency.missing', null, null],
  ],
]

const executions = async () =>
  api.house.sql(
    `SELECT (SELECT count(*)::int FROM app.incident_key) AS keys,
       (SELECT count(*)::int FROM audit.event WHERE body::jsonb ->> 'action' = 'incident.executed') AS events`,
  )

describe('nothing is executed, and it is said why', () => {
  beforeEach(() => believe(['responder', 'approver']))

  test.each(table)('where %s', async (_what, send, [status, code, pointer, hint]) => {
    const before = await executions()
    const answer = await send()
    expect(told(answer), answer.text).toEqual([status, code, pointer])
    expect(answer.json.detail).not.toBe('')
    if (hint !== null) expect(answer.json.hint).toMatch(hint)
    expect(await executions()).toEqual(before)
  })

  test('where it has grown since it was shown', async () => {
    const one = await agreed(await drawn())
    await api.house.register('three', { labels: { set: 'these' } })
    const answer = await execute(one)
    expect(told(answer)).toEqual([409, 'incident.previewStale', null])
    expect(answer.json).toMatchObject({ added: ['three'], removed: [], changed: [] })
    expect((await api.call('GET', of(one.id, '/keys'))).json.items).toEqual([])
  })

  test('where it means more keys than anybody could have looked at', async () => {
    await api.house.sql('BEGIN')
    await api.house.sql(
      `INSERT INTO audit.event (id, body, writer_kid, writer_sig)
       VALUES ($1, $2, decode(repeat('00', 4), 'hex'), decode(repeat('00', 64), 'hex'))`,
      [
        api.house.ids.next(),
        JSON.stringify({ action: 'key.registered', target: { kind: 'key' }, outcome: 'succeeded' }),
      ],
    )
    await api.house.sql(
      `INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at)
       SELECT gen_random_uuid(), 'many-' || n, 'vault', 'local.secret', '{}', 'local:many-' || n, 'x', 'x', 'x', '{"set": "many"}', '{}', '{}', 1, now(), now()
       FROM generate_series(1, $1::int) n`,
      [mostKeys + 1],
    )
    await api.house.sql('COMMIT')
    const { json } = await post(rosa, '/v1/incidents', {
      ...asked,
      selector: { matchLabels: { set: 'many' } },
    })
    const answer = await post(rosa, of(json.id, '/preview'))
    expect(told(answer)).toEqual([422, 'incident.tooLarge', '/selector'])
    expect(answer.json.hint).toMatch(/one incident a connection/)
    expect((await api.call('GET', of(json.id))).json.state).toBe('draft')
  })
})

test('a reply that is asked for again by somebody else is theirs: keys of requests belong to who sends them', async () => {
  const one = await agreed(await drawn())
  const remo = await api.token(['responder'])
  expect((await execute(one, {}, rosa, 'mine')).status).toBe(202)
  const theirs = await execute(one, {}, remo, 'mine')
  expect(told(theirs)).toEqual([409, 'incident.wrongState', null])
  const events = await api.house.events({ action: 'incident.executed', correlationId: one.id })
  expect(events).toHaveLength(1)
})
