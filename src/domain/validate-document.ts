// Everything that can be said about a file of documents without asking a server. `rekey validate` runs it offline, the API
// runs it on every write: the same code, so the same answer.

import { documentKinds } from './document-kinds.ts'
import type { Issue } from './issue.ts'
import { schemaIssues } from './schema-issues.ts'
import { suggest } from './suggest.ts'
import { readYaml, type ReadDocument } from './yaml-document.ts'

export interface ValidDocument {
  readonly kind: string
  readonly name: string
  /** The whole document; of the type that its kind's schema describes. */
  readonly value: unknown
  readonly warnings: readonly string[]
  readonly locate: ReadDocument['locate']
}

export interface Validated {
  /** Those without an issue, in the order of the text. */
  readonly documents: readonly ValidDocument[]
  readonly issues: readonly Issue[]
}

/** Never throws, whatever the text. `file` is only repeated in the issues. */
export const validateDocument = (text: string, now: Date, file?: string): Validated => {
  const { documents, issues } = readYaml(text)
  const results = documents.map((document) => validate(document, now))
  const valid = results.flatMap(({ valid }) => (valid === null ? [] : [valid]))
  const all = [...issues, ...results.flatMap((result) => result.issues), ...nameIssues(valid)]
  if (all.length === 0 && documents.length === 0) {
    all.push({
      code: 'request.invalid',
      pointer: '',
      detail: 'there is no document here',
      line: 1,
      column: 1,
    })
  }
  const ordered = all.toSorted(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  )
  return {
    documents: valid,
    issues: file === undefined ? ordered : ordered.map((issue) => ({ ...issue, file })),
  }
}

const validate = (
  document: ReadDocument,
  now: Date,
): { valid: ValidDocument | null; issues: Issue[] } => {
  const at = (issue: Issue, of: 'key' | 'value' = 'value'): Issue => ({
    ...issue,
    ...document.locate(issue.pointer, of),
  })
  const { value } = document
  const kind = isRecord(value) ? value['kind'] : undefined
  if (!isRecord(value) || typeof kind !== 'string' || !Object.hasOwn(documentKinds, kind)) {
    return { valid: null, issues: kindIssues(value).map((issue) => at(issue)) }
  }
  const rules = documentKinds[kind]
  if (rules === undefined) return { valid: null, issues: [] }
  const malformed = schemaIssues(rules.schema, value)
  if (malformed.length > 0)
    return { valid: null, issues: malformed.map(({ of, ...issue }) => at(issue, of)) }
  const { issues, warnings } = rules.check(value, now)
  if (issues.length > 0) return { valid: null, issues: issues.map((issue) => at(issue)) }
  return {
    valid: { kind, name: nameOf(value), value, warnings, locate: document.locate },
    issues: [],
  }
}

const kindIssues = (value: unknown): Issue[] => {
  const known = Object.keys(documentKinds)
  const issue = (pointer: string, detail: string, hint: string): Issue[] => [
    { code: 'request.invalid', pointer, detail, hint },
  ]
  if (!isRecord(value))
    return issue('', 'a document must be a mapping of fields', 'it begins with apiVersion and kind')
  const { kind } = value as { readonly kind?: unknown }
  if (kind === undefined) return issue('', 'kind is missing', known.join(' or '))
  if (typeof kind !== 'string') return issue('/kind', 'must be a text', known.join(' or '))
  const near = suggest(kind, known)
  return issue(
    '/kind',
    'unknown kind',
    near === null ? `known: ${known.join(', ')}` : `did you mean ${near}?`,
  )
}

/** Two documents of one kind and name in one stream: which of them would hold is nobody's guess. */
const nameIssues = (documents: readonly ValidDocument[]): Issue[] => {
  const seen = new Set<string>()
  return documents.flatMap(({ kind, name, locate }) => {
    const id = `${kind} ${name}`
    if (!seen.has(id)) {
      seen.add(id)
      return []
    }
    const detail = `${kind} ${name} stands here twice`
    return [
      {
        code: 'request.invalid' as const,
        pointer: '/metadata/name',
        detail,
        ...locate('/metadata/name'),
      },
    ]
  })
}

const nameOf = (value: Record<string, unknown>): string => {
  const { metadata } = value as { readonly metadata?: unknown }
  return isRecord(metadata) && typeof metadata['name'] === 'string' ? metadata['name'] : ''
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
