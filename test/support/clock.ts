// A clock that a test turns by hand: the process's time and the database's app.now() together, or each alone.
// It begins at the real time and runs with it; what is turned is an offset.

import type { Clock } from '#domain/ports.ts'
import { systemClock } from '#runtime/clock.ts'

export interface HandClock extends Clock {
  /** Turns both clocks forward. */
  advance(ms: number): Promise<void>
  /** Only the process's: as on a machine whose clock is wrong. */
  turnProcess(ms: number): void
  /** Only the database's. */
  turnDatabase(ms: number): Promise<void>
}

export const makeHandClock = (shiftDatabase: (totalMs: number) => Promise<void>): HandClock => {
  let processMs = 0
  let databaseMs = 0
  const turnDatabase = async (ms: number): Promise<void> => {
    databaseMs += ms
    await shiftDatabase(databaseMs)
  }
  return {
    // Deadlines and pauses are monotonic: no turning moves them.
    ...systemClock,
    now: () => new Date(systemClock.now().getTime() + processMs),
    advance: async (ms) => {
      processMs += ms
      await turnDatabase(ms)
    },
    turnProcess: (ms) => {
      processMs += ms
    },
    turnDatabase,
  }
}
