// Where the database is and how far its log goes: what is compared with the mark that a process keeps outside of it.

import type { Whereabouts } from '#domain/ports.ts'
import type { Database } from './database.ts'
import { putFinding } from './tables/recovery.ts'
import { isUuid } from './tables/translate.ts'

export const createWhereabouts = ({ client: db }: Database): Whereabouts => ({
  cluster: async () => {
    const rows = await db.$queryRaw<{ readonly cluster: string }[]>`
      SELECT system_identifier::text || '/' || oid::text AS cluster
      FROM pg_control_system(), pg_database WHERE datname = current_database()`
    const cluster = rows[0]?.cluster
    if (cluster === undefined) throw new Error('the database does not say which one it is')
    return cluster
  },
  lastEvent: async () => {
    const rows = await db.$queryRaw<
      { readonly id: string; readonly hash: string; readonly at: Date }[]
    >`
      SELECT id::text AS id, encode(leaf_hash, 'hex') AS hash, recorded_at AS at FROM audit.event
      ORDER BY txid DESC, id DESC LIMIT 1`
    const row = rows[0]
    return row === undefined ? null : { id: row.id, leafHash: row.hash, at: row.at }
  },
  hasEvents: async (events) => {
    const asked = events.filter(({ id, leafHash }) => isUuid(id) && /^[0-9a-f]{64}$/.test(leafHash))
    if (asked.length < events.length) return false
    const rows = await db.$queryRaw<{ readonly missing: boolean }[]>`
      SELECT EXISTS (
        SELECT FROM jsonb_to_recordset(${JSON.stringify(asked)}::jsonb) AS m (id uuid, "leafHash" text)
        WHERE NOT EXISTS (SELECT FROM audit.event e WHERE e.id = m.id AND e.leaf_hash = decode(m."leafHash", 'hex'))
      ) AS missing`
    return rows[0]?.missing === false
  },
  putFinding: (row) => putFinding(db, row),
})
