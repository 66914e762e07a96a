// The dialect of cron: five fields, names, `L` (last day of the month; `FRIL`: last Friday), and for the two day fields the
// rule of crontab(5): when both are restricted, a day that fits either; when one begins with `*`, a day that fits both.
//
// Lines are evaluated on the wall-clock timeline (zone.ts), not in a zone: croner's own rule for summer time tells fixed-time
// from interval lines and lets the latter run twice in autumn, while ours is one for all (3-domain.md, "Time").

import { Cron } from 'croner'

/** croner knows more: W, # and + would be a second dialect that no crontab reads; ? and @daily have a plain spelling. */
const allowed = /^[0-9A-Z*,/-]+$/
const months = 'JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC'
const days = 'SUN|MON|TUE|WED|THU|FRI|SAT'
const letters = [
  /^$/,
  /^$/,
  /^L$/,
  new RegExp(`^(?:${months})$`),
  new RegExp(`^(?:L|(?:${days})L?)$`),
]
const fieldNames = ['minute', 'hour', 'day of month', 'month', 'day of week']

export interface CronLine {
  /** The first wall time after `wall`, and the last one at or before it; null where there is none. */
  readonly after: (wall: number) => number | null
  readonly atOrBefore: (wall: number) => number | null
}

/** What is wrong with the line, or null. */
export const cronFault = (line: string): string | null => {
  const fields = fieldsOf(line)
  if (fields.length !== 5) return `five fields are needed, not ${fields.length}`
  const bad = fields.findIndex((field, i) => !isReadable(field, i))
  return bad === -1
    ? null
    : `the ${fieldNames[bad]}, ${JSON.stringify(fields[bad])}, cannot be read`
}

/** Whether it fires at all: 31 February does not. Leap days are at most eight years apart. */
export const firesEver = (line: string, now: number): boolean => cronLine(line).after(now) !== null

/** Throws on a line that `cronFault` refuses. Parsed once for each line. */
export const cronLine = (line: string): CronLine => {
  const known = lines.get(line)
  if (known !== undefined) return known
  if (lines.size >= 5_000) lines.clear()
  const made = evaluator(make(line))
  lines.set(line, made)
  return made
}

const lines = new Map<string, CronLine>()

const fieldsOf = (line: string): string[] =>
  line
    .trim()
    .toUpperCase()
    .split(/[ \t]+/)

const isReadable = (field: string, i: number): boolean => {
  const words = field.match(/[A-Z]+/g) ?? []
  if (!allowed.test(field) || words.some((word) => letters[i]?.test(word) !== true)) return false
  try {
    make(['*', '*', '*', '*', '*'].with(i, field).join(' '))
    return true
  } catch {
    return false
  }
}

const make = (line: string): Cron => {
  const fields = fieldsOf(line)
  const [, , dayOfMonth = '*', , dayOfWeek = '*'] = fields
  return new Cron(fields.join(' '), {
    mode: '5-part',
    utcOffset: 0,
    domAndDow: dayOfMonth.startsWith('*') || dayOfWeek.startsWith('*'),
  })
}

const evaluator = (cron: Cron): CronLine => ({
  after: (wall) => cron.nextRun(new Date(wall))?.getTime() ?? null,
  // croner looks strictly before its argument, and in whole seconds; all wall times are whole minutes.
  atOrBefore: (wall) =>
    cron.previousRuns(1, new Date(Math.floor(wall / 60_000) * 60_000 + 1000))[0]?.getTime() ?? null,
})
