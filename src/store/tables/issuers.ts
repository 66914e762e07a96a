import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { from, json } from './translate.ts'

export const issuerReads = (db: Db): Reads['issuers'] => ({
  get: async () => {
    const row = await db.issuers.findFirst()
    if (row === null) throw new Error('the row of the issuers is missing')
    const { items, revision, setBy, updatedAt } = row
    return { items: from(items), revision, setBy, updatedAt }
  },
})

export const issuerWrites = (db: Db): Tx['writeIssuers'] => ({
  put: async ({ items, setBy, updatedAt }, expectedRevision) => {
    const { count } = await db.issuers.updateMany({
      where: { revision: expectedRevision },
      data: { items: json(items), revision: expectedRevision + 1, setBy, updatedAt },
    })
    return count === 1
  },
})
