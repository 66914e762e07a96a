// Everything that can be said about documents without asking a database. `rekey validate` runs it offline, the API runs it on
// every plan: the same code, so the same answer.
//
// Documents come from sources: texts of YAML, each a stream of documents, or values that were JSON already. A place is told
// as its source has it: file, line and column, or a pointer into the list of values.

import { type DocumentKind, documentKinds, isDocumentKind, kindNames } from './document-kinds.ts'
import { below, type Issue } from './issue.ts'
import { schemaIssues, type SchemaIssue } from './schema-issues.ts'
import { suggest } from './suggest.ts'
import { inParts, limits } from './yaml-guard.ts'
import { readYaml, type ReadDocument } from './yaml-document.ts'

export type Source =
  | { readonly file: string | null; readonly text: string }
  | { readonly value: unknown }

export interface ValidDocument {
  readonly kind: DocumentKind
  readonly name: string
  /** The whole document; of the type that its kind's schema describes. */
  readonly value: unknown
  readonly warnings: readonly string[]
  /** Which of the sources it stands in. */
  readonly source: number
  /** An issue with a pointer into the document, placed. `of: 'key'`: the name of the field is at fault, not its value. */
  readonly place: (issue: Issue, of?: 'key' | 'value') => Issue
}

export interface Validated {
  /** Those without an issue, in the order of the sources. */
  readonly documents: readonly ValidDocument[]
  /** In the order of the sources, and of the lines of each. */
  readonly issues: readonly Issue[]
}

/** More than anybody reads. */
const mostIssues = 500

/** Never throws, whatever they hold. `at`: where the list of values stands in what was sent. */
export const validateSources = (sources: readonly Source[], now: Date, at = ''): Validated => {
  const read = sources.map((source, index) =>
    'text' in source
      ? readText(source, index)
      : {
          found: [{ value: source.value, source: index, place: inList(`${at}/${index}`) }],
          issues: [],
        },
  )
  const count = read.reduce((sum, { found }) => sum + found.length, 0)
  if (count > limits.documents) {
    const detail = `${count} documents, and at most ${limits.documents} are taken at once`
    return {
      documents: [],
      issues: [{ code: 'request.invalid', pointer: at, detail, hint: inParts }],
    }
  }
  const results = read.map(({ found }) => found.map((document) => validate(document, now)))
  const documents = results.flat().flatMap(({ valid }) => valid ?? [])
  const twice = Map.groupBy(nameIssues(documents), ({ source }) => source)
  const issues = read.flatMap((one, index) =>
    [
      ...one.issues,
      ...(results[index] ?? []).flatMap((result) => result.issues),
      ...(twice.get(index) ?? []).map(({ issue }) => issue),
    ].toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)),
  )
  return { documents, issues: issues.slice(0, mostIssues) }
}

/** One text. */
export const validateDocument = (text: string, now: Date, file?: string): Validated =>
  validateSources([{ file: file ?? null, text }], now)

interface Found {
  readonly value: unknown
  readonly source: number
  readonly place: ValidDocument['place']
}

const readText = (
  { file, text }: { readonly file: string | null; readonly text: string },
  source: number,
): { readonly found: readonly Found[]; readonly issues: readonly Issue[] } => {
  const named = (issue: Issue): Issue => (file === null ? issue : { ...issue, file })
  const { documents, issues } = readYaml(text)
  if (documents.length === 0 && issues.length === 0) {
    const detail = 'there is no document here'
    const empty: Issue = { code: 'request.invalid', pointer: '', detail, line: 1, column: 1 }
    return { found: [], issues: [named(empty)] }
  }
  const inText =
    (document: ReadDocument): Found['place'] =>
    (issue, of = 'value') =>
      named({ ...issue, ...document.locate(issue.pointer, of) })
  return {
    found: documents.map((document) => ({
      value: document.value,
      source,
      place: inText(document),
    })),
    issues: issues.map(named),
  }
}

const inList =
  (pointer: string): Found['place'] =>
  (issue) =>
    below(pointer, [issue])[0] ?? issue

const validate = (
  found: Found,
  now: Date,
): { readonly valid: ValidDocument | null; readonly issues: readonly Issue[] } => {
  const refused = (issues: readonly (Issue & Partial<SchemaIssue>)[]) => ({
    valid: null,
    issues: issues.map(({ of, ...issue }) => found.place(issue, of)),
  })
  const { value } = found
  const kind = isRecord(value) ? value['kind'] : undefined
  if (!isRecord(value) || !isDocumentKind(kind)) return refused(kindIssues(value))
  const rules = documentKinds[kind]
  const secrets = rules.secrets?.(value) ?? []
  if (secrets.length > 0) return refused(secrets)
  const malformed = schemaIssues(rules.schema, value)
  if (malformed.length > 0) return refused(malformed)
  const { issues, warnings } = rules.check?.(value, now) ?? { issues: [], warnings: [] }
  if (issues.length > 0) return refused(issues)
  return { valid: { ...found, kind, name: nameOf(value), warnings }, issues: [] }
}

const kindIssues = (value: unknown): Issue[] => {
  const issue = (pointer: string, detail: string, hint: string): Issue[] => [
    { code: 'request.invalid', pointer, detail, hint },
  ]
  if (!isRecord(value))
    return issue('', 'a document must be a mapping of fields', 'it begins with apiVersion and kind')
  const { kind } = value as { readonly kind?: unknown }
  if (kind === undefined) return issue('', 'kind is missing', kindNames.join(' or '))
  if (typeof kind !== 'string') return issue('/kind', 'must be a text', kindNames.join(' or '))
  const near = suggest(kind, kindNames)
  return issue(
    '/kind',
    'unknown kind',
    near === null ? `known: ${kindNames.join(', ')}` : `did you mean ${near}?`,
  )
}

/** Two documents of one kind and name: which of them would hold is nobody's guess. */
const nameIssues = (
  documents: readonly ValidDocument[],
): readonly { readonly source: number; readonly issue: Issue }[] => {
  const first = new Map<string, ValidDocument>()
  return documents.flatMap((document) => {
    const { kind, name, source, place } = document
    const id = `${kind} ${name}`
    const before = first.get(id)
    if (before === undefined) {
      first.set(id, document)
      return []
    }
    const pointer = '/metadata/name'
    const { file } = before.place({ code: 'request.invalid', pointer, detail: '' })
    const detail =
      before.source === source || file === undefined
        ? `${id} stands here twice`
        : `${id} stands in ${file} too`
    return [{ source, issue: place({ code: 'request.invalid', pointer, detail }) }]
  })
}

const nameOf = (value: Record<string, unknown>): string => {
  const { metadata } = value as { readonly metadata?: unknown }
  return isRecord(metadata) && typeof metadata['name'] === 'string' ? metadata['name'] : ''
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
