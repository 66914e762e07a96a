#!/usr/bin/env -S node --max-semi-space-size=2
// The `rekey` command: argv → a role that needs the database, or a verb of the command line, which speaks HTTP only.

import { enableCompileCache } from 'node:module'
import { runCli } from '#cli/cli.ts'
import { processIo } from '#cli/environment.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeIds } from '#runtime/ids.ts'
import { loadCommandTracing } from './config.ts'
import { addRoles } from './role-commands.ts'
import { traceCommand } from './trace-command.ts'

// Half of the time of a short command is compiling it.
enableCompileCache()
const ids = makeIds(systemClock)
process.exitCode = await runCli(
  process.argv.slice(2),
  processIo({ clock: systemClock, ids, trace: traceCommand(loadCommandTracing()) }),
  addRoles,
)
