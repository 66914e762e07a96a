// `rekey writer-key`: the key that signs audit records, and how it is exchanged while everything runs.

import { type Command, Option } from 'commander'
import { usage } from '#cli/failure.ts'
import { durationOf } from '#cli/moments.ts'
import { table } from '#cli/table.ts'
import { systemClock } from '#runtime/clock.ts'
import { loadConfig } from './config.ts'
import { told } from './role-failure.ts'
import type { WriterKeyLine } from './writer-key-roles.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

export const addWriterKeyCommands = (program: Command): void => {
  const key = program.command('writer-key').description('the key that signs audit records')
  key
    .command('rotate')
    .summary('exchange it while everything runs')
    .description(
      'Makes another key known by a record that the present one signs, puts it into the file of this host, and waits until no living process signs with the one of before. Records of before stay verifiable. Prints the id of the key that signs now.',
    )
    .addOption(
      new Option('--timeout <duration>', 'how long other processes are waited for').default('1m'),
    )
    .action(({ timeout }: { readonly timeout: string }) =>
      told('The writer key was not exchanged, or not everywhere', async () => {
        const patienceMs = durationOf(timeout)
        if (patienceMs === null)
          throw usage(`"${timeout}" is not a duration`, { hint: 'write 90s, 15m or 2h' })
        const roles = await import('./writer-key-roles.ts')
        const kid = await roles.rotateWriterKeyRole(loadConfig(), { patienceMs, say })
        process.stdout.write(`${kid}\n`)
      }),
    )
  key
    .command('list')
    .description('ids of all that ever signed, and the processes that sign with them now')
    .action(() =>
      told('The keys could not be listed', async () => {
        const roles = await import('./writer-key-roles.ts')
        const lines = await roles.listWriterKeysRole(loadConfig())
        process.stdout.write(table<WriterKeyLine>(columns, lines, systemClock.now()))
      }),
    )
}

const columns = [
  { title: 'WRITER', text: ({ kid }: WriterKeyLine) => kid },
  { title: 'ENROLLED', text: ({ enrolledAt }: WriterKeyLine) => enrolledAt.toISOString() },
  { title: 'IN FILE', text: ({ inFile }: WriterKeyLine) => (inFile ? 'yes' : 'no') },
  { title: 'SIGNS FOR', text: ({ processes }: WriterKeyLine) => processes.join(',') },
] as const
