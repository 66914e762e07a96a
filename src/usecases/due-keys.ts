// Keys that the planner holds, with everything that it decides by, read at once for all of them.

import type { Policy } from '#domain/connection.ts'
import { isHeldBy } from '#domain/contain-key.ts'
import type { Key, Version } from '#domain/key.ts'
import { type ResolvedPolicy, resolveStored } from '#domain/policy.ts'
import type { KeySchedule, Tx } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'

export interface HeldKey {
  readonly row: KeySchedule
  readonly key: Key
  /** Null where none applies, or it is gone. */
  readonly guard: { readonly policy: Policy; readonly resolved: ResolvedPolicy } | null
  readonly primary: Version | null
  readonly open: Rotation | null
  /** The incident that it is in, and that has not come to rest or holds it. */
  readonly incident: string | null
  /** Its last two rotations were undone. */
  readonly brokenTwice: boolean
}

/** Those of the ids that still have a schedule. */
export const readHeld = async (tx: Tx, ids: readonly string[]): Promise<readonly HeldKey[]> => {
  // Most passes hold nothing, twice a second: nobody's policies are read for that.
  if (ids.length === 0) return []
  const rows = await tx.schedule.getMany(ids)
  const keys = byId(await tx.keys.byIds(ids), ({ id }) => id)
  const primaries = byId(await tx.versions.primaries(ids), ({ keyId }) => keyId)
  const open = byId(await tx.rotations.openOfKeys(ids), ({ keyId }) => keyId)
  const incidents = byId(
    (await tx.incidents.openOfKeys(ids)).filter(isHeldBy),
    ({ keyId }) => keyId,
  )
  const broken = new Set(await tx.rotations.brokenTwice(ids))
  const guards = byId(
    (await tx.policies.all()).map((policy) => ({ policy, resolved: resolveStored(policy) })),
    ({ policy }) => policy.name,
  )
  return rows.flatMap((row): readonly HeldKey[] => {
    const key = keys.get(row.keyId)
    if (!key) return []
    return [
      {
        row,
        key,
        guard: guards.get(key.policy ?? '') ?? null,
        primary: primaries.get(key.id) ?? null,
        open: open.get(key.id) ?? null,
        incident: incidents.get(key.id)?.incidentId ?? null,
        brokenTwice: broken.has(key.id),
      },
    ]
  })
}

const byId = <T>(rows: readonly T[], id: (row: T) => string): ReadonlyMap<string, T> =>
  new Map(rows.map((row) => [id(row), row]))
