import type { Sink } from '#domain/connection.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { Sink as Row } from '../generated/client.ts'
import { from, jsonOrNull, paged, take, word } from './translate.ts'

export const sinkReads = (db: Db): Reads['sinks'] => ({
  get: async (name) => {
    const row = await db.sink.findUnique({ where: { name } })
    return row && toSink(row)
  },
  list: async (page) => {
    const rows = await db.sink.findMany({
      ...(page.after === null ? {} : { where: { name: { gt: page.after } } }),
      orderBy: { name: 'asc' },
      take: take(page),
    })
    return paged(rows.map(toSink), page, (sink) => sink.name)
  },
  all: async () => (await db.sink.findMany({ orderBy: { name: 'asc' } })).map(toSink),
})

export const sinkWrites = (db: Db): Tx['writeSink'] => ({
  put: async (row, expectedRevision) => {
    const data = toRow(row)
    // Another address never asked for the silence that this one did (outbox.ts).
    await db.$executeRaw`
      UPDATE app.sink_cursor SET held_until = NULL
      WHERE sink = ${row.name} AND NOT EXISTS (SELECT FROM app.sink WHERE name = ${row.name} AND url = ${row.url})`
    const { count } =
      expectedRevision === null
        ? await db.sink.createMany({ data: [data], skipDuplicates: true })
        : await db.sink.updateMany({ where: { name: row.name, revision: expectedRevision }, data })
    return count === 1
  },
  delete: async (name, expectedRevision) => {
    const { count } = await db.sink.deleteMany({ where: { name, revision: expectedRevision } })
    return count === 1
  },
})

const toSink = (row: Row): Sink => ({ ...row, type: word(row.type), events: from(row.events) })

const toRow = (sink: Sink) => ({
  name: sink.name,
  type: sink.type,
  url: sink.url,
  sealedId: sink.sealedId,
  events: jsonOrNull(sink.events),
  disabledReason: sink.disabledReason,
  revision: sink.revision,
  createdAt: sink.createdAt,
  updatedAt: sink.updatedAt,
})
