// Names, labels and selectors: how everything in Rekey is called and chosen.

import { Type, type Static } from 'typebox'
import { field, maybe, strict } from './fields.ts'

/** What a schema describes, as everybody but its parser sees it. */
export type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T

export const namePattern = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'

export const nameSchema = Type.String({
  pattern: namePattern,
  description: 'a name of at most 63 lower-case letters, digits and inner hyphens',
})

/** Text for people: line breaks and tabs, but no other control characters, and nothing that reorders or hides text. */
export const freeTextPattern =
  '^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]*$'

export const freeTextSchema = (maxLength: number) =>
  Type.String({
    maxLength,
    pattern: freeTextPattern,
    description: 'text without control characters',
  })

/** An optional DNS-like prefix (`rekey.dev/`), then at most 63 characters. */
export const labelKeyPattern =
  '^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'

export const labelKeySchema = Type.String({
  pattern: labelKeyPattern,
  description:
    'a label key: letters, digits, inner . _ and -, at most 63, with an optional prefix such as rekey.dev/',
})

/** One line of it: no line breaks and tabs either. */
export const oneLinePattern = freeTextPattern.replace(
  '\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f',
  '\\u0000-\\u001f',
)

export const labelValueSchema = Type.String({
  maxLength: 128,
  pattern: oneLinePattern,
  description: 'a label value: one line of at most 128 characters',
})

export const labelsSchema = Type.Record(
  Type.String({ pattern: labelKeyPattern }),
  labelValueSchema,
  {
    additionalProperties: false,
    maxProperties: 64,
  },
)

export const matchLabelsSchema = Type.Record(
  Type.String({ pattern: labelKeyPattern }),
  labelValueSchema,
  {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 64,
  },
)

export const annotationsSchema = Type.Record(
  Type.String({ pattern: labelKeyPattern }),
  freeTextSchema(2000),
  {
    additionalProperties: false,
    maxProperties: 64,
  },
)

const matchExpressionSchema = strict({
  key: field('the label', labelKeySchema),
  operator: field(
    'how it is compared; NotIn holds for a key without the label',
    Type.Enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
  ),
  values: maybe(
    'with these values, for In and NotIn',
    Type.Array(labelValueSchema, { maxItems: 100 }),
  ),
})

/** A key type as providers name theirs: `aws.iam.accessKey`. */
export const typeNameSchema = Type.String({
  maxLength: 100,
  pattern: '^[a-z][A-Za-z0-9]*(?:\\.[A-Za-z][A-Za-z0-9]*)*$',
  description: 'a key type such as aws.iam.accessKey',
})

/** What is not said selects everything; a selector that says nothing is refused. */
export const selectorSchema = Type.Object(
  {
    connection: maybe('keys of this connection', nameSchema),
    type: maybe('keys of this type', typeNameSchema),
    matchLabels: maybe('keys with all of these labels', matchLabelsSchema),
    matchExpressions: maybe(
      'keys for whose labels all of these hold',
      Type.Array(matchExpressionSchema, { minItems: 1, maxItems: 50 }),
    ),
  },
  { additionalProperties: false, minProperties: 1 },
)

export type Selector = DeepReadonly<Static<typeof selectorSchema>>
export type MatchExpression = DeepReadonly<Static<typeof matchExpressionSchema>>
export type Labels = Readonly<Record<string, string>>

export interface Selectable {
  readonly connection: string
  readonly type: string
  readonly labels: Labels
}

/** All that the selector says must hold. As in Kubernetes, `NotIn` holds for an object without the label. */
export const matches = (selector: Selector, object: Selectable): boolean =>
  (selector.connection === undefined || selector.connection === object.connection) &&
  (selector.type === undefined || selector.type === object.type) &&
  matchesLabels(selector.matchLabels ?? {}, object.labels) &&
  (selector.matchExpressions ?? []).every((expression) => holds(expression, object.labels))

export const matchesLabels = (wanted: Labels, labels: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => labelOf(labels, key) === value)

/** Expressions whose `values` do not fit the operator: the schema cannot say it without a union of shapes. */
export const selectorFaults = (
  selector: Selector,
): { readonly pointer: string; readonly detail: string }[] =>
  (selector.matchExpressions ?? []).flatMap(({ operator, values }, i) => {
    const pointer = `/matchExpressions/${i}`
    const listed = (values ?? []).length > 0
    if (operator === 'In' || operator === 'NotIn') {
      return listed
        ? []
        : [{ pointer, detail: `operator ${operator} needs at least one of values` }]
    }
    return values === undefined
      ? []
      : [{ pointer: `${pointer}/values`, detail: `operator ${operator} takes no values` }]
  })

const holds = ({ key, operator, values = [] }: MatchExpression, labels: Labels): boolean => {
  const value = labelOf(labels, key)
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}

/** `constructor` is a legal label key, and every object inherits one. */
const labelOf = (labels: Labels, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined
