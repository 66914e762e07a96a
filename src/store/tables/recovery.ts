import type { Reads, Tx } from '#domain/ports.ts'
import type {
  Finding,
  FindingState,
  Installation,
  Recovery,
  RestoredFrom,
} from '#domain/recovery.ts'
import type { Db } from '../database.ts'
import { Prisma, type Recovery as Row, type RecoveryFinding } from '../generated/client.ts'
import { keyReads, scopeConditions } from './keys.ts'
import { from, isUuid, json, jsonOrNull, paged, take, word } from './translate.ts'

export const recoveryReads = (db: Db): Reads['recovery'] => ({
  installation: async () => {
    // Not `findUnique`: see tables/freeze.ts.
    const row = await db.installation.findFirst()
    if (row === null) return null
    const { installationId, incarnation, cluster, pepperId, createdAt, updatedAt } = row
    const restoredFrom = from<RestoredFrom | null>(row.restoredFrom)
    return {
      id: installationId,
      incarnation,
      cluster,
      pepperId,
      restoredFrom,
      createdAt,
      updatedAt,
    }
  },
  open: async () => {
    const row = await db.recovery.findFirst({ where: { endedAt: null } })
    return row && toRecovery(row)
  },
  ended: async (incarnation) =>
    isUuid(incarnation) &&
    (await db.recovery.count({ where: { incarnation, endedAt: { not: null } } })) > 0,
  finding: async (recoveryId, keyId) => {
    const row = await db.recoveryFinding.findUnique({
      where: { recoveryId_keyId: { recoveryId, keyId } },
    })
    return row && toFinding(row)
  },
  findings: async (recoveryId, { state, scope }, page) => {
    const rows = await db.$queryRaw<{ readonly name: string; readonly key_id: string }[]>`
      SELECT k.name, k.id::text AS key_id FROM app.key k
      LEFT JOIN app.recovery_finding f ON f.key_id = k.id AND f.recovery_id = ${recoveryId}::uuid
      WHERE k.deleted_at IS NULL ${scopeConditions(scope)}
        ${state === undefined ? Prisma.empty : Prisma.sql`AND coalesce(f.state, 'pending') = ${state}`}
        ${page.after === null ? Prisma.empty : Prisma.sql`AND k.name > ${page.after}`}
      ORDER BY k.name LIMIT ${take(page)}`
    const found = await db.recoveryFinding.findMany({
      where: { recoveryId, keyId: { in: rows.map((row) => row.key_id) } },
    })
    const byKey = new Map(found.map((row) => [row.keyId, toFinding(row)]))
    return paged(
      rows.map(({ name, key_id: keyId }) => ({
        ...(byKey.get(keyId) ?? notAsked(recoveryId, keyId)),
        key: name,
      })),
      page,
      (finding) => finding.key,
    )
  },
  counts: async (recoveryId) => {
    const rows = await db.$queryRaw<{ readonly state: string; readonly n: bigint }[]>`
      SELECT coalesce(f.state, 'pending') AS state, count(*) AS n FROM app.key k
      LEFT JOIN app.recovery_finding f ON f.key_id = k.id AND f.recovery_id = ${recoveryId}::uuid
      WHERE k.deleted_at IS NULL GROUP BY 1`
    const found = new Map(rows.map((row) => [row.state, Number(row.n)]))
    const count = (state: FindingState): number => found.get(state) ?? 0
    return {
      pending: count('pending'),
      equal: count('equal'),
      adopt: count('adopt'),
      orphan: count('orphan'),
      lost: count('lost'),
      unreachable: count('unreachable'),
      adopted: count('adopted'),
    }
  },
  unanswered: async (recoveryId, before, limit) => {
    const rows = await db.$queryRaw<{ readonly id: string }[]>`
      SELECT k.id::text AS id FROM app.key k
      LEFT JOIN app.recovery_finding f ON f.key_id = k.id AND f.recovery_id = ${recoveryId}::uuid
      WHERE k.deleted_at IS NULL
        AND (coalesce(f.state, 'pending') = 'pending' OR (f.state = 'unreachable' AND f.looked_at < ${before}))
      ORDER BY f.looked_at NULLS FIRST, k.id LIMIT ${limit}`
    return keyReads(db).byIds(rows.map((row) => row.id))
  },
})

export const recoveryWrites = (db: Db): Tx['writeRecovery'] => ({
  identify: async (row) => {
    const data = toInstallation(row)
    await db.installation.upsert({ where: { id: true }, create: data, update: data })
  },
  insert: async (row) => {
    const { count } = await db.recovery.createMany({ data: [toRow(row)], skipDuplicates: true })
    return count === 1
  },
  update: async (row) => {
    const { count } = await db.recovery.updateMany({
      where: { id: row.id, endedAt: null },
      data: toRow(row),
    })
    return count === 1
  },
  putFinding: (row) => putFinding(db, row),
})

export const putFinding = async (db: Db, row: Finding): Promise<void> => {
  const { recoveryId, keyId, state, detail, facts, rotationId, lookedAt } = row
  const data = { recoveryId, keyId, state, detail, facts: json(facts), rotationId, lookedAt }
  await db.recoveryFinding.upsert({
    where: { recoveryId_keyId: { recoveryId, keyId } },
    create: data,
    update: data,
    select: { keyId: true },
  })
}

const notAsked = (recoveryId: string, keyId: string): Finding => ({
  recoveryId,
  keyId,
  state: 'pending',
  detail: 'Its provider was not asked yet.',
  facts: {},
  rotationId: null,
  lookedAt: null,
})

const toInstallation = (row: Installation) => ({
  installationId: row.id,
  incarnation: row.incarnation,
  cluster: row.cluster,
  pepperId: row.pepperId,
  restoredFrom: jsonOrNull(row.restoredFrom),
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
})

const toRecovery = (row: Row): Recovery => ({
  ...row,
  reason: word(row.reason),
  evidence: from(row.evidence),
})

const toRow = (row: Recovery) => ({ ...row, evidence: json(row.evidence) })

const toFinding = (row: RecoveryFinding): Finding => ({
  ...row,
  state: word(row.state),
  facts: from(row.facts),
})
