// Tells when a rotation may have changed. The stream of its events is a doorbell: whoever hears it reads the rotation, so
// that a lost, doubled or unknown event costs nothing. A broken stream is opened again with Last-Event-ID; where there is
// no stream, or none for a while, the bell rings by the clock.

import type { Client } from './client.ts'
import { listen } from './event-stream.ts'
import type { CliIo } from './io.ts'
import type { StreamEvent } from './server-events.ts'

export interface Bell {
  /** Resolves at the next ring, or when the signal aborts. Rings during a read are not lost. */
  next(): Promise<void>
  stop(): void
}

/** Between looks while the stream is quiet: what a rotation waits for changes without an event. */
const quietMs = 15_000
/** Between looks where there is no stream. */
const pollMs = 2_000

export const rotationBell = (
  client: Client,
  clock: CliIo['clock'],
  path: string,
  signal: AbortSignal,
  onEvent: (event: StreamEvent) => void,
): Bell => {
  const ended = new AbortController()
  const all = AbortSignal.any([signal, ended.signal])
  let rung = false
  let wake: (() => void) | null = null
  let streaming = false
  const ring = (): void => {
    rung = true
    wake?.()
  }
  const listening = listen(client, clock, path, all, {
    // Something may have happened before the stream was there, and while it was not.
    opened: () => {
      streaming = true
      ring()
    },
    event: (event) => {
      onEvent(event)
      ring()
    },
    closed: async () => {
      streaming = false
      ring()
      return true
    },
  })
  // What refuses the stream (rights, a rotation that is gone) refuses the next read too, and is said there.
  listening.catch(ring)
  return {
    next: async () => {
      if (!rung && !all.aborted) {
        const timer = new AbortController()
        const pause = clock.pause(
          streaming ? quietMs : pollMs,
          AbortSignal.any([all, timer.signal]),
        )
        await Promise.race([
          pause,
          new Promise<void>((resolve) => {
            wake = resolve
          }),
        ])
        timer.abort()
        wake = null
      }
      rung = false
    },
    stop: () => ended.abort(),
  }
}
