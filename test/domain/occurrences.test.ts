import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import {
  ageOccurrence,
  enableOccurrence,
  isBeyond,
  occurrenceAfter,
  occurrencesAround,
  positionOf,
} from '#domain/occurrences.ts'
import { firstInstant, highestWall, offsetMs, wallAt, zoneFault } from '#domain/zone.ts'

const utc = (text: string) => Date.parse(text)
const iso = (instant: number) => new Date(instant).toISOString()
/** Instants and names of the next occurrences. */
const next = (cron: string, zone: string, from: string, count: number): [string, string][] => {
  const found: [string, string][] = []
  let at = utc(from)
  while (found.length < count) {
    const occurrence = occurrenceAfter(cron, zone, at)
    if (occurrence === null) break
    found.push([iso(occurrence.at), occurrence.id])
    at = occurrence.at
  }
  return found
}

describe('summer time', () => {
  test('Paris, spring: 02:30 does not exist and fires when the gap ends, once', () => {
    expect(next('30 2 * * *', 'Europe/Paris', '2026-03-28T12:00:00Z', 2)).toEqual([
      ['2026-03-29T01:00:00.000Z', 'cron:2026-03-29T02:30[Europe/Paris]'],
      ['2026-03-30T00:30:00.000Z', 'cron:2026-03-30T02:30[Europe/Paris]'],
    ])
  })

  test('Paris, autumn: 02:30 comes twice and fires at the first only', () => {
    expect(next('30 2 * * *', 'Europe/Paris', '2026-10-24T12:00:00Z', 2)).toEqual([
      ['2026-10-25T00:30:00.000Z', 'cron:2026-10-25T02:30[Europe/Paris]'],
      ['2026-10-26T01:30:00.000Z', 'cron:2026-10-26T02:30[Europe/Paris]'],
    ])
  })

  test('New York, both ways', () => {
    expect(
      next('30 2 * * *', 'America/New_York', '2026-03-07T12:00:00Z', 2).map(([at]) => at),
    ).toEqual(['2026-03-08T07:00:00.000Z', '2026-03-09T06:30:00.000Z'])
    expect(
      next('30 1 * * *', 'America/New_York', '2026-10-31T12:00:00Z', 2).map(([at]) => at),
    ).toEqual(['2026-11-01T05:30:00.000Z', '2026-11-02T06:30:00.000Z'])
  })

  test('Lord Howe moves by half an hour, both ways', () => {
    expect(
      next('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T00:00:00Z', 2).map(([at]) => at),
    ).toEqual(['2026-10-03T15:30:00.000Z', '2026-10-04T15:15:00.000Z'])
    expect(
      next('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T00:00:00Z', 1).map(([at]) => at),
    ).toEqual(['2026-04-04T14:45:00.000Z'])
  })

  test('Santiago skips midnight: the day still has its occurrence', () => {
    expect(next('0 0 * * *', 'America/Santiago', '2026-09-05T12:00:00Z', 1)).toEqual([
      ['2026-09-06T04:00:00.000Z', 'cron:2026-09-06T00:00[America/Santiago]'],
    ])
  })

  test('Apia skipped a whole day in 2011: its occurrences fall together into one', () => {
    expect(next('0 12 * * *', 'Pacific/Apia', '2011-12-29T00:00:00Z', 3)).toEqual([
      ['2011-12-29T22:00:00.000Z', 'cron:2011-12-29T12:00[Pacific/Apia]'],
      ['2011-12-30T10:00:00.000Z', 'cron:2011-12-30T12:00[Pacific/Apia]'],
      ['2011-12-30T22:00:00.000Z', 'cron:2011-12-31T12:00[Pacific/Apia]'],
    ])
  })

  test('wall times that one gap skips are one occurrence, named by the last', () => {
    expect(next('*/15 * * * *', 'Europe/Paris', '2026-03-29T00:40:00Z', 3)).toEqual([
      ['2026-03-29T00:45:00.000Z', 'cron:2026-03-29T01:45[Europe/Paris]'],
      ['2026-03-29T01:00:00.000Z', 'cron:2026-03-29T03:00[Europe/Paris]'],
      ['2026-03-29T01:15:00.000Z', 'cron:2026-03-29T03:15[Europe/Paris]'],
    ])
  })

  test('in the repeated hour a line that fires every quarter is silent: its times have come', () => {
    expect(
      next('*/15 * * * *', 'Europe/Paris', '2026-10-25T00:40:00Z', 3).map(([at]) => at),
    ).toEqual(['2026-10-25T00:45:00.000Z', '2026-10-25T02:00:00.000Z', '2026-10-25T02:15:00.000Z'])
    const { previous } = occurrencesAround(
      '*/15 * * * *',
      'Europe/Paris',
      utc('2026-10-25T01:40:00Z'),
    )
    expect(previous?.id).toBe('cron:2026-10-25T02:45[Europe/Paris]')
  })

  test('UTC has neither', () => {
    expect(next('30 2 * * *', 'UTC', '2026-03-28T12:00:00Z', 1)[0]?.[0]).toBe(
      '2026-03-29T02:30:00.000Z',
    )
  })

  test('offsets of quarter hours are kept', () => {
    expect(next('0 3 * * *', 'Asia/Kathmandu', '2026-03-28T12:00:00Z', 1)[0]?.[0]).toBe(
      '2026-03-28T21:15:00.000Z',
    )
  })
})

const zone = fc.constantFrom(
  'Europe/Paris',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Santiago',
  'Africa/Casablanca',
  'Asia/Kathmandu',
  'Pacific/Chatham',
  'UTC',
)
const cron = fc.constantFrom(
  '* * * * *',
  '*/15 * * * *',
  '30 2 * * *',
  '0 3 1 * *',
  '0 0 L * *',
  '0 0 13 * FRI',
  '0 0 29 2 *',
  '15,45 0-3 * * SUN',
)
const instant = fc.integer({ min: utc('2020-01-01T00:00:00Z'), max: utc('2035-01-01T00:00:00Z') })
/** Days on which some zone changes its offset, so that the interesting hours are met often. */
const nearChange = fc
  .tuple(
    fc.constantFrom(
      '2026-03-29T01:00:00Z',
      '2026-10-25T01:00:00Z',
      '2026-03-08T07:00:00Z',
      '2026-11-01T06:00:00Z',
      '2026-10-03T15:30:00Z',
      '2026-04-04T15:00:00Z',
      '2026-09-06T04:00:00Z',
      '2026-04-05T03:00:00Z',
    ),
    fc.integer({ min: -8_000, max: 8_000 }),
  )
  .map(([change, seconds]) => utc(change) + seconds * 1000)
const moment = fc.oneof(instant, nearChange)

describe('wall clocks', () => {
  test('the first instant that shows a time shows it, or is the end of a gap', () => {
    fc.assert(
      fc.property(zone, moment, (where, at) => {
        const wall = Math.floor(wallAt(where, at) / 60_000) * 60_000
        const first = firstInstant(where, wall)
        expect(wallAt(where, first)).toBeGreaterThanOrEqual(wall)
        expect(wallAt(where, first - 1)).toBeLessThan(wall)
      }),
    )
  })

  test('a time has come exactly when the clock has shown it', () => {
    fc.assert(
      fc.property(zone, moment, fc.integer({ min: -200, max: 200 }), (where, at, minutes) => {
        const wall = Math.floor(wallAt(where, at) / 60_000 + minutes) * 60_000
        expect(firstInstant(where, wall) <= at).toBe(wall <= highestWall(where, at))
      }),
    )
  })

  test('offsets are exact, with seconds where a zone once had them', () => {
    expect(offsetMs('Europe/Paris', utc('2026-07-01T00:00:00Z'))).toBe(7_200_000)
    expect(offsetMs('America/St_Johns', utc('2026-01-01T00:00:00Z'))).toBe(-12_600_000)
    expect(offsetMs('UTC', 0)).toBe(0)
    expect(offsetMs('Europe/Paris', utc('1900-01-01T00:00:00Z'))).toBe(561_000)
  })

  test.each(['Europe/Paris', 'UTC', 'Etc/UTC', 'US/Pacific', 'Europe/Kyiv', 'Asia/Calcutta'])(
    '%s is a zone',
    (name) => {
      expect(zoneFault(name)).toBeNull()
    },
  )
  test.each([
    'Mars/Base',
    '+01:00',
    '',
    'europe/paris',
    'Europe/Paris ',
    'GMT+25',
    '../etc/passwd',
  ])('%j is not a zone', (name) => {
    expect(zoneFault(name)).not.toBeNull()
  })
})

describe('occurrences', () => {
  test('the next is after, the previous is not, and nothing lies between them', () => {
    fc.assert(
      fc.property(cron, zone, moment, (line, where, at) => {
        const { previous, next: following, afterNext } = occurrencesAround(line, where, at)
        expect(previous === null || previous.at <= at).toBe(true)
        expect(following !== null && following.at > at).toBe(true)
        expect(afterNext !== null && following !== null && afterNext.at > following.at).toBe(true)
        expect(occurrenceAfter(line, where, at)).toEqual(following)
        if (previous !== null) {
          expect(occurrenceAfter(line, where, previous.at)).toEqual(following)
          expect(occurrencesAround(line, where, previous.at).previous).toEqual(previous)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a name leads back to the moment', () => {
    fc.assert(
      fc.property(cron, zone, moment, (line, where, at) => {
        const occurrence = occurrenceAfter(line, where, at)
        if (occurrence === null) return
        expect(positionOf(occurrence.id).at()).toBe(occurrence.at)
        expect(isBeyond(occurrence, where, positionOf(occurrence.id))).toBe(false)
      }),
    )
  })

  test('all kinds of names have a place in time, and other text is refused', () => {
    const at = new Date('2026-11-02T00:00:00Z')
    expect(positionOf(enableOccurrence(7, at)).at()).toBe(at.getTime())
    expect(positionOf(ageOccurrence(new Date('2026-01-01T00:00:00Z'), at)).at()).toBe(at.getTime())
    for (const text of [
      '',
      'cron:',
      'cron:2026-13-01',
      'maxAge:2026-01-01',
      'enable:x@2026-01-01T00:00:00Z',
      'manual',
    ]) {
      expect(() => positionOf(text)).toThrow(expect.objectContaining({ code: 'internal' }))
    }
  })

  test('in one zone places are compared by the wall, so that new zone data repeat nothing', () => {
    // As if the data had said, when it fired, that 03:00 is an hour earlier than we think now.
    const occurrence = {
      id: 'cron:2026-12-01T03:00[Europe/Paris]',
      at: utc('2026-12-01T09:00:00Z'),
      wall: utc('2026-12-01T03:00:00Z'),
    }
    const taken = positionOf('cron:2026-12-01T03:00[Europe/Paris]')
    expect(occurrence.at > taken.at()).toBe(true)
    expect(isBeyond(occurrence, 'Europe/Paris', taken)).toBe(false)
  })

  test('a line that never fires has no neighbourhood', () => {
    expect(occurrencesAround('0 0 31 2 *', 'UTC', 0)).toEqual({
      previous: null,
      next: null,
      afterNext: null,
    })
  })
})
