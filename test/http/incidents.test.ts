// Incidents over HTTP: what is meant, shown, agreed to and told. What is done at providers is told in test/usecases.

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../support/examples.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'

let api: Api
/** By name: two responders, an approver, a responder of team a. */
let tokens: Readonly<Record<'rosa' | 'remo' | 'anna' | 'tina', string>>

beforeAll(async () => {
  api = await openApi()
  await api.house.connection('vault')
  await api.house.connection('till')
  await api.house.consumer('shop', { labels: { uses: 'tokens' } })
  const team = (name: string) => ({ connection: 'vault', labels: { team: name } })
  await api.house.register('orders', { ...team('a'), consumers: ['shop'] })
  await api.house.register('signing', { ...team('a'), type: 'local.key' })
  await api.house.register('billing', team('b'))
  await api.house.register('cash', { connection: 'till', labels: { team: 'a' } })
  const scope = { matchLabels: { team: 'a' } }
  tokens = {
    rosa: await api.token(['responder']),
    remo: await api.token(['responder']),
    anna: await api.token(['approver']),
    tina: await api.token(['responder'], { scope }),
  }
})
afterAll(() => api.close())

type Who = keyof typeof tokens
const post = (who: Who, path: string, body: unknown = {}): Promise<Answer> =>
  api.call('POST', path, { token: tokens[who], body })
const of = (id: string, path = '') => `/v1/incidents/${id}${path}`
const asked = {
  title: 'A laptop was stolen',
  severity: 'high',
  mode: 'revokeFirst',
  reason: 'lost',
}
const open = async (selector: unknown, more: object = {}, who: Who = 'rosa'): Promise<Json> => {
  const answer = await post(who, '/v1/incidents', { ...asked, ...more, selector })
  expect(answer.status, answer.text).toBe(201)
  return answer.json
}
const previewed = async (selector: unknown, more: object = {}): Promise<Json> => {
  const { id } = await open(selector, more)
  const answer = await post('rosa', of(id, '/preview'))
  expect(answer.status, answer.text).toBe(200)
  return { id, ...answer.json }
}
const refusal = ({ status, json }: Answer) => [status, json.code]

describe('what is meant', () => {
  test('is said by any field, and all that is given must hold', async () => {
    const names = async (selector: unknown) =>
      (await previewed(selector)).keys.map(({ key }: Json) => key).toSorted()
    expect(await names({ matchLabels: { team: 'a' } })).toEqual(['cash', 'orders', 'signing'])
    expect(await names({ matchLabels: { team: 'a' }, connections: ['vault'] })).toEqual([
      'orders',
      'signing',
    ])
    expect(await names({ consumer: 'shop' })).toEqual(['orders'])
    expect(await names({ providers: ['local'], keys: ['cash', 'billing'] })).toEqual([
      'billing',
      'cash',
    ])
    expect(await names({ versions: [{ key: 'orders', version: 1 }] })).toEqual(['orders'])
    expect(await names({ owner: 'team', environment: 'test', keys: ['cash'] })).toEqual(['cash'])
    const later = new Date(api.house.clock.now().getTime() + 60_000).toISOString()
    expect(await names({ createdBefore: later, keys: ['cash'] })).toEqual(['cash'])
    const { id } = await open({ createdAfter: later })
    expect(refusal(await post('rosa', of(id, '/preview')))).toEqual([422, 'incident.empty'])
  })

  test('is found by the digest of a pasted secret, which is kept nowhere', async () => {
    const reader = await api.token(['consumer'], { consumer: 'x', keys: ['orders'] })
    const value = (await api.call('GET', '/v1/keys/orders/value', { token: reader })).json.value
    const digest = createHash('sha256').update(value).digest('hex')
    const incident = await open({ digests: [digest, '0'.repeat(64)] })
    expect(incident.selector).toEqual({ versions: [{ key: 'orders', version: 1 }] })
    const events = await api.house.events({})
    expect(JSON.stringify(events)).not.toContain(digest)
    const nobodys = await post('rosa', '/v1/incidents', {
      ...asked,
      selector: { digests: ['0'.repeat(64)] },
    })
    expect(refusal(nobodys)).toEqual([422, 'incident.empty'])
    expect(nobodys.json.errors).toMatchObject([{ pointer: '/selector/digests' }])
  })

  test('is within the scope of whoever opens it, and out of it is invisible', async () => {
    const mine = await open({ providers: ['local'] }, {}, 'tina')
    expect(mine.selector).toEqual({ providers: ['local'], matchLabels: { team: 'a' } })
    const { json } = await post('rosa', of(mine.id, '/preview'))
    expect(json.keys.map(({ key }: Json) => key)).not.toContain('billing')
    const all = await open({ providers: ['local'] })
    for (const path of ['', '/report', '/timeline', '/keys', '/preview', '/events'])
      expect((await api.call('GET', of(all.id, path), { token: tokens.tina })).status).toBe(404)
    const { json: list } = await api.call('GET', '/v1/incidents?limit=200', { token: tokens.tina })
    expect(list.items.map(({ id }: Json) => id)).not.toContain(all.id)
    const foreign = { ...asked, selector: { keys: ['billing'] } }
    const refused = await post('tina', '/v1/incidents', foreign)
    expect([refused.status, refused.json.errors[0].pointer]).toEqual([422, '/selector/keys/0'])
    const other = { ...asked, selector: { matchLabels: { team: 'b' } } }
    expect(refusal(await post('tina', '/v1/incidents', other))).toEqual([422, 'incident.empty'])
  })

  test.each([
    ['nothing', {}, '/selector'],
    ['pairs, of which none is named,', { pairs: 'both' }, '/selector'],
    ['halves of a kind that is none', { keys: ['orders'], pairs: 'one' }, '/selector/pairs'],
    ['an unknown field', { labels: { team: 'a' } }, '/selector/labels'],
    ['a key that is not there', { keys: ['orders', 'odrers'] }, '/selector/keys/1'],
    ['a connection that is not there', { connections: ['valut'] }, '/selector/connections/0'],
    ['a policy that is not there', { policy: 'none' }, '/selector/policy'],
    ['a consumer that nobody knows', { consumer: 'nobody' }, '/selector/consumer'],
    ['a moment that is none', { createdAfter: '2026-02-30T00:00:00Z' }, '/selector/createdAfter'],
    ['a secret instead of its digest', { digests: ['hunter2'] }, '/selector/digests/0'],
    [
      'too many digests',
      { digests: Array.from({ length: 101 }, (_, i) => i.toString(16).padStart(64, '0')) },
      '/selector/digests',
    ],
  ])('%s is refused with its place, and nothing is opened', async (_what, selector, pointer) => {
    const count = async () => (await api.house.events({ action: 'incident.opened' })).length
    const before = await count()
    const answer = await post('rosa', '/v1/incidents', { ...asked, selector })
    expect([400, 422]).toContain(answer.status)
    expect(answer.json.errors.map((one: Json) => one.pointer)).toContain(pointer)
    expect(await count()).toBe(before)
    expect(answer.text).not.toContain('hunter2')
  })
})

describe('a preview', () => {
  test('shows each version, what is done, what that means, and who must agree', async () => {
    const preview = await previewed({ keys: ['orders'] })
    expect(preview).toMatchObject({
      approvalsNeeded: 1,
      consumers: ['shop'],
      keys: [
        {
          key: 'orders',
          versions: [
            { version: 1, containment: 'suspend', reversible: true, expect: 'refused', why: null },
          ],
          replacement: 'new',
          losesAccess: [],
        },
      ],
    })
    expect(preview.warnings.join('\n')).toMatch(/An outage of orders/)
    const { json } = await api.call('GET', of(preview.id), { token: tokens.anna })
    expect(json).toMatchObject({
      state: 'awaitingApproval',
      preview: { hash: preview.hash, keys: 1 },
    })
    const { json: kept } = await api.call('GET', of(preview.id, '/preview'), { token: tokens.anna })
    expect(kept).toEqual(
      (({ id: _id, audit: _audit, differs: _differs, playbooks: _playbooks, ...rest }) => rest)(
        preview,
      ),
    )
  })

  test('has the same hash while the world is the same, and keeps its approvals', async () => {
    const { id, hash } = await previewed({ keys: ['signing'] })
    expect((await post('anna', of(id, '/approvals'), { previewHash: hash })).json.state).toBe(
      'previewed',
    )
    const again = await post('rosa', of(id, '/preview'))
    expect(again.json.hash).toBe(hash)
    const { json } = await api.call('GET', of(id))
    expect([json.state, json.approvals.length]).toEqual(['previewed', 1])
  })

  test('is another one when the world is, and has no approvals', async () => {
    const { id, hash } = await previewed({ keys: ['signing'] })
    await post('anna', of(id, '/approvals'), { previewHash: hash })
    await api.house.putKey('signing', (body) => ({ ...body, purpose: 'something else' }))
    const again = await post('rosa', of(id, '/preview'))
    expect(again.json.hash).not.toBe(hash)
    expect(again.json.differs).toEqual({ added: [], removed: [], changed: ['signing'] })
    const { json } = await api.call('GET', of(id))
    expect([json.state, json.approvals]).toEqual(['awaitingApproval', []])
    const old = await post('anna', of(id, '/approvals'), { previewHash: hash })
    expect(refusal(old)).toEqual([409, 'incident.previewStale'])
  })

  test('of many keys names the most dangerous first', async () => {
    await api.house.register('login', {
      connection: 'vault',
      usableBy: ['pays'],
      labels: { team: 'z' },
    })
    await api.house.register('alone', { connection: 'vault', labels: { team: 'z' } })
    await api.house.register('used', {
      connection: 'vault',
      labels: { team: 'z' },
      consumers: ['shop'],
    })
    await api.house.connection('pays', {
      provider: 'vault',
      settings: { address: 'https://vault.example.com', auth: { method: 'token' } },
      credential: { from: 'key', key: 'login' },
    })
    const { keys } = await previewed({ matchLabels: { team: 'z' } })
    expect(keys.map(({ key, losesAccess }: Json) => [key, losesAccess])).toEqual([
      ['login', ['pays']],
      ['used', []],
      ['alone', []],
    ])
  })

  test('that is empty, of nobody’s incident, or of one that is closed, is refused', async () => {
    const { id } = await open({ matchLabels: { team: 'nobody' } })
    expect(refusal(await post('rosa', of(id, '/preview')))).toEqual([422, 'incident.empty'])
    await post('rosa', of(id, '/closures'), { reason: 'a mistake' })
    expect(refusal(await post('rosa', of(id, '/preview')))).toEqual([409, 'incident.wrongState'])
    const nobodys = of('01a214c2-32c0-7051-b212-1106795cc6da', '/preview')
    expect(refusal(await post('rosa', nobodys))).toEqual([404, 'resource.notFound'])
  })
})

describe('an approval', () => {
  test('is by somebody who neither opened nor previewed it', async () => {
    const { id } = await open({ keys: ['cash'] })
    const { hash } = (await post('remo', of(id, '/preview'))).json
    for (const who of ['rosa', 'remo'] as const) {
      const refused = await post(who, of(id, '/approvals'), { previewHash: hash })
      expect(refusal(refused)).toEqual([403, 'incident.selfApproval'])
    }
    expect((await post('anna', of(id, '/approvals'), { previewHash: hash })).status).toBe(201)
    const twice = await post('anna', of(id, '/approvals'), { previewHash: hash })
    expect(refusal(twice)).toEqual([409, 'resource.exists'])
  })

  test('does not count once its token is deleted', async () => {
    const made = await api.call('POST', '/v1/api-keys', {
      body: { name: 'short', type: 'pat', roles: ['approver'] },
    })
    const { id, hash } = await previewed({ keys: ['cash'] })
    const approved = await api.call('POST', of(id, '/approvals'), {
      token: made.json.token,
      body: { previewHash: hash },
    })
    expect(approved.json.state).toBe('previewed')
    await api.call('DELETE', `/v1/api-keys/${made.json.id}`)
    await post('rosa', of(id, '/preview'))
    expect((await api.call('GET', of(id))).json.state).toBe('awaitingApproval')
  })

  test('is of a preview that is not too old, and of this incident', async () => {
    const { id, hash } = await previewed({ keys: ['cash'] })
    const other = await previewed({ keys: ['cash'] })
    expect(other.hash).toBe(hash)
    const foreign = await previewed({ keys: ['orders'] })
    expect(
      refusal(await post('anna', of(id, '/approvals'), { previewHash: foreign.hash })),
    ).toEqual([409, 'incident.previewStale'])
    await api.house.clock.advance(3_600_001)
    expect(refusal(await post('anna', of(id, '/approvals'), { previewHash: hash }))).toEqual([
      409,
      'incident.previewExpired',
    ])
  })

  test('as many are needed as the strictest floor of its keys asks for', async () => {
    const floors = await api.call('GET', '/v1/floors')
    await api.call('PUT', '/v1/floors', {
      body: { items: [{ matchLabels: { team: 'b' }, spec: { emergency: { approvals: 2 } } }] },
      headers: { 'if-match': floors.headers['etag'] ?? '*' },
    })
    const { id, hash, approvalsNeeded } = await previewed({ keys: ['billing', 'cash'] })
    expect(approvalsNeeded).toBe(2)
    const first = await post('anna', of(id, '/approvals'), { previewHash: hash })
    const second = await post('remo', of(id, '/approvals'), { previewHash: hash })
    expect([first.json.state, second.json.state]).toEqual(['awaitingApproval', 'previewed'])
  })
})

describe('what is told', () => {
  test('notes are never changed: another one corrects them, with its own date', async () => {
    const { id } = await open({ keys: ['cash'] })
    const guess = await post('rosa', of(id, '/notes'), {
      kind: 'hypothesis',
      text: 'It was the CI.',
    })
    const fact = await post('anna', of(id, '/notes'), {
      kind: 'fact',
      text: 'It was a laptop | <b>stolen</b>.',
      corrects: guess.json.id,
    })
    expect(fact.json).toMatchObject({ kind: 'fact', corrects: guess.json.id, by: 't-approver' })
    const report = (await api.call('GET', of(id, '/report'))).json
    expect(report.notes).toMatchObject([
      { id: guess.json.id, correctedBy: fact.json.id, text: 'It was the CI.' },
      { id: fact.json.id, correctedBy: null },
    ])
    const { json: timeline } = await api.call('GET', of(id, '/timeline'))
    expect(timeline.items.map(({ action, note }: Json) => [action, note?.text ?? null])).toEqual([
      ['incident.opened', null],
      ['incident.noted', 'It was the CI.'],
      ['incident.noted', 'It was a laptop | <b>stolen</b>.'],
    ])
    const other = await open({ keys: ['cash'] })
    const foreign = { kind: 'fact', text: 'x', corrects: guess.json.id }
    expect((await post('rosa', of(other.id, '/notes'), foreign)).status).toBe(422)
    const markdown = await api.call('GET', of(id, '/report'), {
      headers: { accept: 'text/markdown' },
    })
    expect(markdown.headers['content-type']).toBe('text/markdown; charset=utf-8')
    expect(markdown.text).toContain('# A laptop was stolen')
    expect(markdown.text).toContain('It was a laptop \\| \\<b\\>stolen\\</b\\>.')
    expect(markdown.text).toContain('Nothing was executed.')
  })

  test('the timeline comes in pages, each moment with its receipt', async () => {
    const { id } = await previewed({ keys: ['cash'] })
    await post('rosa', of(id, '/notes'), { kind: 'note', text: 'one' })
    const first = (await api.call('GET', of(id, '/timeline?limit=2'))).json
    expect(first.items.map(({ action }: Json) => action)).toEqual([
      'incident.opened',
      'incident.previewed',
    ])
    expect(first.items[0].receipt.leafHash).toMatch(/^[0-9a-f]{64}$/)
    const next = await api.call('GET', of(id, `/timeline?limit=2&cursor=${first.nextCursor}`))
    expect(next.json).toMatchObject({ items: [{ action: 'incident.noted' }], nextCursor: null })
  })

  test('title, severity and commander change under If-Match; what it means does not', async () => {
    const { id } = await open({ keys: ['cash'] })
    const patch = (body: unknown, headers: Record<string, string> = {}) =>
      api.call('PATCH', of(id), { token: tokens.rosa, body, headers })
    expect((await patch({ severity: 'low' })).status).toBe(428)
    const { headers } = await api.call('GET', of(id))
    const etag = { 'if-match': headers['etag'] ?? '' }
    const changed = await patch({ severity: 'critical', commander: 'ada' }, etag)
    expect(changed.json).toMatchObject({
      severity: 'critical',
      commander: 'ada',
      title: asked.title,
    })
    expect((await patch({ severity: 'low' }, etag)).status).toBe(412)
    expect((await patch({ mode: 'disable' }, etag)).status).toBe(400)
    expect((await patch({}, etag)).status).toBe(400)
  })

  test('one that was closed stays closed, and takes notes still', async () => {
    const { id } = await open({ keys: ['cash'] })
    const closed = await post('anna', of(id, '/closures'), { reason: 'a false alarm' })
    expect(closed.json).toMatchObject({ state: 'closed', closed: { reason: 'a false alarm' } })
    expect(refusal(await post('anna', of(id, '/closures'), { reason: 'x' }))).toEqual([
      409,
      'incident.wrongState',
    ])
    expect((await post('anna', of(id, '/notes'), { kind: 'fact', text: 'x' })).status).toBe(201)
    const events = await api.call('GET', of(id, '/events'), {
      headers: { accept: 'text/event-stream' },
    })
    expect(events.text).toContain('event: incident.closed')
    const { json } = await api.call('GET', '/v1/incidents?state=closed&limit=200')
    expect(json.items.every(({ state }: Json) => state === 'closed')).toBe(true)
  })
})
