// `rekey backup` and `rekey restore` are told to end in the middle: they leave no server running, no half of a backup, and
// a directory in which the next one works. On the way: `rekey up` on a database of somebody else's.

import { spawn } from 'node:child_process'
import { access, chmod, copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { bootstrap, withClient } from '#store/bootstrap.ts'
import { freePort } from '#test/peers/start-process.ts'
import { long } from '#test/support/peers.ts'
import { fastPlace } from '#test/support/fast-place.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
let dir: string
let server: EmbeddedPostgres
const at = (...path: readonly string[]): string => join(dir, ...path)

long.describe('a backup and a restore that are told to end', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(await fastPlace(), 'rekey-interrupted-'))
    // The user that PostgreSQL runs as must get through.
    await chmod(dir, 0o711)
    server = await startEmbeddedPostgres({ dataDir: at('data'), initdbFlags: ['--no-sync'] })
  })
  afterAll(async () => {
    await server.stop()
    await rm(dir, { recursive: true })
  })

  const there = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      () => false,
    )

  /** Runs `rekey`; sends the signal once, as soon as `when` says so. */
  const rekey = async (
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    signal: NodeJS.Signals | null = null,
    when: (said: string) => Promise<boolean> = async () => false,
  ): Promise<{ readonly code: number | null; readonly said: string }> => {
    const others = Object.entries(process.env).filter(([name]) => !name.startsWith('REKEY_'))
    const keys = { REKEY_KEK_FILE: at('keys', 'kek'), REKEY_WRITER_KEY_FILE: at('keys', 'writer') }
    const child = spawn(process.execPath, [main, ...args], {
      env: { ...Object.fromEntries(others), ...keys, ...env },
      detached: true,
    })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const closed = new Promise<number | null>((done) => child.once('close', done))
    let ended = false
    void closed.then(() => (ended = true))
    let sent = signal === null
    while (!ended) {
      if (!sent && (await when(said))) {
        sent = true
        child.kill(signal ?? 'SIGTERM')
      }
      await pause(10)
    }
    return { code: await closed, said }
  }

  const serverRuns = (data: string): Promise<boolean> =>
    there(at(data, 'postgres', 'postmaster.pid'))

  test('up migrates a database of somebody else’s; a superuser’s connection string raises the guards too', async () => {
    const urls = await bootstrap({ superuserUrl: server.superuserUrl })
    const env = {
      REKEY_DATA_DIR: at('keys'),
      REKEY_DATABASE_URL: urls.app,
      REKEY_MIGRATION_DATABASE_URL: urls.superuser,
      REKEY_PORT: String(await freePort()),
      REKEY_METRICS_PORT: '0',
      REKEY_SAMPLES: 'off',
      REKEY_LOG_LEVEL: 'warn',
    }
    const up = await rekey(['up'], env, 'SIGTERM', async (said) => said.includes('Rekey serves'))
    expect(up, up.said).toMatchObject({ code: 0 })
    expect(up.said).not.toContain('were not raised')
    const { rows } = await withClient(urls.superuser, (db) =>
      db.query("SELECT evtenabled AS on FROM pg_event_trigger WHERE evtname = 'rekey_guard'"),
    )
    expect(rows).toEqual([{ on: 'A' }])
    await server.stop()
  })

  test('a backup that is told to end stops the server that it started, and leaves nothing of itself', async () => {
    const env = { REKEY_DATA_DIR: at('data') }
    const backup = ['backup', '--to', at('backups', 'one.tar')]
    const ended = await rekey(backup, env, 'SIGTERM', () => serverRuns('data'))
    expect(ended, ended.said).toMatchObject({ code: 130 })
    expect(ended.said).toContain('ended by SIGTERM')
    expect(await serverRuns('data')).toBe(false)
    expect(await readdir(at('backups')).catch(() => [])).toEqual([])

    const whole = await rekey(backup, env)
    expect(whole, whole.said).toMatchObject({ code: 0 })
    expect(await serverRuns('data')).toBe(false)
    expect(await readdir(at('backups'))).toEqual(['one.tar'])
  })

  test('a restore that is told to end stops the server that it started, and the next one works', async () => {
    await mkdir(at('new'), { mode: 0o711 })
    await copyFile(at('keys', 'pepper'), at('new', 'pepper'))
    const env = { REKEY_DATA_DIR: at('new') }
    const restore = ['restore', '--from', at('backups', 'one.tar')]
    const ended = await rekey(restore, env, 'SIGINT', async (said) => said.includes('applying'))
    expect(ended, ended.said).toMatchObject({ code: 130 })
    expect(await serverRuns('new')).toBe(false)

    const whole = await rekey(restore, env)
    expect(whole, whole.said).toMatchObject({ code: 0 })
    expect(await serverRuns('new')).toBe(false)
  })
})
