// When a key is due next, as a row: what the planner reads by index instead of asking every policy about every key.

import type { Key, Version } from '#domain/key.ts'
import type { ResolvedPolicy } from '#domain/policy.ts'
import type { KeySchedule } from '#domain/ports.ts'
import { nextDue, overdueAt } from '#domain/schedule.ts'

/**
 * The row of a key under the policy that applies to it (null: none). Recomputed whenever policy, key or activation change;
 * the planner asks again after it has taken, coalesced or skipped an occurrence (with `previous.lastOccurrence` set to it).
 *
 * Not due by itself: without a policy, disabled, without a primary version (before the first activation, in the gap of a
 * single slot, in an incident), and where the provider rotates by itself (`observe: native`), which still grows overdue.
 */
export const scheduleOf = (
  key: Pick<Key, 'id' | 'policySelectedAt' | 'observe'>,
  primary: Pick<Version, 'activatedAt'> | null,
  policy: ResolvedPolicy | null,
  previous: KeySchedule | null,
  now: Date,
): KeySchedule => {
  const lastOccurrence = previous?.lastOccurrence ?? null
  const activatedAt = primary?.activatedAt ?? null
  const late = policy && overdueAt(policy, { activatedAt })
  const row: KeySchedule = {
    keyId: key.id,
    dueAt: null,
    occurrence: null,
    nominal: null,
    trigger: null,
    lastOccurrence,
    overdueSince: stillOverdue(previous, activatedAt, late, now),
    overdueAt: late,
  }
  if (!policy?.enabled || !primary || key.observe === 'native') return row
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

/** Raised once a version and policy (I13): a younger version, or a policy that allows the age, ends it. */
const stillOverdue = (
  previous: KeySchedule | null,
  activatedAt: Date | null,
  late: Date | null,
  now: Date,
): Date | null => {
  const since = previous?.overdueSince ?? null
  const rotated = since !== null && activatedAt !== null && activatedAt > since
  return since === null || rotated || late === null || late > now ? null : since
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
  sameMoment(a.overdueAt, b.overdueAt)

const sameMoment = (a: Date | null, b: Date | null): boolean => a?.getTime() === b?.getTime()
