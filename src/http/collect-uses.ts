// Which tokens were used since it was told last, and when: one write for all of them, away from any request.

import type { LastUses, Clock } from '#domain/ports.ts'

export interface Uses {
  readonly count: (apiKey: string) => void
  /** What cannot be told is kept for the next time. */
  readonly flush: () => Promise<void>
}

export const collectUses = (store: LastUses, clock: Pick<Clock, 'now'>): Uses => {
  let untold = new Map<string, Date>()
  return {
    count: (apiKey) => {
      untold.set(apiKey, clock.now())
    },
    flush: async () => {
      if (untold.size === 0) return
      const telling = untold
      untold = new Map()
      try {
        await store.tell(telling)
      } catch (error) {
        untold = new Map([...telling, ...untold])
        throw error
      }
    },
  }
}
