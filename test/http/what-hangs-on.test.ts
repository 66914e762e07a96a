// What hangs on a key, and whether keys are rotated as they should be: over HTTP, on rows made through the API.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { csvOf } from '#http/csv.ts'
import { dotOf } from '#http/dot.ts'
import type { Json } from '../support/examples.ts'
import { openApi, type Api } from '../support/http.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
  const put = (path: string, body: unknown) => api.call('PUT', path, { body })
  await put('/v1/connections/vault', { provider: 'local' })
  await put('/v1/consumers/shop', { owner: 'team-shop', labels: { team: 'shop' } })
  await put('/v1/consumers/till', { owner: 'team-shop', labels: { uses: 'tokens' } })
  await put('/v1/consumers/audit', { owner: 'team-audit', keys: ['orders'] })
  await register('orders', { labels: { team: 'shop' }, consumers: ['shop'], usableBy: ['pays'] })
  await register('mirror', { labels: { team: 'billing' }, consumers: ['ledger'] })
  await put('/v1/policies/monthly', {
    selector: { matchLabels: { team: 'shop' } },
    schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris' },
    maxAge: '60d',
    consumers: { matchLabels: { uses: 'tokens' } },
  })
})
afterAll(() => api.close())

const register = async (name: string, more: Readonly<Record<string, unknown>> = {}) => {
  const body = { type: 'local.secret', purpose: 'tests', owner: 'team', environment: 'test' }
  const answer = await api.call('POST', '/v1/keys', {
    body: { ...body, name, connection: 'vault', create: true, ...more },
  })
  expect(answer.status, answer.text).toBe(201)
}

const edges = async (name: string, token?: string): Promise<readonly Json[]> =>
  (await api.call('GET', `/v1/keys/${name}/blast-radius`, token === undefined ? {} : { token }))
    .json.edges

describe('usage', () => {
  test('tells who read which version when, through Rekey, and what the provider says', async () => {
    const token = await api.token(['consumer'], { consumer: 'shop' })
    for (let n = 0; n < 3; n += 1) await api.call('GET', '/v1/keys/orders/value', { token })
    const { json, status } = await api.call('GET', '/v1/keys/orders/usage')
    expect(status).toBe(200)
    expect(json.uses).toMatchObject([
      { consumer: 'shop', operation: 'read', version: 1, uses: 3, actor: 't-consumer' },
    ])
    expect(json.versions).toMatchObject([{ version: 1, primary: true, detail: null }])
    expect(json.source.text).toMatch(/Rekey itself/)
    expect(json.complete).toBe(true)
  })

  test('is of this key alone, not of an earlier one of its name', async () => {
    await register('reborn')
    const token = await api.token(['consumer'], { consumer: 'x', keys: ['reborn'] })
    await api.call('GET', '/v1/keys/reborn/value', { token })
    await api.call('DELETE', '/v1/keys/reborn', { headers: { 'if-match': '*' } })
    await register('reborn')
    expect((await api.call('GET', '/v1/keys/reborn/usage')).json.uses).toEqual([])
  })
})

describe('the blast radius', () => {
  test('names consumers with where each is known from, how old that is and how sure', async () => {
    await api.house.clock.advance(3 * 86_400_000)
    const found = await edges('orders')
    const about = (name: string) =>
      found
        .filter(({ to }) => to?.name === name)
        .map(({ source, confidence, age }) => [source, confidence, age])
    expect(about('shop')).toEqual([
      ['usedThroughRekey', 'observed', '3d'],
      ['declaredOnKey', 'declared', '3d'],
    ])
    expect(about('till')).toEqual([['policyLabels', 'declared', '3d']])
    expect(about('audit')).toEqual([['declaredByConsumer', 'declared', '3d']])
  })

  test('names connections that use the key as their credential', async () => {
    const made = await api.call('PUT', '/v1/connections/pays', {
      body: {
        provider: 'vault',
        settings: { address: 'https://vault.example.com', auth: { method: 'token' } },
        credential: { from: 'key', key: 'orders' },
      },
    })
    expect(made.status, made.text).toBe(201)
    expect(await edges('orders')).toContainEqual(
      expect.objectContaining({
        to: { kind: 'connection', name: 'pays' },
        source: 'credential',
        confidence: 'declared',
      }),
    )
  })

  test('says what it does not know: an edge without a name', async () => {
    const token = await api.token(['viewer'], { scope: { matchLabels: { team: 'shop' } } })
    const hidden = (await edges('orders', token)).filter(({ source }) => source === 'credential')
    expect(hidden).toMatchObject([{ to: null, detail: 'and 1 other that you may not see' }])
    expect((await api.call('GET', '/v1/keys/mirror/blast-radius', { token })).status).toBe(404)
  })

  test('is drawn as a graph for whoever accepts one: what is seen, written down and unknown look different', async () => {
    const headers = { accept: 'text/vnd.graphviz' }
    const {
      status,
      text,
      headers: sent,
    } = await api.call('GET', '/v1/keys/orders/blast-radius', { headers })
    expect([status, sent['content-type']]).toEqual([200, 'text/vnd.graphviz; charset=utf-8'])
    expect(text).toMatch(/^digraph "orders" \{\n/)
    expect(text).toContain(
      '"key/orders" -> "consumer/shop" [label="usedThroughRekey, 3d ago", style=solid]',
    )
    expect(text).toContain(
      '"key/orders" -> "consumer/audit" [label="declaredByConsumer, 3d ago", style=dashed]',
    )
    expect(text).toContain('"connection/pays" [label="pays\\nconnection", shape=component]')
  })

  test('a text that is drawn stays within its quotes, whatever it holds', () => {
    const node = { id: 'a"];b', label: 'c\\" -> "d\ne', shape: 'box' } as const
    expect(dotOf('x"y', [node], [])).toBe(
      [
        'digraph "x\\"y" {',
        '  rankdir=LR',
        '  "a\\"];b" [label="c\\\\\\" -> \\"d\\ne", shape=box]',
        '}',
        '',
      ].join('\n'),
    )
  })
})

describe('compliance', () => {
  test('counts each key once, by policy and by label', async () => {
    const { json } = await api.call('GET', '/v1/compliance')
    expect(json.items).toEqual([
      { group: 'monthly', keys: 1, percent: 100, compliant: 1, overdue: 0, stalled: 0, unruled: 0 },
      { group: null, keys: 2, percent: 0, compliant: 0, overdue: 0, stalled: 0, unruled: 2 },
    ])
    const byTeam = (await api.call('GET', '/v1/compliance?by=label:team')).json.items
    expect(byTeam.map(({ group, keys }: Json) => [group, keys])).toEqual([
      ['billing', 1],
      ['shop', 1],
      [null, 1],
    ])
    expect((await api.call('GET', '/v1/compliance?by=colour')).status).toBe(400)
  })

  test('a key that is past its date is overdue, and no longer compliant', async () => {
    await api.house.sql(
      `UPDATE app.key_schedule SET overdue_since = '2026-11-01T00:00:00Z' WHERE key_id = (SELECT id FROM app.key WHERE name = 'orders' AND deleted_at IS NULL)`,
    )
    const { json } = await api.call('GET', '/v1/compliance/keys?policy=monthly')
    expect(json.items).toMatchObject([
      { key: 'orders', verdict: 'overdue', overdueSince: '2026-11-01T00:00:00.000Z' },
    ])
    const [monthly] = (await api.call('GET', '/v1/compliance')).json.items
    expect(monthly).toMatchObject({ group: 'monthly', percent: 0, overdue: 1, compliant: 0 })
  })

  test('comes as CSV too, in pages that lead to the next', async () => {
    const headers = { accept: 'text/csv' }
    const first = await api.call('GET', '/v1/compliance/keys?limit=2', { headers })
    expect(first.headers['content-type']).toBe('text/csv; charset=utf-8; header=present')
    const [head = '', ...rows] = first.text.trimEnd().split('\r\n')
    expect(head.split(',').slice(0, 3)).toEqual(['key', 'verdict', 'policy'])
    expect(rows.map((row) => row.split(',')[0])).toEqual(['mirror', 'orders'])
    const [, next = ''] = /^<([^>]+)>; rel="next"$/.exec(first.headers['link'] ?? '') ?? []
    const second = await api.call('GET', next, { headers })
    expect(second.text.split('\r\n')[1]).toMatch(/^reborn,/)
    expect(second.headers['link']).toBeUndefined()
    const groups = await api.call('GET', '/v1/compliance', { headers })
    expect(groups.text.split('\r\n')[0]).toBe(
      'group,keys,percent,compliant,overdue,stalled,unruled',
    )
  })

  test('a cell that a spreadsheet would run is text', async () => {
    await register('formula', { owner: '=HYPERLINK("http://x","y")', labels: { team: '+1' } })
    const { text } = await api.call('GET', '/v1/compliance/keys', {
      headers: { accept: 'text/csv' },
    })
    expect(text).toContain(`"'=HYPERLINK(""http://x"",""y"")"`)
    const byTeam = await api.call('GET', '/v1/compliance?by=label:team', {
      headers: { accept: 'text/csv' },
    })
    expect(byTeam.text).toContain("\r\n'+1,1,")
  })

  test.each([
    ['=1+1', "'=1+1"],
    ['@x', "'@x"],
    ['-1', "'-1"],
    ['\tx', "'\tx"],
    ['a,b', '"a,b"'],
    ['say "x"', '"say ""x"""'],
    ['two\r\nlines', '"two\r\nlines"'],
    ['plain', 'plain'],
    [null, ''],
    [7, '7'],
  ])('the cell %j is written as %j', (value, written) => {
    expect(csvOf(['a'], [[value]])).toBe(`a\r\n${written}\r\n`)
  })
})
