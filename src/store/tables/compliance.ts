// Compliance as one query: the verdict of each key is an expression over the rows that the planner keeps.

import type { ComplianceGroup, Verdict } from '#domain/compliance.ts'
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

interface KeyRow {
  readonly key: string
  readonly connection: string
  readonly type: string
  readonly owner: string
  readonly environment: string
  readonly policy: string | null
  readonly labels: Readonly<Record<string, string>>
  readonly verdict: Verdict
  readonly primary_version: number | null
  readonly activated_at: Date | null
  readonly overdue_since: Date | null
  readonly due_at: Date | null
  readonly rotation: string | null
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
    const rows = await db.$queryRaw<KeyRow[]>`
      SELECT k.name AS key, k.connection, k.type, k.owner, k.environment, k.policy, k.labels,
        ${verdictAt(now)} AS verdict, v.version AS primary_version, v.activated_at,
        coalesce(s.overdue_since, CASE WHEN s.overdue_at <= ${now} THEN s.overdue_at END) AS overdue_since,
        s.due_at, r.id::text AS rotation
      ${source} LEFT JOIN app.version v ON v.key_id = k.id AND v.is_primary
      WHERE k.deleted_at IS NULL ${keyConditions(filter)}
        ${page.after === null ? Prisma.empty : Prisma.sql`AND k.name > ${page.after}`}
      ORDER BY k.name LIMIT ${take(page)}`
    const items = rows.map(
      ({ primary_version, activated_at, overdue_since, due_at, rotation, ...row }) => ({
        ...row,
        primaryVersion: primary_version,
        activatedAt: activated_at,
        overdueSince: overdue_since,
        nextRotationAt: due_at,
        openRotation: rotation,
      }),
    )
    return paged(items, page, (row) => row.key)
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
