// The order of the log over clusters. Transaction numbers begin anew in a cluster that was made anew, and a log that was
// restored there holds higher ones: new events would sort before old ones, so that sinks pass them by, and a number that comes
// again would make the guard take an old event for the one that a transaction must write. `audit.log_xid` therefore adds what
// is missing. It is the audit owner's function: replaced here, while nobody serves, and by nothing else.

import type pg from 'pg'
import { roleNames } from './bootstrap.ts'
import type { Database } from './database.ts'
import { Prisma } from './generated/client.ts'

const isAhead = `coalesce(max(txid) >= audit.log_xid(pg_snapshot_xmax(pg_current_snapshot())), false)`

/** Whether the next event would come before one that is there. False where there is no log, or one of before this function. */
export const logIsAhead = async (db: pg.Client): Promise<boolean> => {
  const { rows: there } = await db.query<{ yes: boolean }>(
    "SELECT to_regclass('audit.event') IS NOT NULL AND to_regprocedure('audit.log_xid(xid8)') IS NOT NULL AS yes",
  )
  if (there[0]?.yes !== true) return false
  const { rows } = await db.query<{ ahead: boolean }>(`SELECT ${isAhead} AS ahead FROM audit.event`)
  return rows[0]?.ahead === true
}

/** Lets the log go on above its last number, where it would not. Inside a transaction, of a role that may be the audit owner. */
export const keepLogOrder = async (db: pg.Client): Promise<void> => {
  await db.query(`SET LOCAL ROLE ${roleNames.auditOwner}`)
  if (await logIsAhead(db)) {
    const { rows } = await db.query<{ missing: string }>(`
      SELECT (max(txid)::text::numeric - pg_current_xact_id()::text::numeric + 1)::text AS missing FROM audit.event`)
    await db.query(`
      CREATE OR REPLACE FUNCTION audit.log_xid(of xid8) RETURNS xid8
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN ((of::text)::bigint + ${BigInt(rows[0]?.missing ?? 0)})::text::xid8`)
  }
  await db.query('RESET ROLE')
}

/** For the self-check. */
export const logOrderFaults = async ({ client }: Database): Promise<readonly string[]> => {
  const rows = await client.$queryRaw<{ readonly ahead: boolean }[]>`
    SELECT ${Prisma.raw(isAhead)} AS ahead FROM audit.event`
  return rows[0]?.ahead === true
    ? ['the log holds transaction numbers that this server has not reached: it comes from another']
    : []
}
