// Which keys are compared with their provider next. One statement each, on the database's clock; of two workers that ask at
// once each gets other keys.

import type { Looks } from '#domain/ports.ts'
import type { Database } from './database.ts'
import { orUnavailable } from './sql-state.ts'
import { after, putStanding } from './tables/drift.ts'

export const createLooks = ({ client: db }: Database): Looks => ({
  // Bounded: the statement looks for what is not there in a table that it fills meanwhile.
  enrol: (limit, spreadMs) =>
    orUnavailable(async () => {
      await db.$executeRaw`
        DELETE FROM app.drift d USING app.key k WHERE k.id = d.key_id AND k.deleted_at IS NOT NULL`
      return db.$executeRaw`
        INSERT INTO app.drift (key_id, look_at)
        SELECT k.id, app.now() + abs(hashtext(k.id::text)::bigint) / 2147483648.0
            * ${spreadMs}::double precision * interval '1 millisecond'
        FROM app.key k
        WHERE k.deleted_at IS NULL AND NOT EXISTS (SELECT FROM app.drift d WHERE d.key_id = k.id)
        LIMIT ${limit}
        ON CONFLICT DO NOTHING`
    }),

  claim: (limit, forMs) =>
    orUnavailable(async () => {
      const rows = await db.$queryRaw<{ readonly id: string }[]>`
        WITH due AS (
          SELECT key_id, look_at FROM app.drift WHERE look_at <= app.now()
          ORDER BY look_at, key_id LIMIT ${limit} FOR UPDATE SKIP LOCKED
        ), taken AS (
          UPDATE app.drift d SET look_at = ${after(forMs)} FROM due WHERE d.key_id = due.key_id
          RETURNING d.key_id, due.look_at
        )
        SELECT key_id::text AS id FROM taken ORDER BY look_at, key_id`
      return rows.map(({ id }) => id)
    }),

  put: (keyId, found, nextMs) => orUnavailable(() => putStanding(db, keyId, found, nextMs)),

  silent: (keyId, why, nextMs) =>
    orUnavailable(async () => {
      await db.$executeRaw`
        UPDATE app.drift SET silent_since = coalesce(silent_since, app.now()), silence = ${why}, look_at = ${after(nextMs)}
        WHERE key_id = ${keyId}::uuid`
    }),

  putOff: (keyId, nextMs) =>
    orUnavailable(async () => {
      await db.$executeRaw`UPDATE app.drift SET look_at = ${after(nextMs)} WHERE key_id = ${keyId}::uuid`
    }),
})
