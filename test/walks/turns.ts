// Puts what several processes ask of our database into an order that a scheduler draws: each waits for its turn before every
// statement, also in the middle of a transaction, and what was asked is answered, or waits for a lock, before the next turn.

import { setImmediate as breathe } from 'node:timers/promises'
import type { Scheduler } from 'fast-check'
import type { Ledger, Timers, Tx } from '#domain/ports.ts'
import type { Seam } from './ground.ts'

/** Longer than a statement takes: whoever has no answer by then waits for a lock. */
const lockedMs = 40

export const makeTurns = (scheduler: Scheduler) => {
  let asking = 0
  const ask = async <T>(work: () => Promise<T>): Promise<T> => {
    asking += 1
    try {
      return await work()
    } finally {
      asking -= 1
    }
  }
  const settled = async (): Promise<void> => {
    const begun = performance.now()
    await breathe()
    while (asking > 0 && performance.now() - begun < lockedMs) await breathe()
    await breathe()
  }
  const turn = (label: string): Promise<void> =>
    scheduler.schedule(Promise.resolve(), label, undefined, async (go) => {
      await go()
      await settled()
    })

  const eachOf = <T extends object>(who: string, of: T): T =>
    new Proxy(of, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        // It asks nobody, and answers at once.
        if (name === 'fingerprint') return value
        if (typeof value === 'object' && value !== null) return eachOf(who, value)
        if (typeof value !== 'function') return value
        return async (...args: readonly unknown[]): Promise<unknown> => {
          await turn(`${who} ${String(name)}`)
          return ask(async () => Reflect.apply(value, target, args) as unknown)
        }
      },
    })

  const ledgerOf = (who: string, ledger: Ledger): Ledger => ({
    ...ledger,
    read: async (work) => {
      await turn(`${who} read`)
      return ask(() => ledger.read(work))
    },
    commit: async (actor, work) => {
      await turn(`${who} begin`)
      // BEGIN and COMMIT are asked here, the statements between them by themselves.
      return ask(() =>
        ledger.commit(actor, async (tx) => {
          asking -= 1
          try {
            return await work(eachOf<Tx>(who, tx))
          } finally {
            asking += 1
          }
        }),
      )
    },
  })
  const timersOf = (who: string, timers: Timers): Timers => eachOf(who, timers)

  return {
    turn,
    /** Nobody else asks anything until it is done. */
    alone: (label: string, work: () => Promise<void>): Promise<void> =>
      scheduler.schedule(Promise.resolve(), label, undefined, async (go) => {
        await work()
        await go()
        await settled()
      }),
    seam: (who: string): Seam => ({
      ledger: (ledger) => ledgerOf(who, ledger),
      timers: (timers) => timersOf(who, timers),
    }),
    /** All of them, to their ends. */
    race: (...all: readonly Promise<unknown>[]): Promise<unknown> =>
      scheduler.waitFor(Promise.all(all)),
  }
}
