import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isLoopback } from '#cli/target.ts'
import { openTerminal } from './terminal.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()

test.each([
  ['not an address', 'nonsense'],
  ['another protocol', 'ftp://127.0.0.1'],
  ['a password in it', 'http://admin:hunter2@127.0.0.1:7400'],
  ['a query', 'http://127.0.0.1:7400/?a=b'],
])('a REKEY_URL with %s is wrong usage, and is not printed', async (_what, url) => {
  const ran = await (await openTerminal({ env: { REKEY_URL: url } })).run('whoami')
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toContain('REKEY_URL')
  expect(ran.stderr).not.toContain('hunter2')
})

test('a slash at the end of REKEY_URL changes nothing', async () => {
  const ran = await (
    await stage.terminal({ env: { REKEY_URL: `${stage.server.url}/` } })
  ).run('whoami')
  expect(ran.exit).toBe(0)
})

test('without a token the admin key of the data directory is used on this machine', async () => {
  const terminal = await stage.terminal({ env: { REKEY_TOKEN: '', REKEY_DATA_DIR: 'data' } })
  await terminal.file('data/admin-key', `${stage.server.token}\n`)
  expect((await terminal.run('whoami')).exit).toBe(0)
})

test('the data directory is .rekey where nothing else is said', async () => {
  const terminal = await stage.terminal({ env: { REKEY_TOKEN: '' } })
  await mkdir(join(terminal.cwd, '.rekey'))
  await writeFile(join(terminal.cwd, '.rekey/admin-key'), stage.server.token)
  expect((await terminal.run('whoami')).exit).toBe(0)
})

test('without REKEY_URL the server that runs on the data directory is asked', async () => {
  const terminal = await stage.terminal({ env: { REKEY_URL: '', REKEY_TOKEN: '' } })
  await terminal.file('.rekey/run.json', JSON.stringify({ pid: 1, url: stage.server.url }, null, 2))
  await terminal.file('.rekey/admin-key', stage.server.token)
  expect((await terminal.run('whoami')).exit).toBe(0)
})

test('the admin key is never sent to another machine', async () => {
  const sent: string[] = []
  const terminal = await openTerminal({
    env: { REKEY_URL: 'https://rekey.example.com' },
    fetch: async (_url, init) => {
      sent.push(new Headers(init?.headers).get('authorization') ?? 'none')
      return new Response('{}', { status: 401 })
    },
  })
  await terminal.file('.rekey/admin-key', stage.server.token)
  await terminal.run('whoami')
  expect(sent).toEqual(['none'])
})

test('REKEY_TOKEN_FILE names a file; REKEY_TOKEN itself wins', async () => {
  const terminal = await stage.terminal({ env: { REKEY_TOKEN: '', REKEY_TOKEN_FILE: 'token' } })
  await terminal.file('token', `${stage.server.token}\n`)
  expect((await terminal.run('whoami')).exit).toBe(0)
  const both = await stage.terminal({ env: { REKEY_TOKEN_FILE: 'missing' } })
  expect((await both.run('whoami')).exit).toBe(0)
  const missing = await stage.terminal({ env: { REKEY_TOKEN: '', REKEY_TOKEN_FILE: 'missing' } })
  expect(await missing.run('whoami')).toMatchObject({ exit: 2 })
})

test('a token that no header can carry is refused without being printed', async () => {
  const ran = await (
    await stage.terminal({ env: { REKEY_TOKEN: 'hunter2\nX-Evil: 1' } })
  ).run('whoami')
  expect(ran.exit).toBe(2)
  expect(ran.stderr).not.toContain('hunter2')
  expect(stage.server.seen).toEqual([])
})

test('no token: the answer says where one was looked for, and what to set', async () => {
  const ran = await (await stage.terminal({ env: { REKEY_TOKEN: '' } })).run('whoami')
  expect(ran.exit).toBe(4)
  expect(ran.stderr).toContain('.rekey/admin-key cannot be read')
  expect(ran.stderr).toContain('REKEY_TOKEN_FILE')
})

test('a token over plain HTTP to another machine is warned about', async () => {
  const terminal = await openTerminal({
    env: { REKEY_URL: 'http://rekey.example.com', REKEY_TOKEN: 'rekey_pat_x0123456789' },
    fetch: async () =>
      new Response('{"name":"me"}', { headers: { 'content-type': 'application/json' } }),
  })
  expect((await terminal.run('whoami')).stderr).toContain('without TLS')
})

test('a slip in the name of a variable is told', async () => {
  const ran = await (
    await stage.terminal({ env: { REKEY_TOKNE: 'x', REKEY_TLS_KEY: 'y' } })
  ).run('whoami')
  expect(ran.stderr).toBe(
    'warning: REKEY_TOKNE is not a variable of Rekey; did you mean REKEY_TOKEN?\n',
  )
})

test('only this machine is this machine', () => {
  expect(['localhost', '127.0.0.1', '127.8.8.8', '[::1]'].map(isLoopback)).toEqual([
    true,
    true,
    true,
    true,
  ])
  expect(
    ['127.0.0.1.evil.com', 'localhost.evil.com', '10.0.0.1', '128.0.0.1'].map(isLoopback),
  ).toEqual([false, false, false, false])
})
