// The mark outside of the database, and the comparison with it. Each process keeps the last events of the log that it saw
// committed in a file of its data directory, and looks at the start and every second afterwards whether they are still
// there. What vanished went with a restore, with a failover that lost transactions, or with somebody who cut the log.
//
// The mark follows the log within a second. Intents do not wait for that: before an effect is sent its intent is in the
// file, so that the database cannot forget a write of this process at a provider unnoticed. A crash leaves a mark that is a
// moment old.

import { systemActor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Clock, Ledger, Whereabouts } from '#domain/ports.ts'
import { type HighWater, type MarkedEvent, suspect } from '#domain/recovery.ts'
import { type BeginRecoveryDeps, identified, makeBeginRecovery } from './begin-recovery.ts'

export interface MarkFile {
  /** Null where there is none. Throws where what is there is no mark. */
  read(): Promise<HighWater | null>
  /** In one step: a reader sees the old mark or the new one. Of several at once only the last one is written. */
  write(mark: HighWater): Promise<void>
}

export interface WatchDeps extends BeginRecoveryDeps {
  readonly whereabouts: Whereabouts
  readonly file: MarkFile
  readonly pepperId: string
  readonly clock: Pick<Clock, 'now'>
}

export interface HighWaterWatch {
  /** One look. Throws where the database or the file cannot be asked. */
  look(): Promise<void>
  /** A ledger whose intents are in the file before `commit` resolves. */
  readonly marking: (ledger: Ledger) => Ledger
}

const actor = systemActor('system', 'recovery')
/** More than a process has effects under way at once: of two commits the one that came last may be told first. */
const mostEvents = 32

export const makeWatchHighWater = (deps: WatchDeps): HighWaterWatch => {
  const { whereabouts, file } = deps
  const beginRecovery = makeBeginRecovery(deps)
  let mark: HighWater | null = null
  let cluster: string | null = null

  const keep = async (from: Omit<HighWater, 'events'>, event: MarkedEvent): Promise<void> => {
    const before = mark?.incarnation === from.incarnation ? mark.events : []
    mark = { ...from, events: [event, ...before].slice(0, mostEvents) }
    await file.write(mark)
  }

  const look = async (): Promise<void> => {
    const { open, row } = await deps.ledger.read(async (db) => ({
      open: await db.recovery.open(),
      row: await db.recovery.installation(),
    }))
    // The mark stays as it is: it is what says so again, if the same backup is restored once more.
    if (open) {
      // Accepting it writes down where the database is now: what was known before it is asked anew.
      cluster = null
      return
    }
    mark ??= await file.read()
    cluster ??= await whereabouts.cluster()
    const place = { cluster, pepperId: deps.pepperId }
    const last = await whereabouts.lastEvent()
    const suspicion = suspect({ ...(await compare(deps, mark, row)), row, cluster, last })
    if (suspicion) {
      await beginRecovery(actor, suspicion, place)
      return
    }
    if (!row) {
      await identify(deps, place)
      return look()
    }
    if (!last || last.id === mark?.events[0]?.id) return
    const event = { id: last.id, leafHash: last.leafHash, at: last.at.toISOString() }
    await keep({ installation: row.id, incarnation: row.incarnation, cluster }, event)
  }

  return {
    look,
    marking: (ledger) => ({
      ...ledger,
      commit: async (who, work) => {
        let intends = false
        const done = await ledger.commit(who, async (tx) => {
          const outcome = await work(tx)
          intends = outcome.audit.some((event) => event.outcome === 'intent')
          return outcome
        })
        if (!intends || mark === null) return done
        const [{ eventId: id, leafHash }] = done.receipts
        try {
          await keep(mark, { id, leafHash, at: deps.clock.now().toISOString() })
        } catch (cause) {
          // Nothing was sent. The intent is open, and is probed before anything is.
          throw new RekeyError('service.unavailable', {
            detail: 'The high-water mark in the data directory cannot be written.',
            hint: 'Is its disk full? See: rekey doctor',
            cause,
          })
        }
        return done
      },
    }),
  }
}

const compare = async (
  { ledger, whereabouts }: WatchDeps,
  mark: HighWater | null,
  row: { readonly incarnation: string } | null,
) => {
  if (mark === null) return { mark, markIsThere: false, markWasSuperseded: false }
  return {
    mark,
    markIsThere: await whereabouts.hasEvents(mark.events),
    markWasSuperseded:
      mark.incarnation !== row?.incarnation &&
      (await ledger.read((db) => db.recovery.ended(mark.incarnation))),
  }
}

const identify = ({ ledger, ids }: WatchDeps, place: Parameters<typeof identified>[2]) =>
  ledger
    .commit(actor, async (tx) => {
      const { installation, events } = await identified(tx, ids, place, await tx.now())
      const [first, ...rest] = events
      if (!first) throw new Identified()
      return { value: installation, audit: [first, ...rest] }
    })
    .catch((error: unknown) => {
      if (!(error instanceof Identified)) throw error
    })
/** By another process, meanwhile. */
class Identified extends Error {}
