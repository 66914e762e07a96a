// One thing in full: a title, then labels and values, one a line.

import { plain } from './human.ts'
import { lines } from './table.ts'

export type SheetRow = readonly [label: string, value: string]

export const sheet = (title: string, rows: readonly SheetRow[]): string =>
  `${plain(title)}\n${lines(rows.map(([label, value]) => [`  ${label}`, plain(value)]))}`

/** A block under a heading; nothing where it would be empty. */
export const section = (title: string, body: string): string =>
  body === '' ? '' : `${title}\n${body.trimEnd().replaceAll(/^/gm, '  ')}\n`
