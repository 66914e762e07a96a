import type { KeySchedule, Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { Prisma, type KeySchedule as Row } from '../generated/client.ts'
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
      INSERT INTO app.key_schedule (key_id, due_at, occurrence, nominal, trigger, last_occurrence, overdue_since, overdue_at, obstacle)
      SELECT key_id, due_at, occurrence, nominal, trigger, last_occurrence, overdue_since, overdue_at, obstacle
      FROM jsonb_to_recordset(${JSON.stringify(rows.map(toColumns))}::jsonb)
        AS r (key_id uuid, due_at timestamptz, occurrence text, nominal timestamptz, trigger text,
              last_occurrence text, overdue_since timestamptz, overdue_at timestamptz, obstacle jsonb)
      ON CONFLICT (key_id) DO UPDATE SET due_at = excluded.due_at, occurrence = excluded.occurrence,
        nominal = excluded.nominal, trigger = excluded.trigger, last_occurrence = excluded.last_occurrence,
        overdue_since = excluded.overdue_since, overdue_at = excluded.overdue_at, obstacle = excluded.obstacle`
  }
  return {
    put: (row) => putMany([row]),
    putMany,
    delete: async (keyId) => {
      await db.keySchedule.deleteMany({ where: { keyId } })
    },
    holdDue: (now, limit) => held(db, Prisma.sql`s.due_at`, Prisma.sql`s.due_at <= ${now}`, limit),
    holdOverdue: (now, limit) =>
      held(
        db,
        Prisma.sql`s.overdue_at`,
        Prisma.sql`s.overdue_at <= ${now} AND s.overdue_since IS NULL`,
        limit,
      ),
  }
}

/** The keys are held, not their schedules: a key is what everybody else holds too. */
const held = async (
  db: Db,
  order: Prisma.Sql,
  condition: Prisma.Sql,
  limit: number,
): Promise<readonly string[]> => {
  const rows = await db.$queryRaw<{ readonly id: string }[]>`
    SELECT k.id FROM app.key_schedule s JOIN app.key k ON k.id = s.key_id
    WHERE ${condition} ORDER BY ${order}, s.key_id LIMIT ${limit}
    FOR NO KEY UPDATE OF k SKIP LOCKED`
  return rows.map(({ id }) => id)
}

const toSchedule = (row: Row): KeySchedule => ({
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
