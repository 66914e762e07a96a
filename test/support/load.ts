// Work that is done over and over while something else happens: how often each succeeded, and whatever failed.

import { setTimeout as pause } from 'node:timers/promises'

export const keepDoing = (
  works: Readonly<Record<string, () => Promise<unknown>>>,
  pauseMs: number,
) => {
  const failures: string[] = []
  const uses = new Map<string, number>()
  let running = true
  const loops = Object.entries(works).map(async ([name, work]) => {
    for (; running; await pause(pauseMs)) {
      try {
        await work()
        uses.set(name, (uses.get(name) ?? 0) + 1)
      } catch (error) {
        failures.push(`${name}: ${String(error)}`)
      }
    }
  })
  return {
    failures,
    uses,
    stop: async () => {
      running = false
      await Promise.all(loops)
    },
  }
}
