// `rekey incident …`: an emergency step by step. `rekey revoke key/NAME` takes the first steps at once.

import { Option, type Command } from 'commander'
import { noteKinds, severities } from '#domain/incident.ts'
import { withOutput } from '../output.ts'
import { nameOf } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'
import { confirmByHand } from './incident-by-hand.ts'
import { executeIt, restore, watchIt } from './incident-execute.ts'
import { addOpen } from './incident-open.ts'
import { changeIncident, tickStep } from './incident-playbook.ts'
import { approve, preview } from './incident-preview.ts'
import { end, note, report, type Said, timeline } from './incident-tell.ts'
import { several } from './several.ts'

export const addIncident = (program: Command, shell: Shell): void => {
  const incident = program
    .command('incident')
    .summary('contain a leak: open, preview, approve, execute, restore, report')
    .description(
      'Contain a leak in steps, each of which can be taken by another person: open (what is meant), preview (exactly what will be done), approve (somebody else), execute, watch, restore, report.',
    )
  /** A verb about one incident, with what is done when it fails. */
  const about = <T extends object>(
    name: string,
    summary: string,
    work: (run: Run, id: string, options: T, argument: string) => Promise<void>,
    more: (command: Command) => Command = (command) => command,
  ): void => {
    const command = more(
      withOutput(incident.command(name)).argument('<incident>', 'incident/ID').summary(summary),
    )
    if (command.description() === '')
      command.description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    command.action((reference: string, ...rest: readonly (string | T | Command)[]) =>
      shell.act(
        command,
        {
          doing: `${name} ${reference}`,
          next: [`rekey describe ${reference}`],
          detached: 'the incident goes on at the server',
        },
        (run) =>
          work(
            run,
            nameOf(reference, 'incident'),
            command.opts<T>(),
            typeof rest[0] === 'string' ? rest[0] : '',
          ),
      ),
    )
  }
  addOpen(incident, shell)
  about('preview', 'show exactly what would be done, under a hash', preview)
  about(
    'approve',
    'agree to exactly what the preview shows, as somebody else',
    approve,
    (command) =>
      command
        .option(
          '--preview-hash <hash>',
          'the preview that is approved; shown and asked about where not given',
        )
        .option('--dry-run', 'check everything and change nothing'),
  )
  about('execute', 'do exactly what the preview shows, or nothing', executeIt, (command) =>
    command
      .description(
        'Do exactly what the preview shows, or nothing, and follow it. The exit code tells how it ended: 0 contained, 6 partly, 7 still under way at --timeout. Of one that ended partly, what failed is tried once more.',
      )
      .option('--preview-hash <hash>', 'the preview that was looked at (default: the last one)')
      .option('--confirm <id>', 'the id of the incident, instead of typing it')
      .option('--no-wait', 'do not follow it')
      .option('--timeout <duration>', 'how long to follow it (default: as long as it takes)')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('watch', 'follow it until it is at rest', watchIt, (command) =>
    command.option('--timeout <duration>', 'how long (default: as long as it takes)'),
  )
  about('restore', 'switch on again what the mode disable switched off', restore, (command) =>
    command
      .requiredOption('--reason <text>', 'why; kept in the audit log')
      .option('--key <name>', 'only this key; several times for several', several)
      .option('--no-wait', 'do not follow it')
      .option('--timeout <duration>', 'how long to follow it (default: as long as it takes)')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('note', 'write down a fact, a hypothesis or a note', note, (command) =>
    command
      .requiredOption('--text <text>', 'what is to be remembered; no secrets')
      .addOption(new Option('--kind <kind>', 'what it is').choices(noteKinds).default('note'))
      .option('--corrects <id>', 'the note that it takes the place of')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('change', 'change title, severity, commander or playbook', changeIncident, (command) =>
    command
      .option('--title <text>', 'what happened, in a line')
      .addOption(new Option('--severity <severity>', 'how bad it is').choices(severities))
      .option('--commander <name>', 'who leads')
      .option('--playbook <name>', 'take its steps, as they are now')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('confirm', 'say that what only a person can switch off is off', confirmByHand, (command) =>
    command
      .description(
        'Say that a version which only a person can switch off is off, and how that was seen. It proves nothing: the version stays unproven, with who said what. With --not-done it is not off, and --evidence says why; with --on it is switched on again, for a restoration.',
      )
      .requiredOption('--key <name>', 'its key')
      .requiredOption('--evidence <text>', 'how it was seen that it is refused now; no secrets')
      .option('--version <number>', 'the version, where there are several')
      .option('--not-done', 'it is not off')
      .option('--on', 'it is on again')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('step', 'tick off a step of its playbook', tickStep, (command) =>
    command
      .argument('<number>', 'the number of the step')
      .description(
        'Say that a step of its playbook is done, or with --not-done that it is not and why. The last word on a step counts; the others stay in the timeline. Nothing is carried out by it.',
      )
      .option('--not-done', 'it is not done; --note says why')
      .option('--note <text>', 'how it is known; no secrets')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('timeline', 'what happened, in order', timeline, (command) =>
    command.option('--all', 'also what was done key by key'),
  )
  about('report', 'the report to hand over, as Markdown; with -o json as JSON', report)
  about(
    'review',
    'sign what was executed by breaking glass, as somebody else',
    (run, id, options: Said) => end(run, id, 'reviews', { text: options.text ?? '' }, options),
    (command) =>
      command
        .requiredOption('--text <text>', 'what was found')
        .option('--dry-run', 'check everything and change nothing'),
  )
  about(
    'close',
    'end it, with a reason',
    (run, id, options: Said) => end(run, id, 'closures', { reason: options.reason ?? '' }, options),
    (command) =>
      command
        .requiredOption('--reason <text>', 'why it is over; kept in the audit log')
        .option('--dry-run', 'check everything and change nothing'),
  )
}
