import type { ApiKey } from '#domain/connection.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { ApiKey as Row } from '../generated/client.ts'
import { bytes, from, isUuid, jsonOrNull, paged, take } from './translate.ts'

export const apiKeyReads = (db: Db): Reads['apiKeys'] => ({
  byHash: async (hash) => one(await db.apiKey.findUnique({ where: { hash: bytes(hash) } })),
  byId: async (id) => (isUuid(id) ? one(await db.apiKey.findUnique({ where: { id } })) : null),
  list: async (page) => {
    const rows = await db.apiKey.findMany({
      where: { deletedAt: null, ...(page.after === null ? {} : { id: { gt: page.after } }) },
      orderBy: { id: 'asc' },
      take: take(page),
    })
    return paged(rows.map(toApiKey), page, (key) => key.id)
  },
  makers: async (principals) => {
    const ids = principals.filter(isUuid)
    if (ids.length === 0) return { makers: new Map(), deleted: new Set() }
    const rows = await db.$queryRaw<
      { readonly id: string; readonly maker: string; readonly deleted: boolean }[]
    >`
      WITH RECURSIVE line (id, maker, deleted) AS (
        SELECT k.id, k.created_by, k.deleted_at IS NOT NULL FROM app.api_key k WHERE k.id = ANY (${ids}::uuid[])
        UNION
        SELECT k.id, k.created_by, k.deleted_at IS NOT NULL FROM line JOIN app.api_key k ON k.id =
          CASE WHEN line.maker ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN line.maker::uuid END)
      SELECT id, maker, deleted FROM line`
    return {
      makers: new Map(rows.map(({ id, maker }) => [id, maker])),
      deleted: new Set(rows.flatMap(({ id, deleted }) => (deleted ? [id] : []))),
    }
  },
  lastUses: async (ids) => {
    const rows = await db.apiKeyUse.findMany({ where: { apiKeyId: { in: ids.filter(isUuid) } } })
    return new Map(rows.map(({ apiKeyId, lastUsedAt }) => [apiKeyId, lastUsedAt]))
  },
})

export const apiKeyWrites = (db: Db): Tx['writeApiKey'] => ({
  insert: async (row) => {
    await db.apiKey.create({ data: toRow(row), select: { id: true } })
  },
  delete: async (id, at) => {
    if (!isUuid(id)) return false
    const { count } = await db.apiKey.updateMany({
      where: { id, deletedAt: null },
      data: { deletedAt: at },
    })
    return count === 1
  },
})

const one = (row: Row | null): ApiKey | null => row && toApiKey(row)

const toApiKey = (row: Row): ApiKey => ({
  ...row,
  type: row.type as ApiKey['type'],
  roles: row.roles as unknown as ApiKey['roles'],
  scope: from(row.scope),
  keys: from(row.keys),
  addresses: from(row.addresses),
})

const toRow = (key: ApiKey) => ({
  ...key,
  roles: [...key.roles],
  scope: jsonOrNull(key.scope),
  keys: jsonOrNull(key.keys),
  addresses: jsonOrNull(key.addresses),
  hash: bytes(key.hash),
})
