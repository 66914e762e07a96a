// The deadline of a call, kept for an adapter that does not keep it itself. An adapter promises to throw within 250 ms of the
// abort (domain/provider.ts); one that hangs on would hold a lease and a worker with it for as long as it likes.
//
// Whatever such a call still brings is dropped: of a write nobody knows then whether it had its effect, which is what
// `unknown` says, and what probes are for.

import type { SessionOperation } from '#domain/metrics.ts'
import { ProviderError, type Session } from '#domain/provider.ts'
import { aroundSession } from './around-session.ts'

const graceMs = 250
const writes: ReadonlySet<SessionOperation> = new Set([
  'create',
  'mint',
  'promote',
  'suspend',
  'reinstate',
  'retire',
])

export const boundedSession = (session: Session): Session =>
  aroundSession(session, (operation, call, args) =>
    inTime(
      operation,
      call,
      args.map(signalOf).find((signal) => signal !== null),
    ),
  )

const inTime = (
  operation: SessionOperation,
  work: () => Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    let grace: NodeJS.Timeout | undefined
    const expire = (): void => {
      grace = setTimeout(() => reject(late(operation)), graceMs)
    }
    const settled = (): void => {
      clearTimeout(grace)
      signal?.removeEventListener('abort', expire)
    }
    if (signal?.aborted) expire()
    else signal?.addEventListener('abort', expire, { once: true })
    work().then(resolve, reject).finally(settled)
  })

const late = (operation: SessionOperation): ProviderError =>
  new ProviderError(
    'timeout',
    writes.has(operation) ? 'unknown' : 'none',
    `the adapter did not end ${operation} in time`,
  )

/** Of a call's bounds, wherever they stand among the arguments. */
const signalOf = (argument: unknown): AbortSignal | null => {
  const signal: unknown =
    typeof argument === 'object' && argument !== null ? Reflect.get(argument, 'signal') : null
  return signal instanceof AbortSignal ? signal : null
}
