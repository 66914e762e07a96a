import type { KeySchedule, Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { KeySchedule as Row } from '../generated/client.ts'
import { from, isUuid, paged, take, word } from './translate.ts'

export const scheduleReads = (db: Db): Reads['schedule'] => ({
  get: async (keyId) => {
    const row = isUuid(keyId) ? await db.keySchedule.findUnique({ where: { keyId } }) : null
    return row && toSchedule(row)
  },
  getMany: async (keyIds) =>
    (await db.keySchedule.findMany({ where: { keyId: { in: keyIds.filter(isUuid) } } })).map(
      toSchedule,
    ),
  between: async (start, end, page) => {
    const after = page.after === null ? null : parsePlace(page.after)
    const rows = await db.keySchedule.findMany({
      where: {
        dueAt: { gte: start, lt: end },
        ...(after === null
          ? {}
          : {
              OR: [
                { dueAt: { gt: after.dueAt } },
                { dueAt: after.dueAt, keyId: { gt: after.keyId } },
              ],
            }),
      },
      orderBy: [{ dueAt: 'asc' }, { keyId: 'asc' }],
      take: take(page),
    })
    return paged(
      rows.map(toSchedule),
      page,
      (row) => `${row.dueAt?.toISOString() ?? ''}/${row.keyId}`,
    )
  },
})

export const scheduleWrites = (db: Db): Tx['writeSchedule'] => {
  const putMany = async (rows: readonly KeySchedule[]): Promise<void> => {
    if (rows.length === 0) return
    // One statement for a whole policy's keys; a row twice in it would be an error of the caller.
    await db.$executeRaw`
      INSERT INTO app.key_schedule (key_id, due_at, occurrence, nominal, trigger, last_occurrence, overdue_since, overdue_at, obstacle, lane)
      SELECT key_id, due_at, occurrence, nominal, trigger, last_occurrence, overdue_since, overdue_at, obstacle, coalesce(k.policy, '')
      FROM jsonb_to_recordset(${JSON.stringify(rows.map(toColumns))}::jsonb)
        AS r (key_id uuid, due_at timestamptz, occurrence text, nominal timestamptz, trigger text,
              last_occurrence text, overdue_since timestamptz, overdue_at timestamptz, obstacle jsonb)
      JOIN app.key k ON k.id = r.key_id
      ON CONFLICT (key_id) DO UPDATE SET due_at = excluded.due_at, occurrence = excluded.occurrence,
        nominal = excluded.nominal, trigger = excluded.trigger, last_occurrence = excluded.last_occurrence,
        overdue_since = excluded.overdue_since, overdue_at = excluded.overdue_at, obstacle = excluded.obstacle,
        lane = excluded.lane`
  }
  return {
    put: (row) => putMany([row]),
    putMany,
    delete: async (keyId) => {
      await db.keySchedule.deleteMany({ where: { keyId } })
    },
    // The keys are held, not their schedules: a key is what everybody else holds too. Several times the limit is looked at:
    // others may hold the first ones.
    holdDue: async (now, limit) => {
      const atMost = limit * 8
      const rows = await db.$queryRaw<{ readonly id: string }[]>`
        WITH RECURSIVE lanes (lane) AS (
          (SELECT lane FROM app.key_schedule WHERE due_at IS NOT NULL
             AND EXISTS (SELECT FROM app.key_schedule WHERE due_at <= ${now}) ORDER BY lane LIMIT 1)
          UNION ALL
          SELECT (SELECT s.lane FROM app.key_schedule s
                  WHERE s.lane > l.lane AND s.due_at IS NOT NULL ORDER BY s.lane LIMIT 1)
          FROM lanes l WHERE l.lane IS NOT NULL
        ), due AS MATERIALIZED (
          SELECT first.key_id, first.due_at, row_number() OVER (PARTITION BY l.lane ORDER BY first.due_at, first.key_id) AS turn
          FROM lanes l CROSS JOIN LATERAL (
            SELECT s.key_id, s.due_at FROM app.key_schedule s WHERE s.lane = l.lane AND s.due_at <= ${now}
            ORDER BY s.due_at, s.key_id LIMIT ${atMost}) first
          ORDER BY turn, first.due_at, first.key_id LIMIT ${atMost}
        )
        SELECT k.id FROM due JOIN app.key k ON k.id = due.key_id
        ORDER BY due.turn, due.due_at, due.key_id LIMIT ${limit} FOR NO KEY UPDATE OF k SKIP LOCKED`
      return rows.map(({ id }) => id)
    },
    holdOverdue: async (now, limit) => {
      const rows = await db.$queryRaw<{ readonly id: string }[]>`
        SELECT k.id FROM app.key_schedule s JOIN app.key k ON k.id = s.key_id
        WHERE s.overdue_at <= ${now} AND s.overdue_since IS NULL ORDER BY s.overdue_at, s.key_id LIMIT ${limit}
        FOR NO KEY UPDATE OF k SKIP LOCKED`
      return rows.map(({ id }) => id)
    },
  }
}

const toSchedule = ({ lane: _turns, ...row }: Row): KeySchedule => ({
  ...row,
  trigger: word(row.trigger),
  obstacle: from(row.obstacle),
})

const toColumns = (row: KeySchedule) => ({
  key_id: row.keyId,
  due_at: row.dueAt,
  occurrence: row.occurrence,
  nominal: row.nominal,
  trigger: row.trigger,
  last_occurrence: row.lastOccurrence,
  overdue_since: row.overdueSince,
  overdue_at: row.overdueAt,
  obstacle: row.obstacle,
})

const parsePlace = (place: string): { readonly dueAt: Date; readonly keyId: string } => {
  const [at = '', keyId = ''] = place.split('/')
  return { dueAt: new Date(at), keyId }
}
