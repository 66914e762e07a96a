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

/** With a token to break glass with: look, and work on incidents. It agrees to nothing, and reviews nothing. */
export const mayBreakGlass = ({ method, path }: Pick<Route, 'method' | 'path'>): boolean =>
  method === 'GET' ||
  (/^\/v1\/incidents(?:\/|$)/.test(path) && !/\/(?:approvals|reviews?)$/.test(path))

export const mayEnter = (route: Pick<Route, 'access'>, role: Role): boolean => {
  const allowed = allowedBy(route)
  return allowed === 'everybody' || allowed === 'any token' || allowed.has(role)
}

/** In the order of `roles`. */
export const roleList = (allowed: ReadonlySet<Role>): readonly Role[] =>
  roles.filter((role) => allowed.has(role))
