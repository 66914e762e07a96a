// People with a browser: to an issuer and back by authorization code with PKCE, and every way that we know of to come back
// with what is not one's own.

import { UnsecuredJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openApi, publicUrl, type Answer, type Api } from '../support/http.ts'
import { json, startIssuer, type TestIssuer } from '../support/issuer.ts'

let api: Api
let issuer: TestIssuer
beforeAll(async () => {
  const env = { REKEY_CREDENTIAL_ACME: 's3cret', REKEY_CREDENTIAL_ACME_HOSTS: '127.0.0.1' }
  const elsewhere = { REKEY_CREDENTIAL_X: 's3cret', REKEY_CREDENTIAL_X_HOSTS: 'x.example' }
  api = await openApi({ allow: ['127.0.0.1'], env: { ...env, ...elsewhere } })
})
afterAll(() => api.close())
beforeEach(async () => {
  issuer = await startIssuer(() => api.house.clock.now())
  issuer.clients.set('rekey', { redirectUris: [callback('acme')], secret: null })
  await believe([acme()])
})
afterEach(() => issuer.close())

const callback = (name: string) => `${publicUrl}/v1/login/${name}/callback`
const acme = (more: Readonly<Record<string, unknown>> = {}, from = issuer, name = 'acme') => ({
  issuer: from.url,
  audience: 'not-the-client',
  claims: [{ match: { sub: 'ada' }, roles: ['admin'], name: 'email' }],
  login: { name, clientId: 'rekey', scopes: ['email', 'groups'] },
  ...more,
})
const believe = async (items: readonly unknown[]) => {
  const { status, text } = await api.call('PUT', '/v1/issuers', {
    body: { items },
    headers: { 'if-match': '*' },
  })
  expect(status, text).toBe(200)
}

/** Cookies, kept as a browser keeps them. */
const openBrowser = () => {
  const jar = new Map<string, string>()
  const take = (answer: Answer): void => {
    for (const line of setCookies(answer)) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
  }
  const call = async (
    method: string,
    url: string,
    more: { readonly body?: unknown; readonly origin?: string | null } = {},
  ): Promise<Answer> => {
    const { origin = publicUrl, body } = more
    const answer = await api.call(method, url, {
      token: null,
      ...(body === undefined ? {} : { body }),
      headers: {
        ...(jar.size === 0 ? {} : { cookie: [...jar].map((pair) => pair.join('=')).join('; ') }),
        ...(origin === null || method === 'GET' ? {} : { origin }),
      },
    })
    take(answer)
    return answer
  }
  /** To the issuer; resolves to where it sends the browser back to, below our own address. */
  const begin = async (path = '/v1/login/acme'): Promise<URL> => {
    const begun = await call('GET', path)
    expect(begun.status, begun.text).toBe(303)
    const there = await fetch(begun.headers['location'] ?? '', { redirect: 'manual' })
    expect(there.status, await there.text()).toBe(302)
    return new URL(there.headers.get('location') ?? '')
  }
  const back = (to: URL) => call('GET', `${to.pathname}${to.search}`)
  return {
    jar,
    call,
    begin,
    back,
    login: async (path?: string): Promise<Answer> => back(await begin(path)),
    me: () => call('GET', '/v1/me'),
  }
}
type Browser = ReturnType<typeof openBrowser>

const setCookies = ({ headers }: Answer): readonly string[] =>
  (headers['set-cookie'] ?? '').split(/,(?=__Host-)/).filter((line) => line !== '')

const loggedIn = async (): Promise<Browser> => {
  const browser = openBrowser()
  const { status, text } = await browser.login()
  expect(status, text).toBe(200)
  return browser
}

const refusedBack = async (browser: Browser, to: URL, detail?: RegExp): Promise<void> => {
  const answer = await browser.back(to)
  expect(answer.json, answer.text).toMatchObject({ status: 400, code: 'login.refused' })
  if (detail) expect(answer.json.detail).toMatch(detail)
  expect(browser.jar.has('__Host-rekey-session')).toBe(false)
}

describe('a browser that logs in', () => {
  test('comes back with a session that is issuer and subject, with the roles of the rules', async () => {
    issuer.person['email'] = 'ada@acme.example'
    const browser = await loggedIn()
    expect((await browser.me()).json).toMatchObject({
      id: `${issuer.url}#ada`,
      name: 'ada@acme.example',
      type: 'user',
      roles: ['admin'],
    })
    const [event] = await api.house.events({ actor: `${issuer.url}#ada` })
    expect(event).toMatchObject({ action: 'session.begun', after: { login: 'acme' } })
  })

  test('is asked for no more than the scopes, and keeps what it carries from scripts and other sites', async () => {
    const browser = openBrowser()
    const begun = await browser.call('GET', '/v1/login/acme?to=/docs')
    const there = new URL(begun.headers['location'] ?? '')
    expect(there.searchParams.get('scope')).toBe('openid email groups')
    expect(there.searchParams.get('redirect_uri')).toBe(callback('acme'))
    expect(setCookies(begun)).toEqual([
      expect.stringMatching(
        /^__Host-rekey-login=[\w.-]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/,
      ),
    ])
    const { headers } = await fetch(there, { redirect: 'manual' })
    const done = await browser.back(new URL(headers.get('location') ?? ''))
    expect(setCookies(done)).toEqual([
      expect.stringMatching(
        /^__Host-rekey-session=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
      ),
      expect.stringMatching(/^__Host-rekey-login=; .*Max-Age=0$/),
    ])
    expect(done.headers['content-type']).toMatch(/^text\/html/)
    expect(done.headers['cache-control']).toBe('no-store')
    expect(done.text).toContain('content="0;url=/docs"')
  })

  test('is known to the database by a digest alone, and to the log not at all', async () => {
    const browser = await loggedIn()
    const secret = browser.jar.get('__Host-rekey-session') ?? ''
    const rows = await api.house.sql('SELECT t::text AS row FROM app.browser_session t')
    expect(JSON.stringify(rows)).not.toContain(secret)
    expect(JSON.stringify(await api.house.events({}))).not.toContain(secret)
    expect(api.logged.join('')).not.toContain(secret)
  })

  test('may need a secret, which is sent to the issuer that it is for and to no other', async () => {
    const withSecret = (name: string) =>
      acme({ login: { ...acme().login, clientSecret: { from: 'env', name } } })
    issuer.clients.set('rekey', { redirectUris: [callback('acme')], secret: 's3cret' })
    await expect(openBrowser().login()).resolves.toMatchObject({
      status: 503,
      json: { code: 'auth.issuerUnavailable', detail: expect.stringMatching(/client id/) },
    })
    await believe([withSecret('REKEY_CREDENTIAL_ACME')])
    expect((await openBrowser().login()).status).toBe(200)
    for (const name of ['REKEY_CREDENTIAL_NOWHERE', 'REKEY_CREDENTIAL_X']) {
      await believe([withSecret(name)])
      expect((await openBrowser().call('GET', '/v1/login/acme')).json).toMatchObject({
        status: 503,
        detail: expect.stringMatching(/client secret/),
      })
    }
  })

  test('gets no session without a role', async () => {
    issuer.person['sub'] = 'eve'
    const browser = openBrowser()
    expect((await browser.login()).json).toMatchObject({ status: 403, code: 'auth.denied' })
    expect(browser.jar.has('__Host-rekey-session')).toBe(false)
  })

  test('is told which logins there are, and which there are not', async () => {
    const { json: told } = await openBrowser().call('GET', '/v1/login')
    expect(told).toEqual({ items: [{ name: 'acme', url: '/v1/login/acme' }] })
    expect((await openBrowser().call('GET', '/v1/login/other')).status).toBe(404)
    expect((await openBrowser().call('GET', '/v1/login/other/callback?code=c')).status).toBe(404)
  })

  test.each([
    [
      'names a metadata service as its token endpoint',
      'http://169.254.169.254/token',
      /not dialled/,
    ],
    ['names a private address that nobody has allowed', 'https://10.0.0.1/token', /not dialled/],
    ['names an address without TLS', 'http://id.example.com/token', /not dialled/],
  ])('gets nowhere where the issuer %s', async (_what, token_endpoint, why) => {
    issuer.answer('discovery', json({ ...issuer.document, token_endpoint }))
    const browser = openBrowser()
    const answer = await browser.back(await browser.begin())
    expect(answer.json, answer.text).toMatchObject({
      status: 503,
      detail: expect.stringMatching(why),
    })
  })

  test('is not sent to an address that is not dialled', async () => {
    const authorization_endpoint = 'http://id.example.com/authorize'
    issuer.answer('discovery', json({ ...issuer.document, authorization_endpoint }))
    expect((await openBrowser().call('GET', '/v1/login/acme')).json).toMatchObject({
      status: 503,
      detail: expect.stringMatching(/not dialled/),
    })
  })

  test('is not answered for by whom an issuer points at, nor by too much', async () => {
    const browser = openBrowser()
    const back = await browser.begin()
    issuer.answer('/token', (_request, reply) =>
      reply.writeHead(307, { location: `${issuer.url}/elsewhere` }).end(),
    )
    expect((await browser.back(back)).json.code).toMatch(/^(?:login\.refused|auth\.issuer)/)
    issuer.answer('/token', json({ id_token: 'x'.repeat(300_000) }))
    expect((await browser.back(await browser.begin())).json).toMatchObject({
      status: 503,
      detail: expect.stringMatching(/too long/),
    })
    expect(issuer.asked).not.toContain('/elsewhere')
  })

  test('is told that the issuer is away', async () => {
    const browser = openBrowser()
    const back = await browser.begin()
    issuer.answer('/token', json({ oops: true }, 503))
    expect((await browser.back(back)).json).toMatchObject({
      status: 503,
      code: 'auth.issuerUnavailable',
      detail: expect.stringMatching(/503/),
    })
  })
})

describe('what does not belong to a login that this browser began is refused:', () => {
  test('a callback that it did not begin (login CSRF)', async () => {
    const attacker = openBrowser()
    const victim = openBrowser()
    await refusedBack(victim, await attacker.begin(), /not begun in this browser/)
    const mine = await victim.begin()
    const theirs = await attacker.begin()
    mine.searchParams.set('code', theirs.searchParams.get('code') ?? '')
    // The code of another one: PKCE, at the issuer.
    await refusedBack(victim, mine, /did not take the code/)
  })

  test('another state, or none', async () => {
    const browser = openBrowser()
    for (const state of [null, 'x'.repeat(43)]) {
      const back = await browser.begin()
      if (state === null) back.searchParams.delete('state')
      else back.searchParams.set('state', state)
      const asked = issuer.asked.filter((path) => path === '/token').length
      await refusedBack(browser, back)
      // The code was not so much as looked at.
      expect(issuer.asked.filter((path) => path === '/token')).toHaveLength(asked)
    }
  })

  test('the same callback a second time, with the cookies of the first', async () => {
    const browser = openBrowser()
    const back = await browser.begin()
    const kept = new Map(browser.jar)
    expect((await browser.back(back)).status).toBe(200)
    const again = openBrowser()
    for (const [name, value] of kept) again.jar.set(name, value)
    const asked = issuer.asked.filter((path) => path === '/token').length
    await refusedBack(again, back, /come back with it before/)
    // Nor with codes that are made up, however many.
    for (const code of ['a', 'b', 'c']) {
      back.searchParams.set('code', code)
      for (const [name, value] of kept) again.jar.set(name, value)
      await refusedBack(again, back, /come back with it before/)
    }
    expect(issuer.asked.filter((path) => path === '/token')).toHaveLength(asked)
  })

  test('an answer of another issuer (mix-up)', async () => {
    const evil = await startIssuer(() => api.house.clock.now())
    evil.clients.set('rekey', { redirectUris: [callback('evil')], secret: null })
    try {
      await believe([acme(), acme({}, evil, 'evil')])
      const browser = openBrowser()
      const back = await browser.begin()
      back.searchParams.set('iss', evil.url)
      await refusedBack(browser, back)
      back.searchParams.delete('iss')
      await refusedBack(browser, back)
      // What was begun at one, brought back to the other.
      const mine = await browser.begin()
      mine.pathname = new URL(callback('evil')).pathname
      await refusedBack(browser, mine, /not begun/)
      expect(evil.asked).not.toContain('/token')
    } finally {
      await evil.close()
    }
  })

  test.each([
    ['another nonce', { nonce: 'n'.repeat(43) }, undefined],
    ['no nonce', { nonce: undefined }, undefined],
    ['another audience', { aud: 'somebody-else' }, undefined],
    ['two audiences, and another one authorized', { aud: ['rekey', 'x'], azp: 'x' }, undefined],
    ['another issuer', { iss: 'https://evil.example' }, undefined],
    ['an end that has passed', { exp: 1_000 }, undefined],
    ['a key that the issuer does not have', {}, { kid: 'k9' }],
    ['a type that is none of an ID token', {}, { typ: 'logout+jwt' }],
  ] as const)('an ID token with %s', async (_what, more, head) => {
    issuer.idToken.more = more
    issuer.idToken.head = head
    const browser = openBrowser()
    await refusedBack(browser, await browser.begin())
  })

  test('an ID token with alg none, or signed by nobody', async () => {
    const browser = openBrowser()
    issuer.idToken.raw = (claims) =>
      new UnsecuredJWT(claims)
        .setIssuer(issuer.url)
        .setIssuedAt(issuer.seconds())
        .setExpirationTime(issuer.seconds() + 60)
        .encode()
    await refusedBack(browser, await browser.begin())
    const other = await startIssuer(() => api.house.clock.now())
    try {
      issuer.idToken.raw = null
      issuer.answer('/token', (request, reply) => {
        const claims = { iss: issuer.url, aud: 'rekey', sub: 'ada', nonce: nonceOf(issuer) }
        void other
          .sign(claims)
          .then((id_token) =>
            json({ access_token: 'a', token_type: 'Bearer', id_token })(request, reply),
          )
      })
      await refusedBack(browser, await browser.begin(), /signature/)
    } finally {
      await other.close()
    }
  })

  test('one that took longer than ten minutes, and one whose client has changed', async () => {
    const slow = openBrowser()
    const back = await slow.begin()
    const other = openBrowser()
    const stale = await other.begin()
    await believe([acme({ login: { ...acme().login, clientId: 'rekey-2' } })])
    await refusedBack(other, stale, /has changed/)
    await believe([acme()])
    await api.house.clock.advance(11 * 60_000)
    await refusedBack(slow, back, /ten minutes/)
  })

  test('that the person said no is said, without the words of whoever says it', async () => {
    const browser = openBrowser()
    const back = await browser.begin()
    back.searchParams.delete('code')
    back.searchParams.set('error', 'access_denied')
    back.searchParams.set('error_description', 'call 555-EVIL')
    await refusedBack(browser, back, /^The issuer said no: access_denied\.$/)
  })

  test('a cookie that was made up, or sealed for something else', async () => {
    for (const cookie of ['x', 'a.b.c', '..', 'QQ.QQ.QQ.QQ']) {
      const browser = openBrowser()
      const back = await browser.begin()
      browser.jar.set('__Host-rekey-login', cookie)
      await refusedBack(browser, back, /not begun/)
    }
  })

  test('a way on to another site', async () => {
    const browser = openBrowser()
    for (const to of [
      '//evil.example',
      'https://evil.example',
      '/\\evil.example',
      '/%0a//evil\n',
      'evil',
      'javascript:alert(1)',
      '/\t/evil.example',
    ]) {
      const answer = await browser.call('GET', `/v1/login/acme?to=${encodeURIComponent(to)}`)
      expect(answer.json, to).toMatchObject({ status: 400, code: 'request.invalid' })
    }
    const done = await browser.login(`/v1/login/acme?to=${encodeURIComponent('/x"><script>&')}`)
    expect(done.text).not.toContain('<script>')
  })

  test('and is counted in the log, by source and reason', async () => {
    const browser = openBrowser()
    const back = await browser.begin()
    back.searchParams.set('state', 'x'.repeat(43))
    await refusedBack(browser, back)
    await api.house.clock.advance(61_000)
    await expect
      .poll(async () => JSON.stringify(await api.house.events({ action: 'request.denied' })), {
        timeout: 60_000,
        interval: 250,
      })
      .toContain('login.refused')
  })
})

describe('the session of a browser', () => {
  const change = (browser: Browser, origin: string | null) =>
    browser.call('PUT', '/v1/freeze?dryRun=all', {
      body: { until: '2099-01-01T00:00:00Z', reason: 'r' },
      origin,
    })

  test('changes something only from a page of Rekey itself', async () => {
    const browser = await loggedIn()
    for (const origin of [null, 'https://evil.example', 'null', `${publicUrl}.evil.example`, '']) {
      const { json: refusal } = await change(browser, origin)
      expect(refusal, String(origin)).toMatchObject({ status: 403, code: 'auth.denied' })
    }
    expect((await change(browser, publicUrl)).status).toBe(200)
  })

  test('is a new one after each login, whatever the browser had before (fixation)', async () => {
    const browser = openBrowser()
    const planted = 'p'.repeat(43)
    browser.jar.set('__Host-rekey-session', planted)
    expect((await browser.me()).status).toBe(401)
    expect((await browser.login()).status).toBe(200)
    const first = browser.jar.get('__Host-rekey-session')
    expect(first).not.toBe(planted)
    expect((await browser.login()).status).toBe(200)
    expect(browser.jar.get('__Host-rekey-session')).not.toBe(first)
  })

  test('that is there twice is none, and a token beside it counts alone', async () => {
    const browser = await loggedIn()
    const secret = browser.jar.get('__Host-rekey-session') ?? ''
    const cookie = `__Host-rekey-session=${secret}`
    const me = (headers: Readonly<Record<string, string>>, token: string | null) =>
      api.call('GET', '/v1/me', { token, headers })
    expect((await me({ cookie }, null)).status).toBe(200)
    expect((await me({ cookie: `${cookie}; __Host-rekey-session=x` }, null)).status).toBe(401)
    expect((await me({ cookie }, 'nonsense')).status).toBe(401)
    expect((await me({ cookie }, api.adminToken)).json.name).toBe('t-admin')
  })

  test('ends after an hour without use, and after eight hours with it', async () => {
    const idle = await loggedIn()
    const busy = await loggedIn()
    const hour = 3_600_000
    for (let n = 0; n < 8; n += 1) {
      await api.house.clock.advance(hour - 60_000)
      expect((await busy.me()).status, `after ${n} hours`).toBe(200)
      // As the housekeeping of the door does every few seconds.
      const [row] = await api.house.sql(
        'SELECT id FROM app.browser_session ORDER BY created_at DESC, id DESC LIMIT 1',
      )
      await api.house.sessionUses.tell(new Map([[String(row?.['id']), api.house.clock.now()]]))
    }
    expect((await idle.me()).json).toMatchObject({
      status: 401,
      detail: expect.stringMatching(/Log in again/),
    })
    await api.house.clock.advance(10 * 60_000)
    expect((await busy.me()).status).toBe(401)
  })

  test('has no longer what the rules do not give it any more, and ends with its issuer for good', async () => {
    const browser = await loggedIn()
    await believe([acme({ claims: [{ match: { sub: 'ada' }, roles: ['viewer'] }] })])
    expect((await browser.me()).json.roles).toEqual(['viewer'])
    await believe([acme({ claims: [{ match: { sub: 'bob' }, roles: ['viewer'] }] })])
    expect((await browser.me()).status).toBe(401)
    await believe([acme()])
    expect((await browser.me()).status).toBe(200)
    await believe([])
    expect((await browser.me()).status).toBe(401)
    await believe([acme()])
    expect((await browser.me()).status).toBe(401)
  })

  test('ends with a logout, and not by a request that came with a token', async () => {
    const browser = await loggedIn()
    const stolen = new Map(browser.jar)
    expect((await browser.call('DELETE', '/v1/session', { origin: null })).status).toBe(403)
    expect((await browser.call('DELETE', '/v1/session')).status).toBe(200)
    expect(browser.jar.size).toBe(0)
    const thief = openBrowser()
    for (const [name, value] of stolen) thief.jar.set(name, value)
    expect((await thief.me()).status).toBe(401)
    expect((await api.call('DELETE', '/v1/session')).status).toBe(422)
  })

  test('is seen, and ended with all others of its principal, by an admin', async () => {
    const [one, two] = [await loggedIn(), await loggedIn()]
    issuer.person['sub'] = 'bob'
    await believe([
      acme({
        claims: [
          { match: { sub: '*b*' }, roles: ['viewer'], name: 'email' },
          { match: { sub: 'ada' }, roles: ['admin'] },
        ],
      }),
    ])
    const bob = await loggedIn()
    const { json: listed } = await api.call('GET', '/v1/sessions')
    const principal = `${issuer.url}#ada`
    const mine = listed.items.filter((item: { principal: string }) => item.principal === principal)
    expect(mine).toHaveLength(2)
    const revoked = await api.call('POST', '/v1/sessions/revocations', {
      body: { principal, reason: 'left' },
    })
    expect(revoked.json).toMatchObject({ ended: 2 })
    expect([(await one.me()).status, (await two.me()).status, (await bob.me()).status]).toEqual([
      401, 401, 200,
    ])
    expect((await bob.call('GET', '/v1/sessions')).status).toBe(403)
    const [event] = await api.house.events({ action: 'session.revoked' })
    expect(event).toMatchObject({ target: { id: principal }, reason: 'left', after: { ended: 2 } })
  })

  test('makes no token that outlives it', async () => {
    const browser = await loggedIn()
    const make = (body: unknown) => browser.call('POST', '/v1/api-keys', { body })
    const wanted = { name: 'longer', type: 'svc', roles: ['viewer'] }
    expect((await make({ ...wanted, expiresIn: '9h' })).status).toBe(403)
    expect((await make(wanted)).status).toBe(201)
  })
})

/** Of the last login that it was asked for. */
const nonceOf = ({ asked, url }: TestIssuer): string | null => {
  const last = asked.findLast((path) => path.startsWith('/authorize'))
  return new URL(last ?? '', url).searchParams.get('nonce')
}
