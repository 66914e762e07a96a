import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { bootstrap, withClient } from '#store/bootstrap.ts'
import { migrate } from '#store/migrate.ts'
import { fastPlace } from '#test/support/fast-place.ts'

// Most tests go on with the server of the one before: making one takes longer than any of them.
let dataDir: string
let running: EmbeddedPostgres | null = null
beforeAll(async () => {
  dataDir = await mkdtemp(join(await fastPlace(), 'rekey-embedded-'))
})
afterEach(() => stop())
afterAll(() => rm(dataDir, { recursive: true }))

const start = async (directory = dataDir): Promise<EmbeddedPostgres> => {
  running = await startEmbeddedPostgres({
    dataDir: directory,
    initdbFlags: ['--no-sync'],
    settings: { fsync: 'off' },
  })
  return running
}
const stop = async (): Promise<void> => {
  await running?.stop()
  running = null
}
const ask = (url: string, text: string): Promise<unknown> =>
  withClient(
    url,
    async (db) => Object.values((await db.query<Record<string, unknown>>(text)).rows[0] ?? {})[0],
  )
const postmaster = async (): Promise<number> =>
  Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0])

test('a new server speaks UTF-8, sorts by code unit, asks for SCRAM and listens on loopback alone', async () => {
  const { superuserUrl } = await start()
  expect(await ask(superuserUrl, 'SHOW server_encoding')).toBe('UTF8')
  expect(
    await ask(superuserUrl, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'"),
  ).toBe('C')
  expect(await ask(superuserUrl, 'SHOW listen_addresses')).toBe('127.0.0.1')
  expect(await ask(superuserUrl, 'SHOW unix_socket_directories')).toBe('')
  expect(
    await ask(superuserUrl, "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules"),
  ).toBe('scram-sha-256')
  expect((await stat(join(dataDir, 'postgres-password'))).mode & 0o777).toBe(0o600)
  const wrong = new URL(superuserUrl)
  wrong.password = 'wrong'
  await expect(ask(wrong.toString(), 'SELECT 1')).rejects.toMatchObject({ code: '28P01' })
})

test('what was committed is there after a stop and a start', async () => {
  await ask((await start()).superuserUrl, 'CREATE TABLE stopped AS SELECT 1 AS one')
  await stop()
  const again = await start()
  expect(again.foundRunning).toBe(false)
  expect(await ask(again.superuserUrl, 'SELECT one FROM stopped')).toBe(1)
})

test('a server whose parent was killed is found, stopped and started again', async () => {
  const script = `
    import { startEmbeddedPostgres } from ${JSON.stringify(new URL('../../src/runtime/embedded-postgres.ts', import.meta.url).href)}
    const { superuserUrl } = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, initdbFlags: ['--no-sync'] })
    console.log(superuserUrl)
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: process.cwd(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await once(parent.stdout, 'data')) as [Buffer]
  const orphan = said.toString().trim()
  await ask(orphan, 'CREATE TABLE kept AS SELECT 1 AS one')
  parent.kill('SIGKILL')
  await once(parent, 'exit')
  expect(await ask(orphan, 'SELECT one FROM kept')).toBe(1)
  const again = await start()
  expect(again.foundRunning).toBe(true)
  await expect(ask(orphan, 'SELECT 1')).rejects.toThrow()
  expect(await ask(again.superuserUrl, 'SELECT one FROM kept')).toBe(1)
})

// Linux tells which signals a process has not yet looked at.
test.runIf(process.platform === 'linux')(
  'a server that is killed while it is asked to stop has stopped; the next start recovers what it left',
  async () => {
    const { superuserUrl } = await start()
    await ask(superuserUrl, 'CREATE TABLE killed AS SELECT 1 AS one')
    const pid = await postmaster()
    // It hears nothing any more, so that the kill comes while the next start waits for it.
    process.kill(pid, 'SIGSTOP')
    const next = start()
    try {
      await waitsFor(pid)
    } finally {
      process.kill(pid, 'SIGKILL')
    }
    const again = await next
    expect(again.foundRunning).toBe(true)
    expect(await ask(again.superuserUrl, 'SELECT one FROM killed')).toBe(1)
  },
)

test('a server that was killed is no failed stop', async () => {
  const server = await start()
  process.kill(await postmaster(), 'SIGKILL')
  await server.stop()
  running = null
  expect((await start()).foundRunning).toBe(false)
})

test('a postmaster.pid that nobody holds any more is no hindrance', async () => {
  await start()
  const pidFile = join(dataDir, 'postgres', 'postmaster.pid')
  const left = await readFile(pidFile, 'utf8')
  await stop()
  // A process that ended: its number is free or somebody else's.
  const gone = spawn('true')
  await once(gone, 'exit')
  const { uid, gid } = await stat(join(dataDir, 'postgres'))
  await writeFile(pidFile, left.replace(/^\d+/, String(gone.pid)))
  await chown(pidFile, uid, gid)
  expect((await start()).foundRunning).toBe(false)
})

test('a cluster that was half made is made anew', async () => {
  const directory = await mkdtemp(join(await fastPlace(), 'rekey-embedded-'))
  await mkdir(join(directory, 'postgres.new'))
  await writeFile(join(directory, 'postgres.new', 'PG_VERSION'), '18\n')
  expect(await ask((await start(directory)).superuserUrl, 'SELECT 1')).toBe(1)
  await stop()
  await rm(directory, { recursive: true })
})

test('a server that cannot start says what its log says', async () => {
  const settings = join(dataDir, 'postgres', 'postgresql.auto.conf')
  const left = await readFile(settings, 'utf8')
  await writeFile(settings, "shared_buffers = 'a lot'\n")
  await expect(start()).rejects.toThrow(/did not start[^]*shared_buffers/)
  await writeFile(settings, left)
})

test.runIf(process.getuid?.() === 0)(
  'as root, a folder that the server’s user cannot enter is named',
  async () => {
    const closed = join(dataDir, 'closed')
    await mkdir(closed, { mode: 0o700 })
    await chmod(dataDir, 0o711)
    await expect(startEmbeddedPostgres({ dataDir: join(closed, 'data') })).rejects.toThrow(
      new RegExp(`cannot enter ${closed}\\.`),
    )
  },
)

test('roles and migrations on a server of its own: the strings that it returns work, and each does what it may', async () => {
  const { superuserUrl } = await start()
  const urls = await bootstrap({ superuserUrl })
  const lines: string[] = []
  await migrate({
    superuserUrl: urls.superuser,
    migrationUrl: urls.migration,
    onProgress: (line) => lines.push(line),
  })
  expect(lines).toContain('applying 20261123000000_audit')
  expect(await ask(urls.app, 'SELECT current_user::text')).toBe('rekey_app')
  await expect(ask(urls.app, 'CREATE TABLE public.mine (id integer)')).rejects.toMatchObject({
    code: '42501',
  })
  await expect(ask(urls.migration, 'SET ROLE rk_audit_owner')).rejects.toMatchObject({
    code: '42501',
  })
  // Passwords are new at every bootstrap; the old ones are worth nothing then.
  const again = await bootstrap({ superuserUrl })
  await expect(ask(urls.app, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' })
  expect(await ask(again.app, 'SELECT 1')).toBe(1)
})

/** Until somebody sent the process a SIGINT: that is what `pg_ctl stop -m fast` does. */
const waitsFor = (pid: number) =>
  expect
    .poll(async () => {
      const pending = /^ShdPnd:\s*([0-9a-f]+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))
      // The end of a child of its own may wait beside it.
      return BigInt(`0x${pending?.[1] ?? '0'}`) & interrupt
    })
    .toBe(interrupt)
const interrupt = 2n
