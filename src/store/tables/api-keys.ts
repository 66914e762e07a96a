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
    const rows = await db.$queryRaw<
      {
        readonly id: string
        readonly maker: string | null
        readonly over: boolean
        readonly back: Date | null
      }[]
    >`
      WITH RECURSIVE line (id, maker, over) AS (
        SELECT k.id, k.created_by, k.deleted_at IS NOT NULL OR coalesce(k.expires_at <= app.now(), false)
        FROM app.api_key k WHERE k.id = ANY (${ids}::uuid[])
        UNION
        SELECT k.id, k.created_by, k.deleted_at IS NOT NULL OR coalesce(k.expires_at <= app.now(), false)
        FROM line JOIN app.api_key k ON k.id =
          CASE WHEN line.maker ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN line.maker::uuid END)
      SELECT id::text, maker, over, NULL::timestamptz AS back FROM line
      UNION ALL
      SELECT principal, NULL, false, at FROM app.taken_back WHERE principal = ANY (${[...principals]}::text[])`
    return {
      makers: new Map(rows.flatMap(({ id, maker }) => (maker === null ? [] : [[id, maker]]))),
      over: new Set(rows.flatMap(({ id, over }) => (over ? [id] : []))),
      takenBack: new Map(rows.flatMap(({ id, back }) => (back === null ? [] : [[id, back]]))),
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
