// What somebody reads whose Rekey does not start: what is wrong, where it is, and what to do. Each is started as a process.

import { execFile } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { version } from '#src/version.ts'
import { startFailure } from '#src/start-failure.ts'
import { openDatabase } from '#store/database.ts'
import { loadConfig } from '#src/config.ts'
import { openTestDatabase, type TestDatabase } from './support/db.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
let dir: string
let db: TestDatabase
beforeAll(async () => {
  ;[dir, db] = await Promise.all([mkdtemp(join(tmpdir(), 'rekey-refused-')), openTestDatabase()])
  await chmod(dir, 0o711)
})
afterAll(async () => {
  await db.close()
  await rm(dir, { recursive: true, force: true })
})

const run = (
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly exit: unknown; readonly stdout: string; readonly stderr: string }> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      [main, ...argv],
      { env: { PATH: process.env['PATH'], REKEY_DATA_DIR: join(dir, 'data'), ...env } },
      (error, stdout, stderr) => resolve({ exit: error?.code ?? 0, stdout, stderr }),
    )
  })

/** Of the first question to a database, whose connection string was changed. */
const asked = async (change: (url: URL) => void) => {
  const url = new URL(db.urls.app)
  change(url)
  const elsewhere = openDatabase({ url: url.href })
  const error = await elsewhere.client.$queryRaw`SELECT 1`.then(
    () => 'nothing',
    (e: unknown) => e,
  )
  await elsewhere.close()
  return startFailure(error)
}

test('a database that is away is said with its place and the variable, without a word of Prisma', async () => {
  const url = 'postgresql://rekey_app:planted@127.0.0.1:1/rekey'
  const { exit, stderr } = await run(['worker'], { REKEY_DATABASE_URL: url })
  expect(stderr).not.toMatch(/prisma|Raw query|planted/i)
  expect(stderr).toMatch(
    /\[database\.unreachable\]\n {2}why +the database at 127\.0\.0\.1:1 cannot be reached\n {2}hint +.*REKEY_DATABASE_URL/,
  )
  expect(exit).toBe(9)
})

test('a login that the database refuses, and a database that is not there, are told in its own words', async () => {
  const refused = await asked((url) => (url.password = 'wrong'))
  expect(refused).toMatchObject({
    code: 'database.refused',
    detail: 'the database refuses the login: password authentication failed for user "rekey_app"',
  })
  expect((await asked((url) => (url.pathname = '/nowhere')))?.detail).toBe(
    'the database refuses the login: database "nowhere" does not exist',
  )
  expect((await asked((url) => (url.port = '1')))?.exit).toBe('unreachable')
})

test('what is no connection string stops the start, and is not repeated', () => {
  const problems = () =>
    loadConfig({ REKEY_DATABASE_URL: 'mysql://root:planted@h/db', REKEY_REDIS_URL: 'localhost' })
  expect(problems).toThrow(
    /REKEY_DATABASE_URL: it is no connection string such as postgresql:.*\n +REKEY_REDIS_URL: .*redis:/,
  )
  expect(problems).not.toThrow(/planted/)
})

test('a taken port, an address without TLS and a data directory that is none are told before a database is made', async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as AddressInfo
  const file = join(dir, 'a-file')
  await writeFile(file, '')
  const [busy, open, wrong] = await Promise.all([
    run(['up'], { REKEY_PORT: String(port), REKEY_DATA_DIR: join(dir, 'busy') }),
    run(['up'], { REKEY_HOST: '0.0.0.0', REKEY_DATA_DIR: join(dir, 'open') }),
    run(['up'], { REKEY_PORT: '0', REKEY_DATA_DIR: file }),
  ]).finally(() => taken.close())
  expect(busy.stderr).toMatch(
    new RegExp(
      `why +127\\.0\\.0\\.1:${port}: another program listens there\\n +hint +set REKEY_PORT`,
    ),
  )
  expect(open.stderr).toContain('without TLS')
  expect(wrong.stderr).toMatch(/a-file: .*no directory\n +hint +REKEY_DATA_DIR/)
  expect([busy.exit, open.exit, wrong.exit]).toEqual([1, 1, 1])
  const made = await Promise.all(
    ['busy', 'open'].map((name) => readdir(join(dir, name)).catch(() => [])),
  )
  expect(made.flat()).toEqual([])
})

test('what the disk and the server say is told with what helps', () => {
  const system = (code: string, path: string) =>
    Object.assign(new Error(`${code}: no`), { code, path, syscall: 'open' })
  expect(startFailure(system('EROFS', '/data/kek'))?.detail).toBe(
    '/data/kek: the file system is read-only',
  )
  expect(startFailure(system('ENOSPC', '/data/kek'))?.detail).toBe('/data/kek: the disk is full')
  const pg = (code: string, message: string) => Object.assign(new Error(message), { code })
  expect(startFailure(pg('53100', 'could not extend file'))).toMatchObject({
    code: 'database.full',
    detail: 'the disk of the database is full',
  })
  expect(startFailure(pg('53300', 'sorry'))?.code).toBe('database.crowded')
  expect(startFailure(pg('57P03', 'the database system is starting up'))?.exit).toBe('unreachable')
  expect(startFailure(new Error('something else'))).toBeNull()
})

test('--version says the version', async () => {
  const { stdout } = await run(['--version'], {})
  expect(stdout).toBe(`${version}\n`)
  expect(stdout).toMatch(/^\d+\.\d+\.\d+/)
})
