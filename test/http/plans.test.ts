// Plans over HTTP: the forms in which documents may be sent, what is refused and where it is said to stand, limits.

import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { documentOf } from '#domain/resource-document.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'
import { consumerOf, keyOf, policyOf, yamlOf } from '../support/plans.ts'

let api: Api
let n = 0
let app: string

beforeAll(async () => {
  api = await openApi({ allow: ['hooks.example.com'] })
  await api.house.connection('vault')
})
beforeEach(() => {
  n += 1
  app = `app${n}`
})
afterAll(() => api.close())

const post = (body: unknown, query = ''): Promise<Answer> =>
  api.call('POST', `/v1/plans${query}`, { body })
const postYaml = (raw: string, query = ''): Promise<Answer> =>
  api.call('POST', `/v1/plans${query}`, { raw, type: 'application/yaml' })
const actionsOf = ({ json }: Answer) => json.items.map((i: { action: string }) => i.action)

describe('documents may be sent', () => {
  test('as a list, as files, as a text, as a YAML body: all say the same', async () => {
    const documents = [policyOf(`p-${app}`, app), keyOf(`k-${app}`, app)]
    const text = yamlOf(...documents)
    const answers = [
      await post({ owner: 'a', documents }),
      await post({ owner: 'a', documents: [{ file: 'a.yaml', text }] }),
      await post({ owner: 'a', documents: text }),
      await postYaml(text, '?owner=a'),
    ]
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201])
    expect(new Set(answers.map(({ json }) => json.hash)).size).toBe(1)
    expect(answers[0]?.headers['location']).toBe(`/v1/plans/${answers[0]?.json.id}`)
    expect(answers[0]?.json).toMatchObject({
      state: 'open',
      owner: 'a',
      prune: false,
      author: { name: expect.any(String) },
      audit: { eventId: expect.any(String) },
    })
    const query = '?owner=a&prune=true&allow=massRotation&allow=policyDeletion'
    const { json } = await postYaml(text, query)
    expect([json.prune, json.allow]).toEqual([true, ['massRotation', 'policyDeletion']])
  })

  test('never with one thing said twice', async () => {
    const { status, json } = await post({ owner: 'a', documents: [] }, '?owner=b')
    expect([status, json.errors]).toEqual([
      400,
      [{ pointer: '/query/owner', detail: 'said twice' }],
    ])
  })

  test('as a dry run, which keeps nothing', async () => {
    const { status, json } = await post({ documents: [consumerOf(`c-${app}`)] }, '?dryRun=all')
    expect([status, json.dryRun, json.items.length]).toEqual([200, true, 1])
    expect((await api.call('GET', `/v1/plans/${json.id}`)).status).toBe(404)
  })
})

describe('what is wrong with documents is said where it stands', () => {
  const envelope = 'apiVersion: rekey.dev/v1\nkind: Consumer\nmetadata: { name: c }\n'
  test.each([
    ['no document', '# nothing\n', '1:1', /no document/],
    ['no kind', 'apiVersion: rekey.dev/v1\n', '1:1', /kind is missing; Connection or/],
    ['an unknown kind', 'kind: Consumr\n', '1:7', /unknown kind; did you mean Consumer\?/],
    ['another version', envelope.replace('v1', 'v2'), '1:13', /must be "rekey.dev\/v1"/],
    ['a missing spec', envelope, '1:1', /spec is missing/],
    [
      'an unknown field',
      `${envelope}spec: { owner: a, color: b }\n`,
      '4:19',
      /unknown field "color"/,
    ],
    ['a field twice', `${envelope}spec: { owner: a, owner: b }\n`, '4:19', /stands here twice/],
    [
      'a name twice',
      `${envelope}spec: { owner: a }\n---\n${envelope}spec: { owner: a }\n`,
      '8:19',
      /Consumer c stands here twice/,
    ],
    ['broken YAML', `${envelope}spec: { owner: a\n`, '5:1', /./],
    ['a tag', `${envelope}spec: !!python/object { owner: a }\n`, '4:23', /tags are not allowed/],
    ['a merge key', `${envelope}spec: { <<: { owner: a } }\n`, '4:9', /merge keys/],
    ['a hidden character', `${envelope}spec: { owner: "a\u202eb" }\n`, '4:18', /U\+202E/],
    [
      'an alias that grows',
      `a: &a [${'x, '.repeat(50)}]\nb: &b [${'*a, '.repeat(50)}]\nc: [${'*b, '.repeat(50)}]\n`,
      null,
      /the aliases repeat too much/,
    ],
    ['an alias of itself', 'a: &a [*a]\n', '1:8', /contains itself/],
    [
      'a thousand levels',
      `${'['.repeat(1_000)}${']'.repeat(1_000)}\n`,
      null,
      /nested deeper than 64 levels/,
    ],
    ['a million values', `a: [${'1,'.repeat(600_000)}]\n`, null, /too many values/],
    ['a document a line, too many', 'a: 1\n---\n'.repeat(1_100), null, /more than 1000 documents/],
  ])('%s', async (_what, text, place, detail) => {
    const { status, json } = await postYaml(text)
    expect([status, json.code]).toEqual([400, 'request.invalid'])
    const found = json.errors.map(
      (e: { line: number; column: number; detail: string }) => `${e.line}:${e.column} ${e.detail}`,
    )
    expect(found.join('\n')).toMatch(detail)
    if (place !== null) expect(found.join('\n')).toMatch(new RegExp(`^${place} `, 'm'))
    const inFile = await post({ documents: [{ file: 'x.yaml', text }] })
    if (!text.includes('\u202e')) expect(inFile.json.errors[0].file).toBe('x.yaml')
    expect(inFile.status).toBe(400)
  })

  test.each([
    ['no file and no document', [{ text: 1 }], '/documents/0'],
    ['a file with more in it', [{ file: 'a', text: 'a', more: 1 }], '/documents/0'],
    ['a number', [1], '/documents/0'],
    ['no list and no text', 7, '/documents'],
  ])('%s', async (_what, documents, pointer) => {
    const { status, json } = await post({ documents })
    expect([status, json.code]).toEqual([400, 'request.invalid'])
    expect(json.errors.map((e: { pointer: string }) => e.pointer)).toContain(pointer)
  })

  test('by what the use case of its kind says, in the document', async () => {
    const text = yamlOf(keyOf(`k-${app}`, app, { connection: 'nowhere' }))
    const { status, json } = await post({ documents: [{ file: 'k.yaml', text }] })
    expect([status, json.code]).toEqual([422, 'request.impossible'])
    expect(json.errors).toMatchObject([{ file: 'k.yaml', line: 1, pointer: '/spec/connection' }])
  })
})

test('twelve megabytes are too large, ten are read to their end', async () => {
  const line = `# ${'x'.repeat(997)}\n`
  const large = await postYaml(line.repeat(12_000))
  expect([large.status, large.json.code]).toEqual([413, 'request.tooLarge'])
  const most = await postYaml(line.repeat(9_900))
  expect([most.status, most.json.errors[0].detail]).toEqual([400, 'there is no document here'])
})

test('the same POST with the same key makes one plan, and applies once', async () => {
  const send = (path: string, body: unknown) =>
    api.call('POST', path, { body, headers: { 'idempotency-key': `k-${app}` } })
  const documents = [consumerOf(`c-${app}`)]
  const [a, b] = [await send('/v1/plans', { documents }), await send('/v1/plans', { documents })]
  expect([a.json.id, b.headers['idempotency-replayed']]).toEqual([b.json.id, 'true'])
  const { hash } = a.json
  const path = `/v1/plans/${a.json.id}/apply`
  const [c, d] = [await send(path, { hash }), await send(path, { hash })]
  expect([c.status, c.text === d.text]).toEqual([200, true])
  expect(c.json).toMatchObject({ state: 'applied', items: [{ outcome: 'done' }] })
})

test('a plan with keys that wait answers 202, then 200', async () => {
  const documents = [keyOf(`k-${app}`, app, { create: false })]
  const { json: plan } = await post({ documents })
  const apply = () => api.call('POST', `/v1/plans/${plan.id}/apply`, { body: { hash: plan.hash } })
  const first = await apply()
  expect([first.status, first.headers['retry-after']]).toEqual([202, '1'])
  expect(first.json).toMatchObject({
    state: 'applying',
    items: [{ outcome: 'refused', problem: { code: 'key.noObject', title: expect.any(String) } }],
  })
  await api.house.register(`k-${app}`, { labels: { app }, purpose: 'tests' })
  expect((await apply()).status).toBe(200)
})

test('the schema of each kind of document is there for editors', async () => {
  for (const kind of ['connection', 'consumer', 'key', 'policy']) {
    const { status, json } = await api.call('GET', `/schemas/${kind}.v1.json`, { token: null })
    expect([status, json.required]).toEqual([200, ['apiVersion', 'kind', 'metadata', 'spec']])
  }
})

describe('a plan of what a GET answered changes nothing', () => {
  const label = fc.constantFrom('team', 'env', 'tier')
  const labels = fc.dictionary(label, fc.constantFrom('a', 'b', ''), { maxKeys: 3 })
  const duration = fc.constantFrom('0s', '90s', '24h', '3d')
  const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
  const clean = (value: unknown) => JSON.parse(JSON.stringify(value))
  const seen = async (kind: Parameters<typeof documentOf>[0], path: string) => {
    const { json } = await api.call('GET', path)
    const document = documentOf(kind, json)
    const plan = await post({ documents: [document] }, '?dryRun=all')
    expect(plan.status, plan.text).toBe(200)
    expect(plan.json.items[0], JSON.stringify(document)).toMatchObject({
      action: 'unchanged',
      diff: [],
    })
  }
  const put = async (path: string, body: unknown) => {
    const live = await api.call('GET', path)
    const headers: Record<string, string> =
      live.status === 200 ? { 'if-match': live.headers['etag'] ?? '' } : {}
    const answer = await api.call('PUT', path, { body: clean(body), headers })
    expect(answer.status, answer.text).toBeLessThan(300)
  }
  const few = { numRuns: 15 }

  test('a policy', async () => {
    const spec = fc.record({
      labels: optional(labels),
      annotations: optional(labels),
      selector: fc.constant({ matchLabels: { nobody: 'here' } }),
      maxAge: fc.constant('90d'),
      enabled: optional(fc.boolean()),
      priority: optional(fc.integer({ min: -5, max: 5 })),
      soak: optional(duration),
      overlap: optional(fc.record({ min: optional(duration) })),
      retire: optional(fc.constantFrom('keep', 'disable')),
      blackouts: optional(
        fc.constantFrom(
          [],
          [{ name: 'x', from: '2099-01-01T00:00:00Z', to: '2099-01-02T00:00:00Z' }],
        ),
      ),
      generate: optional(fc.constant({})),
    })
    await fc.assert(
      fc.asyncProperty(spec, async (body) => {
        await put('/v1/policies/any', body)
        await seen('RotationPolicy', '/v1/policies/any')
      }),
      few,
    )
  })

  test('a key', async () => {
    await api.house.register('any', {})
    const body = fc.record({
      connection: fc.constant('vault'),
      type: fc.constant('local.secret'),
      ref: optional(fc.constant({})),
      purpose: fc.constantFrom('a', 'b: c', '- d'),
      owner: fc.constant('team'),
      environment: fc.constant('test'),
      labels: optional(labels),
      consumers: optional(fc.subarray(['one', 'two'])),
      usableBy: optional(fc.subarray(['vault'])),
      observe: fc.constantFrom(undefined, null, 'native'),
      generate: fc.constantFrom(undefined, null, {}, { length: 30 }),
    })
    await fc.assert(
      fc.asyncProperty(body, async (key) => {
        await put('/v1/keys/any', key)
        await seen('Key', '/v1/keys/any')
      }),
      few,
    )
  })

  test('a consumer and a connection, with what was sent of secrets', async () => {
    const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
    const webhook = 'https://hooks.example.com/reload'
    const body = fc.record({
      owner: fc.constantFrom('a', 'b'),
      labels: optional(labels),
      keys: optional(fc.subarray(['any'])),
      reload: fc.constantFrom(undefined, null, { webhook, secret }),
    })
    const connection = fc.record({
      provider: fc.constant('vault'),
      settings: fc.constant({ address: 'https://vault.example.com', auth: { method: 'token' } }),
      credential: fc.constantFrom(undefined, { from: 'none' }, { from: 'value', value: 'hvs.x' }),
      grants: optional(fc.constantFrom([], [{ matchLabels: { team: 'a' }, refs: ['*'] }])),
      labels: optional(labels),
    })
    await fc.assert(
      fc.asyncProperty(body, connection, async (consumer, account) => {
        await put('/v1/consumers/any', consumer)
        await seen('Consumer', '/v1/consumers/any')
        await put('/v1/connections/any', account)
        await seen('Connection', '/v1/connections/any')
      }),
      few,
    )
  })
})

test('an applied plan shows what it did', async () => {
  const { json: plan } = await post({ documents: [consumerOf(`c-${app}`), keyOf(`k-${app}`, app)] })
  const applied = await api.call('POST', `/v1/plans/${plan.id}/apply`, {
    body: { hash: plan.hash },
  })
  expect([applied.status, actionsOf(applied)]).toEqual([200, ['create', 'create']])
  const { json } = await api.call('GET', `/v1/plans/${plan.id}`)
  expect(json).toMatchObject({ state: 'applied', appliedBy: expect.any(String) })
  expect(json.items.map((i: { outcome: string }) => i.outcome)).toEqual(['done', 'done'])
})

test('plans are listed newest first, by state, each with what it changes, and within a scope', async () => {
  const first = await post({ documents: [consumerOf(`a-${app}`), consumerOf(`b-${app}`)] })
  const second = await post({ owner: 'a', documents: [consumerOf(`c-${app}`)] })
  await api.call('POST', `/v1/plans/${first.json.id}/apply`, { body: { hash: first.json.hash } })
  const ids = async (query: string, more = {}) =>
    (await api.call('GET', `/v1/plans?limit=200${query}`, more)).json.items.map(
      ({ id }: { id: string }) => id,
    )
  expect((await ids('')).slice(0, 2)).toEqual([second.json.id, first.json.id])
  expect((await ids('&state=applied'))[0]).toBe(first.json.id)
  expect((await ids('&state=open'))[0]).toBe(second.json.id)
  expect(await ids('&state=applying')).not.toContain(first.json.id)
  const { json } = await api.call('GET', '/v1/plans?state=applied&limit=1')
  expect(json.items[0]).toMatchObject({
    changes: { create: 2, update: 0, delete: 0, unchanged: 0 },
    state: 'applied',
    author: { name: expect.any(String) },
  })
  expect(json.items[0]).not.toHaveProperty('items')
  const token = await api.token(['operator'], { scope: { matchLabels: { team: 'x' } } })
  expect(await ids('', { token })).toEqual([])
  const mine = await api.call('POST', '/v1/plans', {
    token,
    body: { documents: [consumerOf(`d-${app}`, {}, { team: 'x' })] },
  })
  expect(await ids('', { token })).toEqual([mine.json.id])
})
