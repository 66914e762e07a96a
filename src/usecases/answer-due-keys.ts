// What becomes of keys that are due, in the planner's transaction, with the keys held.

import { isRekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import type { Ids, KeySchedule, LedgerEvent, Obstacle, Reads, Tx } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { type HeldKey, readHeld } from './due-keys.ts'
import { metAgain, notRotating, pausedUntil } from './obstacles.ts'
import { openRotation, type PlanDeps, planRotation } from './plan-rotation.ts'
import { scheduleOf } from './plan-schedule.ts'

export interface Answers {
  readonly events: readonly LedgerEvent[]
  /** Rows that are to be put off without an event. */
  readonly later: readonly Postponed[]
}

export interface Postponed {
  readonly keyId: string
  /** Of the row as it was read. */
  readonly dueAt: Date
  readonly obstacle: Obstacle
}

interface Deps extends PlanDeps {
  readonly ids: Ids
}

/** One key's part of the whole. */
interface Answer {
  readonly row?: KeySchedule
  readonly events?: readonly LedgerEvent[]
  readonly rotation?: Rotation
  readonly later?: Postponed
}

export const answerAll = async (
  deps: Deps,
  tx: Tx,
  ids: readonly string[],
  now: Date,
): Promise<Answers> => {
  const looked = (await readHeld(tx, ids)).map((held) => ({ held, look: lookAt(held, now) }))
  const taken = looked.flatMap(({ look }) => ('occurrence' in look ? [look] : []))
  const had = new Set(taken.length === 0 ? [] : await tx.rotations.answered(taken))
  const plan = planner(deps, tx, now)
  const answers: Answer[] = []
  for (const { held, look } of looked) {
    if (!('occurrence' in look)) answers.push(look)
    // oxlint-disable-next-line no-await-in-loop -- one connection
    else answers.push(await take(held, look, had.has(held.key.id), plan, now))
  }
  await tx.writeSchedule.putMany(answers.flatMap(({ row }) => row ?? []))
  const events: LedgerEvent[] = answers.flatMap((answer) => answer.events ?? [])
  for (const { rotation } of answers) {
    if (rotation) events.push(await openRotation(tx, rotation)) // oxlint-disable-line no-await-in-loop -- one connection
  }
  return { events, later: answers.flatMap(({ later }) => later ?? []) }
}

/** An occurrence whose time has come. */
interface Taken {
  readonly keyId: string
  readonly occurrence: string
  readonly due: KeySchedule
  /** The row after it. */
  readonly next: KeySchedule
}

/** The world may have moved since the row was written: what is due is computed again. */
const lookAt = ({ row, key, guard, primary }: HeldKey, now: Date): Answer | Taken => {
  // Somebody else took it before it was ours.
  if (row.dueAt === null || row.dueAt > now) return {}
  const resolved = key.deletedAt ? null : (guard?.resolved ?? null)
  const due = scheduleOf(key, primary, resolved, row, now)
  if (due.obstacle?.kind === 'unreadable') return unreadable(key, row, row.dueAt, due, now)
  const { occurrence } = due
  if (due.dueAt === null || due.dueAt > now || occurrence === null)
    return { row: due, events: [rescheduled(key, due)] }
  const next = scheduleOf(key, primary, resolved, { ...due, lastOccurrence: occurrence }, now)
  return { keyId: key.id, occurrence, due, next }
}

const unreadable = (
  key: Key,
  row: KeySchedule,
  dueAt: Date,
  { obstacle, ...due }: KeySchedule,
  now: Date,
): Answer => {
  if (!obstacle) return {}
  const met = { ...obstacle, tries: obstacle.tries + 1 }
  // Known and told: only the time of the next try changes, which is no event.
  if (obstacle.tries > 0 && row.obstacle?.reason === obstacle.reason)
    return { later: { keyId: key.id, dueAt, obstacle: met } }
  const put = { ...due, dueAt: pausedUntil(met, now), obstacle: met }
  return { row: put, events: [notRotating(key, met)] }
}

type Plan = (held: HeldKey, due: KeySchedule) => Promise<Rotation>

const planner = (deps: Deps, tx: Tx, now: Date): Plan => {
  // Every key that asks for acknowledgements would read them all again.
  let consumers: ReturnType<Reads['consumers']['all']> | null = null
  const all = () => (consumers ??= tx.consumers.all())
  let floors: ReturnType<Tx['floors']['get']> | undefined
  const get = () => (floors ??= tx.floors.get())
  return async ({ key, guard, primary }, due) =>
    planRotation(
      deps,
      { consumers: { all }, floors: { get }, versions: tx.versions },
      {
        key,
        policy: guard?.policy ?? null,
        from: primary,
        trigger: due.trigger ?? 'schedule',
        reason: `due by ${due.occurrence}`,
        requester: guard?.policy.author ?? { id: 'system', name: 'scheduler' },
        occurrence: due.occurrence,
        nominal: due.nominal,
      },
      deps.ids.next(),
      now,
    )
}

const take = async (
  held: HeldKey,
  { occurrence, due, next }: Taken,
  hadRotation: boolean,
  plan: Plan,
  now: Date,
): Promise<Answer> => {
  const { key, open, incident } = held
  if (open || hadRotation || incident !== null) {
    const met = open
      ? `met the open rotation ${open.id}`
      : incident !== null
        ? `it is held by incident ${incident}`
        : 'it had its rotation already'
    return { row: next, events: [about(key, 'rotation.coalesced', occurrence, met)] }
  }
  if (held.brokenTwice) {
    const reason = 'the last two rotations were undone; a person starts the next'
    // No occurrence any more: the activation of a version brings them back.
    const quiet = { ...next, dueAt: null, occurrence: null, nominal: null, trigger: null }
    return skipped(held, quiet, { kind: 'undone', reason }, occurrence, now)
  }
  try {
    return { row: { ...next, obstacle: null }, rotation: await plan(held, due) }
  } catch (error) {
    // What a rule says is told; what a fault says is not: it may hold what was read.
    const isRule = isRekeyError(error) && error.status < 500
    const reason = isRule ? error.message : 'its plan cannot be made'
    return skipped(held, next, { kind: 'impossible', reason }, occurrence, now)
  }
}

const skipped = (
  { row, key }: HeldKey,
  next: KeySchedule,
  met: Pick<Obstacle, 'kind' | 'reason'>,
  occurrence: string,
  now: Date,
): Answer => {
  const { known, obstacle } = metAgain(row.obstacle, met, now)
  const event = about(key, 'rotation.occurrenceSkipped', occurrence, met.reason)
  return {
    row: { ...next, obstacle },
    events: known ? [event] : [event, notRotating(key, obstacle)],
  }
}

const about = (
  key: Pick<Key, 'id' | 'name' | 'policy'>,
  action: 'rotation.coalesced' | 'rotation.occurrenceSkipped' | 'key.rescheduled',
  occurrence: string | null,
  reason: string,
): LedgerEvent => ({
  action,
  target: { id: key.id, name: key.name },
  outcome: 'succeeded',
  reason,
  after: { key: key.name, keyId: key.id, policy: key.policy, occurrence },
})

export const rescheduled = (
  key: Pick<Key, 'id' | 'name' | 'policy'>,
  row: KeySchedule,
): LedgerEvent =>
  about(key, 'key.rescheduled', row.occurrence, `due at ${row.dueAt?.toISOString() ?? 'no time'}`)
