// When a policy lets its rotations run: the windows of its schedule, and what closes them (blackouts, a pause).

import { occurrencesAround, type Occurrence } from './occurrences.ts'
import type { ResolvedBlackout, ResolvedPolicy, ResolvedSchedule } from './policy.ts'

export interface Window {
  readonly opens: number
  /** Exclusive. A window ends at the latest where the next one opens. */
  readonly closes: number
  readonly occurrence: Occurrence
}

/** The window that is open at an instant, if one is, and the one that opens next. */
export const windowsAt = (
  schedule: ResolvedSchedule,
  windowMs: number,
  instant: number,
): { readonly open: Window | null; readonly next: Window | null } => {
  const { previous, next, afterNext } = occurrencesAround(schedule.cron, schedule.timezone, instant)
  const last = toWindow(previous, next, windowMs)
  return {
    open: last !== null && instant < last.closes ? last : null,
    next: toWindow(next, afterNext, windowMs),
  }
}

export type Opening =
  | { readonly open: true; readonly until: Date | null }
  | { readonly open: false; readonly opensAt: Date | null }

/** Whether a rotation that is due at `nominal` (null: it has no nominal time) may begin now. Without a window it may from its
 *  nominal time on. Rotations by hand and in incidents need no window: their callers do not ask. */
export const inWindow = (
  policy: Pick<ResolvedPolicy, 'schedule'>,
  nominal: Date | null,
  now: Date,
): Opening => {
  const earliest = Math.max(nominal?.getTime() ?? 0, now.getTime())
  const early = earliest > now.getTime()
  const windowMs = policy.schedule?.windowMs ?? null
  if (policy.schedule === null || windowMs === null) {
    return early ? { open: false, opensAt: new Date(earliest) } : { open: true, until: null }
  }
  const { open, next } = windowsAt(policy.schedule, windowMs, earliest)
  if (open !== null) {
    return early
      ? { open: false, opensAt: new Date(earliest) }
      : { open: true, until: new Date(open.closes) }
  }
  return { open: false, opensAt: next === null ? null : new Date(next.opens) }
}

export interface Closed {
  readonly name: string
  readonly until: Date
}

/** The blackout that holds now and, of several, ends last. One that began before `now` and still lasts counts. */
export const blackoutAt = (policy: Pick<ResolvedPolicy, 'blackouts'>, now: Date): Closed | null => {
  let latest: Closed | null = null
  for (const blackout of policy.blackouts) {
    const until = endOf(blackout, now.getTime())
    if (until !== null && (latest === null || until > latest.until.getTime())) {
      latest = { name: blackout.name, until: new Date(until) }
    }
  }
  return latest
}

/** The pause that holds now. */
export const pauseAt = (
  policy: Pick<ResolvedPolicy, 'pause'>,
  now: Date,
): { readonly until: Date; readonly reason: string } | null => {
  if (policy.pause === null) return null
  const until = new Date(policy.pause.until)
  return now < until ? { until, reason: policy.pause.reason } : null
}

/** Null where the blackout does not hold at the instant. Begin counts, end does not. */
const endOf = (blackout: ResolvedBlackout, instant: number): number | null => {
  if ('from' in blackout) {
    const to = Date.parse(blackout.to)
    return Date.parse(blackout.from) <= instant && instant < to ? to : null
  }
  const { previous } = occurrencesAround(blackout.cron, blackout.timezone, instant)
  // The last to begin is the last to end: they are all equally long.
  return previous !== null && instant < previous.at + blackout.durationMs
    ? previous.at + blackout.durationMs
    : null
}

const toWindow = (
  at: Occurrence | null,
  following: Occurrence | null,
  windowMs: number,
): Window | null =>
  at === null
    ? null
    : {
        opens: at.at,
        closes: Math.min(at.at + windowMs, following?.at ?? Infinity),
        occurrence: at,
      }
