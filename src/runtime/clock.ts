// The real clock. Nothing outside `runtime/` reads time or sets a timer.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '#domain/ports.ts'

export const systemClock: Clock = {
  now: () => new Date(),
  // AbortSignal.timeout counts on the monotonic clock: setting the wall clock does not move it.
  deadline: (ms) => AbortSignal.timeout(ms),
  pause: async (ms, signal) => {
    if (signal?.aborted) return
    try {
      await sleep(ms, undefined, signal === undefined ? {} : { signal })
    } catch {
      // Aborted: an early end is part of the contract, not an error.
    }
  },
}
