// `npm run walks -- 10000 --processes 2`: random walks (test/faults/random-walk.test.ts) in several processes at once, each
// with its own PostgreSQL and its own seeds. What one of them finds ends none of the others.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    processes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
const walks = Number(positionals[0] ?? 300)
const processes = Number(values.processes)
const seed = Number(values.seed)
if (![walks, processes, seed].every((n) => Number.isSafeInteger(n) && n >= 0) || processes === 0) {
  process.stderr.write('npm run walks -- WALKS --processes N --seed N\n')
  process.exit(2)
}

const vitest = join(import.meta.dirname, '..', 'node_modules', '.bin', 'vitest')
const share = Math.ceil(walks / processes)
/** Farther apart than the walks of one process: no two take the same. */
const seedOf = (n: number): number => seed + n * 1_000_000

const run = (n: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const env = {
      ...process.env,
      REKEY_TEST_WALKS: String(Math.min(share, walks - n * share)),
      REKEY_TEST_SEED: String(seedOf(n)),
    }
    const child = spawn(vitest, ['run', 'test/faults/random-walk.test.ts'], {
      env,
      stdio: 'inherit',
    })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })

const begun = performance.now()
process.stdout.write(`${walks} walks in ${processes} processes, seed ${seed}\n`)
const shares = Array.from({ length: processes }, (_, n) => n).filter((n) => n * share < walks)
const codes = await Promise.all(shares.map(run))
const seconds = Math.round((performance.now() - begun) / 1_000)
const failed = codes.filter((code) => code !== 0).length
process.stdout.write(
  failed === 0
    ? `${walks} walks without a violation in ${seconds} s, seed ${seed}\n`
    : `${failed} of ${shares.length} processes found something, ${seconds} s, seed ${seed}\n`,
)
process.exitCode = failed === 0 ? 0 : 1
