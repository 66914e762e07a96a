#!/usr/bin/env node
// The `rekey` command: argv → a role that needs the database, or a verb of the command line, which speaks HTTP only.

import { enableCompileCache } from 'node:module'
import type { Command } from 'commander'
import { runCli } from '#cli/cli.ts'
import { processIo } from '#cli/environment.ts'
import { Failure, usage } from '#cli/failure.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeIds } from '#runtime/ids.ts'
import { ConfigError, loadCommandTracing, loadConfig } from './config.ts'
import { traceCommand } from './trace-command.ts'
import type * as Roles from './roles.ts'

const say = (line: string): void => console.error(line)

const addRoles = (program: Command): void => {
  const role = (
    name: string,
    description: string,
    run: (roles: typeof Roles) => Promise<void>,
    parent = program,
  ) =>
    parent
      .command(name)
      .description(description)
      .action(async () => {
        try {
          await run(await import('./roles.ts'))
        } catch (error) {
          throw toFailure(error)
        }
      })
  program.commandsGroup('Run:')
  role('up', 'everything in one process, with a Postgres of its own', ({ up }) =>
    up(loadConfig(), say),
  )
  role('api', 'the API alone', ({ serve }) =>
    serve(loadConfig(), { api: true, worker: false }, say),
  )
  role('worker', 'a worker alone', ({ serve }) =>
    serve(loadConfig(), { api: false, worker: true }, say),
  )
  role('migrate', 'bring the database up to date', ({ migrateRole }) =>
    migrateRole(loadConfig(), say),
  )
  const adminKey = program.command('admin-key').description('the first key of an installation')
  role(
    'reset',
    'make a new admin key, and end the old one',
    ({ resetAdminKeyRole }) => resetAdminKeyRole(loadConfig(), say),
    adminKey,
  )
}

/** A start that was refused says why, in one piece, without a stack. */
const toFailure = (error: unknown): unknown => {
  if (!(error instanceof Error)) return error
  return error instanceof ConfigError
    ? usage(error.message, { code: 'config.invalid' })
    : new Failure({
        code: 'start.failed',
        exit: 'failed',
        title: 'Rekey did not start',
        detail: error.message,
      })
}

// Half of the time of a short command is compiling it.
enableCompileCache()
const ids = makeIds(systemClock)
process.exitCode = await runCli(
  process.argv.slice(2),
  processIo({ clock: systemClock, ids, trace: traceCommand(loadCommandTracing()) }),
  addRoles,
)
