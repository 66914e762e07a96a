// Stands in for `vitest` while mutants are tested: suites, tests and hooks collected and run in this very process, with
// vitest's own `expect`. A worker a run, as vitest has it, costs one to two seconds a mutant, and there are thousands.
// What our tests do not use is not here; a test that uses it does not load, and the first run says so.

import { format } from 'node:util'

export { expect } from 'vitest'

type Body = () => unknown
type Hook = 'beforeAll' | 'afterAll' | 'beforeEach' | 'afterEach'

export interface Test {
  readonly name: string
  readonly body: Body
}

interface Suite {
  readonly name: string
  readonly above: Suite | null
  readonly hooks: Record<Hook, Body[]>
  readonly members: (Test | Suite)[]
}

const makeSuite = (name: string, above: Suite | null): Suite => ({
  name,
  above,
  hooks: { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] },
  members: [],
})

let open = makeSuite('', null)
let names = new Map<string, number>()
const provided = new Map<string, unknown>()

const fullName = (name: string): string => {
  const above: string[] = []
  for (let suite: Suite | null = open; suite !== null; suite = suite.above)
    above.unshift(suite.name)
  const full = [...above, name].filter((part) => part !== '').join(' > ')
  const times = (names.get(full) ?? 0) + 1
  names.set(full, times)
  return times === 1 ? full : `${full} (${times})`
}

const declareTest = (name: string, first: Body | object, second?: unknown): void => {
  const body = typeof first === 'function' ? first : second
  open.members.push({ name: fullName(name), body: body as Body })
}

const declareSuite = (name: string, body: Body): void => {
  const suite = makeSuite(name, open)
  open.members.push(suite)
  open = suite
  body()
  open = suite.above ?? suite
}

const each =
  (declare: (name: string, body: Body) => void) =>
  (rows: readonly unknown[]) =>
  (name: string, body: (...row: readonly unknown[]) => unknown): void => {
    for (const row of rows) {
      const values: readonly unknown[] = Array.isArray(row) ? row : [row]
      const slots = name.match(/%[sdijfoO]/g)?.length ?? 0
      declare(format(name, ...values.slice(0, slots)), () => body(...values))
    }
  }

export const test = Object.assign(declareTest, { each: each(declareTest), skip: (): void => {} })
export const describe = Object.assign(declareSuite, {
  each: each(declareSuite),
  skip: (): void => {},
})

const hook =
  (kind: Hook) =>
  (body: Body): void => {
    open.hooks[kind].push(body)
  }
export const beforeAll = hook('beforeAll')
export const afterAll = hook('afterAll')
export const beforeEach = hook('beforeEach')
export const afterEach = hook('afterEach')

export const provide = (name: string, value: unknown): void => {
  provided.set(name, value)
}
export const inject = (name: string): unknown => provided.get(name)

/** What the module declares while it loads. */
export const collect = async (load: () => Promise<unknown>): Promise<Suite> => {
  const root = makeSuite('', null)
  open = root
  names = new Map()
  await load()
  return root
}

const isTest = (member: Test | Suite): member is Test => 'body' in member

export const testsOf = (suite: Suite): readonly Test[] =>
  suite.members.flatMap((member) => (isTest(member) ? [member] : testsOf(member)))

export interface Round {
  /** Those that run. */
  chosen(test: Test): boolean
  starts(test: Test): void
  /** Says whether to go on. */
  ends(test: Test, failure: string | null): boolean
}

/** False when the round was ended by `ends`. Hooks after are run in any case: they close what hooks before have opened. */
export const runSuite = async (suite: Suite, round: Round): Promise<boolean> => {
  const chosen = testsOf(suite).filter((one) => round.chosen(one))
  const [first] = chosen
  if (first === undefined) return true
  try {
    const failure = await failureOf(async () => {
      for (const before of suite.hooks.beforeAll) await before()
    })
    if (failure !== null) {
      round.starts(first)
      return round.ends(first, failure)
    }
    for (const member of suite.members) {
      const on = isTest(member)
        ? await runTest(suite, member, round)
        : await runSuite(member, round)
      if (!on) return false
    }
    return true
  } finally {
    for (const after of suite.hooks.afterAll) await failureOf(async () => void (await after()))
  }
}

const runTest = async (suite: Suite, one: Test, round: Round): Promise<boolean> => {
  if (!round.chosen(one)) return true
  round.starts(one)
  const line = lineOf(suite)
  const failures = [
    await failureOf(async () => {
      for (const { hooks } of line) for (const before of hooks.beforeEach) await before()
      await one.body()
    }),
  ]
  for (const { hooks } of line.toReversed())
    for (const after of hooks.afterEach)
      failures.push(await failureOf(async () => void (await after())))
  return round.ends(one, failures.find((failure) => failure !== null) ?? null)
}

const lineOf = (suite: Suite): readonly Suite[] =>
  suite.above === null ? [suite] : [...lineOf(suite.above), suite]

const failureOf = async (act: () => Promise<void>): Promise<string | null> => {
  try {
    await act()
    return null
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : format(error)
  }
}
