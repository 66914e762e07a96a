import { describe, expect, test } from 'vitest'
import { cronFault, cronLine, firesEver } from '#domain/cron.ts'

const wall = (text: string) => Date.parse(`${text}Z`)
const fires = (line: string, from: string, count: number): string[] => {
  const found: string[] = []
  let at: number | null = wall(from)
  while (found.length < count) {
    at = cronLine(line).after(at)
    if (at === null) break
    found.push(new Date(at).toISOString().slice(0, 16))
  }
  return found
}

describe('the dialect of cron', () => {
  test('both day fields restricted: a day that fits either', () => {
    expect(fires('0 0 13 * FRI', '2026-02-10T00:00', 5)).toEqual([
      '2026-02-13T00:00',
      '2026-02-20T00:00',
      '2026-02-27T00:00',
      '2026-03-06T00:00',
      '2026-03-13T00:00',
    ])
  })

  test('a day of month that never comes still leaves the day of week', () => {
    expect(fires('0 0 31 2 MON', '2026-01-31T00:00', 2)).toEqual([
      '2026-02-02T00:00',
      '2026-02-09T00:00',
    ])
  })

  test('a day field that begins with a star: a day that fits both, as crontab(5) says', () => {
    expect(fires('0 0 */2 * MON', '2026-02-20T00:00', 3)).toEqual([
      '2026-02-23T00:00',
      '2026-03-09T00:00',
      '2026-03-23T00:00',
    ])
    expect(fires('0 0 13 * *', '2026-02-20T00:00', 2)).toEqual([
      '2026-03-13T00:00',
      '2026-04-13T00:00',
    ])
  })

  test('L is the last day of each month, leap years too', () => {
    expect(fires('0 0 L * *', '2028-01-31T00:00', 3)).toEqual([
      '2028-02-29T00:00',
      '2028-03-31T00:00',
      '2028-04-30T00:00',
    ])
    expect(fires('0 0 L 2 *', '2026-01-01T00:00', 3)).toEqual([
      '2026-02-28T00:00',
      '2027-02-28T00:00',
      '2028-02-29T00:00',
    ])
  })

  test('FRIL and 5L are the last Friday of each month', () => {
    expect(fires('0 0 * * FRIL', '2026-02-20T00:00', 3)).toEqual([
      '2026-02-27T00:00',
      '2026-03-27T00:00',
      '2026-04-24T00:00',
    ])
    expect(fires('0 0 * * 5L', '2026-02-20T00:00', 3)).toEqual(
      fires('0 0 * * FRIL', '2026-02-20T00:00', 3),
    )
  })

  test('29 February fires in leap years only, and over the eight years around 2100', () => {
    expect(fires('0 0 29 2 *', '2026-01-01T00:00', 2)).toEqual([
      '2028-02-29T00:00',
      '2032-02-29T00:00',
    ])
    expect(fires('0 0 29 2 *', '2096-03-01T00:00', 1)).toEqual(['2104-02-29T00:00'])
  })

  test('names are read in any case, 7 is Sunday, lists and steps combine', () => {
    expect(fires('0 0 * jan,Jun mon', '2026-01-01T00:00', 1)).toEqual(['2026-01-05T00:00'])
    expect(fires('0 0 * * 7', '2026-02-20T00:00', 1)).toEqual(['2026-02-22T00:00'])
    expect(fires('*/20 8-10/2 * * *', '2026-02-20T08:30', 4)).toEqual([
      '2026-02-20T08:40',
      '2026-02-20T10:00',
      '2026-02-20T10:20',
      '2026-02-20T10:40',
    ])
  })

  test('after is strictly after, atOrBefore includes the moment itself', () => {
    const line = cronLine('0 3 * * *')
    expect(line.after(wall('2026-02-20T03:00'))).toBe(wall('2026-02-21T03:00'))
    expect(line.after(wall('2026-02-20T03:00') - 1)).toBe(wall('2026-02-20T03:00'))
    expect(line.atOrBefore(wall('2026-02-20T03:00'))).toBe(wall('2026-02-20T03:00'))
    expect(line.atOrBefore(wall('2026-02-20T03:00') - 1)).toBe(wall('2026-02-19T03:00'))
  })

  test.each(['0 0 31 2 *', '0 0 30 2 *', '0 0 31 4,6,9,11 *', '0 0 31 FEB *'])(
    '%s never fires',
    (line) => {
      expect(cronFault(line)).toBeNull()
      expect(firesEver(line, wall('2026-01-01T00:00'))).toBe(false)
      expect(cronLine(line).atOrBefore(wall('2026-01-01T00:00'))).toBeNull()
    },
  )

  test.each([
    ['', 'five fields'],
    ['0 3 1 *', 'five fields'],
    ['0 0 3 1 * *', 'five fields'],
    ['@daily', 'five fields'],
    ['60 * * * *', 'minute'],
    ['* 24 * * *', 'hour'],
    ['0 0 0 * *', 'day of month'],
    ['0 0 32 * *', 'day of month'],
    ['0 0 * 13 *', 'month'],
    ['0 0 * * 8', 'day of week'],
    ['0 0 LW * *', 'day of month'],
    ['0 0 15W * *', 'day of month'],
    ['0 0 ? * MON', 'day of month'],
    ['0 0 * * FRI#2', 'day of week'],
    ['0 0 13 * +FRI', 'day of week'],
    ['0 0 * * 5-1', 'day of week'],
    ['5/10 * * * *', 'minute'],
    ['*/0 * * * *', 'minute'],
    ['0 0 L-2 * *', 'day of month'],
    ['0 0 * MON *', 'month'],
    ['0 0 * * sunday', 'day of week'],
    ['0\n0 * * *', 'five fields'],
  ])('%j is refused and the field is named: %s', (line, field) => {
    expect(cronFault(line)).toContain(field)
  })
})
