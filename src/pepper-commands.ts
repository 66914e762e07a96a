// `rekey pepper`: what fingerprints of secrets are made with, and how it is exchanged while everything runs.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { usage } from '#cli/failure.ts'
import { durationOf } from '#cli/moments.ts'
import { table } from '#cli/table.ts'
import type { PepperUses } from '#domain/pepper.ts'
import { systemClock } from '#runtime/clock.ts'
import { loadConfig } from './config.ts'
import type { PepperLine } from './pepper-roles.ts'
import { told } from './role-failure.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

export const addPepperCommands = (program: Command): void => {
  const pepper = program.command('pepper').description('what fingerprints of secrets are made with')
  pepper
    .command('rotate')
    .summary('exchange it while everything runs')
    .description(
      'Puts a new pepper into the file of this host, waits until every living process has it, lets it make fingerprints, and makes those anew whose material is here. What an old one made is known until it is retired. Run it again after an interruption of any kind: it goes on. Prints the number of the pepper that makes fingerprints now.',
    )
    .addOption(
      new Option('--timeout <duration>', 'how long other processes are waited for').default('2m'),
    )
    .action(({ timeout }: { readonly timeout: string }) =>
      told('The pepper was not exchanged, or not to the end', async () => {
        const patienceMs = durationOf(timeout)
        if (patienceMs === null)
          throw usage(`"${timeout}" is not a duration`, { hint: 'write 90s, 15m or 2h' })
        const roles = await import('./pepper-roles.ts')
        const done = await roles.rotatePepperRole(loadConfig(), { patienceMs }, say)
        for (const { number, id } of done.replaced)
          say(`what is left of pepper ${number} (${id}): rekey pepper status`)
        process.stdout.write(`${done.active.number}\n`)
      }),
    )
  pepper
    .command('retire')
    .summary('end those that were replaced')
    .description(
      'For peppers by which nothing that matters is known any more. The database refuses fingerprints of them from then on, and their lines leave the file of this host. Prints their numbers.',
    )
    .addOption(
      new Option(
        '--forget <number>',
        'drop so many fingerprints of what has ended: pasted secrets of those versions are recognised no more',
      ).argParser(countOf),
    )
    .action(({ forget }: { readonly forget?: number }) =>
      told('No pepper was retired, or not all', async () => {
        const roles = await import('./pepper-roles.ts')
        const { retired, forgotten, removed, elsewhere } = await roles.retirePepperRole(
          loadConfig(),
          { forget: forget ?? null },
          say,
        )
        if (forgotten > 0) say(`${forgotten} fingerprints were dropped`)
        for (const { number, id } of removed)
          say(
            `pepper ${number} (${id}) left the file; destroy its copies, but for those that backups need`,
          )
        for (const host of elsewhere)
          say(`run it on ${host} too: its file still holds a retired pepper`)
        if (retired.length === 0) say('nothing to retire')
        process.stdout.write(retired.map(({ number }) => `${number}\n`).join(''))
      }),
    )
  pepper
    .command('status')
    .description('how much is known by each, and the processes that have them')
    .action(() =>
      told('The peppers could not be listed', async () => {
        const roles = await import('./pepper-roles.ts')
        const { peppers, processes } = await roles.pepperStatusRole(loadConfig())
        const now = systemClock.now()
        process.stdout.write(table<PepperLine>(pepperColumns, peppers, now))
        process.stdout.write(`\n${table(processColumns, processes, now)}`)
      }),
    )
}

const countOf = (text: string): number => {
  if (/^[0-9]{1,9}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It is the number that `rekey pepper retire` names.')
}

const count = (of: keyof Omit<PepperUses, 'keys'>) => (line: PepperLine) =>
  line.uses === null ? '-' : String(line.uses[of])

const pepperColumns = [
  { title: 'PEPPER', text: ({ number }: PepperLine) => String(number) },
  { title: 'FINGERPRINT', text: ({ id }: PepperLine) => id },
  { title: 'STATE', text: ({ state }: PepperLine) => state },
  { title: 'VERSIONS', text: count('versions') },
  { title: 'ENDED', text: count('ended') },
  { title: 'CONFIRMATIONS', text: count('confirmations') },
  { title: 'LOGINS', text: count('logins') },
  { title: 'IN FILE', text: ({ inFile }: PepperLine) => (inFile ? 'yes' : 'no') },
] as const

interface Serving {
  readonly instance: string
  readonly host: string
  readonly marks: string | null
  readonly peppers: readonly string[]
}

const processColumns = [
  { title: 'PROCESS', text: ({ instance }: Serving) => instance },
  { title: 'HOST', text: ({ host }: Serving) => host },
  { title: 'MAKES', text: ({ marks }: Serving) => marks ?? '-' },
  { title: 'HAS', text: ({ peppers }: Serving) => peppers.join(',') },
] as const
