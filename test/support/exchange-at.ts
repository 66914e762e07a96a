// Exchanges the pepper before any one call of a provider: for sweeps over all calls that some work makes.

import type { Session } from '#domain/provider.ts'
import { aroundSession } from '#runtime/around-session.ts'
import type { TestDatabase } from './db.ts'

export const makeExchanges = () => {
  let calls = 0
  let before: { readonly n: number; readonly work: () => void } | null = null
  return {
    wrap: (session: Session): Session =>
      aroundSession(session, async (_operation, call) => {
        if (before?.n === calls++) before.work()
        return call()
      }),
    /** Before the n-th call that `work` makes; returns how many it made. */
    at: async (
      { exchangePepper }: Pick<TestDatabase, 'exchangePepper'>,
      n: number,
      work: () => Promise<unknown>,
    ): Promise<number> => {
      calls = 0
      before = { n, work: exchangePepper }
      await work()
      before = null
      return calls
    },
  }
}
