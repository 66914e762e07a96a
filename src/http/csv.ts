// CSV (RFC 4180) for people who open it in a spreadsheet, which runs what begins like a formula: such a cell gets an
// apostrophe before it, and is then text (OWASP "CSV injection"). Names and labels come from whoever may write them.

export type Cell = string | number | boolean | null

export const csvMediaType = 'text/csv'

export const csvOf = (head: readonly string[], rows: readonly (readonly Cell[])[]): string =>
  [head, ...rows].map((row) => `${row.map(cellOf).join(',')}\r\n`).join('')

const cellOf = (value: Cell): string => {
  if (value === null) return ''
  if (typeof value !== 'string') return String(value)
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Whether a reply may be CSV: only who asks for it gets it. */
export const wantsCsv = (accept: string | undefined): boolean =>
  (accept ?? '').toLowerCase().includes(csvMediaType)
