import type { ListedPlan, Plan, PlanApproval, PlanState } from '#domain/plan.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { Plan as Row } from '../generated/client.ts'
import { from, isUuid, json, jsonOrNull, paged, take, word } from './translate.ts'
import { Prisma } from '../generated/client.ts'

export const planReads = (db: Db): Reads['plans'] => ({
  get: async (id) => {
    const row = isUuid(id) ? await db.plan.findUnique({ where: { id } }) : null
    return row && toPlan(row)
  },
  list: async (state, page) => {
    if (page.after !== null && !isUuid(page.after)) return { items: [], next: null }
    // Counted there: the items of one plan may be megabytes. Ids are UUIDv7: their order is the order of creation.
    const rows = await db.$queryRaw<readonly ListedRow[]>`
      SELECT p.id, p.hash, p.owner, p.prune, p.allow, p.needs, p.approvals, p.scope, p.author_id AS "authorId",
        p.author_name AS "authorName", p.created_at AS "createdAt", p.applied_at AS "appliedAt",
        p.applied_by AS "appliedBy", p.finished_at AS "finishedAt", c.*
      FROM app.plan p CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE i ->> 'action' = 'create')::int AS "create",
          count(*) FILTER (WHERE i ->> 'action' = 'update')::int AS "update",
          count(*) FILTER (WHERE i ->> 'action' = 'delete')::int AS "delete",
          count(*) FILTER (WHERE i ->> 'action' = 'unchanged')::int AS "unchanged"
        FROM jsonb_array_elements(p.items) i) c
      WHERE ${state === null ? Prisma.sql`true` : states[state]}
        ${page.after === null ? Prisma.empty : Prisma.sql`AND p.id < ${page.after}::uuid`}
      ORDER BY p.id DESC LIMIT ${take(page)}`
    return paged(rows.map(toListed), page, (plan) => plan.id)
  },
  approvals: async (planId) => approvalsOf(db, isUuid(planId) ? [planId] : []),
  approvalsOf: async (planIds) => approvalsOf(db, planIds),
})

const states: Readonly<Record<PlanState, Prisma.Sql>> = {
  open: Prisma.sql`p.applied_at IS NULL`,
  applying: Prisma.sql`p.applied_at IS NOT NULL AND p.finished_at IS NULL`,
  applied: Prisma.sql`p.finished_at IS NOT NULL`,
}

const approvalsOf = async (
  db: Db,
  planIds: readonly string[],
): Promise<readonly PlanApproval[]> => {
  if (planIds.length === 0) return []
  const rows = await db.planApproval.findMany({
    where: { planId: { in: [...planIds] } },
    orderBy: [{ at: 'asc' }, { principalId: 'asc' }],
  })
  return rows.map((row) => ({ ...row, roles: row.roles.map((role) => word(role)) }))
}

type ListedRow = Omit<Row, 'documents' | 'items'> & ListedPlan['changes']

const toListed = (row: ListedRow): ListedPlan => ({
  ...common(row),
  changes: { create: row.create, update: row.update, delete: row.delete, unchanged: row.unchanged },
})

export const planWrites = (db: Db): Tx['writePlan'] => ({
  insert: async (plan) => {
    await db.plan.create({ data: toRow(plan), select: { id: true } })
  },
  apply: async (id, { at, by }) => {
    const { count } = await db.plan.updateMany({
      where: { id, appliedAt: null },
      data: { appliedAt: at, appliedBy: by },
    })
    return count === 1
  },
  finish: async (id, at) => {
    const { count } = await db.plan.updateMany({
      where: { id, finishedAt: null, appliedAt: { not: null } },
      data: { finishedAt: at, documents: Prisma.DbNull },
    })
    return count === 1
  },
  approve: async (approval) => {
    await db.planApproval.createMany({
      data: [{ ...approval, roles: [...approval.roles] }],
      skipDuplicates: true,
    })
  },
  purge: async (before) => {
    await db.plan.deleteMany({ where: { appliedAt: null, createdAt: { lt: before } } })
  },
})

const toPlan = (row: Row): Plan => ({
  ...common(row),
  documents: from(row.documents),
  items: from(row.items),
})

const common = (row: Omit<Row, 'documents' | 'items'>): Omit<Plan, 'documents' | 'items'> => ({
  id: row.id,
  hash: row.hash,
  owner: row.owner,
  prune: row.prune,
  allow: row.allow.map((allowance) => word(allowance)),
  needs: from(row.needs),
  approvals: from(row.approvals),
  scope: from(row.scope),
  author: { id: row.authorId, name: row.authorName },
  createdAt: row.createdAt,
  appliedAt: row.appliedAt,
  appliedBy: row.appliedBy,
  finishedAt: row.finishedAt,
})

const toRow = (plan: Plan) => ({
  id: plan.id,
  hash: plan.hash,
  owner: plan.owner,
  prune: plan.prune,
  allow: [...plan.allow],
  documents: jsonOrNull(plan.documents),
  items: json(plan.items),
  needs: json(plan.needs),
  approvals: json(plan.approvals),
  scope: jsonOrNull(plan.scope),
  authorId: plan.author.id,
  authorName: plan.author.name,
  createdAt: plan.createdAt,
  appliedAt: plan.appliedAt,
  appliedBy: plan.appliedBy,
  finishedAt: plan.finishedAt,
})
