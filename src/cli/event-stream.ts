// Listens to a stream of server-sent events for as long as it is wanted: a connection that breaks, ends or falls silent is
// opened again with Last-Event-ID, after a pause that grows.

import type { Client } from './client.ts'
import { isFailure } from './failure.ts'
import type { CliIo } from './io.ts'
import { readServerEvents, type StreamEvent } from './server-events.ts'

export interface Listener {
  opened(): void
  event(event: StreamEvent): void
  /** After every connection that ended or did not come about. False: do not open it again. */
  closed(): Promise<boolean>
}

/** Two heartbeats and a half. A connection that says nothing for so long is dead, whatever TCP thinks. */
const deadMs = 75_000
const longestBackoffMs = 15_000

/** False where the server has no stream here. Throws a Failure when it refuses: asking again would change nothing. */
export const listen = async (
  client: Client,
  clock: CliIo['clock'],
  path: string,
  signal: AbortSignal,
  listener: Listener,
): Promise<boolean> => {
  let lastEventId: string | null = null
  let backoffMs = 500
  while (!signal.aborted) {
    const silence = new AbortController()
    let heard = (): void => undefined
    try {
      const response = await client.stream(
        path,
        lastEventId,
        AbortSignal.any([signal, silence.signal]),
      )
      const body = response?.body ?? null
      if (body === null) return false
      listener.opened()
      heard = watchSilence(clock, silence, signal)
      for await (const part of readServerEvents(body)) {
        heard()
        heard = watchSilence(clock, silence, signal)
        if (part === 'alive') continue
        if ('retryMs' in part) {
          backoffMs = Math.min(part.retryMs, longestBackoffMs)
          continue
        }
        lastEventId = part.event.id ?? lastEventId
        listener.event(part.event)
      }
    } catch (error) {
      if (isFailure(error)) throw error
      // A connection that broke.
    } finally {
      heard()
    }
    if (signal.aborted || !(await listener.closed())) break
    await clock.pause(backoffMs, signal)
    backoffMs = Math.min(Math.max(backoffMs, 250) * 2, longestBackoffMs)
  }
  return true
}

/** Aborts the connection after a long silence; the returned function says that something was heard. */
const watchSilence = (
  clock: CliIo['clock'],
  silence: AbortController,
  signal: AbortSignal,
): (() => void) => {
  const heard = new AbortController()
  void clock.pause(deadMs, AbortSignal.any([heard.signal, signal])).then(() => {
    if (!heard.signal.aborted) silence.abort()
  })
  return () => heard.abort()
}
