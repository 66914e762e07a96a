// When a key is due. 3-domain.md, "maxAge" and "Time", in one pure function that may be asked as often and with as wild a
// clock as you like: what it answers depends on the policy, the key, the last occurrence that was taken, and `now`.
//
// By schedule: the occurrences of the cron line that begin after the key was selected and after its primary version was
// activated (a later activation, by whatever trigger, has done their work). The last one that has begun is due at once, or
// with a window while that is open; older ones are never made up for. A window that was missed is made up for in the next
// one, which is the next occurrence: one rotation serves both.
//
// By age: once, up to a tenth before activation + maxAge; if that rotation is cancelled or rolled back, again a tenth later
// (at most a day), not at once and not never.
//
// All occurrences of a key have a place on one line of time. Only what lies beyond the last one taken is answered, so no
// jump of the clock, restart or change of zone data yields an occurrence twice (I12).

import { unitHash } from './hash.ts'
import { jittered } from './jitter.ts'
import {
  ageOccurrence,
  isBeyond,
  occurrenceAfter,
  occurrencesAround,
  positionOf,
  type Occurrence,
  type Position,
} from './occurrences.ts'
import type { ResolvedPolicy, ResolvedSchedule } from './policy.ts'
import { windowsAt } from './windows.ts'

export interface ScheduledKey {
  readonly id: string
  /** Of the primary version; null before the first one. */
  readonly activatedAt: Date | null
  /** When this schedule first selected the key: the later of the policy's selection, its enabling and the last change of its
   *  `schedule` or `maxAge`. Nothing before it is made up for, so that enabling or editing never rotates at once. */
  readonly selectedAt: Date
}

export interface Due {
  /** With jitter. In the past: due now. */
  readonly at: Date
  readonly occurrence: string
  readonly nominal: Date
  readonly trigger: 'schedule' | 'maxAge'
  readonly windowEnd: Date | null
}

const day = 86_400_000
/** How late a rotation without a window may begin before `missed: skip` calls it missed. */
const lateness = 15 * 60_000

/** Null: not by itself. Ask again when the time has come, not only before: after an outage the answer is a later occurrence. */
export const nextDue = (
  policy: ResolvedPolicy,
  key: ScheduledKey,
  after: { readonly lastOccurrence: string | null; readonly now: Date },
): Due | null => {
  if (!policy.enabled) return null
  const taken = after.lastOccurrence === null ? null : positionOf(after.lastOccurrence)
  const now = after.now.getTime()
  const timed = byTime(policy, key, taken, now)
  return first(timed, byAge(policy, key, taken, now, timed), now)
}

/** When the key becomes older than its policy allows; null where no `maxAge` says so. It stays so until the next activation. */
export const overdueAt = (
  policy: Pick<ResolvedPolicy, 'enabled' | 'maxAgeMs'>,
  key: Pick<ScheduledKey, 'activatedAt'>,
): Date | null =>
  !policy.enabled || policy.maxAgeMs === null || key.activatedAt === null
    ? null
    : new Date(key.activatedAt.getTime() + policy.maxAgeMs)

export const isOverdue = (
  policy: Pick<ResolvedPolicy, 'enabled' | 'maxAgeMs'>,
  key: Pick<ScheduledKey, 'activatedAt'>,
  now: Date,
): boolean => {
  const at = overdueAt(policy, key)
  return at !== null && at <= now
}

const byTime = (
  policy: ResolvedPolicy,
  key: ScheduledKey,
  taken: Position | null,
  now: number,
): Due | null => {
  const { schedule } = policy
  if (schedule === null) return null
  const { cron, timezone } = schedule
  const since = Math.max(key.selectedAt.getTime(), key.activatedAt?.getTime() ?? -Infinity)
  const isOpen = (o: Occurrence) => o.at > since && isBeyond(o, timezone, taken)

  const { previous, next, afterNext } = occurrencesAround(cron, timezone, now)
  if (previous !== null && isOpen(previous)) {
    const due = toDue(schedule, key.id, previous, next)
    if (!isMissed(schedule, due, now)) return due
  }
  if (next === null) return null
  if (isOpen(next)) return toDue(schedule, key.id, next, afterNext)
  // The clock stands before what was already taken, or before the key was selected.
  let later = occurrenceAfter(cron, timezone, Math.max(now, since, taken?.at() ?? -Infinity))
  while (later !== null && !isOpen(later)) later = occurrenceAfter(cron, timezone, later.at)
  return later === null
    ? null
    : toDue(schedule, key.id, later, occurrenceAfter(cron, timezone, later.at))
}

const isMissed = (schedule: ResolvedSchedule, due: Due, now: number): boolean =>
  due.windowEnd === null
    ? schedule.missed === 'skip' && now > due.at.getTime() + lateness
    : now >= due.windowEnd.getTime()

const toDue = (
  schedule: ResolvedSchedule,
  keyId: string,
  at: Occurrence,
  following: Occurrence | null,
): Due => {
  const end = Math.min(at.at + (schedule.windowMs ?? Infinity), following?.at ?? Infinity)
  return {
    at: new Date(jittered(schedule.jitterMs, keyId, at, end)),
    occurrence: at.id,
    nominal: new Date(at.at),
    trigger: 'schedule',
    windowEnd: schedule.windowMs === null ? null : new Date(end),
  }
}

const byAge = (
  policy: ResolvedPolicy,
  key: ScheduledKey,
  taken: Position | null,
  now: number,
  timed: Due | null,
): Due | null => {
  const { maxAgeMs, schedule } = policy
  if (maxAgeMs === null || key.activatedAt === null) return null
  const nominal = nextNominal(maxAgeMs, key.activatedAt, key, taken?.at() ?? -Infinity, now)
  const due = {
    occurrence: ageOccurrence(key.activatedAt, new Date(nominal)),
    nominal: new Date(nominal),
    trigger: 'maxAge' as const,
  }
  if (schedule === null || schedule.windowMs === null)
    return { ...due, at: new Date(nominal), windowEnd: null }
  // Not before the schedule's, so it does not matter in which window; for most keys of most policies.
  if (timed !== null && nominal > now && nominal >= timed.at.getTime()) return null

  const { open, next } = windowsAt(schedule, schedule.windowMs, Math.max(nominal, now))
  const window = open !== null && open.opens > key.selectedAt.getTime() ? open : next
  if (window === null) return null
  // The same moment as the schedule's own: where both are due in one window they are one rotation.
  const at = jittered(schedule.jitterMs, key.id, window.occurrence, window.closes)
  return { ...due, at: new Date(Math.max(nominal, at)), windowEnd: new Date(window.closes) }
}

/** The one that was taken led to no new version where it is still this activation's: the next follows at a distance. Of those
 *  whose time has passed, the last. */
const nextNominal = (
  maxAgeMs: number,
  activatedAt: Date,
  key: ScheduledKey,
  taken: number,
  now: number,
): number => {
  const once = firstNominal(maxAgeMs, activatedAt, key)
  const step = Math.min(Math.max(maxAgeMs / 10, 1000), day)
  const beyond = taken < once ? 0 : Math.floor((taken - once) / step) + 1
  return once + step * Math.max(beyond, Math.floor((now - once) / step))
}

const firstNominal = (maxAgeMs: number, activatedAt: Date, key: ScheduledKey): number => {
  const u = unitHash(key.id, `maxAge:${activatedAt.toISOString()}`)
  const limit = activatedAt.getTime() + maxAgeMs
  const planned = limit - Math.floor((u * maxAgeMs) / 10)
  const selected = key.selectedAt.getTime()
  if (planned > selected) return planned
  // Too old, or nearly, when it was selected: many keys are selected at once, so they are spread again.
  const room = limit > selected ? limit - selected : maxAgeMs
  return selected + Math.floor(u * Math.min(day, room))
}

/** Whichever comes first. Of two that are both due the later one, since taking it leaves nothing behind it to be made up for. */
const first = (a: Due | null, b: Due | null, now: number): Due | null => {
  if (a === null || b === null) return a ?? b
  if (a.at.getTime() <= now && b.at.getTime() <= now) return b.nominal > a.nominal ? b : a
  return b.at < a.at ? b : a
}
