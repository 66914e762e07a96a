// `rekey explain policy.spec.schedule`: what a file may hold, from the schemas that check it. Offline.

import type { Command } from 'commander'
import { show, withOutput } from '../output.ts'
import type { Run, Shell } from '../shell.ts'

export const addExplain = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('explain'))
    .argument('[what]', 'a kind, or a field of one: policy.spec.schedule')
    .summary('what a file may hold')
    .description(
      'Explain the kinds of documents and their fields, from the schemas that check them.',
    )
  command.action((what: string | undefined) =>
    shell.act(command, { doing: `explain ${what ?? ''}`.trim(), next: ['rekey explain'] }, (run) =>
      explain(run, what),
    ),
  )
}

const explain = async (run: Run, what: string | undefined): Promise<void> => {
  const { explained, explanationText } = await import('../explain-schema.ts')
  const found = explained(what ?? '')
  await show(run, {
    json: { ...found, fields: found.fields.map((field) => ({ ...field })) },
    names: found.fields.map(({ path }) => path),
    text: () => explanationText(found),
  })
}
