// What must hold before the server starts: a route without an access row, or one that documents itself wrongly, does not run.

import { roles } from '#domain/actor.ts'
import { bodySchema, paramsSchema, propertiesOf, querySchema, recordOf } from './input.ts'
import type { Route } from './route.ts'

export const checkRoutes = (routes: readonly Route[]): void => {
  const faults = [
    ...repeated(routes.map((route) => `${route.method} ${route.path}`)),
    ...repeated(routes.map((route) => route.operationId)),
    ...routes.flatMap((route) => faultsOf(route).map((fault) => `${route.operationId}: ${fault}`)),
  ]
  if (faults.length > 0) throw new Error(`the routes cannot be served:\n  ${faults.join('\n  ')}`)
}

const repeated = (names: readonly string[]): string[] =>
  names.filter((name, i) => names.indexOf(name) !== i).map((name) => `${name} is declared twice`)

const faultsOf = (route: Route): string[] => {
  const faults: string[] = []
  if (!hasAccess(route)) faults.push('access says neither roles nor authenticated nor public')
  const inPath = [...route.path.matchAll(/\{([A-Za-z]+)\}/g)].map(([, name]) => name ?? '')
  const declared = Object.keys(propertiesOf(paramsSchema(route)))
  if (inPath.toSorted().join() !== declared.toSorted().join()) {
    faults.push(`the path has {${inPath.join(', ')}} and params declares {${declared.join(', ')}}`)
  }
  const body = bodySchema(route)
  for (const [part, schema] of [
    ['params', paramsSchema(route)],
    ['query', querySchema(route)],
    ['body', body],
  ] as const) {
    if (schema !== null && !isStrict(schema))
      faults.push(`${part} takes fields that it does not know`)
  }
  const statuses = Object.keys(route.replies).map(Number)
  if (statuses.length === 0) faults.push('no reply is documented')
  if (route.method === 'GET' && route.body !== null) faults.push('a GET has no body')
  if (!/^[a-z][A-Za-z0-9]*$/.test(route.operationId)) faults.push('operationId is not camelCase')
  if (route.summary.trim() === '' || route.tag.trim() === '') faults.push('summary or tag is empty')
  return faults
}

/** Declarations are typed; this is for what was made by `as`. */
const hasAccess = ({ access }: Route): boolean =>
  access === 'authenticated' ||
  access === 'public' ||
  (Array.isArray(access) && access.length > 0 && access.every((role) => roles.includes(role)))

/** Of a union or intersection, every branch. */
const isStrict = (schema: unknown): boolean => {
  const { additionalProperties, unevaluatedProperties, anyOf, type } = recordOf(schema)
  if (Array.isArray(anyOf)) return anyOf.every(isStrict)
  return type !== 'object' || additionalProperties !== undefined || unevaluatedProperties === false
}
