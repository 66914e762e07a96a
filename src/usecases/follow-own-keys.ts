// A process and the KEKs and peppers of its installation: it reads its files again, does what the database says of them, and tells
// which it has. Every two seconds: nothing is restarted when one is exchanged (rotate-kek.ts, rotate-pepper.ts).

import { systemActor } from '#domain/actor.ts'
import { type HouseProcess, wordOf } from '#domain/kek.ts'
import { type PepperName, pepperWordOf } from '#domain/pepper.ts'
import type { KekRing, Ledger, LedgerEvent, PepperRing, Processes, Tx } from '#domain/ports.ts'

export interface FollowOwnKeysDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly keyring: KekRing & { readonly peppers: PepperRing }
  readonly processes: Processes
}

/** Before anything is sealed. The database of an installation without a word gets one: what the file says first. */
export const beginOwnKeys = async ({
  ledger,
  keyring,
}: Omit<FollowOwnKeysDeps, 'processes'>): Promise<void> => {
  const { keks, peppers } = await saidOf(ledger)
  if (keks.length === 0) await registerKek(ledger, keyring.kekId)
  if (peppers.length === 0) await registerPepper(ledger, keyring.peppers)
  const said = await saidOf(ledger)
  keyring.obey(wordOf(said.keks))
  keyring.peppers.obey(pepperWordOf(said.peppers))
}

const saidOf = (ledger: Pick<Ledger, 'read'>) =>
  ledger.read(async (db) => ({ keks: await db.keks.list(), peppers: await db.peppers.list() }))

const registerKek = (ledger: Pick<Ledger, 'commit'>, id: string): Promise<unknown> =>
  register(ledger, async (tx) => {
    await tx.lock('kek')
    if ((await tx.keks.list()).length > 0) throw new Registered()
    await tx.writeKek.activate(id, await tx.now())
    return { action: 'kek.registered', target: { id, name: id }, outcome: 'succeeded' }
  })

/** That of an installation from before there were several is the one that it was begun with. */
const registerPepper = (ledger: Pick<Ledger, 'commit'>, ring: PepperRing): Promise<unknown> =>
  register(ledger, async (tx) => {
    await tx.lock('pepper')
    if ((await tx.peppers.list()).length > 0) throw new Registered()
    const before = (await tx.recovery.installation())?.pepperId
    const pepper = ring.inFile.find(({ id }) => id === before) ?? ring.making
    await tx.writePepper.activate(pepper, await tx.now())
    return {
      action: 'pepper.registered',
      target: pepperTarget(pepper),
      outcome: 'succeeded',
      after: { number: pepper.number },
    }
  })

export const pepperTarget = ({ number, id }: PepperName) => ({ id, name: String(number) })

const register = (
  ledger: Pick<Ledger, 'commit'>,
  work: (tx: Tx) => Promise<LedgerEvent>,
): Promise<unknown> =>
  ledger
    .commit(systemActor('system', 'start'), async (tx) => ({
      value: null,
      audit: [await work(tx)],
    }))
    .catch((error: unknown) => {
      if (!(error instanceof Registered)) throw error
    })
/** By another process, meanwhile. */
class Registered extends Error {}

/** One look. What cannot be read or obeyed is thrown when the rest is done: the others see what this process has all the same. */
export const makeFollowOwnKeys =
  (
    { ledger, keyring, processes }: FollowOwnKeysDeps,
    self: Omit<HouseProcess, 'seals' | 'accepts' | 'marks' | 'peppers'>,
  ): (() => Promise<void>) =>
  async () => {
    const { keks, peppers } = await saidOf(ledger)
    const faults = [
      () => keyring.reread(),
      () => keyring.peppers.reread(),
      () => keyring.obey(wordOf(keks)),
      () => keyring.peppers.obey(pepperWordOf(peppers)),
    ].flatMap(faultOf)
    await processes.tell({
      ...self,
      seals: keyring.kekId,
      accepts: keyring.fileKekIds,
      marks: keyring.peppers.making.id,
      peppers: keyring.peppers.inFile.map(({ id }) => id),
    })
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
