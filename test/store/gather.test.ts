import { expect, test } from 'vitest'
import { gather } from '#store/gather.ts'

const doubling = (broken: ReadonlySet<number> = new Set()) => {
  const sent: (readonly number[])[] = []
  const ask = gather<number, number>({
    nameOf: (n) => String(n % 100),
    send: async (asks) => {
      sent.push(asks)
      await Promise.resolve()
      if (asks.some((n) => broken.has(n))) throw new Error('it is broken')
      return asks.map((n) => n * 2)
    },
  })
  return { ask, sent }
}

test('what is asked at once is one statement, and each caller has its own answer', async () => {
  const { ask, sent } = doubling()
  expect(await Promise.all([1, 2, 3].map(ask))).toEqual([2, 4, 6])
  expect(sent).toEqual([[1, 2, 3]])
})

test('two of one name are in two statements, in the order in which they were asked', async () => {
  const { ask, sent } = doubling()
  expect(await Promise.all([1, 101, 2, 201].map(ask))).toEqual([2, 202, 4, 402])
  expect(sent).toEqual([[1, 2], [101], [201]])
})

test('one that fails takes no other with it', async () => {
  const { ask, sent } = doubling(new Set([2]))
  const ends = await Promise.allSettled([1, 2, 3].map(ask))
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(sent).toEqual([[1, 2, 3], [1], [2], [3]])
  expect(await ask(4)).toBe(8)
})
