// Role × route, as the declarations say it. What depends on the thing itself (scopes, grants, bindings) is asked by the use
// case; this table is what the door asks.

import { type Role, roles } from '#domain/actor.ts'
import type { Route } from './route.ts'

/** `everybody` needs no token. */
export type Allowed = 'everybody' | 'any token' | ReadonlySet<Role>

/** Only admin implies others. */
export const allowedBy = ({ access }: Pick<Route, 'access'>): Allowed =>
  access === 'public'
    ? 'everybody'
    : access === 'authenticated'
      ? 'any token'
      : new Set([...access, 'admin'])

/** What is written with a token to break glass with: an incident, until it contains. It agrees to nothing, gives nothing back, and
 *  ends nothing: that is for people who are awake. */
const breakGlassWrites: ReadonlySet<string> = new Set([
  'POST /v1/incidents',
  'PATCH /v1/incidents/{id}',
  'POST /v1/incidents/{id}/preview',
  'POST /v1/incidents/{id}/executions',
  'POST /v1/incidents/{id}/notes',
  'POST /v1/incidents/{id}/steps',
  'POST /v1/incidents/{id}/confirmations',
])

export const mayBreakGlass = ({ method, path }: Pick<Route, 'method' | 'path'>): boolean =>
  method === 'GET' || breakGlassWrites.has(`${method} ${path}`)

export const mayEnter = (route: Pick<Route, 'access'>, role: Role): boolean => {
  const allowed = allowedBy(route)
  return allowed === 'everybody' || allowed === 'any token' || allowed.has(role)
}

/** In the order of `roles`. */
export const roleList = (allowed: ReadonlySet<Role>): readonly Role[] =>
  roles.filter((role) => allowed.has(role))
