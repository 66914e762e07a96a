// `rekey diff -f policies/`: what applying the files would do. Nothing is kept, nothing is changed.

import type { Command } from 'commander'
import { Leave, usage } from '../failure.ts'
import { show, withOutput } from '../output.ts'
import { paintFor } from '../paint.ts'
import { allowedBy, type FileOptions, planFiles, withFiles } from '../plan-files.ts'
import { isChange, itemReference, planText } from '../plan-text.ts'
import { objectsAt } from '../read-json.ts'
import type { Run, Shell } from '../shell.ts'

interface Options extends FileOptions {
  readonly exitCode?: true
}

export const addDiff = (program: Command, shell: Shell): void => {
  const command = withFiles(withOutput(program.command('diff')))
    .summary('what files would change')
    .description(
      'Show what applying files would change, field by field, and what it would lead to. Nothing is changed.',
    )
    .option('--allow-owner-change', 'show how it would be taken over, instead of a conflict')
    .option('--exit-code', 'exit with 10 where there are differences')
  command.action((options: Options) =>
    shell.act(command, { doing: `diff ${options.file?.join(' ') ?? ''}`.trim() }, (run) =>
      diff(run, options),
    ),
  )
}

const diff = async (run: Run, options: Options): Promise<void> => {
  if (options.file === undefined) throw usage('say which files (-f)')
  // Nothing is done, so nothing needs to be meant: what applying would need is shown.
  const allow = allowedBy({ ...options, allowMassRotation: true, allowPolicyDeletion: true })
  const { plan } = await planFiles(run, options, { allow, dryRun: true })
  const changes = objectsAt(plan, 'items').filter(isChange)
  await show(run, {
    json: plan,
    names: changes.map(itemReference),
    text: () => planText(plan, paintFor(run.io.env, run.io.stdout)),
  })
  if (options.exitCode === true && changes.length > 0) throw new Leave('differences')
}
