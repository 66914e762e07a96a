import type { Connection } from '#domain/connection.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { Connection as Row } from '../generated/client.ts'
import { from, json, paged, take } from './translate.ts'

export const connectionReads = (db: Db): Reads['connections'] => ({
  get: async (name) => {
    const row = await db.connection.findUnique({ where: { name } })
    return row && toConnection(row)
  },
  list: async (page) => {
    const rows = await db.connection.findMany({
      ...(page.after === null ? {} : { where: { name: { gt: page.after } } }),
      orderBy: { name: 'asc' },
      take: take(page),
    })
    return paged(rows.map(toConnection), page, (c) => c.name)
  },
  usedBy: async (name) => {
    const target = JSON.stringify([{ connection: name }])
    const rows = await db.$queryRaw<{ readonly user: string }[]>`
      (SELECT 'key/' || name AS user FROM app.key
       WHERE deleted_at IS NULL AND connection = ${name} ORDER BY name LIMIT 50)
      UNION ALL
      (SELECT 'policy/' || name FROM app.policy
       WHERE spec -> 'publish' @> ${target}::jsonb ORDER BY name LIMIT 50)
      UNION ALL
      (SELECT 'rotation/' || id FROM app.rotation
       WHERE phase NOT IN ('completed', 'cancelled', 'rolledBack', 'abandoned')
         AND plan -> 'publish' @> ${target}::jsonb ORDER BY id LIMIT 50)`
    return rows.map((row) => row.user)
  },
  withCredentialOf: async (key) => {
    const rows = await db.connection.findMany({
      where: {
        AND: [
          { credential: { path: ['from'], equals: 'key' } },
          { credential: { path: ['key'], equals: key } },
        ],
      },
      orderBy: { name: 'asc' },
    })
    return rows.map(toConnection)
  },
})

export const connectionWrites = (db: Db): Tx['writeConnection'] => ({
  insert: async (row) => toConnection(await db.connection.create({ data: toRow(row) })),
  update: async (row, expectedRevision) => {
    const { count } = await db.connection.updateMany({
      where: { name: row.name, revision: expectedRevision },
      data: toRow(row),
    })
    return count === 1
  },
  delete: async (name, expectedRevision) => {
    const { count } = await db.connection.deleteMany({
      where: { name, revision: expectedRevision },
    })
    return count === 1
  },
})

export const toConnection = (row: Row): Connection => ({
  name: row.name,
  provider: row.provider,
  settings: from(row.settings),
  credential: from(row.credential),
  grants: from(row.grants),
  labels: from(row.labels),
  managedBy: row.managedBy,
  externalId: row.externalId,
  revision: row.revision,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
})

/** The external id stays as the database made it. */
const toRow = (c: Omit<Connection, 'externalId'>) => ({
  name: c.name,
  provider: c.provider,
  settings: json(c.settings),
  credential: json(c.credential),
  grants: json(c.grants),
  labels: json(c.labels),
  managedBy: c.managedBy,
  revision: c.revision,
  createdAt: c.createdAt,
  updatedAt: c.updatedAt,
})
