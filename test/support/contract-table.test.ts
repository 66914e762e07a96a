import { expect, test } from 'vitest'
import { contractTable, type ContractCell } from './contract-table.ts'

const cell = (
  type: string,
  title: string,
  effects: number | null,
  more: Partial<ContractCell> = {},
): ContractCell => ({ type, title, effects, without: [], state: 'passed', ...more })

test('each type has a row, each test a column in the order of the suite, each cell what the peer counted', () => {
  expect(
    contractTable([
      cell('shelf.slot', 'reads', 0),
      cell('shelf.slot', 'ends', 12, { without: [] }),
      cell('vault.kv2', 'reads', 0),
      cell('vault.kv2', 'mints', 1),
      cell('vault.kv2', 'ends', null),
    ]).slice(2),
  ).toEqual([
    '  1  reads',
    '  2  mints',
    '  3  ends',
    '',
    'type       1 2  3 all',
    '---------- - - -- ---',
    'shelf.slot 0 · 12  12',
    'vault.kv2  0 1  ?   1',
    '',
  ])
})

test('what failed or was skipped stands out, and what a peer does not have is told', () => {
  const lines = contractTable([
    cell('a', 'one', 3, { state: 'failed', without: ['faults', 'http'] }),
    cell('a', 'two', 3, { state: 'skipped', without: ['faults', 'http'] }),
  ])
  expect(lines).toContain('a    X S   6')
  expect(lines).toContain('a: its peer has no faults, http')
})

test('without the suite there is no table', () => {
  expect(contractTable([])).toEqual([])
})
