// What a run says at its end: the table of the contract suite (contract-table.ts), one of the suites that did not run because a
// peer is missing, and, alone on the last line, `N passed, N failed, N skipped`. A module that does not load, a hook that fails and an error that nobody caught
// count as failed: otherwise a file that never ran would look like a green one.

import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node'
import { contractTable, type ContractCell } from '#test/support/contract-table.ts'
import { forgetMissingPeers, missingPeers, type MissingPeer } from '#test/support/peers.ts'

export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export default class TallyReporter implements Reporter {
  #startedAt = new Date(0)

  onInit(): void {
    this.#startedAt = new Date()
    forgetMissingPeers()
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const tally = tallyOf(modules, errors)
    const lines = [
      ...contractTable(contractCells(modules)),
      ...tableOf(missingPeers(this.#startedAt)),
      lineOf(tally),
    ]
    process.stdout.write(`\n${lines.join('\n')}\n`)
    // Vitest ends with 0 when a test has no result.
    if (tally.failed > 0) process.exitCode = 1
  }
}

export const tallyOf = (
  modules: readonly TestModule[],
  errors: readonly SerializedError[],
): Tally => {
  const tests = modules.flatMap((module) => [...module.children.allTests()])
  const states = tests.map(stateOf)
  const broken = modules.flatMap((module) => [
    module.errors().length,
    ...[...module.children.allSuites()].map((suite) => suite.errors().length),
  ])
  return {
    passed: states.filter((state) => state === 'passed').length,
    // `pending`: the run ended before the test did.
    failed:
      states.filter((state) => state === 'failed' || state === 'pending').length +
      broken.filter((count) => count > 0).length +
      errors.length,
    skipped: states.filter((state) => state === 'skipped').length,
  }
}

const contractCells = (modules: readonly TestModule[]): readonly ContractCell[] =>
  modules.flatMap((module) =>
    [...module.children.allTests()].flatMap((test) => {
      const note = test.meta().contract
      const state = stateOf(test)
      if (note === undefined) return []
      return [{ ...note, title: test.name, state: state === 'pending' ? 'failed' : state }]
    }),
  )

/** Vitest leaves the tests of a skipped suite inside a skipped suite without a result. */
const stateOf = (test: TestCase) => {
  const { state } = test.result()
  return state === 'pending' && isSkipped(test.parent) ? 'skipped' : state
}

const isSkipped = (suite: TestSuite | TestModule): boolean =>
  suite.type === 'suite' && (suite.options.mode === 'skip' || isSkipped(suite.parent))

export const lineOf = ({ passed, failed, skipped }: Tally): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

export const tableOf = (missing: readonly MissingPeer[]): readonly string[] => {
  if (missing.length === 0) return []
  const rows = missing.flatMap(({ peer, why, suites }) => suites.map((suite) => [peer, suite, why]))
  const head = ['missing peer', 'suite that did not run', 'what to do']
  const widths = head.map((title, i) =>
    Math.max(...[head, ...rows].map((row) => (row[i] ?? title).length)),
  )
  const lines = [head, widths.map((width) => '-'.repeat(width)), ...rows]
  return [
    ...lines.map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
    '',
  ]
}
