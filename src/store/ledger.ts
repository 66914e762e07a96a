// The only writer. A change of state and the events that tell of it are one transaction, three times over: `work` does not
// compile without an event, nothing outside this folder can reach the database, and a deferred trigger refuses the commit
// of a transaction that changed a guarded row and wrote no event.
//
// What a crash leaves: nothing, or all of it. When the connection breaks while COMMIT is under way nobody here knows which;
// that is `audit.unavailable`, never success: the caller finds out by reading, or by asking again with its idempotency key.

import type { Writer } from '#audit/writer.ts'
import type { Actor } from '#domain/actor.ts'
import type { Receipt } from '#domain/audit.ts'
import { RekeyError } from '#domain/errors.ts'
import type {
  Bell,
  Clock,
  Committed,
  Ids,
  Keyring,
  Ledger,
  LedgerEvent,
  Outcome,
  Tx,
} from '#domain/ports.ts'
import type { Tracer } from '#domain/telemetry.ts'
import type { Database, Db } from './database.ts'
import { makeReads, makeTx } from './reads.ts'
import {
  callersFault,
  diskFull,
  isConflict,
  isDeadSession,
  isOfRetiredKey,
  isUnavailable,
  orUnavailable,
  rk,
  stoodStill,
  sqlState,
} from './sql-state.ts'
import type { Heads } from './stream-heads.ts'
import { writeEvents, type EventDeps } from './write-events.ts'

export interface LedgerDeps {
  readonly database: Database
  readonly keyring: Keyring
  readonly writer: Writer
  readonly ids: Ids
  readonly clock: Clock
  readonly bell: Bell
  /** The trace that a change belongs to: it stands in every record, and a rotation keeps it. */
  readonly trace: Pick<Tracer, 'current'>
}

/** How long a transaction may last. The longest ones give a policy to 100,000 keys:
 *  half a minute on a busy machine. None of them waits for a network. */
const longestMs = 120_000
const maxAttempts = 6

export const createLedger = (deps: LedgerDeps): Ledger => {
  const reads = makeReads(deps.database.client, deps.keyring)
  const note = async (actor: Actor, event: LedgerEvent): Promise<Receipt> => {
    const receipts = await transact(deps, (db) => writeEvents(db, deps, actor, [event]))
    return receipts[0]
  }
  return {
    note,
    read: (work) => orUnavailable(() => work(reads)),
    commit: async (actor, work) => {
      const { outcome, receipts, alarm } = await transact(deps, (db) =>
        perform(db, deps, actor, work),
      )
      if (alarm) deps.bell.alarm?.()
      if (outcome.wake !== undefined && outcome.wake.length > 0) await deps.bell.ring(outcome.wake)
      return { value: outcome.value, receipts }
    },
    rehearse: async (actor, work) => {
      const outcome = await rehearse(deps, actor, work)
      const receipt = await note(actor, rehearsed(actor, outcome.audit))
      return { value: outcome.value, receipts: [receipt] }
    },
  }
}

/** More than a page of the log holds: where a small record found the last free bytes, these find that there are no more. */
const trialRecords = 24

/** Writes records and takes them back: whether any could be written. Throws what `commit` would. */
export const makeRecordTrial =
  (deps: LedgerDeps, actor: Actor): (() => Promise<void>) =>
  async () => {
    const event = rehearsed(actor, [])
    const more = Array.from({ length: trialRecords - 1 }, () => event)
    await rehearse(deps, actor, async () => ({ value: null, audit: [event, ...more] }))
  }

const perform = async <T>(
  db: Db,
  deps: EventDeps & Pick<LedgerDeps, 'keyring' | 'trace'>,
  actor: Actor,
  work: (tx: Tx) => Promise<Outcome<T>>,
): Promise<{
  readonly outcome: Outcome<T>
  readonly receipts: Committed<T>['receipts']
  readonly alarm: boolean
}> => {
  const heads: Heads = new Map()
  let alarm = false
  const tx = makeTx(db, deps, heads, () => {
    alarm = true
  })
  const outcome = await work(tx)
  const receipts = await writeEvents(db, deps, actor, outcome.audit, heads)
  return { outcome, receipts, alarm }
}

/** Everything that `commit` does, up to the checks that COMMIT would make, and then back. */
const rehearse = async <T>(
  deps: LedgerDeps,
  actor: Actor,
  work: (tx: Tx) => Promise<Outcome<T>>,
): Promise<Outcome<T>> => {
  class RolledBack extends Error {
    readonly outcome: Outcome<T>
    constructor(outcome: Outcome<T>) {
      super('rehearsed')
      this.outcome = outcome
    }
  }
  try {
    return await transact(deps, async (db) => {
      const { outcome } = await perform(db, deps, actor, work)
      await db.$executeRaw`SET CONSTRAINTS ALL IMMEDIATE`
      throw new RolledBack(outcome)
    })
  } catch (e) {
    if (e instanceof RolledBack) return e.outcome
    throw e
  }
}

const rehearsed = (actor: Actor, events: readonly LedgerEvent[]): LedgerEvent => ({
  action: 'request.rehearsed',
  target: { id: actor.requestId ?? actor.id, name: events[0]?.target.name ?? actor.name },
  outcome: 'succeeded',
  after: { actions: [...new Set(events.map((event) => event.action))] },
})

/** One transaction. It is run again where that is safe: the database undid it for another's sake, or the pool gave out a
 *  session that had died while it lay there, so that nothing was begun. What else went wrong is said in our words. */
const transact = async <T>(
  deps: Pick<LedgerDeps, 'database' | 'clock' | 'ids'>,
  body: (db: Db) => Promise<T>,
): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    let begun = false
    try {
      return await deps.database.client.$transaction(
        (db) => {
          begun = true
          return body(db)
        },
        { maxWait: deps.database.waitMs, timeout: longestMs },
      )
    } catch (e) {
      if (!isConflict(e) && (begun || !isDeadSession(e))) throw translate(e)
      if (attempt >= maxAttempts) {
        throw new RekeyError('audit.unavailable', { detail: 'Too many writers at once', cause: e })
      }
      // Full jitter, or the two that collided collide again.
      await deps.clock.pause(deps.ids.fraction() * 10 * 2 ** attempt)
    }
  }
}

const translate = (e: unknown): unknown => {
  if (e instanceof RekeyError) return e
  const fault = callersFault(e)
  if (fault !== null) return fault
  if (isUnavailable(e)) {
    const full = sqlState(e) === diskFull ? ': the disk of the database is full' : ''
    return new RekeyError('audit.unavailable', {
      detail: `Nothing is done without an audit record, and none can be written now${full}`,
      cause: e,
    })
  }
  if (sqlState(e) === rk.notAudited)
    return new Error('a guarded row was changed without an audit event', { cause: e })
  if (isOfRetiredKey(e)) return stoodStill(e)
  return e
}
