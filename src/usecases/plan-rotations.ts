// The planner: opens a rotation for every key that is due, raises overdue once, and writes down when each is due next.
// It runs in every worker once a second, in any number of them at once: each pass holds the keys that it decides about and
// skips those that somebody else holds. Everything that it decides by is read while it holds them.
//
// What an occurrence can become, exactly one of: a rotation, coalesced (one is open, or it had one already), skipped (two in a
// row ended in undo, or the type or policy forbids it), or nothing because the key or policy changed meanwhile.
//
// A key that cannot be planned holds up no other: the others of its batch go on without it. It is told once, its status says
// why, and it is tried again, later and later. A crash in between leaves the row as it was: the next pass finds it due.

import { systemActor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Ids, Ledger, LedgerEvent, Outcome, Timers, Tx } from '#domain/ports.ts'
import { type Answers, answerAll, type Postponed } from './answer-due-keys.ts'
import { raiseOverdue } from './raise-overdue.ts'
import { raiseUnreviewed } from './raise-unreviewed.ts'
import { metAgain, notRotating, pausedUntil } from './obstacles.ts'
import type { PlanDeps } from './plan-rotation.ts'

export interface PlannerDeps extends PlanDeps {
  readonly ledger: Ledger
  readonly timers: Timers
  readonly ids: Ids
}

/** Keys a transaction: one commit for many when a fleet is due at once, small enough to fail alone. */
const batchSize = 50

export const makePlanRotations =
  (deps: PlannerDeps, instance: string) =>
  /** One pass. Returns how many keys were looked at; 0 means that nothing is due. Throws, after all others were reached, what
   *  kept a key from being written. */
  async (): Promise<number> => {
    if (await deps.ledger.read((db) => db.recovery.open())) return 0
    const run = { deps, actor: systemActor('scheduler', instance), now: await deps.timers.now() }
    const due = await passOver(run, (tx) => tx.writeSchedule.holdDue(run.now, batchSize))
    const overdue = await commit(run, async (tx) => {
      const ids = await tx.writeSchedule.holdOverdue(run.now, batchSize)
      return { held: ids, later: [], ...(await raiseOverdue(tx, ids, run.now)) }
    })
    await raiseUnreviewed(deps.ledger, run.actor, run.now)
    return due + overdue.held.length
  }

interface Run {
  readonly deps: PlannerDeps
  readonly actor: ReturnType<typeof systemActor>
  readonly now: Date
}

/** All in one transaction; if that is refused, each on its own. */
const passOver = async (
  run: Run,
  hold: (tx: Tx) => Promise<readonly string[]>,
): Promise<number> => {
  let held: readonly string[] = []
  const answer = (ids: (tx: Tx) => Promise<readonly string[]>) =>
    commit(run, async (tx) => {
      held = await ids(tx)
      return { held, ...(await answerAll(run.deps, tx, held, run.now)) }
    })
  try {
    await putOff(run, (await answer(hold)).later)
    return held.length
  } catch (error) {
    if (isDown(error)) throw error
  }
  const ids = held
  const failures: unknown[] = []
  for (const id of ids) {
    const alone = async (tx: Tx): Promise<readonly string[]> => {
      await tx.holdKeys([id])
      return [id]
    }
    // oxlint-disable no-await-in-loop -- one after the other: the point is that one fails alone
    try {
      await putOff(run, (await answer(alone)).later)
    } catch (error) {
      if (isDown(error)) throw error
      failures.push(error)
      await setAside(run, id, error)
    }
    // oxlint-enable no-await-in-loop
  }
  if (failures.length > 0) throw failures[0]
  return ids.length
}

/** Nothing can be written at all, or nothing may begin: this is about no key. */
const isDown = (error: unknown): boolean =>
  error instanceof RekeyError && (error.status === 503 || error.code === 'recovery.active')

interface Pass extends Answers {
  readonly held: readonly string[]
}
class NothingToTell extends Error {}

/** Without an event nothing was written that needs one, and the transaction is given up. */
const commit = async (run: Run, work: (tx: Tx) => Promise<Pass>): Promise<Pass> => {
  let pass: Pass | null = null
  try {
    await run.deps.ledger.commit(run.actor, async (tx): Promise<Outcome<null>> => {
      pass = null
      const done = await work(tx)
      pass = done
      const [first, ...others]: readonly LedgerEvent[] = done.events
      if (!first) throw new NothingToTell()
      // Nothing is rung for here: what was opened is due, and waits for its turn (worker.ts).
      return { value: null, audit: [first, ...others] }
    })
  } catch (error) {
    if (!(error instanceof NothingToTell)) throw error
  }
  return pass ?? { held: [], events: [], later: [] }
}

/** Known obstacles, met again: a later due time is no event. */
const putOff = async ({ deps, now }: Run, later: readonly Postponed[]): Promise<void> => {
  for (const { keyId, dueAt, obstacle } of later) {
    const until = { dueAt: pausedUntil(obstacle, now), obstacle }
    await deps.timers.postpone({ keyId, dueAt }, until) // oxlint-disable-line no-await-in-loop -- few
  }
}

/** The database refused what was planned for this key. No text of it is told: it may hold what was written. */
const setAside = async (run: Run, keyId: string, error: unknown): Promise<void> => {
  const { ledger } = run.deps
  const { row, key } = await ledger.read(async (db) => ({
    row: await db.schedule.get(keyId),
    key: await db.keys.byId(keyId),
  }))
  if (!row?.dueAt || row.dueAt > run.now || !key) return
  const kind = error instanceof Error ? error.name : typeof error
  const reason = `its rotation could not be written (${kind})`
  const { known, obstacle } = metAgain(row.obstacle, { kind: 'unreadable', reason }, run.now)
  if (!known) await ledger.note(run.actor, notRotating(key, obstacle))
  await putOff(run, [{ keyId, dueAt: row.dueAt, obstacle }])
}
