// Resident memory of the one Node process of `rekey up`, a minute after its start, samples rotating.

import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Result } from './support.ts'

export const idleMemory = async (): Promise<readonly Result[]> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'rekey-memory-'))
  const main = new URL('../../src/main.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [main, 'up'], {
    env: { ...process.env, REKEY_DATA_DIR: dataDir, REKEY_PORT: '7434', REKEY_LOG_LEVEL: 'error' },
    stdio: 'ignore',
  })
  await pause(70_000)
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
  const kilobytes = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])
  child.kill('SIGINT')
  await new Promise((resolve) => child.once('exit', resolve))
  await rm(dataDir, { recursive: true, force: true })
  return [
    {
      what: 'resident memory of `rekey up`, idle (MB)',
      ours: kilobytes / 1024,
      floor: null,
      goal: 200,
    },
  ]
}
