import type { Policy } from '#domain/connection.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { Policy as Row } from '../generated/client.ts'
import { from, json, paged, take } from './translate.ts'

export const policyReads = (db: Db): Reads['policies'] => ({
  get: async (name) => one(await db.policy.findUnique({ where: { name } })),
  list: async (page) => {
    const rows = await db.policy.findMany({
      ...(page.after === null ? {} : { where: { name: { gt: page.after } } }),
      orderBy: { name: 'asc' },
      take: take(page),
    })
    return paged(rows.map(toPolicy), page, (policy) => policy.name)
  },
  all: async () => (await db.policy.findMany({ orderBy: { name: 'asc' } })).map(toPolicy),
  // A name may have had several policies, one after another; the numbers of the last one are meant.
  revision: async (name, revision) =>
    one(
      await db.policyRevision.findFirst({
        where: { name, revision },
        orderBy: { createdAt: 'desc' },
      }),
    ),
  revisions: async (name, page) => {
    const newest = await db.policyRevision.findFirst({
      where: { name },
      orderBy: { createdAt: 'desc' },
      select: { createdAt: true },
    })
    if (newest === null) return { items: [], next: null }
    const before = page.after === null ? null : Number(page.after)
    const rows = await db.policyRevision.findMany({
      where: {
        name,
        createdAt: newest.createdAt,
        ...(before === null ? {} : { revision: { lt: before } }),
      },
      orderBy: { revision: 'desc' },
      take: take(page),
    })
    return paged(rows.map(toPolicy), page, (policy) => String(policy.revision))
  },
})

export const policyWrites = (db: Db): Tx['writePolicy'] => ({
  put: async (row, expectedRevision) => {
    const data = toRow(row)
    const { count } =
      expectedRevision === null
        ? await db.policy.createMany({ data: [data], skipDuplicates: true })
        : await db.policy.updateMany({
            where: { name: row.name, revision: expectedRevision },
            data,
          })
    if (count === 0) return false
    await db.policyRevision.create({ data, select: { name: true } })
    return true
  },
  delete: async (name, expectedRevision) => {
    const { count } = await db.policy.deleteMany({ where: { name, revision: expectedRevision } })
    return count === 1
  },
})

const one = (row: Row | null): Policy | null => row && toPolicy(row)

const toPolicy = (row: Row): Policy => ({
  name: row.name,
  labels: from(row.labels),
  annotations: from(row.annotations),
  spec: from(row.spec),
  revision: row.revision,
  author: { id: row.authorId, name: row.authorName },
  managedBy: row.managedBy,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
})

const toRow = (policy: Policy) => ({
  name: policy.name,
  labels: json(policy.labels),
  annotations: json(policy.annotations),
  spec: json(policy.spec),
  revision: policy.revision,
  authorId: policy.author.id,
  authorName: policy.author.name,
  managedBy: policy.managedBy,
  createdAt: policy.createdAt,
  updatedAt: policy.updatedAt,
})
