import type { Freeze } from '#domain/connection.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { from, jsonOrNull } from './translate.ts'

export const freezeReads = (db: Db): Reads['freeze'] => ({
  get: async () => {
    // Not `findUnique`: several of those in one tick become one query with `in`, which a boolean key does not have.
    const row = await db.freeze.findFirst()
    if (row === null) return null
    const { until, reason, selector, setBy, revision, updatedAt } = row
    return { until, reason, selector: from(selector), setBy, revision, updatedAt }
  },
})

export const freezeWrites = (db: Db): Tx['writeFreeze'] => ({
  put: async (row, expectedRevision) => {
    const data = toRow(row)
    const { count } =
      expectedRevision === null
        ? await db.freeze.createMany({ data: [data], skipDuplicates: true })
        : await db.freeze.updateMany({ where: { revision: expectedRevision }, data })
    return count === 1
  },
  delete: async (expectedRevision) => {
    const { count } = await db.freeze.deleteMany({ where: { revision: expectedRevision } })
    return count === 1
  },
})

const toRow = (freeze: Freeze) => ({
  until: freeze.until,
  reason: freeze.reason,
  selector: jsonOrNull(freeze.selector),
  setBy: freeze.setBy,
  revision: freeze.revision,
  updatedAt: freeze.updatedAt,
})
