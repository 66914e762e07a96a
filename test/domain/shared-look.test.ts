import { expect, test } from 'vitest'
import { sharedLook } from '#domain/shared-look.ts'

const looking = (fails = false) => {
  const at = { ms: 1_000_000, looks: 0, fails }
  const look = sharedLook(
    5_000,
    () => at.ms,
    async () => {
      at.looks += 1
      if (at.fails) throw new Error('it is away')
      return at.looks
    },
  )
  return { at, look }
}

test('whoever asks within its time gets the same answer, also at the very same moment', async () => {
  const { at, look } = looking()
  expect(await Promise.all([look(), look()])).toEqual([1, 1])
  at.ms += 4_999
  expect(await look()).toBe(1)
  at.ms += 1
  expect(await look()).toBe(2)
})

test('a clock that went back keeps no answer for longer than a moment', async () => {
  const { at, look } = looking()
  await look()
  at.ms -= 3_600_000
  expect(await look()).toBe(2)
  at.ms += 4_000
  expect(await look()).toBe(2)
})

test('a failure is told to those who shared it, and is asked for again by the next', async () => {
  const { at, look } = looking(true)
  const both = await Promise.allSettled([look(), look()])
  expect([at.looks, both.map(({ status }) => status)]).toEqual([1, ['rejected', 'rejected']])
  at.fails = false
  expect(await look()).toBe(2)
})
