// Server-sent events (WHATWG HTML §9.2) over @fastify/sse, in its kind `only`: with `true`, a client without an Accept
// header would get a 500.

import type {} from '@fastify/sse'
import type { FastifyReply } from 'fastify'
import { RekeyError } from '#domain/errors.ts'
import type { Clock } from '#domain/ports.ts'
import type { ServerEvent } from './route.ts'

export const eventStreamType = 'text/event-stream'

/** A source that refuses does so with its first step; one that is still waiting after this is a stream. */
const refusalMs = 1_000

/** The plugin's own refusal is not a problem document. */
export const mustAcceptEvents = (accept: string | undefined): void => {
  if (accept === undefined || accept === '') return
  const ranges = accept.split(',').map((range) => range.trim().toLowerCase())
  const fits = ranges.some(
    (range) =>
      /^(?:text\/event-stream|text\/\*|\*\/\*)(?:;|$)/.test(range) &&
      !/;\s*q=0(?:\.0*)?$/.test(range),
  )
  if (!fits) {
    throw new RekeyError('request.notAcceptable', {
      detail: `This sends ${eventStreamType} only.`,
      hint: `Accept: ${eventStreamType}`,
    })
  }
}

/** Of streams whose ids are those of audit events: with another one nobody knows where to go on. */
export const mustBeEventId = (lastEventId: string | null): void => {
  if (lastEventId === null) return
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(lastEventId)) return
  const detail = 'must be the id of an event of this stream'
  throw new RekeyError('request.invalid', {
    detail: `Last-Event-ID ${detail}.`,
    hint: 'Leave it out to begin at the first event.',
    errors: [{ pointer: '/headers/Last-Event-ID', detail }],
  })
}

/** Asks before each event: a token that ended gets no further one. */
export async function* whileAllowed(
  source: AsyncIterable<ServerEvent>,
  allowed: () => Promise<boolean>,
): AsyncGenerator<ServerEvent> {
  for await (const event of source) {
    if (!(await allowed())) return
    yield event
  }
}

/** Ends when the source does, or the signal aborts. Throws only before the first byte. */
export const sendEvents = async (
  reply: FastifyReply,
  source: AsyncIterable<ServerEvent>,
  {
    clock,
    signal,
    onFault,
  }: {
    readonly clock: Clock
    readonly signal: AbortSignal
    readonly onFault: (error: unknown) => void
  },
): Promise<void> => {
  const events = source[Symbol.asyncIterator]()
  const aborted = new Promise<null>((resolve) =>
    signal.addEventListener('abort', () => resolve(null), { once: true }),
  )
  let next = events.next()
  await Promise.race([next, clock.pause(refusalMs, signal)])
  // From here the headers are out: heartbeats go while the source waits, and a fault can only end the stream. The client
  // comes back with the last id that it has seen.
  reply.sse.sendHeaders(200)
  // The plugin leaves them in the buffer until the first event or heartbeat.
  reply.raw.flushHeaders()
  try {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- a stream goes on in time
      const step = await Promise.race([next, aborted])
      if (step === null || step.done === true || signal.aborted) break
      // The plugin waits for `drain`, which never comes from a client that is gone.
      // oxlint-disable-next-line no-await-in-loop -- backpressure
      await Promise.race([reply.sse.send({ ...step.value }), aborted])
      next = events.next()
    }
  } catch (error) {
    onFault(error)
  } finally {
    // Not awaited: a source that is in a pause ends with it, since it has the same signal.
    void Promise.resolve(events.return?.()).catch(onFault)
    next.catch(() => undefined)
  }
}
