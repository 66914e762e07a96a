import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { from, json } from './translate.ts'

export const floorReads = (db: Db): Reads['floors'] => ({
  get: async () => {
    const row = await db.floors.findFirst()
    if (row === null) throw new Error('the row of the floors is missing')
    const { items, revision, setBy, updatedAt } = row
    return { items: from(items), revision, setBy, updatedAt }
  },
})

export const floorWrites = (db: Db): Tx['writeFloors'] => ({
  put: async ({ items, setBy, updatedAt }, expectedRevision) => {
    const { count } = await db.floors.updateMany({
      where: { revision: expectedRevision },
      data: { items: json(items), revision: expectedRevision + 1, setBy, updatedAt },
    })
    return count === 1
  },
})
