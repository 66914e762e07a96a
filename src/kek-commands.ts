// `rekey kek`: the key-encryption key of the installation, and how it is exchanged while everything runs.

import { type Command, Option } from 'commander'
import { usage } from '#cli/failure.ts'
import { durationOf } from '#cli/moments.ts'
import { table } from '#cli/table.ts'
import { systemClock } from '#runtime/clock.ts'
import { loadConfig } from './config.ts'
import type { KekLine } from './kek-roles.ts'
import { told } from './role-failure.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

export const addKekCommands = (program: Command): void => {
  const kek = program.command('kek').description('the key-encryption key of the installation')
  kek
    .command('rotate')
    .summary('exchange it while everything runs')
    .description(
      'Puts a new key into the file of this host, waits until every living process has it, lets it seal, and seals every row anew. Run it again after an interruption of any kind: it goes on. Prints the fingerprint of the key that seals now.',
    )
    .option('--to <fingerprint>', 'a key that is in the file already')
    .addOption(
      new Option('--timeout <duration>', 'how long other processes are waited for').default('2m'),
    )
    .action(({ to, timeout }: { readonly to?: string; readonly timeout: string }) =>
      told('The key-encryption key was not exchanged, or not to the end', async () => {
        const patienceMs = durationOf(timeout)
        if (patienceMs === null)
          throw usage(`"${timeout}" is not a duration`, { hint: 'write 90s, 15m or 2h' })
        const roles = await import('./kek-roles.ts')
        const done = await roles.rotateKekRole(loadConfig(), { to: to ?? null, patienceMs }, say)
        for (const { id, retirableFrom } of done.replaced)
          say(`${id} can be retired from ${retirableFrom.toISOString()} on: rekey kek retire`)
        process.stdout.write(`${done.active}\n`)
      }),
    )
  kek
    .command('retire')
    .summary('end those that were replaced')
    .description(
      'For keys under which no row is left, a day after that: until then cursors and idempotency keys are signed with them. The database refuses rows under them from then on, and their lines leave the file of this host. Prints their fingerprints.',
    )
    .option('--now', 'do not wait for the day: cursors and idempotency keys of before are refused')
    .action(({ now }: { readonly now?: true }) =>
      told('No key-encryption key was retired, or not all', async () => {
        const roles = await import('./kek-roles.ts')
        const { retired, removed, elsewhere } = await roles.retireKekRole(loadConfig(), {
          atOnce: now === true,
        })
        for (const id of removed)
          say(`${id} left the file; destroy its copies, but for those that backups need`)
        for (const host of elsewhere)
          say(`run it on ${host} too: its file still holds a retired key`)
        if (retired.length === 0) say('nothing to retire')
        process.stdout.write(retired.map((id) => `${id}\n`).join(''))
      }),
    )
  kek
    .command('list')
    .description('fingerprints, rows under each, and the processes that have them')
    .action(() =>
      told('The keys could not be listed', async () => {
        const roles = await import('./kek-roles.ts')
        const { keks, processes } = await roles.listKeksRole(loadConfig())
        const now = systemClock.now()
        process.stdout.write(table<KekLine>(kekColumns, keks, now))
        process.stdout.write(`\n${table(processColumns, processes, now)}`)
      }),
    )
}

const kekColumns = [
  { title: 'KEK', text: ({ id }: KekLine) => id },
  { title: 'STATE', text: ({ state }: KekLine) => state },
  { title: 'ROWS', text: ({ rows }: KekLine) => String(rows) },
  { title: 'IN FILE', text: ({ inFile }: KekLine) => (inFile ? 'yes' : 'no') },
] as const

interface Serving {
  readonly instance: string
  readonly host: string
  readonly seals: string
  readonly accepts: readonly string[]
}

const processColumns = [
  { title: 'PROCESS', text: ({ instance }: Serving) => instance },
  { title: 'HOST', text: ({ host }: Serving) => host },
  { title: 'SEALS', text: ({ seals }: Serving) => seals },
  { title: 'ACCEPTS', text: ({ accepts }: Serving) => accepts.join(',') },
] as const
