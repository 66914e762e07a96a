// `npm run mutants`: each of the bugs of test/walks/mutants.ts must be found by random walks over a copy that has it.

import { hunt, mutants } from '../test/walks/mutants.ts'

const walks = 1_000
const seed = Number(process.env['REKEY_TEST_SEED'] ?? 1)

let missed = 0
for (const mutant of mutants) {
  const begun = performance.now()
  // oxlint-disable-next-line no-await-in-loop -- each takes a core
  const { violation, output } = await hunt(mutant, { walks, seed })
  const seconds = Math.round((performance.now() - begun) / 1_000)
  if (violation === null) {
    missed += 1
    process.stdout.write(`MISSED ${mutant.name} (${seconds} s)\n${output}\n`)
  } else {
    const after = /Property failed after (\d+) tests/.exec(output)?.[1] ?? '?'
    process.stdout.write(`found  ${mutant.name} (walk ${after}, ${seconds} s)\n`)
    const first = violation.split('\n').slice(0, 3).join('\n')
    process.stdout.write(`${first.replaceAll(/^/gm, '         ')}\n`)
  }
}
process.exitCode = missed === 0 ? 0 : 1
