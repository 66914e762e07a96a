import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keysIn, percentOf } from '#domain/compliance.ts'

const some = fc.nat({ max: 5_000 })
const counts = fc.record({ overdue: some, stalled: some, unruled: some, compliant: some })

test('100 per cent is said where every key is compliant, and nowhere else', () => {
  fc.assert(
    fc.property(counts, (group) => {
      const percent = percentOf({ counts: group })
      expect(percent === 100).toBe(keysIn({ counts: group }) === group.compliant)
      expect(Number.isInteger(percent) && percent >= 0).toBe(true)
    }),
  )
})

test('a group of no keys is compliant, and one of three keys by thirds', () => {
  const none = { overdue: 0, stalled: 0, unruled: 0, compliant: 0 }
  expect(percentOf({ counts: none })).toBe(100)
  expect(percentOf({ counts: { ...none, overdue: 1, stalled: 1, compliant: 1 } })).toBe(33)
  expect(keysIn({ counts: { overdue: 1, stalled: 2, unruled: 3, compliant: 4 } })).toBe(10)
})
