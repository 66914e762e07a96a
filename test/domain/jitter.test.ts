import fc from 'fast-check'
import { expect, test } from 'vitest'
import { unitHash } from '#domain/hash.ts'
import { jittered } from '#domain/jitter.ts'

const occurrence = { id: 'monday', at: 1_000_000, wall: 1_000_000 }

test('a key takes an occurrence inside its jitter and before its end, always at the same moment', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat({ max: 10_000 }), fc.nat({ max: 10_000 }), (key, ms, room) => {
      const at = jittered(ms, key, occurrence, occurrence.at + room)
      expect(at).toBeGreaterThanOrEqual(occurrence.at)
      expect(at === occurrence.at || at < occurrence.at + Math.min(ms, room)).toBe(true)
      expect(jittered(ms, key, occurrence, occurrence.at + room)).toBe(at)
    }),
  )
})

test('keys are spread over the whole room, and over another at the next occurrence', () => {
  const room = 1_000
  const keys = Array.from({ length: 500 }, (_, n) => `key-${n}`)
  const at = (id: string) =>
    keys.map(
      (key) => jittered(room, key, { ...occurrence, id }, occurrence.at + room) - occurrence.at,
    )
  const tenths = Map.groupBy(at('monday'), (ms) => Math.floor(ms / 100))
  expect([...tenths.keys()].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  for (const keysThen of tenths.values()) expect(keysThen.length).toBeGreaterThan(20)
  expect(at('tuesday')).not.toEqual(at('monday'))
  expect(unitHash('a', 'b')).not.toBe(unitHash('ab', ''))
})
