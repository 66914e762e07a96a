// The matrix as people read it: a table a type, a line a step, a column a crash point; in each cell how it ended and how
// often the effect of the step was applied at the peer in the whole.

import { type Point, type SeenStep, titleOf } from '#test/support/dying-worker.ts'
import { allPoints, noPoint, points } from './machine-says.ts'
import type { Row } from './rows.ts'

export interface Line {
  /** Null: on the way forward; else where it was turned round. */
  readonly from: string | null
  readonly step: SeenStep
  readonly ends: ReadonlyMap<Point, string>
}

export const tableOf = (row: Row, lines: readonly Line[]): string => {
  const { slot, staging, undo } = row.traits
  const head = ['', ...allPoints.map((point) => points[point])]
  const whys = new Map<string, string>()
  const markOf = (why: string): string => {
    const mark = whys.get(why) ?? `–${'¹²³'[whys.size] ?? ''}`
    whys.set(why, mark)
    return mark
  }
  const body: string[][] = []
  let from: string | null | undefined
  for (const line of lines) {
    if (line.from !== from) body.push([line.from === null ? 'forward' : `undo from ${line.from}`])
    from = line.from
    body.push([
      `  ${titleOf(line.step)}`,
      ...allPoints.map((point) => {
        const why = noPoint(line.step, point)
        return why === null ? (line.ends.get(point) ?? '') : markOf(why)
      }),
    ])
  }
  const all = [head, ...body]
  const widths = head.map((_, n) =>
    Math.max(...all.filter(({ length }) => length > 1).map((cells) => cells[n]?.length ?? 0)),
  )
  const shown = all.map((cells) =>
    cells
      .map((cell, n) => cell.padEnd(cells.length > 1 ? (widths[n] ?? 0) : 0))
      .join('  ')
      .trimEnd(),
  )
  const title = `${row.name}: ${row.type} (slot ${slot}, staging ${staging}, undo ${undo}), retire: ${row.retire}`
  return [title, ...shown, ...[...whys].map(([why, mark]) => `${mark} ${why}`), ''].join('\n')
}
