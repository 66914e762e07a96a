// The planner: opens a rotation for every key that is due, raises overdue once, and writes down when each is due next.
// It runs in every worker once a second. Two planners may see the same due key: the occurrence is unique per key and the
// open rotation is unique too, so the slower one's transaction is refused and it goes on with the next key.
//
// What an occurrence can become, exactly one of: a rotation, coalesced (one is open already), skipped (two in a row ended
// in undo: a person starts the next), or nothing because the key or policy changed meanwhile.

import { systemActor } from '#domain/actor.ts'
import { isRekeyError } from '#domain/errors.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Policy } from '#domain/connection.ts'
import type { Ids, KeySchedule, Ledger, LedgerEvent, Outcome, Timers, Tx } from '#domain/ports.ts'
import { resolvePolicy } from '#domain/policy.ts'
import { openRotation, type PlanDeps, planRotation } from './plan-rotation.ts'
import { scheduleOf } from './plan-schedule.ts'

export interface PlannerDeps extends PlanDeps {
  readonly ledger: Ledger
  readonly timers: Timers
  readonly ids: Ids
}

/** Keys a transaction: one commit for many when a fleet is due at once, small enough to fail alone. */
const batchSize = 50

export const makePlanRotations =
  (deps: PlannerDeps, instance: string) =>
  /** One pass. Returns how many keys were looked at; 0 means that nothing is due. */
  async (): Promise<number> => {
    if (await deps.ledger.read((db) => db.recovery.open())) return 0
    const now = await deps.timers.now()
    const due = await deps.ledger.read((db) => db.schedule.due(now, batchSize))
    await decide(deps, instance, due, now)
    const overdue = await deps.ledger.read((db) => db.schedule.becomingOverdue(now, batchSize))
    for (const row of overdue) await raiseOverdue(deps, instance, row)
    return due.length + overdue.length
  }

/** All in one transaction; if that is refused, each on its own, so that one bad key holds up no other. */
const decide = async (
  deps: PlannerDeps,
  instance: string,
  due: readonly KeySchedule[],
  now: Date,
): Promise<void> => {
  if (due.length === 0) return
  const actor = systemActor('scheduler', instance)
  try {
    await deps.ledger.commit(actor, (tx) => takeAll(deps, tx, due, now))
  } catch (error) {
    if (error instanceof NothingDue) return
    if (due.length > 1) {
      for (const row of due) await decide(deps, instance, [row], now)
      return
    }
    // Another planner took it, or the key changed under us: the next pass sees what is there.
    if (!isRekeyError(error, 'rotation.inProgress') && !isRekeyError(error, 'resource.exists'))
      throw error
  }
}
class NothingDue extends Error {}

const takeAll = async (
  deps: PlannerDeps,
  tx: Tx,
  due: readonly KeySchedule[],
  now: Date,
): Promise<Outcome<null>> => {
  const keys = new Map(
    (await tx.keys.byIds(due.map((row) => row.keyId))).map((key) => [key.id, key]),
  )
  const primaries = new Map(
    (await tx.versions.primaries([...keys.keys()])).map((version) => [version.keyId, version]),
  )
  const policies = new Map((await tx.policies.all()).map((policy) => [policy.name, policy]))
  const events: LedgerEvent[] = []
  const wake: string[] = []
  for (const row of due) {
    const key = keys.get(row.keyId)
    const policy = key?.policy ? policies.get(key.policy) : undefined
    if (!key || key.deletedAt || !policy) {
      const quiet = { ...row, dueAt: null, occurrence: null, nominal: null, trigger: null }
      await tx.writeSchedule.put(quiet)
      events.push(rescheduled(key ?? { id: row.keyId, name: row.keyId, policy: null }, quiet))
      continue
    }
    const taken = await take(deps, tx, {
      row,
      key,
      policy,
      primary: primaries.get(key.id) ?? null,
      now,
    })
    events.push(...taken.events)
    if (taken.rotationId) wake.push(taken.rotationId)
  }
  const [first, ...others] = events
  if (!first) throw new NothingDue()
  return { value: null, audit: [first, ...others], wake }
}

interface DueKey {
  readonly row: KeySchedule
  readonly key: Key
  readonly policy: Policy
  readonly primary: Version | null
  readonly now: Date
}

const take = async (
  deps: PlannerDeps,
  tx: Tx,
  { row, key, policy, primary, now }: DueKey,
): Promise<{ readonly events: readonly LedgerEvent[]; readonly rotationId?: string }> => {
  const resolved = resolvePolicy(policy.spec)
  // The world may have moved since the row was written: what is due is computed again.
  const fresh = scheduleOf(key, primary, resolved, row, now)
  if (fresh.dueAt === null || fresh.dueAt > now || fresh.occurrence === null) {
    await tx.writeSchedule.put(fresh)
    return { events: [rescheduled(key, fresh)] }
  }
  const taken = scheduleOf(
    key,
    primary,
    resolved,
    { ...fresh, lastOccurrence: fresh.occurrence },
    now,
  )
  await tx.writeSchedule.put(taken)
  const open = await tx.rotations.openOf(key.id)
  if (open) {
    return {
      events: [
        about(key, 'rotation.coalesced', fresh.occurrence, `met the open rotation ${open.id}`),
      ],
    }
  }
  const ended = await tx.rotations.ended(key.id, 2)
  if (
    ended.length === 2 &&
    ended.every(({ phase }) => phase === 'rolledBack' || phase === 'abandoned')
  ) {
    return {
      events: [
        about(
          key,
          'rotation.occurrenceSkipped',
          fresh.occurrence,
          'the last two rotations were undone; a person starts the next',
        ),
      ],
    }
  }
  try {
    const rotation = await planRotation(
      deps,
      tx,
      {
        key,
        policy,
        from: primary,
        trigger: fresh.trigger ?? 'schedule',
        reason: `due by ${fresh.occurrence}`,
        requester: policy.author,
        occurrence: fresh.occurrence,
        nominal: fresh.nominal,
      },
      deps.ids.next(),
      now,
    )
    return { events: [await openRotation(tx, rotation)], rotationId: rotation.id }
  } catch (error) {
    if (!isRekeyError(error, 'request.impossible')) throw error
    return { events: [about(key, 'rotation.occurrenceSkipped', fresh.occurrence, error.message)] }
  }
}

/** Set and told once, until a rotation gives the key a new version. */
const raiseOverdue = async (
  deps: PlannerDeps,
  instance: string,
  row: KeySchedule,
): Promise<void> => {
  await deps.ledger
    .commit(systemActor('scheduler', instance), async (tx) => {
      await tx.lock(`overdue:${row.keyId}`)
      const [current, key] = [await tx.schedule.get(row.keyId), await tx.keys.byId(row.keyId)]
      if (!current || current.overdueSince || !key) throw new NothingDue()
      const since = current.overdueAt ?? (await tx.now())
      await tx.writeSchedule.put({ ...current, overdueSince: since })
      return {
        value: null,
        audit: [
          {
            action: 'key.overdue' as const,
            target: { id: key.id, name: key.name },
            outcome: 'failed' as const,
            reason: `older than its policy ${key.policy} allows, since ${since.toISOString()}`,
            after: {
              key: key.name,
              keyId: key.id,
              policy: key.policy,
              owner: key.owner,
              overdueSince: since.toISOString(),
            },
          },
        ],
      }
    })
    .catch((error: unknown) => {
      if (!(error instanceof NothingDue)) throw error
    })
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

const rescheduled = (key: Pick<Key, 'id' | 'name' | 'policy'>, row: KeySchedule): LedgerEvent =>
  about(key, 'key.rescheduled', row.occurrence, `due at ${row.dueAt?.toISOString() ?? 'no time'}`)
