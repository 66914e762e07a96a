// Which keys are compared with their provider next, and which connections are not tried meanwhile. One statement each, on
// the database's clock; of two workers that ask at once each gets other keys.

import type { Looks, Refusal } from '#domain/ports.ts'
import type { Database } from './database.ts'
import { orUnavailable } from './sql-state.ts'
import { after, putStanding } from './tables/drift.ts'

const lowest = '00000000-0000-0000-0000-000000000000'

export const createLooks = ({ client: db }: Database): Looks => ({
  // By id, so that a step costs as much as it is long: what asks for keys without a row reads all that have one.
  enrol: (after, limit, spreadMs) =>
    orUnavailable(async () => {
      const rows = await db.$queryRaw<{ readonly id: string }[]>`
        WITH step AS MATERIALIZED (
          SELECT id, deleted_at FROM app.key
          WHERE id > ${after ?? lowest}::uuid ORDER BY id LIMIT ${limit}
        ), ended AS (
          DELETE FROM app.drift WHERE key_id = ANY (
            ARRAY(SELECT id FROM step WHERE deleted_at IS NOT NULL))
        ), begun AS (
          INSERT INTO app.drift (key_id, look_at)
          SELECT id, app.now() + abs(hashtext(id::text)::bigint) / 2147483648.0
              * ${spreadMs}::double precision * interval '1 millisecond'
          FROM step WHERE deleted_at IS NULL
          ON CONFLICT DO NOTHING
        )
        SELECT id::text FROM step ORDER BY id DESC LIMIT 1`
      return rows[0]?.id ?? null
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

  forget: () =>
    orUnavailable(async () => {
      await db.$executeRaw`DELETE FROM app.drift`
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

  refusal: ({ name, revision }, forMs) =>
    orUnavailable(async () => {
      const rows = await db.$queryRaw<Refusal[]>`
        WITH taken AS (
          UPDATE app.refused_login SET try_at = ${after(forMs)}
          WHERE connection = ${name} AND revision = ${revision} AND try_at <= app.now()
          RETURNING connection
        )
        SELECT times, why, EXISTS (SELECT FROM taken) AS "mayTry" FROM app.refused_login
        WHERE connection = ${name} AND revision = ${revision}`
      return rows[0] ?? null
    }),

  refused: ({ name, revision }, { times, why, waitMs }) =>
    orUnavailable(async () => {
      await db.$executeRaw`
        INSERT INTO app.refused_login AS known (connection, revision, times, why, try_at)
        SELECT name, ${revision}::integer, ${times}::integer + 1, ${why}, ${after(waitMs)}
        FROM app.connection WHERE name = ${name}
        ON CONFLICT (connection) DO UPDATE
        SET revision = excluded.revision, times = excluded.times, why = excluded.why, try_at = excluded.try_at
        WHERE known.revision < excluded.revision
          OR (known.revision = excluded.revision AND known.times = ${times}::integer)`
    }),

  accepted: ({ name, revision }) =>
    orUnavailable(async () => {
      await db.$executeRaw`
        DELETE FROM app.refused_login WHERE connection = ${name} AND revision <= ${revision}::integer`
    }),
})
