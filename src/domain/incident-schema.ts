// What may be asked for when an incident is opened, and what it means together with the scope of whoever opens it.

import { Type, type Static } from 'typebox'
import type { Scope } from './actor.ts'
import { field, maybe, strict } from './fields.ts'
import { type IncidentSelector, incidentModes, pairChoices, severities } from './incident.ts'
import { type DeepReadonly, labelValueSchema, matchLabelsSchema, nameSchema } from './names.ts'
import { timestampSchema } from './timestamp.ts'

/** More than this at once is rather a mistake than an emergency. */
export const mostKeys = 20_000

const names = (maxItems: number) =>
  Type.Array(nameSchema, { minItems: 1, maxItems, uniqueItems: true })

const versionRef = strict({
  key: field('its key', nameSchema),
  version: field('its number', Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })),
})

const selectorFields = {
  keys: maybe('these keys', names(mostKeys)),
  matchLabels: maybe('keys with all of these labels', matchLabelsSchema),
  connections: maybe('keys of one of these connections', names(1_000)),
  providers: maybe(
    'keys at one of these providers',
    Type.Array(Type.String({ pattern: '^[a-z][a-z0-9-]{0,30}$' }), {
      minItems: 1,
      maxItems: 100,
      uniqueItems: true,
    }),
  ),
  owner: maybe('keys of this owner', Type.String({ minLength: 1, maxLength: 200 })),
  environment: maybe('keys of this environment', labelValueSchema),
  consumer: maybe('keys that this consumer uses', nameSchema),
  policy: maybe('keys that this policy rotates', nameSchema),
  versions: maybe(
    'exactly these versions',
    Type.Array(versionRef, { minItems: 1, maxItems: mostKeys }),
  ),
  createdAfter: maybe('versions that were made then or later', timestampSchema),
  createdBefore: maybe('versions that were made before', timestampSchema),
  pairs: maybe(
    'of keys that are a pair, of which one half is meant: both halves (the default), or only what is meant',
    Type.Enum([...pairChoices]),
  ),
}

/** All that is given must hold; a list holds if one of it does. */
export const incidentSelectorSchema = Type.Object(
  {
    ...selectorFields,
    digests: maybe(
      'versions whose value has one of these SHA-256 digests, made where the value was pasted; never stored',
      Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' }), {
        minItems: 1,
        maxItems: 100,
        uniqueItems: true,
      }),
    ),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** As it is kept: digests have become versions. */
export const keptSelectorSchema = Type.Object(selectorFields, { additionalProperties: false })

export type AskedSelector = DeepReadonly<Static<typeof incidentSelectorSchema>>

export const modeSchema = Type.Enum([...incidentModes])
export const severitySchema = Type.Enum([...severities])

/**
 * The scope of whoever opens it becomes a part of what it means, so that it means the same to everybody who looks at it.
 * Null: nothing can be in both.
 */
export const withinScope = (
  selector: IncidentSelector,
  scope: Scope | null,
): IncidentSelector | null => {
  if (scope === null) return selector
  const wanted = Object.entries(scope.matchLabels ?? {})
  const said = selector.matchLabels ?? {}
  if (wanted.some(([label, value]) => Object.hasOwn(said, label) && said[label] !== value))
    return null
  const connections =
    scope.connections === undefined
      ? selector.connections
      : scope.connections.filter((name) => selector.connections?.includes(name) ?? true)
  if (connections?.length === 0) return null
  return {
    ...selector,
    ...(wanted.length === 0 ? {} : { matchLabels: { ...said, ...Object.fromEntries(wanted) } }),
    ...(connections === undefined ? {} : { connections }),
  }
}

/** The least scope that holds all that it means. */
export const scopeOf = ({ matchLabels, connections }: IncidentSelector): Scope => ({
  ...(matchLabels === undefined ? {} : { matchLabels }),
  ...(connections === undefined ? {} : { connections }),
})
