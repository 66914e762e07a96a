// iCalendar (RFC 5545): an event for each rotation to come. Times are UTC; lines end in CRLF and are folded at 75 octets.

import type { Coming } from '#usecases/list-schedule.ts'

export const calendarOf = (items: readonly Coming[], now: Date): string => {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Rekey//Schedule//EN',
    'METHOD:PUBLISH',
    'X-WR-CALNAME:Key rotations',
    ...items.flatMap((item) => [item.at, ...item.following].flatMap((at) => event(item, at, now))),
    'END:VCALENDAR',
  ]
  return `${lines.map(fold).join('\r\n')}\r\n`
}

const event = (item: Coming, at: Date, now: Date): readonly string[] => [
  'BEGIN:VEVENT',
  // The same rotation keeps its id when the calendar is fetched again.
  `UID:${stamp(at)}-${item.key}@rekey`,
  `DTSTAMP:${stamp(now)}`,
  `DTSTART:${stamp(at)}`,
  `SUMMARY:${escape(`Rotate ${item.key}`)}`,
  `DESCRIPTION:${escape(
    [
      item.policy === null ? null : `policy ${item.policy}`,
      `trigger ${item.trigger}`,
      item.overdue ? 'overdue' : null,
    ]
      .filter((part) => part !== null)
      .join(', '),
  )}`,
  'TRANSP:TRANSPARENT',
  'END:VEVENT',
]

/** `20261201T030000Z` */
const stamp = (at: Date): string => `${at.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`

const escape = (text: string): string =>
  text
    .replaceAll('\\', '\\\\')
    .replaceAll(';', '\\;')
    .replaceAll(',', '\\,')
    .replaceAll('\n', '\\n')

/** Octets, not characters: a character is never cut. */
const fold = (line: string): string => {
  const parts: string[] = ['']
  let octets = 0
  for (const character of line) {
    const size = Buffer.byteLength(character)
    if (octets + size > 75) {
      parts.push('')
      octets = 1
    }
    parts[parts.length - 1] += character
    octets += size
  }
  return parts.join('\r\n ')
}
