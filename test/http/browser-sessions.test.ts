// What strangers and chance do at a login: an issuer that is away, a list of issuers that changes on the way, a session left alone.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Answer, type Api, openApi, publicUrl } from '../support/http.ts'
import { json, startIssuer, type TestIssuer } from '../support/issuer.ts'

let api: Api
let issuer: TestIssuer
beforeAll(async () => {
  api = await openApi({ allow: ['127.0.0.1'] })
})
afterAll(() => api.close())
beforeEach(async () => {
  issuer = await startIssuer(() => api.house.clock.now())
  issuer.clients.set('rekey', {
    redirectUris: [`${publicUrl}/v1/login/acme/callback`],
    secret: null,
  })
  await believe(true)
})
afterEach(() => issuer.close())

const believe = async (it: boolean): Promise<void> => {
  const acme = {
    issuer: issuer.url,
    audience: 'not-the-client',
    claims: [{ match: { sub: 'ada' }, roles: ['admin'] }],
    login: { name: 'acme', clientId: 'rekey' },
  }
  const { status, text } = await api.call('PUT', '/v1/issuers', {
    body: { items: it ? [acme] : [] },
    headers: { 'if-match': '*' },
  })
  expect(status, text).toBe(200)
}

const get = (url: string, cookie = ''): Promise<Answer> =>
  api.call('GET', url, { token: null, headers: cookie === '' ? {} : { cookie } })
const cookieOf = ({ headers }: Answer): string =>
  (headers['set-cookie'] ?? '').split(';', 1)[0] ?? ''

/** To the issuer; resolves to the way back, with its cookie. */
const begin = async (): Promise<() => Promise<Answer>> => {
  const begun = await get('/v1/login/acme')
  expect(begun.status, begun.text).toBe(303)
  const there = await fetch(begun.headers['location'] ?? '', { redirect: 'manual' })
  const { pathname, search } = new URL(there.headers.get('location') ?? '')
  return () => get(`${pathname}${search}`, cookieOf(begun))
}
const me = (loggedIn: Answer) => get('/v1/me', cookieOf(loggedIn))

test('however many begin a login, an issuer that is away is asked once, and again half a minute later', async () => {
  const documents = () => issuer.asked.filter((path) => path.startsWith('/.well-known')).length
  issuer.answer('discovery', json({ oops: true }, 503))
  const many = await Promise.all(Array.from({ length: 10 }, () => get('/v1/login/acme')))
  const later = await get('/v1/login/acme')
  expect([...many, later].map(({ json: told }) => told.code)).toEqual(
    Array(11).fill('auth.issuerUnavailable'),
  )
  expect(documents()).toBe(1)
  await issuer.restore()
  await api.house.clock.advance(31_000)
  expect((await get('/v1/login/acme')).status).toBe(303)
  expect(documents()).toBe(2)
})

test('a login that its issuer is taken away from on its way back gives no session, nor one that lives when it returns', async () => {
  const back = await begin()
  const { asked, go } = issuer.hold('/token')
  const coming = back()
  await asked
  await believe(false)
  go()
  const late = await coming
  expect(late.json, late.text).toMatchObject({ status: 400, code: 'login.refused' })
  await believe(true)
  expect((await me(late)).status).toBe(401)
})

test('a session is sent as the OpenAPI document says, wherever a token may be', async () => {
  const loggedIn = await (await begin())()
  const { json: document } = await get('/openapi.json')
  const { type, in: where, name } = document.components.securitySchemes.session
  expect([type, where]).toEqual(['apiKey', 'cookie'])
  const secret = cookieOf(loggedIn).slice(cookieOf(loggedIn).indexOf('=') + 1)
  const asks = Object.keys(document.paths['/v1/me'].get.security[1])
  expect([asks, (await get('/v1/me')).status]).toEqual([['session'], 401])
  expect((await get('/v1/me', `${name}=${secret}`)).status).toBe(200)
})

test('a browser that nobody has used for an hour is not among those that are logged in', async () => {
  const loggedIn = await (await begin())()
  expect(loggedIn.status, loggedIn.text).toBe(200)
  const listed = async () => (await api.call('GET', '/v1/sessions')).json.items
  const [mine] = (await listed()).filter(
    ({ principal }: { readonly principal: string }) => principal === `${issuer.url}#ada`,
  )
  await api.house.clock.advance(59 * 60_000)
  await api.house.sessionUses.tell(new Map([[mine.id, api.house.clock.now()]]))
  await api.house.clock.advance(59 * 60_000)
  expect(await listed()).toMatchObject([{ id: mine.id }])
  await api.house.clock.advance(2 * 60_000)
  expect((await me(loggedIn)).status).toBe(401)
  expect(await listed()).toEqual([])
})
