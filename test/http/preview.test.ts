// A dry run of a rotation: what it would do, call by call, and not one write anywhere but the record that it was asked.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApi, type Answer, type Api } from '../support/http.ts'
import { vaultLike } from '../support/store-provider.ts'

let api: Api
/** What each session method was asked for. */
const asked: string[] = []
let away = false

beforeAll(async () => {
  api = await openApi({
    providers: [vaultLike],
    wrap: (session) =>
      new Proxy(session, {
        get: (target, name, receiver) => {
          const method: unknown = Reflect.get(target, name, receiver)
          if (typeof method !== 'function' || typeof name !== 'string') return method
          return (...args: unknown[]) => {
            asked.push(name)
            if (away && name === 'check') throw new Error('cannot be told: postgres://u:secret@db')
            return Reflect.apply(method, target, args)
          }
        },
      }),
  })
  const put = (path: string, body: unknown) => api.call('PUT', path, { body })
  await put('/v1/connections/vault', { provider: 'local' })
  await put('/v1/consumers/shop', { owner: 'team-shop', labels: { uses: 'tokens' } })
  await put('/v1/policies/monthly', {
    selector: { matchLabels: { team: 'shop' } },
    schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris' },
    consumers: {
      matchLabels: { uses: 'tokens' },
      acknowledgement: { required: 'all', timeout: '24h' },
    },
    overlap: { min: '24h' },
    soak: '1h',
    retire: 'destroy',
    approval: { required: 1 },
  })
  const body = { type: 'local.secret', purpose: 'tests', owner: 'team', environment: 'test' }
  for (const [name, team] of [
    ['orders', 'shop'],
    ['pays', 'bank'],
  ] as const) {
    const made = await api.call('POST', '/v1/keys', {
      body: { ...body, name, labels: { team }, connection: 'vault', create: true },
    })
    expect(made.status, made.text).toBe(201)
  }
})
afterAll(() => api.close())

const dryRun = async (key = 'orders'): Promise<Answer> => {
  const answer = await api.call('POST', '/v1/rotations?dryRun=all', {
    body: { key, reason: 'to see it' },
    headers: { 'idempotency-key': 'not-needed' },
  })
  expect(answer.status, answer.text).toBe(200)
  return answer
}
const rows = async () =>
  api.house.sql(`SELECT (SELECT count(*) FROM vault.material) AS material,
    (SELECT count(*) FROM app.rotation) AS rotations, (SELECT count(*) FROM app.intent) AS intents,
    (SELECT count(*) FROM app.version) AS versions, (SELECT count(*) FROM audit.event) AS events`)

test('it tells every call in order, what passes between them, and who must say yes', async () => {
  const { preview } = (await dryRun()).json
  expect(
    preview.calls.map((one: Readonly<Record<string, unknown>>) => [one['call'], one['undo']]),
  ).toEqual([
    ['mint', ['removeNew']],
    ['promote', ['swapBack', 'restoreTargets', 'gateNew', 'removeNew']],
    ['suspend', ['reinstateOld', 'swapBack', 'restoreTargets', 'gateNew', 'removeNew']],
    ['retire', ['late']],
  ])
  expect(preview.waits.map(({ text }: { text: string }) => text)).toEqual(
    expect.arrayContaining([
      'both versions stay valid for 1d',
      'each of its consumers must acknowledge',
      'the old version stays off for 1h before it is retired',
    ]),
  )
  expect(preview).toMatchObject({
    approvals: { required: 1, roles: ['approver'] },
    slot: 'multi',
    versions: { living: 1, most: null },
    facts: { algorithm: 'secret' },
    gap: false,
    hold: null,
    consumers: [{ name: 'shop', acknowledged: null }],
  })
  expect(preview.next).toHaveLength(5)
  expect(preview.next[0]).toMatch(/^\w{3} \d{4}-\d\d-01 03:00 \+0[12]:00 Europe\/Paris$/)
})

test('nothing is written anywhere but the record that it was asked (I14)', async () => {
  const [before] = await rows()
  asked.length = 0
  await dryRun()
  expect((await rows())[0]).toEqual({
    ...before,
    events: String(Number(before?.['events']) + 1),
  })
  expect(asked.toSorted()).toEqual(['check', 'describe', 'prepare'])
})

test('what would hold it is told', async () => {
  const until = new Date(Date.now() + 3_600_000).toISOString()
  await api.call('PUT', '/v1/freeze', {
    body: { until, reason: 'an audit' },
    headers: { 'if-none-match': '*' },
  })
  const { preview } = (await dryRun()).json
  await api.call('DELETE', '/v1/freeze', { headers: { 'if-match': '*' } })
  expect(preview.hold).toMatchObject({ gate: 'freeze', text: 'frozen: an audit', until })
})

test('a provider that does not answer is told as such, in our words', async () => {
  away = true
  const answer = await dryRun().finally(() => (away = false))
  expect(answer.json.preview.checks).toMatchObject([{ name: 'reachable', outcome: 'missing' }])
  expect(answer.text).not.toContain('secret')
})

test('every place that gets the new value is asked too: its grant, and then its provider', async () => {
  const put = (path: string, body: unknown, headers = {}) =>
    api.call('PUT', path, { body, headers })
  const store = (grants: unknown) => ({ provider: 'storeLike', grants })
  await put('/v1/connections/store', store([{ matchLabels: { team: 'bank' }, refs: ['*'] }]))
  const policy = await put('/v1/policies/published', {
    selector: { matchLabels: { team: 'bank' } },
    manual: true,
    publish: [
      { name: 'copy', connection: 'store', type: 'storeLike.secret', ref: { path: 'copy' } },
    ],
  })
  expect(policy.status, policy.text).toBe(201)
  const copy = async () =>
    (await dryRun('pays')).json.preview.checks.filter(({ name }: { name: string }) =>
      name.startsWith('copy: '),
    )
  // The fixture connects to nothing, and says so.
  expect(await copy()).toMatchObject([
    { name: 'copy: accepted', outcome: 'missing', detail: 'only declared' },
  ])
  await put('/v1/connections/store', store([]), { 'if-match': '*' })
  expect(await copy()).toMatchObject([
    { name: 'copy: allowed', outcome: 'missing', detail: expect.stringContaining('does not let') },
  ])
})
