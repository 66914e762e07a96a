// Tables for eyes, grep and awk: padded columns, two spaces between them, one record a line, no boxes.

import { plain } from './human.ts'

export interface Column<T> {
  readonly title: string
  readonly text: (row: T, now: Date) => string
  /** Only with `-o wide`. */
  readonly wide?: true
}

export const table = <T>(columns: readonly Column<T>[], rows: readonly T[], now: Date): string =>
  lines([
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => cell(column.text(row, now)))),
  ])

/** Pads every cell but the last of its line. */
export const lines = (cells: readonly (readonly string[])[]): string => {
  const widths: number[] = []
  for (const row of cells) {
    row.forEach((text, i) => {
      widths[i] = Math.max(widths[i] ?? 0, width(text))
    })
  }
  return cells
    .map(
      (row) =>
        `${row
          .map((text, i) => pad(text, widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** An empty cell would shift the columns of awk. */
const cell = (text: string): string => plain(text) || '–'

const pad = (text: string, to: number): string => text + ' '.repeat(Math.max(0, to - width(text)))

const width = (text: string): number => [...text].length
