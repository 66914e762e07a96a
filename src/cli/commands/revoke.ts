// `rekey revoke key/NAME --reason …`: one key at three in the morning. An incident is opened and previewed, what will happen is
// shown, the name is typed, and it is executed and followed.

import { Option, type Command } from 'commander'
import { incidentModes } from '#domain/incident.ts'
import { confirmByName } from '../confirm.ts'
import { Failure } from '../failure.ts'
import { drawPreview, execute, openIncident, readIncident } from '../incident-steps.ts'
import { previewText } from '../incident-text.ts'
import { show, withOutput } from '../output.ts'
import { numberAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'
import { effectOf, follow, timeoutOf } from './incident-execute.ts'
import { oneHalfText } from './incident-open.ts'
import { numberOf } from '../number-of.ts'

interface Options {
  readonly reason: string
  readonly mode: string
  readonly version?: string
  readonly oneHalf?: true
  readonly confirm?: string
  readonly timeout?: string
  readonly dryRun?: true
}

export const addRevoke = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('revoke'))
    .argument('<key>', 'key/NAME')
    .summary('revoke a key now, proven refused')
    .description(
      'Revoke a key now: opens an incident, shows exactly what will be done, asks for the name, executes and follows it.\n' +
        'Where an approval is needed it stops there, says who must give it, and exits with 7. Otherwise 0 contained, 6 partly.',
    )
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .addOption(
      new Option('--mode <mode>', 'disable comes back; the others are for good')
        .choices(incidentModes)
        .default('revokeFirst'),
    )
    .option(
      '--version <number>',
      'only this version, of a pair with the other half (default: all that may still be accepted)',
    )
    .option('--one-half', oneHalfText)
    .option('--confirm <name>', 'the name of the key, instead of typing it')
    .option('--timeout <duration>', 'how long to follow it (default: as long as it takes)')
    .option('--dry-run', 'check whether an incident could be opened; change nothing')
  command.action((key: string, options: Options) =>
    shell.act(command, { doing: `revoke ${key}`, next: [`rekey describe ${key}`] }, (run) =>
      revoke(run, key, options),
    ),
  )
}

const revoke = async (run: Run, key: string, options: Options): Promise<void> => {
  const name = nameOf(key, 'key')
  const timeoutMs = timeoutOf(options)
  const { mode, reason } = options
  const opened = await openIncident(
    run,
    {
      title: `Revoke ${name}`,
      severity: 'high',
      mode,
      reason,
      selector: {
        ...(options.version === undefined
          ? { keys: [name] }
          : { versions: [{ key: name, version: numberOf(options.version, 'version') }] }),
        ...(options.oneHalf === true ? { pairs: 'meant' } : {}),
      },
    },
    options.dryRun === true,
  )
  const id = textAt(opened, 'id')
  if (options.dryRun === true)
    return show(run, {
      json: opened,
      names: [`key/${name}`],
      text: () => `key/${name}  an incident could be opened (${mode})\n`,
    })
  run.talk(`opened incident/${id}`)
  const preview = await drawPreview(run, id)
  // It is what is decided by, and no result.
  run.talk(previewText(preview, mode, run.io.clock.now()).trimEnd())
  const previewed = await readIncident(run, id)
  if (textAt(previewed, 'state') === 'awaitingApproval')
    throw waits(id, numberAt(preview, 'approvalsNeeded') ?? 1)
  await confirmByName(run, name, effectOf(previewed), options.confirm)
  await execute(run, id, { previewHash: textAt(preview, 'hash') })
  return follow(run, id, timeoutMs, 'the incident was executed and is under way')
}

const waits = (id: string, needed: number): Failure =>
  new Failure({
    code: 'cli.stillWaiting',
    exit: 'stillWaiting',
    title: 'It waits for an approval',
    detail: `${needed} of somebody else ${needed === 1 ? 'is' : 'are'} needed; nothing was revoked yet`,
    changed: 'an incident was opened and previewed; nothing was done to the key',
    next: [
      `rekey incident approve incident/${id}   # somebody else`,
      `rekey incident execute incident/${id}`,
    ],
  })
