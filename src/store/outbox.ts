// How far each sink was told (app.sink_cursor) and what is open (app.sink_delivery). The order is that of the audit stream:
// (txid, id), and only below the oldest transaction that still runs, so that nothing which commits late is passed by.

import type { AuditBody } from '#domain/audit.ts'
import type { DeadLetter, Outbox } from '#domain/ports.ts'
import type { Database, Db } from './database.ts'
import { paged, take } from './tables/translate.ts'

const batchSize = 1_000
const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

export const createOutbox = ({ client: db }: Database): Outbox => ({
  async advance(sink, actions, choose) {
    const cursor = await cursorOf(db, sink)
    if (cursor === null) return 0
    const rows = await db.$queryRaw<PassedRow[]>`
      SELECT txid::text AS txid, id::text AS id,
             CASE WHEN (facets).action = ANY (${[...actions]}::text[]) THEN body END AS body
      FROM audit.event
      WHERE (txid, id) > (${String(cursor.txid)}::xid8, ${cursor.id}::uuid)
        AND txid < audit.log_xid(pg_snapshot_xmin(pg_current_snapshot()))
      ORDER BY txid, id
      LIMIT ${batchSize}`
    const last = rows.at(-1)
    if (last === undefined) return 0
    const bodies = rows.flatMap(({ body }) =>
      body === null ? [] : [JSON.parse(body) as AuditBody],
    )
    const chosen = await choose(bodies)
    // Whoever finds the cursor moved already does nothing: the other one queued the same events.
    await db.$executeRaw`
      WITH moved AS (
        UPDATE app.sink_cursor
        SET after_txid = ${BigInt(last.txid)}, after_id = ${last.id}::uuid, updated_at = app.now()
        WHERE sink = ${sink} AND after_txid = ${cursor.txid} AND after_id = ${cursor.id}::uuid
        RETURNING sink)
      INSERT INTO app.sink_delivery (sink, event_id)
      SELECT moved.sink, event_id FROM moved, unnest(${[...chosen]}::uuid[]) AS event_id
      ON CONFLICT DO NOTHING`
    return rows.length
  },

  async claim(sink, leaseMs) {
    const rows = await db.$queryRaw<{ eventId: string; attempts: number }[]>`
      UPDATE app.sink_delivery
      SET attempts = attempts + 1, updated_at = app.now(),
          next_at = app.now() + make_interval(secs => ${leaseMs / 1000}::float8)
      WHERE sink = ${sink} AND event_id = (
        SELECT event_id FROM app.sink_delivery
        WHERE sink = ${sink} AND state = 'pending' AND next_at <= app.now()
          AND NOT EXISTS (SELECT FROM app.sink_cursor c WHERE c.sink = ${sink} AND c.held_until > app.now())
        ORDER BY next_at, event_id LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING event_id::text AS "eventId", attempts`
    const row = rows[0]
    return row === undefined ? null : { sink, ...row }
  },

  // Without looking at the lease: it arrived, whoever sent it.
  async delivered({ sink, eventId }) {
    await db.$executeRaw`
      UPDATE app.sink_delivery
      SET state = 'delivered', updated_at = app.now(), last_status = NULL, last_error = NULL
      WHERE sink = ${sink} AND event_id = ${eventId}::uuid`
  },

  async failed({ sink, eventId, attempts }, { status, error }, retryMs) {
    await db.$executeRaw`
      UPDATE app.sink_delivery
      SET state = ${retryMs === null ? 'dead' : 'pending'}, last_status = ${status}::int, last_error = ${error},
          next_at = app.now() + make_interval(secs => ${(retryMs ?? 0) / 1000}::float8),
          updated_at = app.now()
      WHERE sink = ${sink} AND event_id = ${eventId}::uuid AND state = 'pending' AND attempts = ${attempts}`
  },

  // Of two answers that were under way at once the longer silence holds; what a former address asked for does not.
  async hold({ name, url }, ms) {
    await db.$executeRaw`
      UPDATE app.sink_cursor
      SET held_until = greatest(held_until, app.now() + make_interval(secs => ${ms / 1000}::float8))
      WHERE sink = ${name} AND NOT EXISTS (SELECT FROM app.sink s WHERE s.name = ${name} AND s.url <> ${url})`
  },

  bury: (sink, error) => db.$executeRaw`
    UPDATE app.sink_delivery SET state = 'dead', last_error = ${error}, updated_at = app.now()
    WHERE sink = ${sink} AND state = 'pending'`,

  async deadLetters(sink, page) {
    const rows = await db.$queryRaw<DeadLetter[]>`
      SELECT event_id::text AS "eventId", attempts, last_status AS "lastStatus", last_error AS "lastError",
             created_at AS "createdAt", updated_at AS "failedAt"
      FROM app.sink_delivery
      WHERE sink = ${sink} AND state = 'dead' AND (${page.after}::uuid IS NULL OR event_id > ${page.after}::uuid)
      ORDER BY event_id
      LIMIT ${take(page)}`
    return paged(rows, page, (letter) => letter.eventId)
  },

  // Whoever asks for it wants it sent now: a silence that was asked for before is over.
  replay: (sink, eventIds) => db.$executeRaw`
    WITH heard AS (UPDATE app.sink_cursor SET held_until = NULL WHERE sink = ${sink})
    UPDATE app.sink_delivery
    SET state = 'pending', attempts = 0, next_at = app.now(), updated_at = app.now()
    WHERE sink = ${sink} AND state = 'dead'
      AND (${eventIds === null} OR event_id = ANY (${[...(eventIds ?? [])]}::uuid[]))`,

  async tidy() {
    await db.$executeRaw`
      DELETE FROM app.sink_cursor c WHERE NOT EXISTS (SELECT FROM app.sink s WHERE s.name = c.sink)
        AND NOT EXISTS (SELECT FROM app.break_glass_sink b WHERE b.name = c.sink)`
    await db.$executeRaw`
      DELETE FROM app.sink_delivery d
      WHERE (NOT EXISTS (SELECT FROM app.sink s WHERE s.name = d.sink)
          AND NOT EXISTS (SELECT FROM app.break_glass_sink b WHERE b.name = d.sink))
        OR (state = 'delivered' AND updated_at < app.now() - interval '30 days')`
  },
})

interface PassedRow {
  readonly txid: string
  readonly id: string
  readonly body: string | null
}

interface Cursor {
  readonly txid: bigint
  readonly id: string
}

const cursorOf = async (db: Db, sink: string): Promise<Cursor | null> => {
  const found = await readCursor(db, sink)
  if (found !== null) return found
  // The sink's row names the transaction that wrote it by the lower 32 bits: what it misses is in the snapshot's own number.
  await db.$executeRaw`
    WITH born AS (
      SELECT name, xmin::text::bigint AS low, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS top
      FROM app.sink WHERE name = ${sink})
    INSERT INTO app.sink_cursor (sink, after_txid, after_id)
    SELECT name, audit.log_xid((full_id - CASE WHEN full_id > top THEN 4294967296 ELSE 0 END)::text::xid8)::text::bigint - 1, ${lastId}::uuid
    FROM (SELECT name, top, ((top >> 32) << 32) + low AS full_id FROM born) AS b
    ON CONFLICT DO NOTHING`
  return readCursor(db, sink)
}

const readCursor = async (db: Db, sink: string): Promise<Cursor | null> => {
  const rows = await db.$queryRaw<Cursor[]>`
    SELECT after_txid AS txid, after_id::text AS id FROM app.sink_cursor WHERE sink = ${sink}`
  return rows[0] ?? null
}
