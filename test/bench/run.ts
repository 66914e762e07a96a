// `npm run bench`, or `node test/bench/run.ts [name…] [--large] [--keys=N]`. Prints one table; never part of the tests.

import { cpus } from 'node:os'
import { auditedCommit } from './audited-commit.ts'
import { emergency } from './emergency.ts'
import { emergencyLocal, emergencyPostgres, emergencyVault } from './emergency-peers.ts'
import { fleetMinute } from './fleet-minute.ts'
import { idleMemory } from './idle-memory.ts'
import { type Line, table } from './measure.ts'
import { planner } from './planner.ts'
import { postgresUser } from './postgres-user.ts'
import { recovery } from './recovery.ts'
import { rotationCost } from './rotation-cost.ts'
import { rotations } from './rotations.ts'
import { sweep } from './sweep.ts'

const all = [
  auditedCommit,
  planner,
  idleMemory,
  rotationCost,
  rotations,
  fleetMinute,
  postgresUser,
  recovery,
  sweep,
  emergency,
  emergencyLocal,
  emergencyVault,
  emergencyPostgres,
]
const asked = process.argv.slice(2)
const wanted = asked.filter((word) => !word.startsWith('--'))
const isKeys = (word: string): boolean => /^--keys=[1-9]\d{0,7}$/.test(word)
const keys = Number(asked.find(isKeys)?.slice('--keys='.length) ?? 0) || null
const unknown = [
  ...wanted.filter((name) => !all.some((one) => one.name === name)),
  ...asked.filter((word) => word.startsWith('--') && word !== '--large' && !isKeys(word)),
]
const say = (line: string): void => console.error(line)

if (unknown.length > 0) {
  say(`there is no ${unknown.join(', ')}; there are: --large, --keys=N`)
  for (const { name, about } of all) say(`  ${name.padEnd(18)} ${about}`)
  process.exitCode = 2
} else {
  const [cpu] = cpus()
  say(`Node ${process.version}, ${cpus().length} × ${cpu?.model ?? 'unknown'}`)
  const lines: Line[] = []
  for (const one of all) {
    if (wanted.length > 0 && !wanted.includes(one.name)) continue
    say(`${one.name}: ${one.about}`)
    lines.push(...(await one.run({ large: asked.includes('--large'), keys, say })))
  }
  console.log(table(lines))
}
