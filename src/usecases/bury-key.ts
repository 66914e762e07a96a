// A key becomes a tombstone: its record stays with its history, no policy applies to it, and its name and object are free.

import type { Key } from '#domain/key.ts'
import type { Tx } from '#domain/ports.ts'
import { mustHold } from './written.ts'

export const buryKey = async (tx: Tx, key: Key, now: Date): Promise<void> => {
  const gone: Key = {
    ...key,
    policy: null,
    policySelectedAt: null,
    deletedAt: now,
    updatedAt: now,
    revision: key.revision + 1,
  }
  mustHold(await tx.writeKey.update(gone, key.revision))
  await tx.writeSchedule.delete(key.id)
}
