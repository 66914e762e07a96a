// What the routes of resources share: a resource is `{name, …what may be written, status, audit?}`. `status` and `audit` are
// ignored when they are sent back, and the body's name is the path's, so that GET → edit → PUT works.

import { Type, type TProperties } from 'typebox'
import { RekeyError } from '#domain/errors.ts'
import { labelKeyPattern, oneLinePattern, nameSchema } from '#domain/names.ts'
import { momentSchema, nullable, strict } from '../schemas.ts'

export const ignored = {
  status: Type.Optional(Type.Unknown()),
  audit: Type.Optional(Type.Unknown()),
}

/** The body of a PUT: the name may be left out. */
export const putBody = <T extends TProperties>(fields: T) =>
  strict({ name: Type.Optional(nameSchema), ...fields, ...ignored })

export const mustBeNamed = (path: string, body: { readonly name?: string }): void => {
  if (body.name === undefined || body.name === path) return
  throw new RekeyError('request.invalid', {
    detail: `The body names "${body.name}", the path "${path}".`,
    hint: 'Names do not change. Make another resource under the new name.',
    errors: [{ pointer: '/name', detail: "must be the path's" }],
  })
}

/** Free labels in a reply. */
export const shownLabels = Type.Record(Type.String(), Type.String())
export const shownObject = Type.Record(Type.String(), Type.Unknown())
/** A right or a fact, as a provider tells it. */
export const shownCheck = strict({
  name: Type.String(),
  outcome: Type.Enum(['ok', 'missing', 'beyondLeast', 'unknown']),
  detail: Type.String(),
  hint: Type.Optional(Type.String()),
})

export const writtenTimes = {
  revision: Type.Integer(),
  createdAt: momentSchema,
  updatedAt: momentSchema,
}

/** Of resources that files may hold. */
export const ownedTimes = {
  ...writtenTimes,
  owner: nullable(
    Type.String({ description: 'the owner of the files that it came from; null: written by hand' }),
  ),
}

export const timesOf = (row: {
  readonly revision: number
  readonly createdAt: Date
  readonly updatedAt: Date
}) => ({
  revision: row.revision,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
})

export const deletedSchema = strict({ name: Type.String(), deleted: Type.Literal(true) })
export const deletedBody = (name: string) => ({ name, deleted: true as const })

const labelPairPattern = `${labelKeyPattern.replace(/\$$/, '')}=${oneLinePattern.replace(/^\^/, '')}`

/** `?label=team=payments`, several times for several labels. */
export const labelQuery = Type.Optional(
  Type.Array(
    Type.String({ pattern: labelPairPattern, maxLength: 400, description: 'a label as key=value' }),
    { maxItems: 32 },
  ),
)

export const labelsOf = (
  pairs: readonly string[] | undefined,
): Readonly<Record<string, string>> | null =>
  pairs === undefined
    ? null
    : Object.fromEntries(
        pairs.map((pair) => {
          const at = pair.indexOf('=')
          return [pair.slice(0, at), pair.slice(at + 1)]
        }),
      )
