// The runner of mutants, on a sandbox as StrykerJS leaves one: a source in which three mutants sleep, and its tests.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const source = `
const board = (globalThis as any).__stryker__
const on = (id: string): boolean => {
  const coverage = (board.mutantCoverage ??= { static: {}, perTest: {} })
  const seen = board.currentTestId ? (coverage.perTest[board.currentTestId] ??= {}) : coverage.static
  seen[id] = (seen[id] ?? 0) + 1
  if (board.activeMutant !== id) return false
  if (board.hitCount !== undefined && ++board.hitCount > board.hitLimit) throw new Error('too often')
  return true
}
export const table: Record<string, number> = on('table') ? {} : { one: 1 }
export const isBig = (n: number): boolean => (on('big') ? true : n > 10)
export const sum = (upTo: number): number => {
  let total = 0
  for (let n = 0; on('endless') ? true : n <= upTo; n++) total += n
  return total
}
export const told = (): string => (on('prose') ? '' : 'nobody reads it')
`
const tests = `
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { isBig, sum, table, told } from '../src/numbers.ts'

let begun = 0
beforeAll(() => { begun = 1 })
afterEach(() => { begun += 1 })
test('the table has one', () => { expect(table).toEqual({ one: 1 }) })
describe('numbers', () => {
  test.each([[11, true], [10, false]])('%s: whether it is big', (n, big) => { expect(isBig(n)).toBe(big) })
  test('add up', async () => { expect(sum(3)).toBe(6); expect(begun).toBe(4) })
})
test('it is told', () => { told() })
`
const script = (runner: string): string => `
const { makeRunner } = await import(${JSON.stringify(runner)})
const runner = makeRunner({ rekey: { tests: ['test/*.test.ts'], setup: null } })
await runner.init()
const dry = await runner.dryRun()
const told = [dry]
for (const [id, mutantActivation] of [['table', 'static'], ['big'], ['endless'], ['prose'], ['none', 'static'], ['big']]) {
  const testFilter = dry.tests.map(({ id }) => id).filter((test) => dry.mutantCoverage.perTest[test]?.[id])
  told.push(await runner.mutantRun({
    activeMutant: { id, fileName: 'src/numbers.ts' },
    mutantActivation: mutantActivation ?? 'runtime',
    ...(mutantActivation ? {} : { testFilter }),
    hitLimit: 100,
  }))
}
process.stdout.write(JSON.stringify(told))
`

let sandbox = ''
let told: readonly Record<string, unknown>[] = []
beforeAll(async () => {
  sandbox = await mkdtemp(join(tmpdir(), 'rekey-mutation-'))
  await mkdir(join(sandbox, 'src'))
  await mkdir(join(sandbox, 'test'))
  await writeFile(join(sandbox, 'package.json'), '{ "type": "module" }')
  await writeFile(join(sandbox, 'src/numbers.ts'), source)
  await writeFile(join(sandbox, 'test/numbers.test.ts'), tests)
  const runner = join(import.meta.dirname, 'runner.ts')
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', script(runner)],
    { cwd: sandbox },
  )
  told = JSON.parse(stdout) as typeof told
})
afterAll(() => rm(sandbox, { recursive: true, force: true }))

test('tests run as vitest runs them, and it is known which of them meets a mutant', () => {
  expect(told[0]).toMatchObject({
    status: 'complete',
    tests: [
      { id: 'test/numbers.test.ts#the table has one', status: 0 },
      { id: 'test/numbers.test.ts#numbers > 11: whether it is big', status: 0 },
      { id: 'test/numbers.test.ts#numbers > 10: whether it is big', status: 0 },
      { id: 'test/numbers.test.ts#numbers > add up', status: 0 },
      { id: 'test/numbers.test.ts#it is told', status: 0 },
    ],
    mutantCoverage: {
      static: { table: 1 },
      perTest: { 'test/numbers.test.ts#it is told': { prose: 1 } },
    },
  })
})

test('a mutant that is met while modules load has modules of its own, and leaves none behind', () => {
  expect(told[1]).toMatchObject({
    status: 'killed',
    killedBy: ['test/numbers.test.ts#the table has one'],
  })
  expect(told[5]).toMatchObject({ status: 'survived', nrOfTests: 5 })
})

test('a mutant is killed by the first test that sees it, as often as it is asked', () => {
  const killed = {
    status: 'killed',
    killedBy: ['test/numbers.test.ts#numbers > 10: whether it is big'],
    nrOfTests: 2,
  }
  expect(told[2]).toMatchObject(killed)
  expect(told[6]).toMatchObject(killed)
})

test('a loop without end is counted out', () => {
  expect(told[3]).toMatchObject({ status: 'timeout' })
})

test('a mutant that no test sees survives', () => {
  expect(told[4]).toMatchObject({ status: 'survived', nrOfTests: 1 })
})
