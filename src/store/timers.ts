// Leases, due times and the observed clock, all on the database's clock: workers on machines whose clocks differ agree.

import type { Timers } from '#domain/ports.ts'
import type { Database } from './database.ts'
import { Prisma } from './generated/client.ts'
import { databaseNow } from './reads.ts'
import { orUnavailable } from './sql-state.ts'
import { observedNow } from './tables/moment.ts'
import { patchSql } from './tables/rotation-timers.ts'
import { isUuid } from './tables/translate.ts'

export const createTimers = ({ client }: Database): Timers => translated(timersOf(client))

const translated = (timers: Timers): Timers => {
  const say =
    <A extends readonly unknown[], T>(work: (...args: A) => Promise<T>) =>
    (...args: A): Promise<T> =>
      orUnavailable(() => work(...args))
  return {
    now: say(timers.now),
    claim: say(timers.claim),
    heartbeat: say(timers.heartbeat),
    expire: say(timers.expire),
    expireOf: say(timers.expireOf),
    release: say(timers.release),
    due: say(timers.due),
    observe: say(timers.observe),
    postpone: say(timers.postpone),
  }
}

const timersOf = (db: Database['client']): Timers => ({
  now: () => databaseNow(db),

  // One statement, so that of two workers one wins. A new holder clears the due time: what is set from then on was set
  // while it worked, and is not lost when it gives the lease back. If it dies, the expired lease itself is what is due.
  claim: async (rotationId, owner, ttlMs) => {
    if (!isUuid(rotationId)) return null
    const rows = await db.$queryRaw<
      { readonly previous: string | null; readonly until: Date; readonly epoch: number }[]
    >`
      UPDATE app.rotation_timer t
      SET lease_owner = ${owner}, lease_until = app.now() + ${ttlMs}::double precision * interval '1 millisecond',
          due_at = CASE WHEN before.ours THEN t.due_at END
      FROM (SELECT rotation_id, lease_owner, lease_owner = ${owner} AND lease_until > app.now() AS ours
            FROM app.rotation_timer WHERE rotation_id = ${rotationId}::uuid FOR UPDATE) before
      WHERE t.rotation_id = before.rotation_id
        AND (t.lease_owner IS NULL OR t.lease_owner = ${owner} OR t.lease_until <= app.now())
      RETURNING before.lease_owner AS previous, t.lease_until AS until,
        (SELECT epoch FROM app.rotation WHERE id = t.rotation_id) AS epoch`
    const row = rows[0]
    if (row === undefined) return null
    const { previous, until, epoch } = row
    return { takeover: previous !== null && previous !== owner, until, epoch }
  },

  // An expired lease stays expired: somebody may be taking it over at this moment.
  heartbeat: async (owners, ttlMs) =>
    owners.length === 0
      ? 0
      : db.$executeRaw`
          UPDATE app.rotation_timer SET lease_until = app.now() + ${ttlMs}::double precision * interval '1 millisecond'
          WHERE lease_owner = ANY (${[...owners]}::text[]) AND lease_until > app.now()`,

  expire: async (rotationId, owner) => {
    if (!isUuid(rotationId)) return
    await db.$executeRaw`
      UPDATE app.rotation_timer SET lease_until = app.now()
      WHERE rotation_id = ${rotationId}::uuid AND lease_owner = ${owner}`
  },

  // The owner of a lease is a run: its process, a slash, its own name.
  expireOf: async (instance) => {
    await db.$executeRaw`
      UPDATE app.rotation_timer SET lease_until = app.now()
      WHERE starts_with(lease_owner, ${`${instance}/`}) AND lease_until > app.now()`
  },

  release: async (rotationId, owner, { dueAt, dueNow, ...patch }) => {
    if (!isUuid(rotationId)) return
    const due = dueNow ? Prisma.sql`app.now()` : Prisma.sql`${dueAt ?? null}::timestamptz`
    // least() ignores NULL: what was set while we worked stays when it is earlier.
    await db.$executeRaw`
      UPDATE app.rotation_timer SET lease_owner = NULL, lease_until = NULL, due_at = least(due_at, ${due})
        ${patchSql(patch).assignments}
      WHERE rotation_id = ${rotationId}::uuid AND lease_owner = ${owner}`
  },

  // What somebody let expire, and what is due and free: from each lane no more than could be asked for, whatever its length.
  due: async (limit) => {
    const rows = await db.$queryRaw<{ readonly id: string }[]>`
      WITH RECURSIVE lanes (lane) AS (
        (SELECT lane FROM app.rotation_timer WHERE due_at IS NOT NULL AND lease_owner IS NULL ORDER BY lane LIMIT 1)
        UNION ALL
        SELECT (SELECT t.lane FROM app.rotation_timer t
                WHERE t.lane > l.lane AND t.due_at IS NOT NULL AND t.lease_owner IS NULL ORDER BY t.lane LIMIT 1)
        FROM lanes l WHERE l.lane IS NOT NULL
      )
      SELECT id FROM (
        SELECT first.id, first.at, row_number() OVER (PARTITION BY l.lane ORDER BY first.at, first.id) AS turn
        FROM lanes l CROSS JOIN LATERAL (
          SELECT t.rotation_id AS id, t.due_at AS at FROM app.rotation_timer t
          WHERE t.lane = l.lane AND t.due_at <= app.now() AND t.lease_owner IS NULL
          ORDER BY t.due_at, t.rotation_id LIMIT ${limit}) first
        UNION ALL
        (SELECT rotation_id, lease_until, 0 FROM app.rotation_timer
         WHERE lease_owner IS NOT NULL AND lease_until <= app.now() ORDER BY lease_until, rotation_id LIMIT ${limit})
      ) ready ORDER BY turn, at, id LIMIT ${limit}`
    return rows.map((row) => row.id)
  },

  postpone: async ({ keyId, dueAt }, until) => {
    await db.$executeRaw`
      UPDATE app.key_schedule SET due_at = ${until.dueAt}, obstacle = ${JSON.stringify(until.obstacle)}::jsonb
      WHERE key_id = ${keyId}::uuid AND due_at = ${dueAt}`
  },

  observe: async () => {
    const rows = await db.$queryRaw<{ readonly observed: bigint }[]>`
      UPDATE app.observed_clock SET observed_ms = ${observedNow}, last_at = app.now()
      RETURNING observed_ms AS observed`
    const observed = rows[0]?.observed
    if (observed === undefined) throw new Error('the observed clock is gone')
    return Number(observed)
  },
})
