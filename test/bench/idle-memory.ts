// What `rekey up` needs when it has nothing to do: resident memory of its Node process a minute after it serves, with the
// samples of a first start (one key of them rotates every minute). The floor is a Node process that does nothing.

import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '#runtime/clock.ts'
import type { Benchmark } from './measure.ts'
import { startRole } from './processes.ts'

const goalMb = 200

export const idleMemory: Benchmark = {
  name: 'idle-memory',
  about: 'memory of `rekey up` a minute after its start',
  run: async ({ say }) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'rekey-bench-'))
    await chmod(dataDir, 0o711)
    const empty = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { stdio: 'ignore' })
    try {
      const up = await startRole('up', { REKEY_DATA_DIR: dataDir, REKEY_PORT: '0' }, 'Rekey serves')
      try {
        const early = await residentMb(up.pid)
        await systemClock.pause(60_000)
        const [ours, floor] = [await residentMb(up.pid), await residentMb(empty.pid ?? 0)]
        say(`  ${early.toFixed(0)} MB when it began to serve, ${ours.toFixed(0)} MB a minute later`)
        return [
          {
            what: 'idle memory of `rekey up` (RSS)',
            ours: `${ours.toFixed(0)} MB`,
            floor: `${floor.toFixed(0)} MB (empty Node)`,
            ratio: floor / ours,
            goal: `≤ ${goalMb} MB`,
            met: ours <= goalMb,
          },
        ]
      } finally {
        await up.stop()
      }
    } finally {
      empty.kill()
      await rm(dataDir, { recursive: true, force: true })
    }
  },
}

const residentMb = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024
}
