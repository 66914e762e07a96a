// Between rows and records: JSON columns, bytes, ids, pages.

import type { Page, Paged } from '#domain/ports.ts'
import { Prisma } from '../generated/client.ts'

/** A record as a JSON column takes it. Records are plain data; the type of a column is only that it is JSON. */
export const json = (value: unknown): Prisma.InputJsonValue => value as Prisma.InputJsonValue

/** Null as SQL's NULL, never as the JSON value null: one absence, not two. */
export const jsonOrNull = (value: unknown): Prisma.InputJsonValue | typeof Prisma.DbNull =>
  value === null ? Prisma.DbNull : json(value)

/** A JSON column as the record that was put in; what comes out is what `json` let in. */
export const from = <T>(value: Prisma.JsonValue | null): T => value as T

/** A text column whose values a CHECK or a type of ours closes. */
export const word = <T extends string | null>(value: string | null): T => value as T

/** Bytes in an ArrayBuffer of their own, as Prisma's types ask for. */
export const bytes = (value: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(value)

/** Ids come from callers too; what is no UUID names nothing, and must not reach a uuid column. */
export const isUuid = (id: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(id)

/** Takes one row more than the page, to know whether there is a next one. */
export const take = (page: Page): number => page.limit + 1

export const paged = <T>(rows: readonly T[], page: Page, keyOf: (row: T) => string): Paged<T> => {
  const items = rows.slice(0, page.limit)
  const last = items.at(-1)
  return { items, next: rows.length > page.limit && last !== undefined ? keyOf(last) : null }
}
