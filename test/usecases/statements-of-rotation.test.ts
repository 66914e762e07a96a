// What a rotation asks of the database. More of it is no fault, and is not what anybody wants: a worker's time goes there.
// REKEY_TEST_STATEMENTS=1 prints them.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Engine, openEngine } from '#test/support/engine.ts'
import { hearing } from '#test/support/statements.ts'

let engine: Engine
beforeAll(async () => {
  engine = await openEngine()
})
afterAll(() => engine.close())

test('a rotation in the built-in vault is eight transactions, and few statements', async () => {
  await engine.policy('p')
  await engine.key('first')
  const id = await engine.rotate('first')
  const { statements, commits } = await hearing(() => engine.advance(id))
  if (process.env['REKEY_TEST_STATEMENTS'])
    console.info(statements.map((text) => text.slice(0, 160)).join('\n'))
  expect((await engine.rotation(id)).phase).toBe('completed')
  expect(engine.faults).toEqual([])
  expect(commits).toBeLessThanOrEqual(8)
  expect(statements.length).toBeLessThanOrEqual(94)
})
