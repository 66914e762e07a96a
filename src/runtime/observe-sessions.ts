// Every call to a provider passes here: it is timed, its failure is counted by kind, and it is a span.

import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { SessionOperation } from '#domain/metrics.ts'
import type { Sessions } from '#domain/ports.ts'
import { ProviderError, type Session } from '#domain/provider.ts'
import { inSpan, type Telemetry } from '#domain/telemetry.ts'
import { aroundSession } from './around-session.ts'

/** Milliseconds on the monotonic clock. */
type Stopwatch = () => number

export const observeSessions = (
  sessions: Sessions,
  telemetry: Telemetry,
  stopwatch: Stopwatch = () => performance.now(),
): Sessions => {
  // One wrapper a session: a session is kept for as long as its connection stays as it is.
  const observed = new WeakMap<Session, Session>()
  return {
    ...sessions,
    async open(connection) {
      const session = await opened(sessions, telemetry, connection)
      const known = observed.get(session)
      if (known) return known
      const wrapped = observe(session, connection.provider, telemetry, stopwatch)
      observed.set(session, wrapped)
      return wrapped
    },
  }
}

const opened = async (
  sessions: Sessions,
  { meter }: Telemetry,
  connection: Connection,
): Promise<Session> => {
  try {
    return await sessions.open(connection)
  } catch (error) {
    const { provider } = connection
    meter.add('rekey_connection_failures_total', { provider, code: kindOf(error) })
    throw error
  }
}

const observe = (
  session: Session,
  provider: string,
  { meter, tracer }: Telemetry,
  stopwatch: Stopwatch,
): Session => {
  const timed = (operation: SessionOperation, call: () => Promise<unknown>): Promise<unknown> => {
    const start = {
      name: `provider.${operation}`,
      kind: 'client',
      attributes: { 'rekey.provider': provider, 'rekey.operation': operation },
    } as const
    return inSpan(
      tracer,
      start,
      async () => {
        const begun = stopwatch()
        try {
          return await call()
        } catch (error) {
          meter.add('rekey_provider_call_errors_total', {
            provider,
            operation,
            kind: kindOf(error),
          })
          throw error
        } finally {
          const seconds = (stopwatch() - begun) / 1000
          meter.observe('rekey_provider_call_duration_seconds', { provider, operation }, seconds)
        }
      },
      kindOf,
    )
  }
  return aroundSession(session, timed)
}

const kindOf = (error: unknown): string => {
  if (error instanceof ProviderError) return error.kind
  if (error instanceof RekeyError) return error.code
  return error instanceof Error ? error.name : typeof error
}
