// The forms in which a policy may be sent, read into one. Over REST a policy is a resource like any other, its fields beside
// its name:     {name?, labels?, annotations?, selector, schedule, …}
// `spec` may also be written out:  {name?, labels?, annotations?, spec: {…}}
// and what stands in a file is taken as it is:  {apiVersion, kind, metadata: {name, …}, spec: {…}}
// The three cannot be mixed up: no policy field is called apiVersion, metadata or spec. `status` and `audit` are ignored.
// Pointers in errors are those of the form that was sent.

import { Type } from 'typebox'
import { RekeyError } from '#domain/errors.ts'
import { below, type Issue } from '#domain/issue.ts'
import { annotationsSchema, type Labels, labelsSchema, nameSchema } from '#domain/names.ts'
import { policyDocumentSchema, type PolicySpec, policySpecSchema } from '#domain/policy-schema.ts'
import { schemaIssues } from '#domain/schema-issues.ts'

export interface PolicyInput {
  /** Null where the body names none. */
  readonly name: string | null
  readonly labels: Labels
  readonly annotations: Labels
  readonly spec: PolicySpec
  /** Where the spec stands in what was sent: `/spec` or the top. */
  readonly at: '/spec' | ''
}

const head = {
  name: Type.Optional(nameSchema),
  labels: Type.Optional(labelsSchema),
  annotations: Type.Optional(annotationsSchema),
  status: Type.Optional(Type.Unknown()),
  audit: Type.Optional(Type.Unknown()),
}
const strict = { additionalProperties: false } as const

/** As the API shows it and takes it back. */
export const policyResourceFields = { ...head, ...policySpecSchema.properties }
const flatSchema = Type.Object(policyResourceFields, strict)
const nestedSchema = Type.Object({ ...head, spec: policySpecSchema }, strict)
const fileSchema = Type.Object(
  { ...policyDocumentSchema.properties, status: head.status, audit: head.audit },
  strict,
)

/** All three, for the document: `readPolicyBody` tells a fault in the words of the one that was sent. */
export const policyBodySchema = Type.Union([flatSchema, nestedSchema, fileSchema])

type Loose = Readonly<Record<string, unknown>>

/** Throws `request.invalid` with a pointer for each fault. */
export const readPolicyBody = (body: unknown): PolicyInput => {
  const sent = isRecord(body) ? body : {}
  if ('apiVersion' in sent || 'kind' in sent || 'metadata' in sent) {
    mustFit(schemaIssues(fileSchema, body))
    const metadata = sent['metadata'] as Loose
    return { ...headOf(metadata), spec: sent['spec'] as PolicySpec, at: '/spec' }
  }
  if ('spec' in sent) {
    mustFit(schemaIssues(nestedSchema, body))
    return { ...headOf(sent), spec: sent['spec'] as PolicySpec, at: '/spec' }
  }
  mustFit(schemaIssues(flatSchema, body))
  const {
    name: _name,
    labels: _labels,
    annotations: _annotations,
    status: _status,
    audit: _audit,
    ...spec
  } = sent
  // The schema has accepted it as that type.
  return { ...headOf(sent), spec: spec as unknown as PolicySpec, at: '' }
}

const headOf = (from: Loose): Pick<PolicyInput, 'name' | 'labels' | 'annotations'> => ({
  name: typeof from['name'] === 'string' ? from['name'] : null,
  labels: (from['labels'] ?? {}) as Labels,
  annotations: (from['annotations'] ?? {}) as Labels,
})

const isRecord = (value: unknown): value is Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const mustFit = (issues: readonly Issue[]): void => throwIssues('The policy is malformed.', issues)

/** Nothing, when there are none; else one error that carries all, under the code of the first. */
export const throwIssues = (detail: string, issues: readonly Issue[], at = ''): void => {
  const placed = at === '' ? issues : below(at, issues)
  const [first] = placed
  if (!first) return
  throw new RekeyError(first.code, {
    detail:
      placed.length === 1 ? `${detail} ${first.pointer || 'The body'}: ${first.detail}.` : detail,
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    errors: placed.map(({ pointer, detail: what, hint }) => ({
      pointer,
      detail: hint === undefined ? what : `${what}; ${hint}`,
    })),
  })
}
