// The audit log as it is read: newest first, by the time in the ids.

import type { AuditBody } from '#domain/audit.ts'
import type { AuditFilter, Reads, StoredEvent } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { Prisma } from '../generated/client.ts'
import { isUuid, paged, take } from './translate.ts'

interface Row {
  readonly body: string
  readonly leaf_hash: Uint8Array
  readonly writer_kid: Uint8Array
  readonly writer_sig: Uint8Array
  readonly recorded_at: Date
}

export const auditReads = (db: Db): Reads['audit'] => ({
  list: async (filter, page) => {
    if (page.after !== null && !isUuid(page.after)) return { items: [], next: null }
    const rows = await db.$queryRaw<Row[]>`
      SELECT body, leaf_hash, writer_kid, writer_sig, recorded_at FROM audit.event
      WHERE true ${conditions(filter)}
        ${page.after === null ? Prisma.empty : Prisma.sql`AND id < ${page.after}::uuid`}
      ORDER BY id DESC LIMIT ${take(page)}`
    return paged(rows.map(toEvent), page, (event) => event.body.id)
  },
  after: async (correlationId, eventId, limit, actions) => {
    const seen =
      eventId !== null && isUuid(eventId) ? await sequenceOf(db, correlationId, eventId) : 0
    const rows = await db.$queryRaw<Row[]>`
      SELECT body, leaf_hash, writer_kid, writer_sig, recorded_at FROM audit.event
      WHERE (facets).correlation_id = ${correlationId} AND (body::jsonb #>> '{stream,seq}')::integer > ${seen}
        ${actions === undefined ? Prisma.empty : Prisma.sql`AND (facets).action = ANY (${[...actions]}::text[])`}
      ORDER BY (body::jsonb #>> '{stream,seq}')::integer LIMIT ${limit}`
    return rows.map(toEvent)
  },
  get: async (id) => {
    if (!isUuid(id)) return null
    const rows = await db.$queryRaw<Row[]>`
      SELECT body, leaf_hash, writer_kid, writer_sig, recorded_at FROM audit.event WHERE id = ${id}::uuid LIMIT 1`
    const row = rows[0]
    return row === undefined ? null : toEvent(row)
  },
  uses: async (key, since) => {
    // The newest are looked at, by the index of keys: a key that is read all day must not make this slow.
    const rows = await db.$queryRaw<UseRow[]>`
      WITH looked AS (
        SELECT id, (facets).action AS action, body::jsonb AS body FROM audit.event
        WHERE (facets).key_name = ${key.name} AND (facets).action IN ('key.valueRead', 'key.used')
          AND (facets).outcome = 'succeeded' AND id >= ${firstIdOf(since)}::uuid
        ORDER BY id DESC LIMIT ${mostUses}
      ), use AS (
        SELECT body #>> '{actor,name}' AS actor,
          body #>> '{after,consumer}' AS consumer,
          CASE action WHEN 'key.valueRead' THEN 'read' ELSE body #>> '{after,operation}' END AS operation,
          (body #>> '{after,version}')::integer AS version,
          coalesce((body #>> '{after,uses}')::integer, 1) AS uses,
          (body ->> 'at')::timestamptz AS at
        FROM looked WHERE body #>> '{target,id}' = ${key.id}
      )
      SELECT actor, consumer, operation, version, sum(uses)::integer AS uses,
        min(at) AS first_at, max(at) AS last_at,
        (SELECT count(*)::integer FROM looked) AS looked,
        (SELECT min((body ->> 'at')::timestamptz) FROM looked) AS oldest
      FROM use GROUP BY actor, consumer, operation, version
      ORDER BY last_at DESC, actor, operation, version LIMIT 500`
    const complete = (rows[0]?.looked ?? 0) < mostUses
    return {
      items: rows.map((row) => ({
        actor: row.actor,
        consumer: row.consumer,
        operation: row.operation,
        version: row.version,
        uses: row.uses,
        firstAt: row.first_at,
        lastAt: row.last_at,
      })),
      since: complete ? since : (rows[0]?.oldest ?? since),
      complete,
    }
  },
})

const mostUses = 20_000

interface UseRow {
  readonly actor: string
  readonly consumer: string | null
  readonly operation: string
  readonly version: number
  readonly uses: number
  readonly first_at: Date
  readonly last_at: Date
  readonly looked: number
  readonly oldest: Date
}

/** The place of an event in its stream; 0 for one that is not in it, so that a reader with a foreign id sees all. */
const sequenceOf = async (db: Db, correlationId: string, eventId: string): Promise<number> => {
  const rows = await db.$queryRaw<{ readonly seq: number | null }[]>`
    SELECT (body::jsonb #>> '{stream,seq}')::integer AS seq FROM audit.event
    WHERE id = ${eventId}::uuid AND (facets).correlation_id = ${correlationId} LIMIT 1`
  return rows[0]?.seq ?? 0
}

const conditions = (filter: AuditFilter): Prisma.Sql => {
  const all: Prisma.Sql[] = []
  if (filter.key !== undefined) all.push(Prisma.sql`AND (facets).key_name = ${filter.key}`)
  if (filter.rotation !== undefined)
    all.push(Prisma.sql`AND (facets).correlation_id = ${filter.rotation}`)
  if (filter.correlationId !== undefined)
    all.push(Prisma.sql`AND (facets).correlation_id = ${filter.correlationId}`)
  if (filter.actor !== undefined) all.push(Prisma.sql`AND (facets).actor_id = ${filter.actor}`)
  if (filter.action !== undefined) all.push(Prisma.sql`AND (facets).action = ${filter.action}`)
  if (filter.outcome !== undefined) all.push(Prisma.sql`AND (facets).outcome = ${filter.outcome}`)
  // An id begins with the milliseconds of its time, so a span of time is a range of the primary key.
  if (filter.from !== undefined) all.push(Prisma.sql`AND id >= ${firstIdOf(filter.from)}::uuid`)
  if (filter.to !== undefined) all.push(Prisma.sql`AND id < ${firstIdOf(filter.to)}::uuid`)
  return all.length === 0 ? Prisma.empty : Prisma.join(all, ' ')
}

const firstIdOf = (at: Date): string => {
  const ms = Math.max(0, at.getTime()).toString(16).padStart(12, '0')
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7000-8000-000000000000`
}

const toEvent = (row: Row): StoredEvent => {
  const body = JSON.parse(row.body) as AuditBody
  return {
    body,
    receipt: {
      eventId: body.id,
      leafHash: Buffer.from(row.leaf_hash).toString('hex'),
      writerKid: Buffer.from(row.writer_kid).toString('hex'),
      writerSig: Buffer.from(row.writer_sig).toString('base64'),
    },
    recordedAt: row.recorded_at,
  }
}
