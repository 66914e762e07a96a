// Moments on the command line: RFC 3339, or a duration from now.

import { usage } from './failure.ts'

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Loading the server's schemas of durations and times takes longer than most commands. */
export const momentOf = (text: string, now: Date, option: string): Date => {
  const ms = durationOf(text)
  if (ms !== null) return new Date(now.getTime() + ms)
  const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.test(text)
  const moment = new Date(text)
  if (!rfc3339 || Number.isNaN(moment.getTime())) {
    throw usage(`${option} ${text} is not a moment`, {
      hint: 'write 2026-12-18T00:00:00Z, or a duration such as 2h, at most 3650d',
    })
  }
  return moment
}

/** The same, with durations counted back from now. */
export const momentBefore = (text: string, now: Date, option: string): Date => {
  const ms = durationOf(text)
  return ms === null ? momentOf(text, now, option) : new Date(now.getTime() - ms)
}

/** As in domain/duration.ts. */
const longestMs = 3650 * units.d

/** Milliseconds of `90s 15m 72h 90d`, or null; null too beyond ten years. */
export const durationOf = (text: string): number | null => {
  const [, count, unit] = /^(0|[1-9]\d{0,8})([smhd])$/.exec(text) ?? []
  if (count === undefined || !(unit === 's' || unit === 'm' || unit === 'h' || unit === 'd'))
    return null
  const ms = Number(count) * units[unit]
  return ms <= longestMs ? ms : null
}
