// The requests of one process over one connection, each in its place of the line that all processes share (store/paces.ts).
// Places are taken several at a time, for those that wait here at that moment. One that could not be used in time is lost:
// used late, it would lie beside somebody else's.
//
// Places lie on the database's clock. Each answer bounds how far that is from ours (`clocks`), and the answers of a while do so
// closely, however slow some of them are. A busy process hears late of its places (`missed`) and wakes late (`lag`): where that is
// more than a place may be late, more are taken than are used, so that what is sent lies among ours.
//
// Where a request would wait for long it is refused instead, before anything is sent. Rotations do not come to that: they
// ask before they begin a step (`enter`), and wait as a column where there is no room.

import type { Clock, Paces } from '#domain/ports.ts'
import { AtLimit, ProviderError } from '#domain/provider.ts'

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
const lateMs = 50
/** How much faster or slower two clocks may run. */
const drift = 0.001
/** What is remembered at most of having heard or woken late. A process that stood still for a minute has lost its places, and must
 *  not take those of the next minute from all others. */
const mostRememberedMs = turnMs
/** How long it counts that there is no limit: another process may have been told otherwise. */
const freeMs = 1_000
/** Without a word from the provider of when to come back. */
const holdMs = 1_000
/** A wrong header must not stop a fleet for a day. */
const longestHoldMs = 300_000

/** The database's clock is ahead of ours by this much, in ms, as learned at that moment of ours. */
interface Clocks {
  readonly low: number
  readonly high: number
  readonly at: number
}

/** On our clock. Used before, or at `until` or later, it might lie beside somebody else's. */
interface Place {
  readonly from: number
  readonly until: number
}

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
  const places: Place[] = []
  let clocks: Clocks | null = null
  let missed = 0
  let lag = 0
  let everyMs = 0
  let freeUntil = -Infinity
  let running = false

  const take = async (wanted: number, withinMs: number): Promise<Full | null> => {
    const blur = clocks === null ? 0 : clocks.high - clocks.low
    const needed = Math.min(blur + missed + lag, mostRememberedMs) - lateMs
    const spare = needed > 0 && everyMs > 0 ? Math.ceil(needed / everyMs) : 0
    const asked = stopwatch()
    const turn = await paces.take(connection, { limit, count: wanted + spare, withinMs })
    // What was late once is remembered for the next few. Not by its wakings: whoever finds its place at once has none.
    lag /= 2
    if (turn.kind === 'full') return turn
    const now = stopwatch()
    forgetLate(now)
    if (turn.kind === 'free') {
      freeUntil = now + freeMs
      return null
    }
    everyMs = turn.everyMs
    clocks = compare(clocks, turn.nowMs, asked, now)
    const first = turn.nowMs + turn.afterMs
    const late = Math.min(now - (first - clocks.low), mostRememberedMs)
    missed = Math.max(0, late, missed / 2)
    for (let n = 0; n < wanted; n++) {
      const from = first + n * everyMs - clocks.low
      const until = first + (n + spare) * everyMs + lateMs - clocks.high
      if (from < until) places.push({ from, until })
    }
    forgetLate(now)
    return null
  }
  const forgetLate = (now: number): void => {
    while (places[0] !== undefined && places[0].until <= now) places.shift()
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
    const [place] = places
    if (place === undefined) {
      if (waiting.length === 0) return
      const atOnce = limit === null ? 8 : Math.ceil(limit / 4)
      const full = await take(Math.min(waiting.length, atOnce), turnMs)
      if (full) end(refusal(connection, full))
    } else if (place.from > now) {
      await clock.pause(place.from - now)
      lag = Math.max(Math.min(stopwatch() - place.from, mostRememberedMs), lag)
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

/** What this answer and those before allow; this one alone where they contradict each other, since a clock was set. */
const compare = (known: Clocks | null, nowMs: number, asked: number, answered: number): Clocks => {
  const fresh = { low: nowMs - answered, high: nowMs - asked, at: answered }
  if (known === null) return fresh
  const drifted = (answered - known.at) * drift
  const low = Math.max(fresh.low, known.low - drifted)
  const high = Math.min(fresh.high, known.high + drifted)
  return low <= high ? { low, high, at: answered } : fresh
}

const refusal = (connection: string, { afterMs, rate }: Full): ProviderError =>
  new AtLimit('throttled', `${atItsLimit(connection, rate)}: nothing was sent`, afterMs)

const tooLate = (connection: string): ProviderError =>
  new AtLimit('timeout', `the time was over before its turn on the connection ${connection}`)

export const atItsLimit = (connection: string, rate: number): string =>
  `the connection ${connection} is at its limit of ${Math.max(1, Math.round(rate))} requests a second`
