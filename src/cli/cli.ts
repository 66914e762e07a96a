// The `rekey` command: the tree of verbs, and from words to an exit code. Verbs speak HTTP only; what needs the database
// (up, api, worker, migrate, admin-key) is added by main.ts.
//
// stdout is data, stderr is talk. With `-o json` stderr holds at most one line: the problem as a JSON object.

import { Command, CommanderError } from 'commander'
import { suggest } from '#domain/suggest.ts'
import { addAbandon } from './commands/abandon.ts'
import { addAck } from './commands/ack.ts'
import { addAdopt } from './commands/adopt.ts'
import { addApply } from './commands/apply.ts'
import { addApprove } from './commands/approve.ts'
import { addBlastRadius } from './commands/blast-radius.ts'
import { addCancel } from './commands/cancel.ts'
import { addConfirm } from './commands/confirm.ts'
import { addCompletion } from './commands/completion.ts'
import { addDescribe } from './commands/describe.ts'
import { addDiff } from './commands/diff.ts'
import { addDoctor } from './commands/doctor.ts'
import { addExplain } from './commands/explain.ts'
import { addFreeze } from './commands/freeze.ts'
import { addGet } from './commands/get.ts'
import { addImport } from './commands/import.ts'
import { addIncident } from './commands/incident.ts'
import { addLogin } from './commands/login.ts'
import { addLogs } from './commands/logs.ts'
import { addOverride } from './commands/override.ts'
import { addReview } from './commands/review.ts'
import { addResume } from './commands/resume.ts'
import { addRevoke } from './commands/revoke.ts'
import { addRollback } from './commands/rollback.ts'
import { addRotate } from './commands/rotate.ts'
import { addSchedule } from './commands/schedule.ts'
import { addValidate } from './commands/validate.ts'
import { addWhoami } from './commands/whoami.ts'
import { exitCodes, exitMeanings, type ExitName } from './exit-codes.ts'
import { Failure, isFailure, Leave, usage } from './failure.ts'
import { plainLines } from './human.ts'
import type { CliIo } from './io.ts'
import { wantsJson } from './output.ts'
import { paintFor } from './paint.ts'
import { failureJson, failureText } from './render-failure.ts'
import { makeShell } from './shell.ts'

/** Headings of `--help`, in the order of a day's work. */
const verbs = {
  'Policies as files:': [addValidate, addDiff, addApply, addImport, addExplain],
  'See:': [addGet, addDescribe, addBlastRadius, addSchedule, addLogs, addDoctor, addWhoami],
  'Rotate:': [
    addRotate,
    addApprove,
    addAck,
    addConfirm,
    addCancel,
    addRollback,
    addResume,
    addAbandon,
    addOverride,
    addAdopt,
    addFreeze,
  ],
  'Emergency:': [addRevoke, addIncident, addReview],
  'Shell:': [addLogin, addCompletion],
} as const

export const buildCli = (io: CliIo): Command => {
  const shell = makeShell(io)
  const program = new Command('rekey')
    .description('Rotate every key on schedule, and revoke any of them at 3 a.m. without guessing.')
    // So that an option of a verb may have the name of one of the program.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // Said by runCli, in the chosen form.
      outputError: () => undefined,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', `\n${variables}\n\n${codes}`)
  for (const [heading, adders] of Object.entries(verbs)) {
    program.commandsGroup(heading)
    for (const add of adders) add(program, shell)
  }
  return program
}

const variables = `Variables:
  REKEY_URL         the server (default http://127.0.0.1:7400)
  REKEY_TOKEN       the token, or REKEY_TOKEN_FILE: a file with it; else that of \`rekey login\`; else,
                    on this machine, the admin key of REKEY_DATA_DIR
  NO_COLOR          no colours

At three in the morning: \`rekey doctor\`, then docs/runbooks/README.md. The API: /docs of the server.`

const codes = `Exit codes:
${(Object.keys(exitCodes) as readonly ExitName[]).map((name) => `  ${String(exitCodes[name]).padEnd(4)}${exitMeanings[name]}`).join('\n')}`

/** `argv` without node and script. `extend` adds verbs that are not the command line's own. */
export const runCli = async (
  argv: readonly string[],
  io: CliIo,
  extend: (program: Command) => void = () => undefined,
): Promise<number> => {
  const program = buildCli(io)
  extend(program)
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok
    if (error instanceof Leave) return exitCodes[error.exit]
    // Help on stderr, because nothing was asked for.
    if (error instanceof CommanderError && error.code === 'commander.help') return exitCodes.usage
    const failure = toFailure(error, argv, program)
    io.stderr.write(
      wantsJson(argv)
        ? failureJson(failure.info)
        : failureText(failure.info, paintFor(io.env, io.stderr)),
    )
    return failure.exitCode
  }
}

const toFailure = (error: unknown, argv: readonly string[], program: Command): Failure => {
  if (isFailure(error)) return error
  if (error instanceof CommanderError) {
    const command = reached(program, argv)
    const path = command === program ? '' : ` ${command.name()}`
    const said =
      error.code === 'commander.missingMandatoryOptionValue' ? mistyped(command, argv) : null
    return usage(plainLines(said ?? error.message.replace(/^error: /, '').trim()), {
      next: [`rekey${path} --help`],
    })
  }
  return new Failure({
    code: 'cli.failed',
    exit: 'failed',
    title: 'The command failed',
    detail: plainLines(error instanceof Error ? error.message : String(error)),
    hint: 'this is a fault of the command line, not of what you did',
    cause: error,
  })
}

const reached = (program: Command, argv: readonly string[]): Command =>
  program.commands.find(
    (command) => command.name() === argv.find((word) => !word.startsWith('-')),
  ) ?? program

/** `--reson` leaves `--reason` out: what was written says more than what is missing. */
const mistyped = (command: Command, argv: readonly string[]): string | null => {
  const known = command.options.flatMap(({ long, short }) => [long ?? '', short ?? ''])
  const end = argv.indexOf('--')
  const flags = (end < 0 ? argv : argv.slice(0, end)).map((word) => word.split('=')[0] ?? '')
  const wrong = flags.find((flag) => /^--[a-z]/.test(flag) && !known.includes(flag))
  if (wrong === undefined) return null
  const meant = suggest(wrong, known)
  return `unknown option '${wrong}'${meant === null ? '' : `\n(Did you mean ${meant}?)`}`
}
