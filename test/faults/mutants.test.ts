// The walks are worth what they find: each of three bugs, put into a copy of the source, must be found by them (`npm run
// mutants`). Here, in every run: that each of the bugs can still be put in.

import { expect, test } from 'vitest'
import { long } from '#test/support/peers.ts'
import { hunt, mutants, mutated } from '#test/walks/mutants.ts'

test.each(mutants)('$name: its edit fits the source', async (mutant) => {
  expect(await mutated(mutant)).toContain(mutant.to)
})

test('an edit that does not fit, or fits twice, is told', async () => {
  const [mutant] = mutants
  const edit = (from: string) => mutated({ name: '', file: mutant?.file ?? '', from, to: '' })
  await expect(edit('this is nowhere')).rejects.toThrow('does not have exactly once')
  await expect(edit('const')).rejects.toThrow('does not have exactly once')
})

long.describe('random walks find each bug in a copy of the source', () => {
  test.each(mutants)('$name', { timeout: 3_600_000 }, async (mutant) => {
    const { violation, output } = await hunt(mutant, { walks: 1_000, seed: 1 })
    expect(violation, output).not.toBeNull()
  })
})
