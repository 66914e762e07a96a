import type { Consumer } from '#domain/connection.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { Consumer as Row } from '../generated/client.ts'
import { from, json, jsonOrNull, paged, take } from './translate.ts'

export const consumerReads = (db: Db): Reads['consumers'] => ({
  get: async (name) => {
    const row = await db.consumer.findUnique({ where: { name } })
    return row && toConsumer(row)
  },
  list: async (page) => {
    const rows = await db.consumer.findMany({
      ...(page.after === null ? {} : { where: { name: { gt: page.after } } }),
      orderBy: { name: 'asc' },
      take: take(page),
    })
    return paged(rows.map(toConsumer), page, (consumer) => consumer.name)
  },
  all: async () => (await db.consumer.findMany({ orderBy: { name: 'asc' } })).map(toConsumer),
})

export const consumerWrites = (db: Db): Tx['writeConsumer'] => ({
  put: async (row, expectedRevision) => {
    const data = toRow(row)
    const { count } =
      expectedRevision === null
        ? await db.consumer.createMany({ data: [data], skipDuplicates: true })
        : await db.consumer.updateMany({
            where: { name: row.name, revision: expectedRevision },
            data,
          })
    return count === 1
  },
  delete: async (name, expectedRevision) => {
    const { count } = await db.consumer.deleteMany({ where: { name, revision: expectedRevision } })
    return count === 1
  },
})

const toConsumer = (row: Row): Consumer => ({
  ...row,
  labels: from(row.labels),
  reload: from(row.reload),
})

const toRow = (consumer: Consumer) => ({
  name: consumer.name,
  owner: consumer.owner,
  labels: json(consumer.labels),
  keys: [...consumer.keys],
  reload: jsonOrNull(consumer.reload),
  managedBy: consumer.managedBy,
  revision: consumer.revision,
  createdAt: consumer.createdAt,
  updatedAt: consumer.updatedAt,
})
