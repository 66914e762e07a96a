// Compliance as one query: the verdict of each key is an expression over the rows that the planner keeps.

import type { ComplianceGroup, KeyCompliance, Verdict } from '#domain/compliance.ts'
import type { Reads } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { Prisma } from '../generated/client.ts'
import { keyConditions } from './keys.ts'
import { paged, take } from './translate.ts'

interface GroupRow {
  readonly group: string | null
  readonly verdict: Verdict
  readonly keys: number
}

export const complianceReads = (db: Db): Reads['compliance'] => ({
  groups: async (filter, group, now) => {
    const rows = await db.$queryRaw<GroupRow[]>`
      SELECT ${groupOf(group)} AS group, ${verdictAt(now)} AS verdict, count(*)::integer AS keys
      ${source} WHERE k.deleted_at IS NULL ${keyConditions(filter)}
      GROUP BY 1, 2 ORDER BY 1 NULLS LAST`
    const groups = Map.groupBy(rows, (row) => row.group)
    return [...groups].map(([name, verdicts]) => ({
      group: name,
      counts: countsOf(verdicts),
    }))
  },
  keys: async (filter, now, page) => {
    const rows = await db.$queryRaw<KeyCompliance[]>`
      SELECT k.name AS key, k.connection, k.type, k.owner, k.environment, k.policy, k.labels,
        ${verdictAt(now)} AS verdict, v.version AS "primaryVersion", v.activated_at AS "activatedAt",
        coalesce(s.overdue_since, CASE WHEN s.overdue_at <= ${now} THEN s.overdue_at END) AS "overdueSince",
        s.due_at AS "nextRotationAt", r.id::text AS "openRotation"
      ${source} LEFT JOIN app.version v ON v.key_id = k.id AND v.is_primary
      WHERE k.deleted_at IS NULL ${keyConditions(filter)}
        ${page.after === null ? Prisma.empty : Prisma.sql`AND k.name > ${page.after}`}
      ORDER BY k.name LIMIT ${take(page)}`
    return paged(rows, page, (row) => row.key)
  },
})

const source = Prisma.sql`
  FROM app.key k
  LEFT JOIN app.key_schedule s ON s.key_id = k.id
  LEFT JOIN app.policy p ON p.name = k.policy
  LEFT JOIN app.rotation r ON r.key_id = k.id
    AND r.phase NOT IN ('completed', 'cancelled', 'rolledBack', 'abandoned')`

/** In the order of `verdicts`: the worst that is true. */
const verdictAt = (now: Date): Prisma.Sql => Prisma.sql`
  CASE
    WHEN s.overdue_since IS NOT NULL OR s.overdue_at <= ${now} THEN 'overdue'
    WHEN r.phase = 'stalled' THEN 'stalled'
    WHEN p.name IS NULL OR p.spec -> 'enabled' = 'false'::jsonb THEN 'unruled'
    ELSE 'compliant'
  END`

const columns = {
  policy: Prisma.sql`k.policy`,
  owner: Prisma.sql`k.owner`,
  environment: Prisma.sql`k.environment`,
  connection: Prisma.sql`k.connection`,
  type: Prisma.sql`k.type`,
} as const

const groupOf = (group: ComplianceGroup): Prisma.Sql =>
  group.by === 'label' ? Prisma.sql`k.labels ->> ${group.label}` : columns[group.by]

const countsOf = (rows: readonly GroupRow[]): Readonly<Record<Verdict, number>> => {
  const counts = { overdue: 0, stalled: 0, unruled: 0, compliant: 0 } satisfies Record<
    Verdict,
    number
  >
  for (const { verdict, keys } of rows) counts[verdict] = keys
  return counts
}
