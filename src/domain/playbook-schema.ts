// What may be written of a playbook: the same over REST and in a file.

import { Type, type Static } from 'typebox'
import { documentSchema } from './document-schema.ts'
import { durationSchema, isDuration, parseDuration } from './duration.ts'
import { field, maybe, strict } from './fields.ts'
import { incidentModes } from './incident.ts'
import type { Checked, Issue } from './issue.ts'
import {
  type DeepReadonly,
  freeTextSchema,
  labelsSchema,
  matchLabelsSchema,
  oneLinePattern,
  typeNameSchema,
} from './names.ts'

const line = (maxLength: number, example: string) =>
  Type.String({
    minLength: 1,
    maxLength,
    pattern: oneLinePattern,
    description: 'one line of text',
    examples: [example],
  })
const duration = (example: string) => Type.String({ ...durationSchema, examples: [example] })

const stepSchema = strict({
  title: field('what is done, in a line', line(200, 'Tell the partner')),
  text: maybe(
    'how, and how it is seen that it is done',
    Type.String({ ...freeTextSchema(4_000), examples: ['The number is in the safe.'] }),
  ),
  owner: maybe(
    'who does it, where that is not the owner of the playbook',
    line(200, 'duty manager'),
  ),
  within: maybe(
    'how soon after the incident has taken the playbook; later it is late',
    duration('1h'),
  ),
  command: maybe(
    'the command for it; people type it, nothing runs it',
    line(1_000, 'rekey describe key/orders-token'),
  ),
})

const appliesSchema = Type.Object(
  {
    modes: maybe(
      'incidents of one of these modes',
      Type.Array(Type.Enum([...incidentModes]), { minItems: 1, uniqueItems: true }),
    ),
    types: maybe(
      'incidents with a key of one of these types',
      Type.Array(Type.String({ ...typeNameSchema, examples: ['aws.iam.accessKey'] }), {
        minItems: 1,
        maxItems: 100,
        uniqueItems: true,
      }),
    ),
    matchLabels: maybe('incidents with a key that has all of these labels', matchLabelsSchema),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    examples: [{ matchLabels: { team: 'shop' } }],
  },
)

const said = {
  title: field('what it is for, in a line', line(200, 'A credential of the shop has leaked')),
  owner: field('the team that answers for it', line(200, 'team-shop')),
  appliesTo: maybe(
    'when a preview suggests it: all that is said must hold; left out: only who names it uses it',
    appliesSchema,
  ),
  steps: field(
    'what is done, in this order',
    Type.Array(stepSchema, { minItems: 1, maxItems: 50 }),
  ),
  reviewEvery: field('how often somebody else than its author must look at it', duration('180d')),
}

/** The body over REST, beside its name. */
export const playbookFields = { ...said, labels: Type.Optional(labelsSchema) }
export const playbookSpecSchema = strict(said)
export type PlaybookSpec = DeepReadonly<Static<typeof playbookSpecSchema>>
export type PlaybookStep = PlaybookSpec['steps'][number]
export type PlaybookBody = PlaybookSpec & { readonly labels?: Readonly<Record<string, string>> }

export const playbookDocumentSchema = documentSchema('Playbook', playbookSpecSchema)

/** Oftener, its review would be overdue before anybody has read the message. */
export const leastReviewMs = 3_600_000

/** Of its steps, as JSON. Each incident has a copy, which whoever works on one of its keys reads. */
export const mostStepText = 32_000

/** Pointers are relative to the spec. */
export const playbookIssues = ({
  reviewEvery,
  steps,
}: Pick<PlaybookSpec, 'reviewEvery' | 'steps'>): readonly Issue[] => [
  ...(parseDuration(reviewEvery) >= leastReviewMs
    ? []
    : [
        {
          code: 'request.invalid' as const,
          pointer: '/reviewEvery',
          detail: 'a review is due once an hour at most',
          hint: 'write 180d, or what your reviews ask for',
        },
      ]),
  ...(JSON.stringify(steps).length <= mostStepText
    ? []
    : [
        {
          code: 'request.invalid' as const,
          pointer: '/steps',
          detail: `the steps are longer than ${mostStepText.toLocaleString('en')} characters, as JSON`,
          hint: 'Nobody reads more at night: link to what is longer, or write two playbooks.',
        },
      ]),
]

export const checkPlaybookDocument = (document: unknown): Checked => {
  const spec = (document as { readonly spec?: Partial<PlaybookSpec> } | null)?.spec
  const { reviewEvery, steps } = spec ?? {}
  if (typeof reviewEvery !== 'string' || !isDuration(reviewEvery) || !Array.isArray(steps))
    return { issues: [], warnings: [] }
  const issues = playbookIssues({ reviewEvery, steps })
  return {
    issues: issues.map((issue) => ({ ...issue, pointer: `/spec${issue.pointer}` })),
    warnings: [],
  }
}
