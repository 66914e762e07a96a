// When a key is due next, as a row: what the planner reads by index instead of asking every policy about every key.

import { RekeyError } from '#domain/errors.ts'
import type { Key, Version } from '#domain/key.ts'
import type { ResolvedPolicy } from '#domain/policy.ts'
import type { KeySchedule, Obstacle } from '#domain/ports.ts'
import { nextDue, overdueAt } from '#domain/schedule.ts'

/**
 * The row of a key under the policy that applies to it (null: none). Recomputed whenever policy, key or activation change;
 * the planner asks again after it has taken, coalesced or skipped an occurrence (with `previous.lastOccurrence` set to it).
 *
 * Not due by itself: without a policy, disabled, without a primary version (before the first activation, in the gap of a
 * single slot, in an incident), and where the provider rotates by itself (`observe: native`), which still grows overdue.
 *
 * Never throws: what cannot be computed is an obstacle in the row, due at once, so that the planner finds it and tells.
 */
export const scheduleOf = (
  key: Pick<Key, 'id' | 'policySelectedAt' | 'observe'>,
  primary: Pick<Version, 'activatedAt'> | null,
  policy: ResolvedPolicy | null,
  previous: KeySchedule | null,
  now: Date,
): KeySchedule => {
  const activatedAt = primary?.activatedAt ?? null
  const late = policy && overdueAt(policy, { activatedAt })
  const obstacle = standingObstacle(previous, activatedAt)
  const row: KeySchedule = {
    keyId: key.id,
    dueAt: null,
    occurrence: null,
    nominal: null,
    trigger: null,
    // A new version has come since: whatever could not be read lies before it, and what lies before it is never made up for.
    lastOccurrence: isMended(previous, activatedAt) ? null : (previous?.lastOccurrence ?? null),
    overdueSince: stillOverdue(previous, activatedAt, late, now),
    overdueAt: late,
    obstacle,
  }
  if (policy?.unusable !== undefined)
    return unreadable(
      { ...row, ...agesOf(previous) },
      `its policy: ${policy.unusable}`,
      previous,
      now,
    )
  if (!policy?.enabled || !primary || key.observe === 'native') return row
  try {
    return dueRow(row, key, activatedAt, policy, previous, now)
  } catch (error) {
    const why = error instanceof RekeyError ? error.message : 'its schedule cannot be computed'
    return unreadable(row, why, previous, now)
  }
}

const dueRow = (
  row: KeySchedule,
  key: Pick<Key, 'id' | 'policySelectedAt'>,
  activatedAt: Date | null,
  policy: ResolvedPolicy,
  previous: KeySchedule | null,
  now: Date,
): KeySchedule => {
  const { lastOccurrence } = row
  // Asked for by `rotateOnEnable` and not taken yet: a change of the key in between does not make it be forgotten.
  if (
    previous?.occurrence?.startsWith('enable:') &&
    previous.occurrence !== lastOccurrence &&
    policy.rotateOnEnable
  ) {
    const { dueAt, occurrence, nominal, trigger } = previous
    return { ...row, dueAt, occurrence, nominal, trigger }
  }
  const selectedAt = key.policySelectedAt ?? now
  const due = nextDue(policy, { id: key.id, activatedAt, selectedAt }, { lastOccurrence, now })
  return due
    ? {
        ...row,
        dueAt: due.at,
        occurrence: due.occurrence,
        nominal: due.nominal,
        trigger: due.trigger,
      }
    : row
}

const unreadable = (
  row: KeySchedule,
  reason: string,
  previous: KeySchedule | null,
  now: Date,
): KeySchedule => {
  const known = previous?.obstacle
  const same = known?.kind === 'unreadable' && known.reason === reason
  return {
    ...row,
    dueAt: same ? (previous?.dueAt ?? now) : now,
    obstacle: same ? known : { kind: 'unreadable', reason, since: now.toISOString(), tries: 0 },
  }
}

/** Nobody can tell how old a key may be under a policy that cannot be read: what was told stays told. */
const agesOf = (previous: KeySchedule | null) => ({
  overdueAt: previous?.overdueAt ?? null,
  overdueSince: previous?.overdueSince ?? null,
})

const isMended = (previous: KeySchedule | null, activatedAt: Date | null): boolean =>
  previous?.obstacle?.kind === 'unreadable' && isSince(activatedAt, previous.obstacle)

const isSince = (activatedAt: Date | null, { since }: Obstacle): boolean =>
  activatedAt !== null && activatedAt > new Date(since)

/** Two that were undone stay so until a version is activated; what else was in the way is met again, if it is still there. */
const standingObstacle = (
  previous: KeySchedule | null,
  activatedAt: Date | null,
): Obstacle | null => {
  const known = previous?.obstacle ?? null
  return known?.kind === 'undone' && !isSince(activatedAt, known) ? known : null
}

/** Raised once a version and policy (I13): a younger version, or a policy that allows the age, ends it. A clock that is set
 *  back does not. */
const stillOverdue = (
  previous: KeySchedule | null,
  activatedAt: Date | null,
  late: Date | null,
  now: Date,
): Date | null => {
  const since = previous?.overdueSince ?? null
  if (since === null || late === null) return null
  if (activatedAt !== null && activatedAt > since) return null
  return late > now && !sameMoment(late, previous?.overdueAt ?? null) ? null : since
}

/** Whether two rows say the same, so that an unchanged one is not written again. */
export const sameSchedule = (a: KeySchedule, b: KeySchedule | null): boolean =>
  b !== null &&
  a.occurrence === b.occurrence &&
  a.lastOccurrence === b.lastOccurrence &&
  a.trigger === b.trigger &&
  sameMoment(a.dueAt, b.dueAt) &&
  sameMoment(a.nominal, b.nominal) &&
  sameMoment(a.overdueSince, b.overdueSince) &&
  sameMoment(a.overdueAt, b.overdueAt) &&
  sameObstacle(a.obstacle, b.obstacle)

const sameMoment = (a: Date | null, b: Date | null): boolean => a?.getTime() === b?.getTime()

const sameObstacle = (a: Obstacle | null, b: Obstacle | null): boolean =>
  a?.kind === b?.kind && a?.reason === b?.reason && a?.since === b?.since && a?.tries === b?.tries
