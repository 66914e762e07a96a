// Whether a line that calls `rekey` names a verb and options that there are.

import type { Command } from 'commander'
import { buildCli } from '#cli/cli.ts'
import { processIo } from '#cli/environment.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeIds } from '#runtime/ids.ts'
import { addRoles } from '#src/role-commands.ts'

let built: Command | null = null
const program = (): Command => {
  if (built !== null) return built
  built = buildCli(
    processIo({
      clock: systemClock,
      ids: makeIds(systemClock),
      trace: { traceparent: () => null, span: (_name, work) => work() },
    }),
  )
  addRoles(built)
  return built
}

/** The line, where something in it is not there; else nothing. */
export const wrongCommands = (line: string): readonly string[] => {
  const words = line.match(/"[^"]*"|\S+/g)?.slice(1) ?? []
  const [verb = '', second = ''] = words
  const outer = program().commands.find((command) => command.name() === verb)
  const command = outer?.commands.find((inner) => inner.name() === second) ?? outer
  if (command === undefined) return [line]
  const known = command.options.flatMap(({ long, short }) => [long, short])
  const flags = words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.split('=')[0])
  return flags.every((flag) => known.includes(flag)) ? [] : [line]
}
