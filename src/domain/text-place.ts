// Places in a text, as editors count them: lines and columns from 1, columns in UTF-16 units.

import type { LineCounter } from 'yaml'
import type { Issue } from './issue.ts'

export interface Place {
  readonly line: number
  readonly column: number
  /** One past the last column, on the same line. */
  readonly endColumn: number
}

export const toIssue = (pointer: string, detail: string, place: Place, hint?: string): Issue => ({
  code: 'request.invalid',
  pointer,
  detail,
  ...place,
  ...(hint === undefined ? {} : { hint }),
})

export const placeOf = (lines: LineCounter, text: string, start: number, end: number): Place => {
  const { line, col } = lines.linePos(Math.min(start, text.length))
  // An empty text has no lines at all.
  if (line === 0) return { line: 1, column: 1, endColumn: 2 }
  const lineEnd = text.indexOf('\n', start)
  const stop = Math.min(end, lineEnd === -1 ? text.length : lineEnd)
  return { line, column: col, endColumn: Math.max(col + 1, col + stop - start) }
}

/** Without a counter: for a text that was not parsed. */
export const placeIn = (text: string, offset: number, length: number): Place => {
  const before = text.slice(0, offset)
  const column = offset - (before.lastIndexOf('\n') + 1) + 1
  return { line: before.split('\n').length, column, endColumn: column + Math.max(1, length) }
}
