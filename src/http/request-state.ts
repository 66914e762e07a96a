// What one request carries from hook to hook.

import type { FastifyRequest } from 'fastify'
import type { Actor } from '#domain/actor.ts'
import type { Span } from '#domain/telemetry.ts'
import type { ReadDocument } from '#domain/yaml-document.ts'
import type { Route } from './route.ts'

export interface RequestState {
  /** Set by the door; null on public routes and before it. */
  actor: Actor | null
  /** The browser's session that it came by; null where it came by a token, and as `actor`. */
  session: string | null
  /** When it passed the door, in ms; 0 on public routes. */
  enteredAt: number
  /** Where the parts of a YAML body stand. */
  locate: ReadDocument['locate'] | null
  /** Whom the rate limit counts. */
  bucketKey: string
  /** Null before it is begun, and for probes of health. */
  span: Span | null
}

declare module 'fastify' {
  interface FastifyRequest {
    state: RequestState
  }
  interface FastifyContextConfig {
    route?: Route
  }
}

export const newState = (): RequestState => ({
  actor: null,
  session: null,
  enteredAt: 0,
  locate: null,
  bucketKey: '',
  span: null,
})

export const routeOf = (request: FastifyRequest): Route | null =>
  request.routeOptions.config.route ?? null

/** The path as it was sent, without the query, which may carry what should not be repeated. */
export const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0] ?? '/'

/** A header that may be sent once. */
export const headerOf = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name.toLowerCase()]
  return Array.isArray(value) ? value.join(', ') : value
}
