// What waits for its place in the line of a connection: each HTTP request; where a provider does not speak HTTP, each operation.

import { parseRetryAfter } from '#domain/retry-schedule.ts'
import type { Clock } from '#domain/ports.ts'
import { ProviderError, type Session } from '#domain/provider.ts'
import { aroundSession } from './around-session.ts'
import type { Line } from './line.ts'

export const pacedFetch =
  (
    fetch: typeof globalThis.fetch,
    line: Line,
    clock: Pick<Clock, 'now'>,
  ): typeof globalThis.fetch =>
  async (input, init) => {
    await line.turn(init?.signal)
    const reply = await fetch(input, init)
    if (reply.status === 429)
      await line.tooMany(parseRetryAfter(reply.headers.get('retry-after'), clock.now()))
    return reply
  }

export const pacedSession = (session: Session, line: Line): Session =>
  aroundSession(session, async (_operation, call) => {
    await line.turn()
    try {
      return await call()
    } catch (error) {
      if (error instanceof ProviderError && error.kind === 'throttled')
        await line.tooMany(error.retryAfterMs)
      throw error
    }
  })
