// Tells of something at most once in a while, with the number of times that it happened since it was told last.

import type { Clock } from '#domain/ports.ts'

export interface Tally {
  /** Counts one; runs `tell` with the number when the last telling of `subject` is long enough ago. Rejects when it does. */
  count(subject: string, tell: (times: number) => Promise<void>): Promise<void>
}

interface Entry {
  toldAt: number
  untold: number
}

/** More subjects than this at once are forgotten, oldest first: they are told again, never kept silent. */
const most = 50_000

export const makeTally = (clock: Pick<Clock, 'now'>, everyMs: number): Tally => {
  const entries = new Map<string, Entry>()
  return {
    async count(subject, tell) {
      const now = clock.now().getTime()
      const entry = entries.get(subject)
      if (entry && now - entry.toldAt < everyMs && now >= entry.toldAt) {
        entry.untold += 1
        return
      }
      const times = (entry?.untold ?? 0) + 1
      const fresh: Entry = { toldAt: now, untold: 0 }
      entries.delete(subject)
      entries.set(subject, fresh)
      if (entries.size > most) {
        const [oldest] = entries.keys()
        if (oldest !== undefined) entries.delete(oldest)
      }
      try {
        await tell(times)
      } catch (error) {
        // Not told: the next one tries again, and the number is not lost.
        entries.set(subject, { toldAt: Number.NEGATIVE_INFINITY, untold: times + fresh.untold })
        throw error
      }
    },
  }
}
