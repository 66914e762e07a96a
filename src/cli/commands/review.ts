// `rekey review playbook/NAME --text …`: somebody else than its author has read it, and signs.

import type { Command } from 'commander'
import { confirmYes } from '../confirm.ts'
import { playbookText, readPlaybook } from '../describe-playbook.ts'
import { usage } from '../failure.ts'
import { moment } from '../human.ts'
import { numberOf } from '../number-of.ts'
import { show, withOutput } from '../output.ts'
import { textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import { segment } from '../segment.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  readonly text: string
  readonly revision?: string
  readonly dryRun?: true
}

export const addReview = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('review'))
    .argument('<playbook>', 'playbook/NAME')
    .summary('sign that a playbook was read and is right')
    .description(
      'Sign that a playbook was read and is right, as somebody else than its author. It is shown and asked about; without a terminal the revision that was read must be said.',
    )
    .requiredOption('--text <text>', 'what was looked at; kept in the audit log')
    .option('--revision <number>', 'the revision that was read, instead of being shown it')
    .option('--dry-run', 'check everything and change nothing')
  command.action((reference: string, options: Options) =>
    shell.act(
      command,
      { doing: `review ${reference}`, next: [`rekey describe ${reference}`] },
      (run) => review(run, nameOf(reference, 'playbook'), options),
    ),
  )
}

const review = async (run: Run, name: string, { text, revision, dryRun }: Options) => {
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `/v1/playbooks/${segment(name)}/reviews`,
    body: {
      revision: numberOf(revision ?? (await revisionSeen(run, name, dryRun === true)), 'revision'),
      text,
    },
    dryRun: dryRun === true,
  })
  await show(run, {
    json: body,
    names: [`playbook/${name}`],
    text: () =>
      dryRun === true
        ? `playbook/${name}  would be reviewed\n`
        : `playbook/${name}  reviewed; the next review is due ${moment(textAt(body, 'status', 'reviewDueAt'), run.io.clock.now())}\n`,
  })
}

const revisionSeen = async (run: Run, name: string, dryRun: boolean): Promise<string> => {
  const shown = await readPlaybook(run, name)
  const revision = textAt(shown, 'status', 'revision')
  if (dryRun) return revision
  if (!run.io.interactive || run.format === 'json')
    throw usage('which revision was read must be said, and there is no terminal to ask on', {
      hint: `add --revision ${revision}, if this is the one that was read`,
    })
  run.io.stderr.write(playbookText(shown, run.io.clock.now()))
  await confirmYes(run, 'Is this right?')
  return revision
}
