import type { Key } from '#domain/key.ts'
import type { KeyChoice, KeyFilter, Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { Prisma, type Key as Row } from '../generated/client.ts'
import { isShown } from './drift.ts'
import { jsonRows } from './json-rows.ts'
import { from, isUuid, json, jsonOrNull, paged, take, word } from './translate.ts'

export const keyReads = (db: Db): Reads['keys'] => ({
  byName: async (name) => one(await db.key.findFirst({ where: { name, deletedAt: null } })),
  byId: async (id) => (isUuid(id) ? one(await db.key.findUnique({ where: { id } })) : null),
  byIds: async (ids) => (await rowsById(db, ids.filter(isUuid))).map(toKey),
  count: () => db.key.count({ where: { deletedAt: null } }),
  byObject: async (objectId) =>
    one(await db.key.findFirst({ where: { objectId, deletedAt: null } })),
  managed: async (objectIds) => {
    const where = { objectId: { in: [...objectIds] }, deletedAt: null }
    const rows =
      objectIds.length === 0 ? [] : await db.key.findMany({ where, select: { objectId: true } })
    return rows.map(({ objectId }) => objectId)
  },
  list: async (filter, page) => {
    // The names by SQL: containment (@>) is what the GIN index on labels answers.
    const found = await db.$queryRaw<{ readonly id: string }[]>`
      SELECT k.id FROM app.key k
      WHERE k.deleted_at IS NULL ${keyConditions(filter)}
        ${page.after === null ? Prisma.empty : Prisma.sql`AND k.name > ${page.after}`}
      ORDER BY k.name LIMIT ${take(page)}`
    const rows = await rowsById(
      db,
      found.map((row) => row.id),
    )
    return paged(rows.map(toKey).toSorted(byName), page, (key) => key.name)
  },
  policiesOf: async (labels) => {
    const rows = await db.$queryRaw<{ readonly policy: string | null; readonly keys: bigint }[]>`
      SELECT policy, count(*) AS keys FROM app.key
      WHERE deleted_at IS NULL AND labels @> ${JSON.stringify(labels)}::jsonb
      GROUP BY policy ORDER BY policy NULLS LAST`
    return rows.map(({ policy, keys }) => ({ policy, keys: Number(keys) }))
  },
  chosen: async (choice, limit) => {
    // In one statement: there may be ten thousand, and somebody waits for them.
    const rows = await jsonRows<Row>(
      db,
      Prisma.sql`(SELECT k.* FROM app.key k WHERE k.deleted_at IS NULL ${choiceConditions(choice)} ORDER BY k.name LIMIT ${limit}) t
        ORDER BY t.name`,
    )
    return rows.map(toKey)
  },
  batch: async (filter, page) => {
    const rows = await db.key.findMany({
      where: {
        deletedAt: null,
        ...(filter.connection === undefined ? {} : { connection: filter.connection }),
        ...(filter.type === undefined ? {} : { type: filter.type }),
        ...(page.after === null ? {} : { id: { gt: page.after } }),
      },
      orderBy: { id: 'asc' },
      take: take(page),
    })
    return paged(rows.map(toKey), page, (key) => key.id)
  },
})

export const keyWrites = (db: Db): Tx['writeKey'] => ({
  insert: async (row) => {
    await db.key.create({ data: toRow(row), select: { id: true } })
  },
  update: async (row, expectedRevision) => {
    const { count } = await db.key.updateMany({
      where: { id: row.id, revision: expectedRevision },
      data: toRow(row),
    })
    return count === 1
  },
  assignPolicy: async (keyIds, policy, selectedAt) => {
    await db.key.updateMany({
      where: { id: { in: [...keyIds] } },
      data: { policy, policySelectedAt: selectedAt },
    })
  },
})

/** Conditions on a table that is called `k`; each begins with AND. */
export const keyConditions = (filter: KeyFilter): Prisma.Sql => {
  const all: Prisma.Sql[] = []
  if (filter.connection !== undefined) all.push(Prisma.sql`AND k.connection = ${filter.connection}`)
  if (filter.type !== undefined) all.push(Prisma.sql`AND k.type = ${filter.type}`)
  if (filter.policy !== undefined) all.push(Prisma.sql`AND k.policy = ${filter.policy}`)
  if (filter.managedBy !== undefined) all.push(Prisma.sql`AND k.managed_by = ${filter.managedBy}`)
  if (filter.labels !== undefined) all.push(labelled(filter.labels))
  if (filter.overdue !== undefined) {
    const found = Prisma.sql`EXISTS (SELECT FROM app.key_schedule s WHERE s.key_id = k.id AND s.overdue_since IS NOT NULL)`
    all.push(filter.overdue ? Prisma.sql`AND ${found}` : Prisma.sql`AND NOT ${found}`)
  }
  if (filter.drifted !== undefined) {
    const found = Prisma.sql`EXISTS (SELECT FROM app.drift d WHERE d.key_id = k.id AND ${isShown})`
    all.push(filter.drifted ? Prisma.sql`AND ${found}` : Prisma.sql`AND NOT ${found}`)
  }
  all.push(scopeConditions(filter.scope))
  return join(all)
}

const choiceConditions = (choice: KeyChoice): Prisma.Sql => {
  const all: Prisma.Sql[] = [scopeConditions(choice.scope)]
  const { names, labels, connections, providers, owner, environment, policy, usedBy } = choice
  if (names !== undefined) all.push(Prisma.sql`AND k.name = ANY (${[...names]}::text[])`)
  if (labels !== undefined) all.push(labelled(labels))
  if (connections !== undefined)
    all.push(Prisma.sql`AND k.connection = ANY (${[...connections]}::text[])`)
  if (providers !== undefined) {
    all.push(
      Prisma.sql`AND k.connection IN (SELECT c.name FROM app.connection c WHERE c.provider = ANY (${[...providers]}::text[]))`,
    )
  }
  if (owner !== undefined) all.push(Prisma.sql`AND k.owner = ${owner}`)
  if (environment !== undefined) all.push(Prisma.sql`AND k.environment = ${environment}`)
  if (policy !== undefined) all.push(Prisma.sql`AND k.policy = ${policy}`)
  if (usedBy !== undefined) {
    all.push(
      Prisma.sql`AND (${usedBy.consumer} = ANY (k.consumers) OR k.name = ANY (${[...usedBy.keys]}::text[]) OR k.policy = ANY (${[...usedBy.policies]}::text[]))`,
    )
  }
  if (choice.madeFrom !== undefined || choice.madeTo !== undefined) {
    const from = choice.madeFrom ?? new Date(0)
    const to =
      choice.madeTo === undefined ? Prisma.empty : Prisma.sql`AND v.created_at < ${choice.madeTo}`
    all.push(
      Prisma.sql`AND EXISTS (SELECT FROM app.version v WHERE v.key_id = k.id AND v.created_at >= ${from} ${to})`,
    )
  }
  return join(all)
}

export const scopeConditions = (scope: KeyFilter['scope']): Prisma.Sql => {
  const all: Prisma.Sql[] = []
  if (scope?.connections !== undefined) {
    all.push(Prisma.sql`AND k.connection = ANY (${[...scope.connections]}::text[])`)
  }
  if (scope?.matchLabels !== undefined) all.push(labelled(scope.matchLabels))
  return join(all)
}

const labelled = (labels: Readonly<Record<string, string>>): Prisma.Sql =>
  Object.keys(labels).length === 0
    ? Prisma.empty
    : Prisma.sql`AND k.labels @> ${JSON.stringify(labels)}::jsonb`

const join = (all: readonly Prisma.Sql[]): Prisma.Sql =>
  all.length === 0 ? Prisma.empty : Prisma.join([...all], ' ')

const rowsById = async (db: Db, ids: readonly string[]): Promise<readonly Row[]> =>
  ids.length === 0
    ? []
    : jsonRows<Row>(db, Prisma.sql`app.key t WHERE t.id = ANY (${[...ids]}::uuid[])`)

// Code units, as the database sorts under the locale C.
const byName = (a: Key, b: Key): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)

const one = (row: Row | null): Key | null => row && toKey(row)

const toKey = (row: Row): Key => ({
  id: row.id,
  name: row.name,
  connection: row.connection,
  type: row.type,
  ref: from(row.ref),
  objectId: row.objectId,
  purpose: row.purpose,
  owner: row.owner,
  environment: row.environment,
  labels: from(row.labels),
  consumers: row.consumers,
  usableBy: row.usableBy,
  observe: word(row.observe),
  generate: from(row.generate),
  policy: row.policy,
  policySelectedAt: row.policySelectedAt,
  managedBy: row.managedBy,
  revision: row.revision,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
  deletedAt: row.deletedAt,
})

const toRow = (key: Key) => ({
  id: key.id,
  name: key.name,
  connection: key.connection,
  type: key.type,
  ref: json(key.ref),
  objectId: key.objectId,
  purpose: key.purpose,
  owner: key.owner,
  environment: key.environment,
  labels: json(key.labels),
  consumers: [...key.consumers],
  usableBy: [...key.usableBy],
  observe: key.observe,
  generate: jsonOrNull(key.generate),
  policy: key.policy,
  policySelectedAt: key.policySelectedAt,
  managedBy: key.managedBy,
  revision: key.revision,
  createdAt: key.createdAt,
  updatedAt: key.updatedAt,
  deletedAt: key.deletedAt,
})
