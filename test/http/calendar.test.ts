// The calendar, read by a library of calendar programs.

import ICAL from 'ical.js'
import { expect, test } from 'vitest'
import { calendarOf } from '#http/routes/calendar.ts'
import { nextFires } from '#domain/fires.ts'
import { resolvePolicy } from '#domain/policy.ts'
import type { Coming } from '#usecases/list-schedule.ts'

const policy = resolvePolicy({
  selector: { type: 'local.secret' },
  schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris', jitter: '20m' },
})
const from = new Date('2026-11-25T00:00:00Z')
const [first, ...following] = nextFires(policy, 'id-1', from, 4)

const coming = (more: Partial<Coming> = {}): Coming => ({
  key: 'orders',
  policy: 'monthly',
  at: first?.at ?? from,
  nominal: first?.nominal ?? null,
  occurrence: first?.occurrence ?? null,
  trigger: 'schedule',
  overdue: false,
  following,
  ...more,
})

const eventsIn = (text: string) =>
  new ICAL.Component(ICAL.parse(text) as never)
    .getAllSubcomponents('vevent')
    .map((component) => new ICAL.Event(component))

test('a calendar program finds each rotation, in UTC, with the time in the zone of its policy', () => {
  const events = eventsIn(calendarOf([coming()], from))
  expect(events).toHaveLength(4)
  expect(events[0]?.summary).toBe('Rotate orders')
  expect(events[0]?.startDate.toJSDate()).toEqual(
    new Date(Math.floor((first?.at.getTime() ?? 0) / 1000) * 1000),
  )
  expect(events[1]?.description).toContain('Fri 2027-01-01 03:00 +01:00 Europe/Paris')
})

test('an event keeps its name when the calendar is fetched again and the rotation has moved', () => {
  const uids = (text: string) => eventsIn(text).map(({ uid }) => uid)
  const before = uids(calendarOf([coming()], from))
  const moved = coming({ at: new Date((first?.at ?? from).getTime() + 3_600_000) })
  expect(uids(calendarOf([moved], new Date('2026-11-26T00:00:00Z')))).toEqual(before)
  expect(new Set(before).size).toBe(4)
  // The second of one month is the first of the next fetch.
  const [next, ...rest] = following
  const later = coming({
    at: next?.at ?? from,
    occurrence: next?.occurrence ?? null,
    following: rest,
  })
  expect(uids(calendarOf([later], from))).toEqual(before.slice(1))
})

test('lines are folded at 75 octets, and no character is cut', () => {
  const text = calendarOf([coming({ policy: 'ü'.repeat(200), key: 'k'.repeat(63) })], from)
  for (const line of text.split('\r\n')) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(75)
  expect(eventsIn(text)[0]?.description).toContain('ü'.repeat(200))
  expect(text.endsWith('END:VCALENDAR\r\n')).toBe(true)
})

test('what has a meaning in calendars is text where it is ours', () => {
  const [event] = eventsIn(calendarOf([coming({ policy: 'a;b,c\\d\ne', following: [] })], from))
  expect(event?.description).toContain('policy a;b,c\\d\ne')
})
