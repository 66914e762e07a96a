// The matrix as people read it: a table a type, a line a step, a column a crash point; in each cell how it ended and how
// often the effect of the step was applied at the peer in the whole.

import { type Point, titleOf } from '#test/support/dying-worker.ts'
import { allPoints, noPoint, points, type Step } from './machine-says.ts'
import type { Row } from './rows.ts'

/** The steps of one way, forward or back. */
export interface Way {
  /** Null: forward; else where it was turned round. */
  readonly from: string | null
  /** How it ends when nobody dies, or nobody else. */
  readonly undisturbed: string
  readonly lines: readonly Line[]
}
export interface Line {
  readonly step: Step
  readonly ends: ReadonlyMap<Point, string>
}

export const tableOf = (row: Row, ways: readonly Way[]): string => {
  const { slot, staging, undo } = row.traits
  const head = ['', ...allPoints.map((point) => points[point])]
  const whys = new Map<string, string>()
  const markOf = (why: string): string => {
    const mark = whys.get(why) ?? `–${'¹²³'[whys.size] ?? ''}`
    whys.set(why, mark)
    return mark
  }
  const body: string[][] = []
  for (const { from, undisturbed, lines } of ways) {
    body.push([`${from === null ? 'forward' : `undo from ${from}`}: ${undisturbed}`])
    for (const { step, ends } of lines)
      body.push([
        `  ${titleOf(step)}${step.name === null ? '' : ` (${step.name})`}`,
        ...allPoints.map((point) => {
          const why = noPoint(step, point)
          return why === null ? (ends.get(point) ?? '') : markOf(why)
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
