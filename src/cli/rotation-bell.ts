// Tells when a rotation may have changed. The stream of its events is a doorbell: whoever hears it reads the rotation, so
// that a lost, doubled or unknown event costs nothing. A broken stream is opened again with Last-Event-ID; where there is
// no stream, or none for a while, the bell rings by the clock.

import type { Client } from './client.ts'
import { isFailure } from './failure.ts'
import type { CliIo } from './io.ts'
import { readServerEvents } from './server-events.ts'

export interface Bell {
  /** Resolves at the next ring, or when the signal aborts. Rings during a read are not lost. */
  next(): Promise<void>
  stop(): void
}

/** Between looks while the stream is quiet: what a rotation waits for changes without an event. */
const quietMs = 15_000
/** Between looks where there is no stream. */
const pollMs = 2_000
/** Two heartbeats and a half. A connection that says nothing for so long is dead, whatever TCP thinks. */
const deadMs = 75_000
const longestBackoffMs = 15_000

export const rotationBell = (
  client: Client,
  clock: CliIo['clock'],
  path: string,
  signal: AbortSignal,
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
    ring,
    connected: (yes) => {
      streaming = yes
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

interface Heard {
  ring(): void
  connected(yes: boolean): void
}

const listen = async (
  client: Client,
  clock: CliIo['clock'],
  path: string,
  signal: AbortSignal,
  heard: Heard,
): Promise<void> => {
  let lastEventId: string | null = null
  let backoffMs = 500
  while (!signal.aborted) {
    const silence = new AbortController()
    try {
      const response = await client.stream(
        path,
        lastEventId,
        AbortSignal.any([signal, silence.signal]),
      )
      const body = response?.body ?? null
      if (body === null) return
      heard.connected(true)
      // Something may have happened before the stream was there.
      heard.ring()
      let alive = watchSilence(clock, silence, signal)
      for await (const part of readServerEvents(body)) {
        alive()
        alive = watchSilence(clock, silence, signal)
        if (part === 'alive') continue
        if ('retryMs' in part) {
          backoffMs = Math.min(part.retryMs, longestBackoffMs)
          continue
        }
        lastEventId = part.event.id ?? lastEventId
        heard.ring()
      }
      alive()
    } catch (error) {
      // A refusal will not change by asking again; anything else is a connection that broke.
      if (isFailure(error)) throw error
    }
    heard.connected(false)
    heard.ring()
    await clock.pause(backoffMs, signal)
    backoffMs = Math.min(Math.max(backoffMs, 250) * 2, longestBackoffMs)
  }
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
