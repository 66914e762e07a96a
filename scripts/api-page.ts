// The page of the API, from the OpenAPI document that every Rekey serves: each operation with what it takes and answers.

import { openapiOf } from '../src/http/openapi.ts'
import type { Route } from '../src/http/route.ts'
import { generated, table } from './markdown.ts'

interface Schema {
  readonly $ref?: string
  readonly anyOf?: readonly Schema[]
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly items?: Schema
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly description?: string
  readonly title?: string
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
}
interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly description?: string
  readonly schema: Schema
}
interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly tags: readonly string[]
  readonly parameters: readonly (Parameter | { readonly $ref: string })[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly parameters?: Readonly<Record<string, Parameter>>
    readonly schemas: Readonly<Record<string, Schema>>
  }
}

export const apiPage = (routes: readonly Route[]): string => {
  // What is drawn is JSON of a form that a test holds against the specification.
  const document = JSON.parse(
    JSON.stringify(openapiOf(routes, { version: '', perMinute: 600 })),
  ) as Document
  const codes = new Map(routes.map(({ operationId, errors }) => [operationId, errors]))
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )
  const tags = [...Map.groupBy(operations, ({ operation }) => operation.tags[0] ?? '')].toSorted(
    ([a], [b]) => (a < b ? -1 : 1),
  )
  return (
    [
      '# API',
      generated,
      'Every operation, with what it takes and answers. The same with all fields of the replies and examples that work as they stand: `/docs` and `/openapi.json` of a running Rekey. Who may call what: [access](access.md). What is refused and why: [errors](errors.md).',
      'What holds everywhere: lists take `limit` (50, at most 200) and `cursor` and answer `{items, nextCursor}`. Every write takes `?dryRun=all`: the same checks, nothing done. A change of what exists needs `If-Match` with its `ETag`, or `*`. A POST takes an `Idempotency-Key` and is then done once. Unknown parameters and fields are refused.',
      ...tags.flatMap(([tag, all]) => [
        `## ${tag}`,
        ...all.map(({ path, method, operation }) =>
          operationSection(document, `${method.toUpperCase()} ${path}`, operation, [
            ...(codes.get(operation.operationId) ?? []),
          ]),
        ),
      ]),
    ].join('\n\n') + '\n'
  )
}

const operationSection = (
  document: Document,
  heading: string,
  operation: Operation,
  codes: readonly string[],
): string => {
  const rows = [...parameterRows(document, operation), ...bodyRows(document, operation)]
  return [
    `### \`${heading}\``,
    `${operation.summary}. ${operation.description}`.replaceAll('..', '.'),
    ...(rows.length === 0 ? [] : [table(['takes', 'form', 'what it is'], rows)]),
    `Answers ${answers(operation)}.${codes.length === 0 ? '' : ` Refused with ${codes.map((code) => `[\`${code}\`](errors.md#${code.toLowerCase().replaceAll('.', '')})`).join(', ')}, beside what every operation may be.`}`,
  ].join('\n\n')
}

const answers = ({ responses }: Operation): string =>
  Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .map(([status, { content = {} }]) => {
      const forms = Object.keys(content).filter((type) => type !== 'application/json')
      return `\`${status}\`${forms.length === 0 ? '' : ` (also ${forms.join(', ')})`}`
    })
    .join(', ')

/** Told once for all operations. */
const everywhere = new Set(['limit', 'cursor', 'dryRun', 'If-Match', 'If-None-Match'])

const parameterRows = (document: Document, { parameters }: Operation) =>
  parameters
    .map((one) =>
      '$ref' in one ? document.components.parameters?.[one.$ref.split('/').at(-1) ?? ''] : one,
    )
    .filter((one): one is Parameter => one !== undefined && !everywhere.has(one.name))
    .map(({ name, in: where, required, description, schema }) => [
      `${where} \`${name}\`${required ? ', required' : ''}`,
      cell(formOf(schema)),
      cell(description ?? schema.description ?? schema.title ?? ''),
    ])

const bodyRows = (document: Document, { requestBody }: Operation) => {
  const given = requestBody?.content['application/json']?.schema
  const name = given?.$ref?.split('/').at(-1)
  const schema = name === undefined ? given : document.components.schemas[name]
  return Object.entries(schema?.properties ?? {})
    .filter(([field]) => field !== 'status' && field !== 'audit')
    .map(([field, one]) => [
      `\`${field}\`${schema?.required?.includes(field) ? ', required' : ''}`,
      cell(formOf(one)),
      cell(one.description ?? one.title ?? ''),
    ])
}

const formOf = (schema: Schema): string => {
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1) ?? ''
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return words(schema.enum)
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(formOf))].join(' or ')
  if (schema.items !== undefined) return `list of ${formOf(schema.items)}`
  const type = [schema.type ?? 'any'].flat().join(' or ')
  return schema.format === undefined ? type : `${type} (${schema.format})`
}

/** A long list is in the document. */
const mostWords = 20
const words = (all: readonly unknown[]): string =>
  [
    ...all.slice(0, mostWords).map((one) => `\`${String(one)}\``),
    ...(all.length > mostWords ? [`… (${all.length} in all)`] : []),
  ].join(', ')

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
