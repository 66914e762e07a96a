// The commands that need the database. Each role is loaded only when it is asked for.

import type { Command } from 'commander'
import { Failure } from '#cli/failure.ts'
import { loadConfig } from './config.ts'
import type * as BackupRoles from './backup-roles.ts'
import { addKekCommands } from './kek-commands.ts'
import { told } from './role-failure.ts'
import type * as Roles from './roles.ts'
import { addPepperCommands } from './pepper-commands.ts'
import { version } from './version.ts'
import { addWriterKeyCommands } from './writer-key-commands.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

export const addRoles = (program: Command): void => {
  program.version(version, '-V, --version', 'print the version')
  program.commandsGroup('Run:')
  const role = (
    name: string,
    description: string,
    run: (roles: typeof Roles) => Promise<void>,
    parent = program,
  ) =>
    parent
      .command(name)
      .description(description)
      .action(() => told('Rekey did not start', async () => run(await import('./roles.ts'))))
  role('up', 'everything in one process, with a Postgres of its own', ({ up }) =>
    up(loadConfig(), say),
  )
  role('api', 'the API alone', ({ serve }) =>
    serve(loadConfig(), { api: true, worker: false }, say),
  )
  role('worker', 'a worker alone', ({ serve }) =>
    serve(loadConfig(), { api: false, worker: true }, say),
  )
  program
    .command('migrate')
    .summary('bring the database up to date')
    .description(
      'Apply the migrations that are pending. With --check only name them: exit 10 where there are some, 5 where the database is newer than this version or is not what it should be.',
    )
    .option('--check', 'name what would be applied, and change nothing')
    .action(({ check }: { readonly check?: true }) =>
      told('The database was not migrated', async () => {
        const roles = await import('./roles.ts')
        await (check ? checkMigrations(roles) : roles.migrateRole(loadConfig(), say))
      }),
    )
  const adminKey = program.command('admin-key').description('the first key of an installation')
  role(
    'reset',
    'make a new admin key, and end the old one',
    ({ resetAdminKeyRole }) => resetAdminKeyRole(loadConfig(), say),
    adminKey,
  )
  addBackups(program)
  addKekCommands(program)
  addWriterKeyCommands(program)
  addPepperCommands(program)
}

const checkMigrations = async ({ pendingRole }: typeof Roles): Promise<void> => {
  const pending = await pendingRole(loadConfig())
  process.stdout.write(pending.map((name) => `${name}\n`).join(''))
  if (pending.length === 0) return say('nothing to apply')
  throw new Failure({
    code: 'migrate.pending',
    exit: 'differences',
    title: 'The database is not up to date',
    detail: `${pending.length} migration${pending.length === 1 ? ' is' : 's are'} pending`,
    changed: 'nothing',
    next: ['rekey backup --to …', 'rekey migrate'],
  })
}

const addBackups = (program: Command): void => {
  const role = (
    title: string,
    run: (roles: typeof BackupRoles) => Promise<{ readonly createdAt: string }>,
  ) =>
    told(title, async () => {
      const manifest = await run(await import('./backup-roles.ts'))
      process.stdout.write(`${manifest.createdAt}\n`)
    })
  program
    .command('backup')
    .summary('write the database to a directory or a .tar file')
    .description(
      'One snapshot of everything but the queue, with a manifest; a running Rekey is not held up. Keys are in no backup: keep the key-encryption key and the pepper elsewhere. Prints the moment that it shows.',
    )
    .requiredOption('--to <path>', 'a new directory, or a new file that ends in .tar')
    .action(({ to }: { readonly to: string }) =>
      role('The backup failed', ({ backupRole }) => backupRole(loadConfig(), to, say)),
    )
  program
    .command('restore')
    .summary('load a backup into an empty database')
    .description(
      'Compares every part with its checksum first. The key-encryption key and the pepper that it was sealed under must be in place. The first start after it is in recovery mode. Prints the moment that the backup shows.',
    )
    .requiredOption('--from <path>', 'what `rekey backup --to` was given')
    .action(({ from }: { readonly from: string }) =>
      role('The restore failed', ({ restoreRole }) => restoreRole(loadConfig(), from, say)),
    )
}
