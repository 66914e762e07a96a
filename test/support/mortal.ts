// What a worker of emergencies works with, that dies at one point: before or after one of its commits, or one of its calls at a
// provider.

import type { Ledger } from '#domain/ports.ts'
import type { Session } from '#domain/provider.ts'
import type { Engine } from './engine.ts'
import { forever } from './faults.ts'

class Died extends Error {}

/** Dies at its nth point; Infinity: never. All that it does afterwards hangs, and what it was about to commit is undone. */
export const makeMortal = ({ deps: { ledger, world } }: Pick<Engine, 'deps'>, at: number) => {
  let points = 0
  let dead = false
  let tell = (): void => {}
  const died = new Promise<void>((resolve) => {
    tell = resolve
  })
  const isEnd = (): boolean => {
    points += 1
    if (points === at) {
      dead = true
      tell()
    }
    return dead
  }
  const commit: Ledger['commit'] = async (actor, work) => {
    if (dead) return forever()
    try {
      const done = await ledger.commit(actor, async (tx) => {
        const outcome = await work(tx)
        if (isEnd()) throw new Died()
        return outcome
      })
      return isEnd() ? await forever() : done
    } catch (error) {
      if (error instanceof Died) return forever()
      throw error
    }
  }
  const around = async <T>(call: () => Promise<T>): Promise<T> => {
    if (isEnd()) return forever()
    const answer = await call()
    return isEnd() ? forever() : answer
  }
  const mortal = (session: Session): Session => ({
    ...session,
    suspend: (...args) => around(() => session.suspend(...args)),
    reinstate: (...args) => around(() => session.reinstate(...args)),
    retire: (...args) => around(() => session.retire(...args)),
    verify: (...args) => around(() => session.verify(...args)),
  })
  const sessions = {
    ...world.sessions,
    open: async (connection: Parameters<typeof world.sessions.open>[0]) =>
      mortal(await world.sessions.open(connection)),
  }
  return {
    deps: { ledger: { ...ledger, commit }, world: { ...world, sessions } },
    died,
    points: () => points,
  }
}
