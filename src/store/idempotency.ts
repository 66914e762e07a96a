// What became of requests with an Idempotency-Key. One row a slot:
//
//   running                          claimed; whoever runs it may die, so the claim expires after a while
//   done, no status                  its effect is committed (marked in the effect's own transaction), its reply is not kept yet
//   done, status, no response        it is over, and its reply held a secret
//   done, status, response           it is over, and this was the reply
//
// A crash before the effect leaves `running`: retries hear 409 until the claim expires, then one of them runs the request.
// A crash between the effect and the kept reply leaves `done` without a status: retries hear `running` as long as the first
// could still be at work, then `lost`, and never run it again. The one who is late (its claim expired and was taken over)
// finds no row with its own `created_at` when it marks its effect, and its transaction is rolled back: one effect, always.

import type { Begun, Idempotency, IdempotencyClaim, StoredReply } from '#domain/ports.ts'
import type { Database, Db } from './database.ts'
import { orUnavailable } from './sql-state.ts'

/** Longer than any request may take: a handler's transactions and its calls to providers end within it. */
export const idempotencyLeaseMs = 120_000
const keptMs = 24 * 60 * 60_000

interface Row {
  readonly request_hash: string
  readonly state: string
  readonly status: number | null
  readonly response: StoredReply | null
  readonly recent: boolean
}

export const createIdempotency = ({ client: db }: Database): Idempotency => ({
  begin: (slot, requestHashes) =>
    orUnavailable(async (): Promise<Begun> => {
      // One statement claims a free slot or takes over an expired one, so that of two requests one runs.
      const claimed = await db.$queryRaw<{ readonly claimed_at: Date }[]>`
        INSERT INTO app.idempotency AS i (principal, method, path, key, request_hash, state, created_at, expires_at)
        VALUES (${slot.principal}, ${slot.method}, ${slot.path}, ${slot.key}, ${requestHashes[0]}, 'running', app.now(),
                app.now() + ${idempotencyLeaseMs}::double precision * interval '1 millisecond')
        ON CONFLICT (principal, method, path, key) DO UPDATE
        SET request_hash = EXCLUDED.request_hash, state = 'running', status = NULL, response = NULL,
            created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
        WHERE i.expires_at <= app.now()
        RETURNING created_at AS claimed_at`
      const [claim] = claimed
      if (claim !== undefined)
        return { state: 'begun', claim: { ...slot, claimedAt: claim.claimed_at } }
      const [row] = await db.$queryRaw<Row[]>`
        SELECT request_hash, state, status, response,
               created_at + ${idempotencyLeaseMs}::double precision * interval '1 millisecond' > app.now() AS recent
        FROM app.idempotency
        WHERE principal = ${slot.principal} AND method = ${slot.method} AND path = ${slot.path} AND key = ${slot.key}`
      // Freed between the two statements: the caller's retry will find out.
      return row === undefined ? { state: 'running' } : told(row, requestHashes)
    }),

  finish: (claim, status, reply) =>
    orUnavailable(async () => {
      const response = reply === null ? null : JSON.stringify(reply)
      await db.$executeRaw`
        UPDATE app.idempotency
        SET state = 'done', status = ${status}, response = ${response}::jsonb,
            expires_at = created_at + ${keptMs}::double precision * interval '1 millisecond'
        WHERE principal = ${claim.principal} AND method = ${claim.method} AND path = ${claim.path} AND key = ${claim.key}
          AND created_at = ${claim.claimedAt}`
    }),

  release: (claim) =>
    orUnavailable(async () => {
      const freed = await db.$executeRaw`
        DELETE FROM app.idempotency
        WHERE principal = ${claim.principal} AND method = ${claim.method} AND path = ${claim.path} AND key = ${claim.key}
          AND created_at = ${claim.claimedAt} AND state = 'running'`
      return freed > 0
    }),

  purge: (limit) =>
    orUnavailable(
      () => db.$executeRaw`
        DELETE FROM app.idempotency WHERE ctid IN (
          SELECT ctid FROM app.idempotency WHERE expires_at <= app.now() ORDER BY expires_at LIMIT ${limit}
          FOR UPDATE SKIP LOCKED)`,
    ),
})

/** For the transaction of an effect: see `Tx.writeIdempotency`. */
export const markEffective = async (db: Db, claim: IdempotencyClaim): Promise<boolean> => {
  const marked = await db.$executeRaw`
    UPDATE app.idempotency
    SET state = 'done', expires_at = created_at + ${keptMs}::double precision * interval '1 millisecond'
    WHERE principal = ${claim.principal} AND method = ${claim.method} AND path = ${claim.path} AND key = ${claim.key}
      AND created_at = ${claim.claimedAt} AND status IS NULL`
  return marked > 0
}

const told = (row: Row, requestHashes: readonly string[]): Begun => {
  if (!requestHashes.includes(row.request_hash)) return { state: 'mismatch' }
  if (row.state === 'running') return { state: 'running' }
  if (row.status === null) return { state: row.recent ? 'running' : 'lost' }
  return row.response === null ? { state: 'secret' } : { state: 'replay', reply: row.response }
}
