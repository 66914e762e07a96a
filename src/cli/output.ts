// The forms in which data leaves: `-o table|wide|json|yaml|name`.

import { Option, type Command } from 'commander'
import type { Json } from '#domain/json.ts'
import type { Run } from './shell.ts'

export const formats = ['table', 'wide', 'json', 'yaml', 'name'] as const
export type Format = (typeof formats)[number]

/** Adds `-o` to a verb. */
export const withOutput = (command: Command): Command =>
  command.addOption(
    new Option('-o, --output <format>', 'form of what is printed')
      .choices(formats)
      .default('table'),
  )

export const outputOf = (command: Command): Format => {
  const said: unknown = command.opts()['output']
  return formats.find((format) => format === said) ?? 'table'
}

/** Before the options are parsed, and when they cannot be: whether problems are to be JSON. */
export const wantsJson = (argv: readonly string[]): boolean => {
  const end = argv.indexOf('--')
  const options = end < 0 ? argv : argv.slice(0, end)
  return options.some(
    (word, i) =>
      word === '-ojson' ||
      word === '--output=json' ||
      ((word === '-o' || word === '--output') && options[i + 1] === 'json'),
  )
}

export interface Shown {
  readonly json: Json
  /** Lines for a person, each with its line break. */
  readonly text: () => string
  /** `kind/name`; one a line. */
  readonly names: readonly string[]
  /** Where the YAML is another than the JSON: documents that can be applied again. */
  readonly documents?: readonly Json[]
}

/** Prints one result in the chosen form. */
export const show = async (run: Run, shown: Shown): Promise<void> => {
  switch (run.format) {
    case 'json':
      run.print(`${JSON.stringify(shown.json, null, 2)}\n`)
      return
    case 'yaml':
      run.print(await yamlOf(shown.documents ?? [shown.json]))
      return
    case 'name':
      run.print(shown.names.map((name) => `${name}\n`).join(''))
      return
    case 'table':
    case 'wide':
      run.print(shown.text())
  }
}

const yamlOf = async (documents: readonly Json[]): Promise<string> => {
  const { stringify } = await import('yaml')
  return documents.map((document) => stringify(document, { lineWidth: 0 })).join('---\n')
}
