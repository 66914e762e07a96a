// The page of what files may hold, from the schemas that check them: what `rekey explain` prints, all of it at once.

import { explained, type ExplainedField } from '../src/cli/explain-schema.ts'
import { documentKinds, kindNames } from '../src/domain/document-kinds.ts'
import { generated, table } from './markdown.ts'

export const filesPage = (): string =>
  [
    '# Files',
    generated,
    'What a file may hold: one or more documents of these kinds, each with `apiVersion: rekey.dev/v1`, `kind`, `metadata` and `spec`. A field that is not here is an error. How to apply them: [policies as code](../how-to/policies-as-code.md). In a terminal: `rekey explain`.',
    ...kindNames.map((kind) => {
      const { noun } = documentKinds[kind]
      const { title } = explained(noun)
      const rows = ['metadata', 'spec'].flatMap((part) => below(`${noun}.${part}`, part))
      return `## ${kind}\n${capital(title)}. Editors: \`/schemas/${noun}.v1.json\`.\n\n${table(
        ['field', 'form', 'without it', 'what it is'],
        rows,
      )}`
    }),
  ].join('\n\n') + '\n'

const below = (path: string, shown: string): readonly (readonly string[])[] =>
  explained(path).fields.flatMap((field) => [
    row(field, `${shown}.${field.name}`),
    ...below(field.path, `${shown}.${field.name}`),
  ])

const row = ({ form, required, title, ...field }: ExplainedField, shown: string) => [
  `\`${shown}\``,
  cell(form),
  required
    ? 'required'
    : field.default === undefined
      ? '–'
      : `\`${JSON.stringify(field.default)}\``,
  cell(title),
]

const cell = (text: string): string => text.replaceAll('|', '\\|')

const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`
