import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { forgetMissingPeers, missingPeers } from '#test/support/peers.ts'

const root = join(import.meta.dirname, '..', '..')
let record: string

beforeEach(() => {
  record = mkdtempSync(join(tmpdir(), 'rekey-record-'))
})
afterEach(() => {
  delete process.env['REKEY_PEERS_RECORD']
  rmSync(record, { recursive: true, force: true })
})

/** The suite of the Redis peer on a machine without redis-server. */
const runWithoutRedis = async (env: NodeJS.ProcessEnv): Promise<number> => {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  // A configuration of its own: no database is needed for it.
  const config = join(record, 'vitest.config.mjs')
  writeFileSync(config, 'export default {}')
  const args = [vitest, 'run', '--config', config, '--root', root, 'test/peers/redis.test.ts']
  const run = promisify(execFile)(process.execPath, args, {
    cwd: root,
    env: {
      PATH: dirname(process.execPath),
      HOME: record,
      REKEY_PEERS_RECORD: join(record, 'missing'),
      ...env,
    },
  })
  return run.then(
    () => 0,
    (error: { code?: number }) => error.code ?? -1,
  )
}

test('a suite whose peer is missing is skipped, and written down with the reason', async () => {
  expect(await runWithoutRedis({})).toBe(0)
  process.env['REKEY_PEERS_RECORD'] = join(record, 'missing')
  expect(missingPeers()).toEqual([
    {
      peer: 'redis',
      why: expect.stringContaining('redis-server is not on PATH') as unknown,
      suites: ['the Redis peer'],
    },
  ])
  expect(missingPeers(new Date(Date.now() + 1000))).toEqual([])
  forgetMissingPeers()
  expect(missingPeers()).toEqual([])
}, 30_000)

test('with REKEY_PEERS=required it fails instead', async () => {
  expect(await runWithoutRedis({ REKEY_PEERS: 'required' })).toBe(1)
}, 30_000)
