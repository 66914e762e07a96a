import fc from 'fast-check'
import { expect, test } from 'vitest'
import { moment, plain, span } from '#cli/human.ts'
import { readServerEvents, type StreamPart } from '#cli/server-events.ts'
import { table } from '#cli/table.ts'
import { durationOf } from '#cli/moments.ts'
import { isDuration, parseDuration } from '#domain/duration.ts'
import { anyText } from '#test/support/any-text.ts'

test.each([
  [0, '0s'],
  [999, '0s'],
  [61_000, '1m1s'],
  [3_600_000, '1h'],
  [90_061_000, '1d1h'],
  [86_405_000, '1d'],
  [-120_000, '2m'],
])('%i ms read %s', (ms, text) => {
  expect(span(ms)).toBe(text)
})

test('moments are in UTC and say how far away they are', () => {
  const now = new Date('2026-11-24T00:00:00Z')
  expect(moment('2026-12-01T04:00:00+01:00', now)).toBe('2026-12-01 03:00:00Z (in 7d3h)')
  expect(moment('2026-11-23T23:00:00Z', now)).toBe(
    '2026-11-24 00:00:00Z (1h ago)'.replace('24 00', '23 23'),
  )
  expect([moment('', now), moment('nonsense', now)]).toEqual(['–', '–'])
})

test('durations here are durations at the server', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9a-z.+-]{0,6}$/), (text) => {
      // The server's have an end; here it is only not a duration of the server's that must not be one.
      if (isDuration(text)) expect(durationOf(text)).toBe(parseDuration(text))
      else if (durationOf(text) !== null)
        expect(durationOf(text)).toBeGreaterThan(3650 * 86_400_000)
    }),
  )
})

test('a table keeps one record a line and its columns in place, whatever the cells say', () => {
  const columns = [
    { title: 'ONE', text: (row: readonly [string, string]) => row[0] },
    { title: 'TWO', text: (row: readonly [string, string]) => row[1] },
  ]
  fc.assert(
    fc.property(fc.array(fc.tuple(anyText(), anyText())), (rows) => {
      const lines = table(columns, rows, new Date(0)).split('\n')
      expect(lines).toHaveLength(rows.length + 2)
    }),
  )
})

test('what is plain has no character that moves the cursor or hides', () => {
  fc.assert(
    fc.property(anyText(), (text) => {
      expect(plain(text)).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u)
    }),
  )
})

const collect = async (chunks: readonly Uint8Array[]): Promise<StreamPart[]> => {
  const parts: StreamPart[] = []
  for await (const part of readServerEvents(ReadableStream.from(chunks))) {
    if (part !== 'alive') parts.push(part)
  }
  return parts
}

const stream =
  '\ufeff: hello\n\nretry: 400\r\nid: 1\nevent: rotation.promoted\ndata: {"phase":"höher"}\n\nid: 2\rdata:a\rdata: b\r\rdata: never finished'

test('a stream of events is the same however it is cut', async () => {
  const bytes = new TextEncoder().encode(stream)
  const expected: StreamPart[] = [
    { retryMs: 400 },
    { event: { id: '1', event: 'rotation.promoted', data: '{"phase":"höher"}' } },
    { event: { id: '2', event: 'message', data: 'a\nb' } },
  ]
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 12 }), async (cuts) => {
      const ends = [...new Set([0, ...cuts, bytes.length])].toSorted((a, b) => a - b)
      const chunks = ends.slice(1).map((end, i) => bytes.slice(ends[i], end))
      expect(await collect(chunks)).toEqual(expected)
    }),
  )
})
