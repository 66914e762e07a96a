// Which codes a route can answer with: those of its kind and those that it declares. OpenAPI lists their statuses.

import { errors, type ErrorCode } from '#domain/errors.ts'
import { type Route, uncounted } from './route.ts'

export const codesOf = (route: Route): readonly ErrorCode[] => {
  const codes: ErrorCode[] = [
    'request.invalid',
    'request.headersTooLarge',
    'request.timeout',
    'service.unavailable',
    'internal',
  ]
  if (route.access === 'public' && route.bucket !== uncounted) codes.push('request.rateLimited')
  if (route.access !== 'public') {
    codes.push('auth.missing', 'auth.invalid', 'auth.issuerUnavailable')
    codes.push('request.rateLimited', 'audit.unavailable')
    if (route.access !== 'authenticated') codes.push('auth.denied')
  }
  if (route.path.includes('{')) codes.push('resource.notFound')
  if (route.method !== 'GET') codes.push('request.tooLarge', 'request.mediaType')
  if (route.list) codes.push('cursor.foreign')
  if (route.ifMatch) codes.push('precondition.required', 'precondition.failed')
  if (route.answer.kind === 'events') codes.push('request.notAcceptable')
  if (route.idempotency !== 'none') {
    codes.push('idempotency.mismatch', 'idempotency.running', 'idempotency.replyLost')
    if (route.secret) codes.push('idempotency.secretNotReplayable')
    if (route.idempotency === 'required') codes.push('idempotency.missing')
  }
  return [...new Set([...codes, ...route.errors])]
}

/** Problem statuses and the codes behind each, ascending. */
export const problemsOf = (route: Route): ReadonlyMap<number, readonly ErrorCode[]> => {
  const byStatus: ReadonlyMap<number, readonly ErrorCode[]> = Map.groupBy(
    codesOf(route),
    (code) => errors[code].status,
  )
  return new Map([...byStatus].toSorted(([a], [b]) => a - b))
}

/** All statuses that the operation documents. */
export const statusesOf = (route: Route): ReadonlySet<number> =>
  new Set([
    ...Object.keys(route.replies).map(Number),
    ...(route.dryRun ? [200] : []),
    ...problemsOf(route).keys(),
  ])
