// What works in the background leaves sessions with the database for whoever asks over HTTP: a pool is first come, first served,
// and hundreds of steps that wait in it make a request of a person wait for all of them.
//
// Nothing may ask it from within a transaction of its own: it would wait for itself.

import type { Ledger } from '#domain/ports.ts'
import { makeTurns } from '#domain/turns.ts'

export const boundedLedger = (ledger: Ledger, most: number): Ledger => {
  const turn = makeTurns(most)
  return {
    read: (work) => turn(() => ledger.read(work)),
    commit: (actor, work) => turn(() => ledger.commit(actor, work)),
    rehearse: (actor, work) => turn(() => ledger.rehearse(actor, work)),
    note: (actor, event) => turn(() => ledger.note(actor, event)),
  }
}
