// The list of issuers: what of it is refused, and at which place.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openApi, type Api } from '../support/http.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api.close())

const rule = { match: { sub: 'repo:acme/shop' }, roles: ['viewer'] }
const issuer = { issuer: 'https://id.example.com', audience: 'rekey', claims: [rule] }
const put = (
  items: unknown,
  headers: Readonly<Record<string, string>> = { 'if-match': '*' },
  query = '',
) => api.call('PUT', `/v1/issuers${query}`, { body: { items }, headers })

describe('the list of issuers', () => {
  test('is read, changed and written back, with its revision, and told in the log', async () => {
    const before = await api.call('GET', '/v1/issuers')
    expect(before.json).toMatchObject({ items: [], status: { setBy: null } })
    const etag = before.headers['etag'] ?? ''
    const { status, headers, json } = await api.call('PUT', '/v1/issuers', {
      body: { ...before.json, items: [issuer] },
      headers: { 'if-match': etag },
    })
    expect({ status, items: json.items, by: json.status.setBy }).toEqual({
      status: 200,
      items: [issuer],
      by: 't-admin',
    })
    expect((await put([issuer])).headers['etag']).toBe(headers['etag'])
    expect((await put([], { 'if-match': etag })).status).toBe(412)
    expect((await put([], {})).status).toBe(428)
    expect((await put([], { 'if-match': '*' }, '?dryRun=all')).json).toMatchObject({ dryRun: true })
    expect((await api.call('GET', '/v1/issuers')).json.items).toEqual([issuer])
    const event = (await api.house.events({ action: 'issuers.put' })).find(
      ({ id }) => id === json.audit.eventId,
    )
    expect(event).toMatchObject({ before: { items: [] }, after: { items: [issuer] } })
  })

  const withRule = (more: object) => [{ ...issuer, claims: [{ ...rule, ...more }] }]
  test.each([
    [
      'an issuer without TLS',
      [{ ...issuer, issuer: 'http://id.example.com' }],
      422,
      '/items/0/issuer',
    ],
    ['a private one', [{ ...issuer, issuer: 'https://10.0.0.1' }], 422, '/items/0/issuer'],
    [
      'a metadata service',
      [{ ...issuer, issuer: 'https://169.254.169.254' }],
      422,
      '/items/0/issuer',
    ],
    [
      'one with a password',
      [{ ...issuer, issuer: 'https://a:b@id.example.com' }],
      422,
      '/items/0/issuer',
    ],
    [
      'one with a query',
      [{ ...issuer, issuer: 'https://id.example.com?x' }],
      400,
      '/items/0/issuer',
    ],
    [
      'one with a fragment',
      [{ ...issuer, issuer: 'https://id.example.com#x' }],
      400,
      '/items/0/issuer',
    ],
    ['one that is a file', [{ ...issuer, issuer: 'file:///x' }], 400, '/items/0/issuer'],
    ['one twice', [issuer, issuer], 422, '/items/1/issuer'],
    ['no audience', [{ issuer: issuer.issuer, claims: [rule] }], 400, '/items/0/audience'],
    ['no rules', [{ ...issuer, claims: [] }], 400, '/items/0/claims'],
    ['a rule that asks for nothing', withRule({ match: {} }), 400, '/items/0/claims/0/match'],
    [
      'a claim that is a number',
      withRule({ match: { sub: 1 } }),
      400,
      '/items/0/claims/0/match/sub',
    ],
    [
      'a claim that every token has',
      withRule({ match: { iss: 'https://id.example.com' } }),
      422,
      '/items/0/claims/0/match/iss',
    ],
    ['a role that is none', withRule({ roles: ['boss'] }), 400, '/items/0/claims/0/roles/0'],
    [
      'consumer without a binding',
      withRule({ roles: ['consumer'] }),
      422,
      '/items/0/claims/0/consumer',
    ],
    ['a binding without consumer', withRule({ consumer: 'c' }), 422, '/items/0/claims/0/roles'],
    ['everybody, unsaid', withRule({ match: { sub: '*' } }), 422, '/items/0/claims/0/match'],
    [
      'everybody, in disguise',
      withRule({ match: { sub: ['repo:acme/shop', '?*/*'], verified: true } }),
      422,
      '/items/0/claims/0/match',
    ],
    [
      'admin by a pattern, unsaid',
      withRule({ match: { sub: 'repo:acme/*' }, roles: ['admin'] }),
      422,
      '/items/0/claims/0/match',
    ],
    ['a field that is none', withRule({ role: 'viewer' }), 400, '/items/0/claims/0/role'],
    ['everybody: false', withRule({ everybody: false }), 400, '/items/0/claims/0/everybody'],
  ])('with %s is refused at its place', async (_name, items, status, pointer) => {
    const answer = await put(items)
    expect({ status: answer.status, pointer: answer.json.errors?.[0]?.pointer }).toEqual({
      status,
      pointer,
    })
  })

  test('may give everybody something, and admin by a pattern, where that is said', async () => {
    const open = [
      { match: { sub: '*' }, roles: ['viewer'], everybody: true },
      { match: { sub: 'repo:acme/*' }, roles: ['admin'], everybody: true },
      { match: { sub: 'repo:acme/*', environment: 'production' }, roles: ['admin'] },
    ]
    expect((await put([{ ...issuer, claims: open }])).status).toBe(200)
  })

  test('is the unscoped admin’s alone', async () => {
    const scoped = await api.token(['admin'], { scope: { matchLabels: { team: 'a' } } })
    expect((await api.call('GET', '/v1/issuers', { token: scoped })).status).toBe(403)
    const operator = await api.token(['operator', 'auditor'])
    expect((await api.call('GET', '/v1/issuers', { token: operator })).status).toBe(403)
  })
})
