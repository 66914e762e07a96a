import { describe, expect, test } from 'vitest'
import { hashJson } from '#runtime/hash.ts'
import { makeIds } from '#runtime/ids.ts'

describe('ids', () => {
  test('are UUIDs of version 7 that carry the clock’s time', () => {
    const at = new Date('2026-11-23T12:34:56.789Z')
    const id = makeIds({ now: () => at }).next()
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(at.getTime())
  })

  test('grow, also when more than a millisecond can hold are made, and when the clock steps back', () => {
    let now = 1_800_000_000_000
    const ids = makeIds({ now: () => new Date(now) })
    const made: string[] = []
    for (let n = 0; n < 20_000; n += 1) {
      if (n === 10_000) now -= 60_000
      if (n === 15_000) now += 120_000
      made.push(ids.next())
    }
    expect(made.toSorted()).toEqual(made)
    expect(new Set(made).size).toBe(made.length)
  })

  test('fractions lie between 0 and 1 and are not all alike', () => {
    const ids = makeIds({ now: () => new Date(0) })
    const drawn = Array.from({ length: 1_000 }, () => ids.fraction())
    for (const fraction of drawn) {
      expect(fraction).toBeGreaterThanOrEqual(0)
      expect(fraction).toBeLessThan(1)
    }
    expect(drawn.reduce((a, b) => a + b) / drawn.length).toBeCloseTo(0.5, 1)
  })
})

test('a hash depends on the value, not on the order of its members', () => {
  expect(hashJson({ b: [1, { d: null, c: 'x' }], a: 1 })).toBe(
    hashJson({ a: 1, b: [1, { c: 'x', d: null }] }),
  )
  expect(hashJson({ a: 1 })).not.toBe(hashJson({ a: '1' }))
  expect(hashJson({ a: 1 })).toBe(
    '015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862',
  )
})
