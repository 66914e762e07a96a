// `rekey validate -f …`: checks files offline, with the code that the server runs on every write.

import type { Command } from 'commander'
import { show, withOutput } from '../output.ts'
import type { Run, Shell } from '../shell.ts'

export const addValidate = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('validate'))
    .summary('check files of documents, offline')
    .description('Check files of documents without a server: the same code, so the same answer.')
    .requiredOption('-f, --file <path...>', 'files, directories, or - for standard input')
  command.action((options: { readonly file: readonly string[] }) =>
    shell.act(command, { doing: `validate ${options.file.join(' ')}` }, (run) =>
      validate(run, options.file),
    ),
  )
}

const validate = async (run: Run, names: readonly string[]): Promise<void> => {
  const { checkSources, readSources } = await import('../documents.ts')
  const { documentKinds } = await import('#domain/document-kinds.ts')
  const { documents, warnings, files } = await checkSources(
    run.io,
    await readSources(run.io, names),
  )
  for (const warning of warnings) run.talk(`warning: ${warning}`)
  await show(run, {
    json: {
      valid: true,
      documents: documents.map(({ kind, name, file }) => ({ kind, name, file: file.name })),
      warnings,
    },
    names: documents.map(({ kind, name }) => `${documentKinds[kind].noun}/${name}`),
    text: () => `${count(documents.length, 'document')} in ${count(files.length, 'file')}: valid\n`,
  })
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
