// Writes the schedule row of one key anew: its policy, its own row or the activation of its primary has changed.

import { resolveStored } from '#domain/policy.ts'
import type { Tx } from '#domain/ports.ts'
import { sameSchedule, scheduleOf } from './plan-schedule.ts'

export const reschedule = async (tx: Tx, keyId: string): Promise<void> => {
  // Read while it is held: the planner, or a write of its policy, may be at it.
  await tx.holdKeys([keyId])
  const key = await tx.keys.byId(keyId)
  if (!key || key.deletedAt) return
  const policy = key.policy === null ? null : await tx.policies.get(key.policy)
  const [primary, previous] = [await tx.versions.primary(keyId), await tx.schedule.get(keyId)]
  const resolved = policy && resolveStored(policy)
  const row = scheduleOf(key, primary, resolved, previous, await tx.now())
  if (!sameSchedule(row, previous)) await tx.writeSchedule.put(row)
}
