// The table at the end of a run: type × test of the contract suite, each cell the effects that the peer itself counted. A type
// has a row as soon as somebody calls the suite for it.

import type { ContractNote } from '#test/contract/effects.ts'

export interface ContractCell extends ContractNote {
  readonly title: string
  readonly state: 'passed' | 'failed' | 'skipped'
}

/** Nothing where the suite did not run. */
export const contractTable = (cells: readonly ContractCell[]): readonly string[] => {
  if (cells.length === 0) return []
  const byType = new Map(
    [...Map.groupBy(cells, ({ type }) => type)].toSorted(([a], [b]) => a.localeCompare(b)),
  )
  const titles = merged([...byType.values()].map((row) => row.map(({ title }) => title)))
  const rows = [...byType].map(([type, row]) => {
    const byTitle = new Map(row.map((cell) => [cell.title, cell]))
    const all = row.reduce((sum, { effects }) => sum + (effects ?? 0), 0)
    return [type, ...titles.map((title) => textOf(byTitle.get(title))), String(all)]
  })
  const head = ['type', ...titles.map((_, i) => String(i + 1)), 'all']
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row.map((text, i) => pad(text, widths[i] ?? 0, i === 0)).join(' ')
  const left = [...byType].flatMap(([type, [cell]]) =>
    cell === undefined || cell.without.length === 0
      ? []
      : [`${type}: its peer has no ${cell.without.join(', ')}`],
  )
  return [
    'The contract suite: effects that each peer counted, by test.',
    'A dot: the type does not promise it. X: failed. S: skipped. ?: the peer could not be asked.',
    ...titles.map((title, i) => `${String(i + 1).padStart(3)}  ${title}`),
    '',
    line(head),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map(line),
    ...left,
    '',
  ]
}

const textOf = (cell: ContractCell | undefined): string => {
  if (cell === undefined) return '·'
  if (cell.state !== 'passed') return cell.state === 'failed' ? 'X' : 'S'
  return cell.effects === null ? '?' : String(cell.effects)
}

const pad = (text: string, width: number, isName: boolean): string =>
  isName ? text.padEnd(width) : text.padStart(width)

/** One order of all tests: each type has some of them, in the suite's order. */
const merged = (lists: readonly (readonly string[])[]): readonly string[] => {
  const all: string[] = []
  for (const list of lists.toSorted((a, b) => b.length - a.length)) {
    let at = 0
    for (const title of list) {
      const found = all.indexOf(title)
      if (found < 0) all.splice(at, 0, title)
      at = (found < 0 ? at : found) + 1
    }
  }
  return all
}
