// Rows as PostgreSQL says them in JSON, as Prisma would give them. For reads of many rows at once: what Prisma makes of a list of
// ids is another statement for every length of it, compiled here and parsed there each time, which costs a worker more than
// the rows do.

import type { Db } from '../database.ts'
import type { Prisma } from '../generated/client.ts'

export type Cells = Readonly<Record<string, unknown>>

/** `of`: what stands after FROM, in which the wanted table is called `t`. */
export const jsonRows = async <Row>(db: Db, of: Prisma.Sql): Promise<readonly Row[]> => {
  const rows = await db.$queryRaw<
    { readonly row: Cells }[]
  >`SELECT row_to_json(t) AS row FROM ${of}`
  return rows.map(({ row }) => record<Row>(row))
}

/** A row as JSON has it, as Prisma would give it. */
export const record = <Row>(cells: Cells): Row => {
  const row: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(cells)) {
    row[inCamels(name)] = typeof value === 'string' ? cell(name, value) : value
  }
  return row as Row
}

const known = new Map<string, string>()
/** Columns have few names. */
const inCamels = (name: string): string => {
  const seen = known.get(name)
  if (seen !== undefined) return seen
  const made = name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  known.set(name, made)
  return made
}

const cell = (name: string, value: string): unknown => {
  if (isMoment.test(name)) return new Date(value)
  return name === 'fingerprint' ? Uint8Array.from(Buffer.from(value.slice(2), 'hex')) : value
}
const isMoment = /^at$|_(?:at|until|after)$/
