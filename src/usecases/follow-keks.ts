// A process and the KEKs of its installation: it reads its file again, does what the database says of them, and tells which it
// has. Every two seconds: nothing is restarted when the KEK changes (rotate-kek.ts).

import { systemActor } from '#domain/actor.ts'
import { type HouseProcess, wordOf } from '#domain/kek.ts'
import type { KekRing, Ledger, Processes } from '#domain/ports.ts'

export interface FollowKeksDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly keyring: KekRing
  readonly processes: Processes
}

/** Before anything is sealed. The database of an installation without a word gets one: what the file says first. */
export const beginKeks = async ({
  ledger,
  keyring,
}: Omit<FollowKeksDeps, 'processes'>): Promise<void> => {
  if ((await ledger.read((db) => db.keks.list())).length === 0)
    await register(ledger, keyring.kekId)
  keyring.obey(wordOf(await ledger.read((db) => db.keks.list())))
}

const register = (ledger: Pick<Ledger, 'commit'>, id: string): Promise<unknown> =>
  ledger
    .commit(systemActor('system', 'start'), async (tx) => {
      await tx.lock('kek')
      if ((await tx.keks.list()).length > 0) throw new Registered()
      await tx.writeKek.activate(id, await tx.now())
      return {
        value: null,
        audit: [{ action: 'kek.registered', target: { id, name: id }, outcome: 'succeeded' }],
      }
    })
    .catch((error: unknown) => {
      if (!(error instanceof Registered)) throw error
    })
/** By another process, meanwhile. */
class Registered extends Error {}

/** One look. What cannot be read or obeyed is thrown when the rest is done: the others see which KEKs this process has all the same. */
export const makeFollowKeks =
  (
    { ledger, keyring, processes }: FollowKeksDeps,
    self: Omit<HouseProcess, 'seals' | 'accepts'>,
  ): (() => Promise<void>) =>
  async () => {
    const keks = await ledger.read((db) => db.keks.list())
    const faults = [() => keyring.reread(), () => keyring.obey(wordOf(keks))].flatMap(faultOf)
    await processes.tell({ ...self, seals: keyring.kekId, accepts: keyring.fileKekIds })
    if (faults.length > 0) throw faults[0]
  }

const faultOf = (work: () => void): readonly unknown[] => {
  try {
    work()
    return []
  } catch (error) {
    return [error]
  }
}
