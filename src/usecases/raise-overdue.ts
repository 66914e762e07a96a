// Keys older than their policies allow: set and told once (I13), until a rotation gives the key a new version or a policy
// allows the age, as one that is disabled does. In the planner's transaction, with the keys held.

import type { Key } from '#domain/key.ts'
import type { KeySchedule, LedgerEvent, Tx } from '#domain/ports.ts'
import { rescheduled } from './answer-due-keys.ts'
import { readHeld } from './due-keys.ts'
import { scheduleOf } from './plan-schedule.ts'

export const raiseOverdue = async (
  tx: Tx,
  ids: readonly string[],
  now: Date,
): Promise<{ readonly events: readonly LedgerEvent[] }> => {
  const rows: KeySchedule[] = []
  const events: LedgerEvent[] = []
  for (const { row, key, guard, primary } of await readHeld(tx, ids)) {
    // Somebody else told it before the key was ours.
    if (row.overdueSince || row.overdueAt === null || row.overdueAt > now) continue
    const resolved = key.deletedAt ? null : (guard?.resolved ?? null)
    const fresh = scheduleOf(key, primary, resolved, row, now)
    const since = fresh.overdueAt
    if (since === null || since > now) {
      rows.push(fresh)
      events.push(rescheduled(key, fresh))
    } else {
      rows.push({ ...fresh, overdueSince: since })
      events.push(overdue(key, since))
    }
  }
  await tx.writeSchedule.putMany(rows)
  return { events }
}

const overdue = (key: Key, since: Date): LedgerEvent => ({
  action: 'key.overdue',
  target: { id: key.id, name: key.name },
  outcome: 'failed',
  reason: `older than its policy ${key.policy} allows, since ${since.toISOString()}`,
  after: {
    key: key.name,
    keyId: key.id,
    policy: key.policy,
    owner: key.owner,
    overdueSince: since.toISOString(),
  },
})
