import type { Drift } from '#domain/drift.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { Prisma, type Drift as Row } from '../generated/client.ts'
import { from, isUuid, word } from './translate.ts'

export const driftReads = (db: Db): Reads['drift'] => ({
  getMany: async (keyIds) =>
    (await db.drift.findMany({ where: { keyId: { in: keyIds.filter(isUuid) } } })).map(toDrift),
})

export const driftWrites = (db: Db): Tx['writeDrift'] => ({
  put: (keyId, found, nextMs) => putStanding(db, keyId, found, nextMs),
})

/** Nothing of a key that is no longer looked at. */
export const putStanding = async (
  db: Db,
  ...[keyId, { state, detail, facts }, nextMs]: Parameters<Tx['writeDrift']['put']>
): Promise<void> => {
  await db.$executeRaw`
    UPDATE app.drift
    SET state = ${state}, detail = ${detail}, facts = ${JSON.stringify(facts)}::jsonb,
        since = CASE WHEN state = ${state} THEN since ELSE app.now() END,
        looked_at = CASE WHEN ${state} = 'pending' THEN looked_at ELSE app.now() END,
        silent_since = NULL, silence = NULL, look_at = ${after(nextMs)}
    WHERE key_id = ${keyId}::uuid`
}

export const after = (ms: number): Prisma.Sql =>
  Prisma.sql`app.now() + ${ms}::double precision * interval '1 millisecond'`

/** On a table that is called `d`: what `isDrifted` says, as the index `drift_found` has it. */
export const isFinding = Prisma.sql`d.state IN ('adopt', 'orphan', 'lost', 'automatic', 'expiring', 'denied')`
/** Whatever is shown, in the words of the index `drift_found`. */
export const isShown = Prisma.sql`(${isFinding} OR d.silent_since IS NOT NULL)`

const toDrift = (row: Row): Drift => ({
  keyId: row.keyId,
  state: word(row.state),
  detail: row.detail,
  facts: from(row.facts),
  since: row.since,
  lookedAt: row.lookedAt,
  silent:
    row.silentSince === null || row.silence === null
      ? null
      : { since: row.silentSince, why: row.silence },
})
