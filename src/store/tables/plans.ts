import type { Plan, PlanApproval } from '#domain/plan.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { Plan as Row } from '../generated/client.ts'
import { from, isUuid, json, jsonOrNull, word } from './translate.ts'
import { Prisma } from '../generated/client.ts'

export const planReads = (db: Db): Reads['plans'] => ({
  get: async (id) => {
    const row = isUuid(id) ? await db.plan.findUnique({ where: { id } }) : null
    return row && toPlan(row)
  },
  approvals: async (planId): Promise<readonly PlanApproval[]> => {
    if (!isUuid(planId)) return []
    const rows = await db.planApproval.findMany({
      where: { planId },
      orderBy: [{ at: 'asc' }, { principalId: 'asc' }],
    })
    return rows.map((row) => ({ ...row, roles: row.roles.map((role) => word(role)) }))
  },
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
    const { count } = await db.planApproval.createMany({
      data: [{ ...approval, roles: [...approval.roles] }],
      skipDuplicates: true,
    })
    return count === 1
  },
  purge: async (before) => {
    await db.plan.deleteMany({ where: { appliedAt: null, createdAt: { lt: before } } })
  },
})

const toPlan = (row: Row): Plan => ({
  id: row.id,
  hash: row.hash,
  owner: row.owner,
  prune: row.prune,
  allow: row.allow.map((allowance) => word(allowance)),
  documents: from(row.documents),
  items: from(row.items),
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
