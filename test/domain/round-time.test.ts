import { expect, test } from 'vitest'
import { resolvePolicy } from '#domain/policy.ts'
import type { PolicySpec } from '#domain/policy-schema.ts'
import { slowRounds } from '#domain/round-time.ts'

const told = (keys: number, spec: Partial<PolicySpec>) =>
  slowRounds(resolvePolicy({ selector: {}, ...spec }), keys)
const nightly = { cron: '0 3 * * *', timezone: 'UTC', window: '2h' }

test('more keys than begin in a window are told, with how many do', () => {
  expect(told(2_000, { schedule: nightly, overlap: { min: '24h' }, soak: '1h' })).toEqual([
    'of 2000 keys at most 5 can begin in a window of 2h: 5 at a time (concurrency.max), each for at least 25h (overlap and soak)',
  ])
  // A place that is free again within the window is taken again: at 0, 30, 60 and 90 minutes.
  const short = { schedule: nightly, overlap: { min: '20m' }, soak: '10m' } as const
  expect(told(20, short)).toEqual([])
  expect(told(21, short)[0]).toMatch(/^of 21 keys at most 20 /)
})

test('a round that is longer than maxAge is told', () => {
  const spec = { maxAge: '90d', overlap: { min: '24h' }, soak: '0s' } as const
  expect(told(450, spec)).toEqual([])
  expect(told(451, spec)[0]).toMatch(/^451 keys take at least 91d, longer than maxAge \(90d\)/)
  expect(told(451, { ...spec, concurrency: { max: 6 } })).toEqual([])
})

test('nothing is told of a handful, of groups by label, or where nothing keeps a place', () => {
  expect(told(5, { schedule: nightly, maxAge: '1d' })).toEqual([])
  expect(told(900, { schedule: nightly, concurrency: { groupBy: 'team' } })).toEqual([])
  expect(told(900, { schedule: nightly, overlap: { min: '0s' }, soak: '0s' })).toEqual([])
  expect(told(900, { manual: true })).toEqual([])
})
