// `rekey login`: from the terminal to the issuer and back to a port of loopback, and what is kept of it.

import type { AddressInfo } from 'node:net'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openApi, type Api } from '../support/http.ts'
import { startIssuer, type TestIssuer } from '../support/issuer.ts'
import { openTerminal, type Started, type TerminalOptions } from './terminal.ts'

let api: Api
let url: string
let issuer: TestIssuer
let home: string
beforeAll(async () => {
  api = await openApi({ allow: ['127.0.0.1'] })
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
})
afterAll(() => api.close())
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'rekey-home-'))
  issuer = await startIssuer(() => api.house.clock.now())
  issuer.clients.set('rekey-cli', {
    redirectUris: [/^http:\/\/127\.0\.0\.1:\d+\/callback$/],
    secret: null,
  })
  await believe('rekey-cli')
})
afterEach(async () => {
  await issuer.close()
  await rm(home, { recursive: true })
})

const believe = async (audience: string) => {
  const claims = [{ match: { sub: 'ada' }, roles: ['viewer'] }]
  const { status } = await api.call('PUT', '/v1/issuers', {
    body: { items: [{ issuer: issuer.url, audience, claims }] },
    headers: { 'if-match': '*' },
  })
  expect(status).toBe(200)
}
const terminal = (env: TerminalOptions['env'] = {}) =>
  openTerminal({ env: { REKEY_URL: url, HOME: home, ...env } })
const login = async (...more: readonly string[]) =>
  (await terminal()).start('login', '--issuer', issuer.url, '--client-id', 'rekey-cli', ...more)
/** Where the terminal asks somebody to go. */
const addressIn = async (started: Started): Promise<string> => {
  const found = () => /^ {2}(http\S+)$/m.exec(started.stderr())?.[1]
  await expect.poll(found, { timeout: 60_000 }).toBeDefined()
  return found() ?? ''
}
/** What the person's browser does with it; resolves to where the issuer sends it. */
const goTo = async (address: string): Promise<string> => {
  const { headers } = await fetch(address, { redirect: 'manual' })
  return headers.get('location') ?? ''
}
const logins = join('.config', 'rekey', 'logins')
const kept = () => readdir(join(home, logins)).catch(() => [])

test('a person logs in with a browser, is known from then on, and is forgotten by a logout', async () => {
  const started = await login()
  expect(await (await fetch(await goTo(await addressIn(started)))).text()).toMatch(/terminal/)
  const done = await started.ended
  expect([done.exit, done.stdout]).toEqual([0, expect.stringMatching(/^ada {2}viewer {2}until 20/)])
  const [name = '', ...others] = await kept()
  expect(others).toEqual([])
  const path = join(home, logins, name)
  expect(((await stat(path)).mode & 0o777).toString(8)).toBe('600')
  const { token } = JSON.parse(await readFile(path, 'utf8'))
  expect(done.stdout + done.stderr).not.toContain(token)
  expect((await (await terminal()).run('whoami')).stdout).toContain(`${issuer.url}#ada`)
  // To this server alone, and after what the environment says.
  expect((await (await terminal({ REKEY_URL: 'http://127.0.0.1:9' })).run('whoami')).exit).not.toBe(
    0,
  )
  const byToken = await (await terminal({ REKEY_TOKEN: api.adminToken })).run('whoami')
  expect(byToken.stdout).toContain('t-admin')
  expect((await (await terminal()).run('logout')).stderr).toMatch(/^forgotten/)
  expect(await kept()).toEqual([])
  expect((await (await terminal()).run('logout')).stderr).toMatch(/no login/)
})

test('an answer to another question is refused, and nothing is kept', async () => {
  for (const spoil of [
    (back: URL) => back.searchParams.set('iss', 'https://evil.example'),
    (back: URL) => back.searchParams.set('code', 'x'),
  ]) {
    const started = await login()
    const back = new URL(await goTo(await addressIn(started)))
    expect((await fetch(new URL('/other', back))).status).toBe(404)
    // Whoever finds the port, and does not know the question, ends nobody's login.
    const guessed = new URL(back)
    guessed.searchParams.set('state', 'x'.repeat(43))
    expect((await fetch(guessed)).status).toBe(404)
    spoil(back)
    await (await fetch(back)).text()
    const done = await started.ended
    expect([done.exit, done.stderr]).toEqual([4, expect.stringContaining('login.refused')])
  }
  expect(await kept()).toEqual([])
})

test('a token that the server does not take is not kept', async () => {
  await believe('another-client')
  const started = await login()
  await (await fetch(await goTo(await addressIn(started)))).text()
  const done = await started.ended
  expect([done.exit, done.stderr]).toEqual([4, expect.stringContaining('another audience')])
  expect(await kept()).toEqual([])
})

test('a login that has ended is said, and is not the admin key instead; one that others can read is refused', async () => {
  const started = await login()
  await (await fetch(await goTo(await addressIn(started)))).text()
  expect((await started.ended).exit).toBe(0)
  const [name = ''] = await kept()
  const path = join(home, logins, name)
  const saved = JSON.parse(await readFile(path, 'utf8'))
  await writeFile(path, JSON.stringify({ ...saved, expiresAt: '2020-01-01T00:00:00Z' }))
  const console = await terminal()
  await console.file('.rekey/admin-key', api.adminToken)
  const ended = await console.run('whoami')
  expect([ended.exit, ended.stderr]).toEqual([4, expect.stringContaining('rekey login')])
  await rm(path)
  await writeFile(path, JSON.stringify(saved), { mode: 0o644 })
  const open = await console.run('whoami')
  expect([open.exit, open.stderr]).toEqual([2, expect.stringContaining('chmod 600')])
})

test('who does not come back is not waited for for ever, nor after Ctrl-C', async () => {
  expect((await (await login('--timeout', '1s')).ended).exit).toBe(4)
  const started = await login()
  await addressIn(started)
  started.interrupt()
  expect((await started.ended).exit).toBe(130)
})

test('an issuer over plain http that is not this machine, and one that does not answer, are refused', async () => {
  const run = async (...argv: readonly string[]) => (await terminal()).run('login', ...argv)
  const id = ['--client-id', 'c'] as const
  expect((await run('--issuer', 'http://id.example.com', ...id)).exit).toBe(2)
  expect((await run('--issuer', 'nonsense', ...id)).exit).toBe(2)
  expect((await run('--issuer', `${issuer.url}/nothing`, ...id)).exit).toBe(4)
  expect((await run('--issuer', issuer.url)).exit).toBe(2)
  expect((await run('--issuer', issuer.url, ...id, '--port', '70000')).exit).toBe(2)
})
