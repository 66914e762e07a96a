// The schemas of a route's inputs as they are checked and documented: what the declaration says and what its kind adds.

import { Type, type TSchema } from 'typebox'
import { pageSize } from './paging.ts'
import type { Route } from './route.ts'
import { strict } from './schemas.ts'

/** JSON Schema as plain data. */
export type Schema = Readonly<Record<string, unknown>>

const paging = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: pageSize.max,
      default: pageSize.default,
      description: 'items a page',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_-]{1,2000}$',
      description: 'nextCursor of the page before',
    }),
  ),
}
const rehearsal = {
  dryRun: Type.Optional(
    Type.Enum(['all'], { description: 'all: the same checks and rights, and nothing is done' }),
  ),
}

const nothing = strict({})

export const paramsSchema = (route: Route): TSchema => route.params ?? nothing

/** An unknown parameter is a typing error, whatever the schema says. */
export const querySchema = (route: Route): TSchema => ({
  ...(route.query ?? nothing),
  properties: {
    ...propertiesOf(route.query ?? nothing),
    ...(route.list ? paging : {}),
    ...(route.dryRun ? rehearsal : {}),
  },
  additionalProperties: route.openQuery,
})

/** Null for routes that are only read. A write without a body takes `{}` or nothing. */
export const bodySchema = (route: Route): TSchema | null =>
  route.body ?? (route.method === 'GET' ? null : nothing)

export const propertiesOf = (schema: unknown): Readonly<Record<string, Schema>> => {
  const { properties } = recordOf(schema)
  // A schema of type object: its properties are schemas.
  return recordOf(properties) as Readonly<Record<string, Schema>>
}

export const recordOf = (value: unknown): Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : {}

/** A copy as plain JSON, in which every schema with an `$id` goes through `named`. */
export const mapNamed = (
  schema: unknown,
  named: (id: string, copy: Schema) => unknown,
): unknown => {
  if (Array.isArray(schema)) return schema.map((item) => mapNamed(item, named))
  if (typeof schema !== 'object' || schema === null) return schema
  const mapped = Object.entries(schema).map(([keyword, value]: [string, unknown]) => {
    if (instances.has(keyword)) return [keyword, value]
    if (!maps.has(keyword)) return [keyword, mapNamed(value, named)]
    // Names of properties are not keywords: one may well be called `default`.
    const members = Object.entries(recordOf(value))
    return [keyword, Object.fromEntries(members.map(([name, s]) => [name, mapNamed(s, named)]))]
  })
  const { $id, ...copy } = Object.fromEntries(mapped) as Schema
  return typeof $id === 'string' ? named($id, copy) : copy
}

const instances: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples', 'required'])
const maps: ReadonlySet<string> = new Set(['properties', 'patternProperties', '$defs'])

/** For Ajv, which would keep every `$id` that it meets and refuse the second. */
export const withoutIds = (schema: unknown): unknown => mapNamed(schema, (_id, copy) => copy)
