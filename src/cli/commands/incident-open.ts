// `rekey incident open`: what leaked, and what is to be done.

import { Option, type Command } from 'commander'
import { incidentModes, severities } from '#domain/incident.ts'
import { type MeantOptions, openIncident, selectorOf } from '../incident-steps.ts'
import { withOutput } from '../output.ts'
import { present, sayNext } from '../present-incident.ts'
import type { Shell } from '../shell.ts'
import { several } from './several.ts'

export const oneHalfText =
  'of a pair, one half of which is meant, leave the other one alone: nobody who has the one may have the other'

interface OpenOptions extends MeantOptions {
  readonly title: string
  readonly severity: string
  readonly mode: string
  readonly reason: string
  readonly commander?: string
  readonly playbook?: string
  readonly dryRun?: true
}

export const addOpen = (incident: Command, shell: Shell): void => {
  const command = withOutput(incident.command('open'))
    .summary('say what leaked and what is to be done; touches nothing')
    .description(
      'Open an incident: what it means and what is to be done. Touches nothing. All that is said of the keys must hold.',
    )
    .requiredOption('--title <text>', 'what happened, in a line')
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .addOption(
      new Option('--mode <mode>', 'disable comes back; the others are for good')
        .choices(incidentModes)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--severity <severity>', 'how bad it is').choices(severities).default('high'),
    )
    .option('--commander <name>', 'who leads')
    .option('--playbook <name>', 'what people do beside it: its steps are taken as they are now')
    .option('--key <name>', 'this key; several times for several', several)
    .option(
      '--key-version <key@version>',
      'exactly this version; several times for several',
      several,
    )
    .option('-l, --selector <labels>', 'keys with these labels: team=payments,env=prod')
    .option('--connection <name>', 'keys of this connection; several times for several', several)
    .option('--provider <id>', 'keys at this provider; several times for several', several)
    .option('--owner <name>', 'keys of this owner')
    .option('--environment <name>', 'keys of this environment')
    .option('--consumer <name>', 'keys that this consumer uses')
    .option('--policy <name>', 'keys that this policy rotates')
    .option(
      '--created-after <moment>',
      'versions made then or later: RFC 3339, or a duration back from now',
    )
    .option('--created-before <moment>', 'versions made before')
    .option(
      '--secret-stdin',
      'what leaked, one a line on standard input: only SHA-256 digests leave this machine',
    )
    .option('--one-half', oneHalfText)
    .option('--dry-run', 'check everything and change nothing')
  command.action((options: OpenOptions) =>
    shell.act(
      command,
      { doing: 'open an incident', next: ['rekey get incidents'] },
      async (run) => {
        const { title, severity, mode, reason, commander, playbook } = options
        const opened = await openIncident(
          run,
          {
            title,
            severity,
            mode,
            reason,
            ...(commander === undefined ? {} : { commander }),
            ...(playbook === undefined ? {} : { playbook }),
            selector: await selectorOf(run, options),
          },
          options.dryRun === true,
        )
        await present(run, opened)
        if (options.dryRun !== true) sayNext(run, opened)
      },
    ),
  )
}
