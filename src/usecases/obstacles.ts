// What is in the way of a key that does not rotate by itself: how it is told, and when the planner tries again.

import type { Key } from '#domain/key.ts'
import type { LedgerEvent, Obstacle } from '#domain/ports.ts'

const firstPauseMs = 60_000
const longestPauseMs = 3_600_000

/** A minute, then twice as long each time, up to an hour. */
export const pausedUntil = ({ tries }: Obstacle, now: Date): Date =>
  new Date(now.getTime() + Math.min(firstPauseMs * 2 ** Math.max(0, tries - 1), longestPauseMs))

/** The obstacle that is met at `now`: the one of before once more, where it is the same; `known` then. */
export const metAgain = (
  before: Obstacle | null,
  { kind, reason }: Pick<Obstacle, 'kind' | 'reason'>,
  now: Date,
): { readonly known: boolean; readonly obstacle: Obstacle } => {
  const same = before?.kind === kind && before.reason === reason ? before : null
  const { since, tries } = same ?? { since: now.toISOString(), tries: 0 }
  return { known: same !== null, obstacle: { kind, reason, since, tries: tries + 1 } }
}

/** Told once for each obstacle; sinks may choose it (domain/notice.ts). */
export const notRotating = (
  key: Pick<Key, 'id' | 'name' | 'policy' | 'owner'>,
  { reason }: Obstacle,
): LedgerEvent => ({
  action: 'key.notRotating',
  target: { id: key.id, name: key.name },
  outcome: 'failed',
  reason,
  after: { key: key.name, keyId: key.id, policy: key.policy, owner: key.owner },
})
