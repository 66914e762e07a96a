import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { Check } from 'typebox/value'
import {
  durationSchema,
  formatDuration,
  isDuration,
  longestDurationMs,
  parseDuration,
} from '#domain/duration.ts'
import { isRekeyError } from '#domain/errors.ts'
import { parseTimestamp } from '#domain/timestamp.ts'

describe('durations', () => {
  test.each([
    ['0s', 0],
    ['90s', 90_000],
    ['15m', 900_000],
    ['72h', 259_200_000],
    ['90d', 7_776_000_000],
    ['0d', 0],
    ['3650d', longestDurationMs],
    ['87600h', longestDurationMs],
    ['315360000s', longestDurationMs],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
    expect(Check(durationSchema, text)).toBe(true)
  })

  test.each([
    '',
    '15',
    '1h30m',
    '-5m',
    '+5m',
    '1.5h',
    '5 m',
    '5M',
    '5w',
    '05m',
    '00s',
    '3651d',
    '87601h',
    '315360001s',
    '99999999999999999999s',
    '1e3s',
    '٣d',
    '5m\n',
    'm',
  ])('%j is not a duration', (text) => {
    expect(isDuration(text)).toBe(false)
    expect(Check(durationSchema, text)).toBe(false)
  })

  test('a malformed duration throws request.invalid with a hint, not NaN', () => {
    expect(() => parseDuration('20')).toThrow(expect.objectContaining({ code: 'request.invalid' }))
    try {
      parseDuration('soon')
    } catch (e) {
      expect(isRekeyError(e, 'request.invalid') && e.hint).toContain('90s')
    }
  })

  test('what is formatted parses to the same, for any number of seconds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: longestDurationMs / 1000 }), (seconds) => {
        expect(parseDuration(formatDuration(seconds * 1000))).toBe(seconds * 1000)
      }),
    )
  })

  test('what is parsed formats to its shortest spelling and keeps its length', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3650 }),
        fc.constantFrom('s', 'm', 'h', 'd'),
        (n, unit) => {
          const text = formatDuration(parseDuration(`${n}${unit}`))
          expect(parseDuration(text)).toBe(parseDuration(`${n}${unit}`))
          expect(text.length).toBeLessThanOrEqual(`${n}${unit}`.length)
        },
      ),
    )
  })

  test('the pattern accepts exactly the numbers up to the bound', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200_000 }), (hours) => {
        expect(isDuration(`${hours}h`)).toBe(hours <= 87_600)
      }),
    )
  })

  test('parts of a second are shown rounded up, and a negative length is refused', () => {
    expect(formatDuration(1)).toBe('1s')
    expect(formatDuration(59_001)).toBe('1m')
    expect(() => formatDuration(-1)).toThrow(RangeError)
  })
})

describe('timestamps', () => {
  test('a moment with an offset is read as that moment', () => {
    expect(parseTimestamp('2026-12-18T02:00:00+02:00')?.toISOString()).toBe(
      '2026-12-18T00:00:00.000Z',
    )
    expect(parseTimestamp('2024-02-29T00:00:00Z')?.toISOString()).toBe('2024-02-29T00:00:00.000Z')
    expect(parseTimestamp('0001-01-01T00:00:00Z')?.toISOString()).toBe('0001-01-01T00:00:00.000Z')
  })

  test.each([
    '2026-02-30T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-04-31T12:00:00Z',
    '2026-12-18',
    '2026-12-18T00:00:00',
    '2026-12-18T25:00:00Z',
    '2026-12-18T00:61:00Z',
    'tomorrow',
    // Beyond what PostgreSQL and RFC 3339 both write in one way.
    '0000-01-01T00:00:00Z',
    '0001-01-01T00:00:00+01:00',
    '9999-12-31T23:59:59-01:00',
  ])('%s is no moment', (text) => {
    expect(parseTimestamp(text)).toBeNull()
  })
})
