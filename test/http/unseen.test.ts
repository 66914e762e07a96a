// What lies outside of a scope is as if it did not exist: an answer is the same as of a name that nobody has, and where something
// unseen matters it is counted, not named.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openApi, type Answer, type Api } from '../support/http.ts'
import { audience, startIssuer } from '../support/issuer.ts'

let api: Api
/** A responder of team a, and one of everything. */
let tina: string
let rosa: string
const scope = { matchLabels: { team: 'a' } }

beforeAll(async () => {
  api = await openApi({ allow: ['127.0.0.1'] })
  const { house } = api
  tina = await api.token(['responder', 'approver', 'viewer', 'operator'], { scope })
  rosa = await api.token(['responder'])
  await house.connection('mine', {
    labels: { team: 'a' },
    grants: [{ matchLabels: {}, refs: ['*'] }],
  })
  await house.connection('theirs', {
    labels: { team: 'b' },
    grants: [{ matchLabels: {}, refs: ['*'] }],
  })
  await house.register('orders', {
    connection: 'mine',
    labels: { team: 'a' },
    consumers: ['shop'],
    usableBy: ['pays'],
  })
  await house.register('stock', { connection: 'mine', labels: { team: 'a' } })
  await house.register('billing', {
    connection: 'theirs',
    labels: { team: 'b' },
    consumers: ['ledger'],
  })
  await house.connection('pays', {
    provider: 'vault',
    labels: { team: 'b' },
    settings: { address: 'https://vault.example.com', auth: { method: 'token' } },
    credential: { from: 'key', key: 'orders' },
  })
  for (const name of ['spy', 'mole'])
    await api.call('PUT', `/v1/consumers/${name}`, {
      body: { owner: 'b', labels: { team: 'b' }, keys: ['orders'] },
    }) // oxlint-disable-line no-await-in-loop -- one server
  await house.policy('foreign', { selector: { matchLabels: { team: 'b' } }, manual: true })
})
afterAll(() => api.close())

const post = (token: string, path: string, body: unknown = {}): Promise<Answer> =>
  api.call('POST', path, { token, body, headers: { 'idempotency-key': api.house.ids.next() } })
const asked = { title: 'x', severity: 'low', mode: 'disable', reason: 'x' }
const opened = async (token: string, selector: object): Promise<string> => {
  const answer = await post(token, '/v1/incidents', { ...asked, selector })
  expect(answer.status, answer.text).toBe(201)
  return answer.json.id
}
/** But for the name that was asked for. */
const told = ({ status, json }: Answer, name: string) =>
  JSON.stringify([status, { ...json, requestId: '', instance: '' }]).replaceAll(name, '<name>')

describe('an incident is opened for what is unseen as for what is not there', () => {
  test.each([
    ['a key', 'billing', (name: string) => ({ keys: [name] })],
    ['a version', 'billing', (name: string) => ({ versions: [{ key: name, version: 1 }] })],
    ['a connection', 'theirs', (name: string) => ({ connections: [name] })],
    ['a policy', 'foreign', (name: string) => ({ policy: name })],
    ['a consumer that is described', 'spy', (name: string) => ({ consumer: name })],
    ['a consumer that a key names', 'ledger', (name: string) => ({ consumer: name })],
  ] as const)('%s', async (_what, name, selector) => {
    const unseen = await post(tina, '/v1/incidents', { ...asked, selector: selector(name) })
    const nobodys = await post(tina, '/v1/incidents', { ...asked, selector: selector('nothing') })
    expect(unseen.status).toBe(422)
    expect(told(unseen, name)).toBe(told(nobodys, 'nothing'))
    // Whoever sees it opens one.
    await opened(rosa, selector(name))
  })

  test.each([
    ['an owner', { owner: 'b' }, { owner: 'nobody' }],
    ['a label', { matchLabels: { team: 'b' } }, { matchLabels: { team: 'nobody' } }],
    ['a provider', { providers: ['jwks'] }, { providers: ['nothing'] }],
  ] as const)('%s', async (_what, unseen, nothing) => {
    const answers = await Promise.all(
      [unseen, nothing].map((selector) => post(tina, '/v1/incidents', { ...asked, selector })),
    )
    expect(
      new Set(
        answers.map(({ status, json }) => `${status} ${json.code ?? ''} ${json.detail ?? ''}`),
      ).size,
    ).toBe(1)
  })
})

test('an incident of others is answered as one that is not there, on every route', async () => {
  const theirs = await opened(rosa, { keys: ['billing'] })
  await post(rosa, `/v1/incidents/${theirs}/preview`)
  const nobodys = api.house.ids.next()
  const hash = '0'.repeat(64)
  const routes: readonly (readonly [string, string, unknown?])[] = [
    ...['', '/preview', '/keys', '/timeline', '/report', '/events'].map(
      (path) => ['GET', path] as const,
    ),
    ['PATCH', '', { severity: 'low' }],
    ['POST', '/preview', {}],
    ['POST', '/approvals', { previewHash: hash }],
    ['POST', '/executions', { previewHash: hash, confirm: theirs }],
    ['POST', '/restorations', { reason: 'x' }],
    ['POST', '/notes', { kind: 'fact', text: 'x' }],
    ['POST', '/closures', { reason: 'x' }],
    ['POST', '/reviews', { text: 'x' }],
  ]
  for (const [method, path, body] of routes) {
    const answer = (id: string) =>
      api.call(method, `/v1/incidents/${id}${path}`, {
        token: tina,
        ...(body === undefined ? {} : { body }),
        headers: { 'idempotency-key': api.house.ids.next(), 'if-match': '*' },
      })
    const [unseen, nothing] = [await answer(theirs), await answer(nobodys)] // oxlint-disable-line no-await-in-loop -- one server
    expect([method, path, unseen.status]).toEqual([method, path, 404])
    expect(told(unseen, theirs)).toBe(told(nothing, nobodys))
  }
})

test('lists have nothing to tell of what is not in them: neither how many there are, nor which is the next', async () => {
  const mine: string[] = []
  for (let n = 0; n < 3; n += 1) {
    mine.push(await opened(tina, { keys: ['stock'] })) // oxlint-disable-line no-await-in-loop -- one after the other
    await opened(rosa, { keys: ['billing'] }) // oxlint-disable-line no-await-in-loop -- in between
  }
  const seen: string[] = []
  let cursor = ''
  do {
    const path = `/v1/incidents?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`
    const { json } = await api.call('GET', path, { token: tina }) // oxlint-disable-line no-await-in-loop -- a page names the next one
    // No page is empty but the last, and it is the last that says so.
    expect(json.items).toHaveLength(1)
    seen.push(json.items[0].id)
    cursor = json.nextCursor ?? ''
  } while (cursor !== '')
  expect(seen.slice(0, 3)).toEqual(mine.toReversed())
})

describe('what may not be seen is counted, not named', () => {
  const names = ['theirs', 'pays', 'spy', 'mole', 'billing', 'ledger', 'foreign']
  const silent = (answer: Answer) => {
    expect(answer.status, answer.text).toBe(200)
    for (const name of names) expect(answer.text).not.toContain(`${name}`)
    return answer
  }

  test('in a preview, and in the report', async () => {
    const id = await opened(tina, { keys: ['orders'] })
    const drawn = silent(await post(tina, `/v1/incidents/${id}/preview`))
    expect(drawn.json).toMatchObject({ consumers: ['shop'], keys: [{ losesAccess: [] }] })
    expect(drawn.json.keys[0].warnings).toContain(
      '1 connection that you may not see log in with it, and lose access.',
    )
    expect(drawn.json.warnings).toContain('2 consumers that you may not see use them.')
    silent(await api.call('GET', `/v1/incidents/${id}/preview`, { token: tina }))
    silent(await api.call('GET', `/v1/incidents/${id}/report`, { token: tina }))
    silent(
      await api.call('GET', `/v1/incidents/${id}/report`, {
        token: tina,
        headers: { accept: 'text/markdown' },
      }),
    )
    silent(await api.call('GET', `/v1/incidents/${id}/timeline?detail=all`, { token: tina }))
    // One preview, one hash, whoever draws it or looks at it.
    const { json } = await api.call('GET', `/v1/incidents/${id}/preview`)
    expect([json.hash, json.consumers, json.keys[0].losesAccess]).toEqual([
      drawn.json.hash,
      ['mole', 'shop', 'spy'],
      ['pays'],
    ])
    expect((await post(rosa, `/v1/incidents/${id}/preview`)).json.hash).toBe(drawn.json.hash)
  })

  test('in the blast radius', async () => {
    const { json } = silent(await api.call('GET', '/v1/keys/orders/blast-radius', { token: tina }))
    const unseen = json.edges.filter(({ detail }: { detail: string }) => /may not see/.test(detail))
    expect(unseen).toMatchObject([
      {
        to: null,
        source: 'declaredByConsumer',
        at: null,
        detail: 'and 2 others that you may not see',
      },
      { to: null, source: 'credential', at: null, detail: 'and 1 other that you may not see' },
    ])
    const nobodys = await api.call('GET', '/v1/keys/nothing/blast-radius', { token: tina })
    const theirs = await api.call('GET', '/v1/keys/billing/blast-radius', { token: tina })
    expect(told(theirs, 'billing')).toBe(told(nobodys, 'nothing'))
  })
})

test('whoever opened an incident sees none of it once their scope is another', async () => {
  const issuer = await startIssuer(() => api.house.clock.now())
  const believe = async (more: object) => {
    const claims = [{ match: { sub: 'jane' }, roles: ['responder', 'operator'], ...more }]
    const { status, text } = await api.call('PUT', '/v1/issuers', {
      body: { items: [{ issuer: issuer.url, audience, claims }] },
      headers: { 'if-match': '*' },
    })
    expect(status, text).toBe(200)
  }
  try {
    await believe({})
    const jane = await issuer.sign({ sub: 'jane' })
    const id = await opened(jane, { keys: ['billing'] })
    const document = { apiVersion: 'rekey.dev/v1', kind: 'RotationPolicy', metadata: { name: 'p' } }
    const spec = { selector: { matchLabels: { team: 'c' } }, manual: true }
    const plan = await post(jane, '/v1/plans', { documents: [{ ...document, spec }] })
    expect(plan.status, plan.text).toBe(201)
    await believe({ scope })
    for (const path of [
      `/v1/incidents/${id}`,
      `/v1/incidents/${id}/report`,
      `/v1/plans/${plan.json.id}`,
    ])
      expect([path, (await api.call('GET', path, { token: jane })).status]).toEqual([path, 404]) // oxlint-disable-line no-await-in-loop -- one server
    const { json } = await api.call('GET', '/v1/incidents?limit=200', { token: jane })
    expect(json.items.map((one: { id: string }) => one.id)).not.toContain(id)
  } finally {
    await issuer.close()
  }
})
