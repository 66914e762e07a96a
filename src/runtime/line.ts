// The requests of one process over one connection, each in its place of the line that all processes share (store/paces.ts).
// Places are taken several at a time, for those that wait here at that moment. One that could not be used in time is lost:
// used late, it would lie beside somebody else's.
//
// Where a request would wait for long it is refused instead, before anything is sent. Rotations do not come to that: they
// ask before they begin a step (`enter`), and wait as a column where there is no room.

import type { Clock, Paces } from '#domain/ports.ts'
import { ProviderError } from '#domain/provider.ts'

export interface Line {
  /** Resolves when the next request may be sent. Throws ProviderError, of effect `none`. */
  turn(signal?: AbortSignal | null): Promise<void>
  /** Takes a place that is near; else says how far the next one is. */
  enter(): Promise<Full | null>
  /** The provider refused a request since there were too many. Never throws. */
  tooMany(retryAfterMs: number | null): Promise<void>
}

export interface Full {
  readonly afterMs: number
  /** Requests a second. */
  readonly rate: number
}

export interface LineDeps {
  readonly paces: Paces
  readonly clock: Pick<Clock, 'pause'>
  /** Milliseconds on the monotonic clock. */
  readonly stopwatch: () => number
}

const enterMs = 500
const turnMs = 3_000
const lateMs = 100
/** How long it counts that there is no limit: another process may have been told otherwise. */
const freeMs = 1_000
/** Without a word from the provider of when to come back. */
const holdMs = 1_000
/** A wrong header must not stop a fleet for a day. */
const longestHoldMs = 300_000

interface Waiter {
  readonly signal: AbortSignal | null
  readonly go: (refused: ProviderError | null) => void
}

export const makeLine = (
  { paces, clock, stopwatch }: LineDeps,
  connection: string,
  limit: number | null,
): Line => {
  let waiting: Waiter[] = []
  const places: number[] = []
  let freeUntil = -Infinity
  let running = false

  const take = async (count: number, withinMs: number): Promise<Full | null> => {
    const asked = stopwatch()
    const turn = await paces.take(connection, { limit, count, withinMs })
    if (turn.kind === 'full') return turn
    const now = stopwatch()
    forgetLate(now)
    if (turn.kind === 'free') freeUntil = now + freeMs
    else {
      // After a slow answer the later ones may lie beside somebody else's; with none of them nothing would go on.
      const kept = now - asked > lateMs ? 1 : count
      for (let n = 0; n < kept; n++) places.push(now + turn.afterMs + n * turn.everyMs)
    }
    return null
  }
  const forgetLate = (now: number): void => {
    while (places[0] !== undefined && places[0] < now - lateMs) places.shift()
  }

  const end = (refused: ProviderError | null): void => {
    const all = waiting
    waiting = []
    for (const { go } of all) go(refused)
  }

  /** One at a time, while anybody waits. */
  const serve = async (): Promise<void> => {
    for (const { signal, go } of waiting) if (signal?.aborted) go(tooLate(connection))
    waiting = waiting.filter(({ signal }) => !signal?.aborted)
    const now = stopwatch()
    if (freeUntil > now) return end(null)
    forgetLate(now)
    const [at] = places
    if (at === undefined) {
      if (waiting.length === 0) return
      const atOnce = limit === null ? 8 : Math.ceil(limit / 4)
      const full = await take(Math.min(waiting.length, atOnce), turnMs)
      if (full) end(refusal(connection, full))
    } else if (at > now) {
      await clock.pause(at - now)
    } else {
      places.shift()
      waiting.shift()?.go(null)
    }
  }

  const run = async (): Promise<void> => {
    if (running) return
    running = true
    try {
      while (waiting.length > 0) await serve() // oxlint-disable-line no-await-in-loop -- one after the other is the point
    } catch {
      end(
        new ProviderError('transient', 'none', 'the line of its requests could not be asked for', {
          hint: 'nothing was sent: the database of Rekey could not be reached',
        }),
      )
    } finally {
      running = false
    }
  }

  return {
    turn: (signal = null) => {
      if (freeUntil > stopwatch()) return Promise.resolve()
      const turn = new Promise<void>((resolve, reject) => {
        waiting.push({ signal, go: (refused) => (refused ? reject(refused) : resolve()) })
      })
      void run()
      return turn
    },
    enter: async () => (freeUntil > stopwatch() ? null : take(1, enterMs)),
    tooMany: async (retryAfterMs) => {
      places.length = 0
      freeUntil = -Infinity
      const hold = Math.min(longestHoldMs, retryAfterMs ?? holdMs)
      await paces.slow(connection, { limit, holdMs: hold }).catch(() => undefined)
    },
  }
}

const refusal = (connection: string, { afterMs, rate }: Full): ProviderError =>
  new ProviderError('throttled', 'none', `${atItsLimit(connection, rate)}: nothing was sent`, {
    retryAfterMs: afterMs,
  })

const tooLate = (connection: string): ProviderError =>
  new ProviderError(
    'timeout',
    'none',
    `the time was over before its turn on the connection ${connection}`,
  )

export const atItsLimit = (connection: string, rate: number): string =>
  `the connection ${connection} is at its limit of ${Math.max(1, Math.round(rate))} requests a second`
