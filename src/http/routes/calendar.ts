// iCalendar (RFC 5545): an event for each rotation to come. Times are UTC; lines end in CRLF and are folded at 75 octets.

import type { Coming } from '#usecases/list-schedule.ts'

export const calendarOf = (items: readonly Coming[], now: Date): string => {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Rekey//Schedule//EN',
    'METHOD:PUBLISH',
    'X-WR-CALNAME:Key rotations',
    ...items.flatMap((item) => eventsOf(item).flatMap((event) => eventLines(event, now))),
    'END:VCALENDAR',
  ]
  return `${lines.map(fold).join('\r\n')}\r\n`
}

interface CalendarEvent {
  /** The same when the calendar is fetched again, also when the rotation has moved by then. */
  readonly uid: string
  readonly at: Date
  readonly key: string
  readonly notes: readonly string[]
}

const eventsOf = (item: Coming): readonly CalendarEvent[] => {
  const { key, policy, trigger } = item
  const notes = [...(policy === null ? [] : [`policy ${policy}`]), `trigger ${trigger}`]
  return [
    {
      uid: uidOf(key, item.occurrence ?? trigger),
      at: item.at,
      key,
      notes: [...notes, ...(item.overdue ? ['overdue'] : [])],
    },
    ...item.following.map(({ at, occurrence, text }) => ({
      uid: uidOf(key, occurrence),
      at,
      key,
      notes: [...notes, text],
    })),
  ]
}

const uidOf = (key: string, occurrence: string): string =>
  `${key}-${occurrence.replaceAll(/[^A-Za-z0-9]+/g, '-').replace(/-$/, '')}@rekey`

const eventLines = ({ uid, at, key, notes }: CalendarEvent, now: Date): readonly string[] => [
  'BEGIN:VEVENT',
  `UID:${uid}`,
  `DTSTAMP:${stamp(now)}`,
  `DTSTART:${stamp(at)}`,
  `SUMMARY:${escape(`Rotate ${key}`)}`,
  `DESCRIPTION:${escape(notes.join(', '))}`,
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
