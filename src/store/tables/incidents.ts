// Emergencies. An execution writes tens of thousands of rows in one transaction, and its workers hundreds: whatever is
// written of keys and versions is written by one statement for all of them.

import type { Incident, IncidentKey, IncidentPreview, VersionEvidence } from '#domain/incident.ts'
import type {
  IncidentLease,
  IncidentTimerPatch,
  OpenIncidentKey,
  Reads,
  Tx,
} from '#domain/ports.ts'
import type { Db } from '../database.ts'
import {
  type Incident as Row,
  type IncidentKey as KeyRow,
  type IncidentVersion as VersionRow,
  Prisma,
} from '../generated/client.ts'
import { jsonRows } from './json-rows.ts'
import { from, isUuid, json, jsonOrNull, paged, take, word } from './translate.ts'

// By the database's clock: ids carry the time of whichever process took the word, and the last word counts.
const asSaid = [{ at: 'asc' as const }, { id: 'asc' as const }]

export const incidentReads = (db: Db): Reads['incidents'] => ({
  get: async (id) => {
    const row = isUuid(id) ? await db.incident.findUnique({ where: { id } }) : null
    return row && toIncident(row)
  },
  list: async (states, page) => {
    if (page.after !== null && !isUuid(page.after)) return { items: [], next: null }
    const rows = await db.incident.findMany({
      where: {
        ...(states ? { state: { in: [...states] } } : {}),
        ...(page.after === null ? {} : { id: { lt: page.after } }),
      },
      orderBy: { id: 'desc' },
      take: take(page),
    })
    return paged(rows.map(toIncident), page, (incident) => incident.id)
  },
  preview: async (incidentId) => {
    const row = isUuid(incidentId)
      ? await db.incidentPreview.findUnique({ where: { incidentId } })
      : null
    return row && toPreview(from(row.body))
  },
  keys: async (incidentId, states, page) => {
    const after = page.after === null ? -1 : Number(page.after)
    if (!isUuid(incidentId) || !Number.isSafeInteger(after)) return { items: [], next: null }
    const rows = await db.incidentKey.findMany({
      where: {
        incidentId,
        position: { gt: after },
        ...(states ? { state: { in: [...states] } } : {}),
      },
      orderBy: { position: 'asc' },
      take: take(page),
    })
    return paged(rows.map(toKey), page, (key) => String(key.position))
  },
  keysOf: async (incidentId, keyIds) =>
    (
      await jsonRows<KeyRow>(
        db,
        Prisma.sql`app.incident_key t WHERE t.incident_id = ${incidentId}::uuid AND t.key_id = ANY (${[...keyIds]}::uuid[])
          ORDER BY t.position`,
      )
    ).map(toKey),
  versionsOf: async (incidentId, keyIds) =>
    (
      await jsonRows<VersionRow>(
        db,
        Prisma.sql`app.incident_version t WHERE t.incident_id = ${incidentId}::uuid AND t.key_id = ANY (${[...keyIds]}::uuid[])
          ORDER BY t.key_id, t.version`,
      )
    ).map(toEvidence),
  openOfKeys: async (keyIds) => {
    const rows = await jsonRows<KeyRow>(
      db,
      Prisma.sql`app.incident_key t JOIN app.incident i ON i.id = t.incident_id
        WHERE t.key_id = ANY (${[...keyIds]}::uuid[]) AND i.state <> 'closed' ORDER BY t.incident_id, t.key_id`,
    )
    // Hardly ever are there any.
    if (rows.length === 0) return []
    const incidents = await db.incident.findMany({
      where: { id: { in: [...new Set(rows.map(({ incidentId }) => incidentId))] } },
      select: { id: true, mode: true, state: true },
    })
    const byId = new Map(incidents.map((incident) => [incident.id, incident]))
    return rows.flatMap((row) => {
      const incident = byId.get(row.incidentId)
      return incident && incident.state !== 'closed' ? [toOpenKey(row, incident)] : []
    })
  },
  refused: (keyIds) =>
    keyIds.length === 0
      ? Promise.resolve([])
      : db.$queryRaw<{ readonly keyId: string; readonly version: number }[]>`
          SELECT DISTINCT key_id AS "keyId", version FROM app.incident_version
          WHERE key_id = ANY (${[...keyIds]}::uuid[]) AND state = 'refused'`,
  executingAt: async (connection) => {
    const found = await db.incidentKey.findFirst({
      where: { connection, incident: { state: 'executing' } },
      select: { incidentId: true },
    })
    return found?.incidentId ?? null
  },
  waiting: async (incidentId, limit) => {
    if (!isUuid(incidentId)) return []
    const rows = await db.incidentKey.groupBy({
      by: ['connection'],
      where: { incidentId, state: { in: ['pending', 'revoking', 'replacing'] } },
      _count: { keyId: true },
      _min: { updatedAt: true },
      orderBy: { _count: { keyId: 'desc' } },
      take: limit,
    })
    return rows.map(({ connection, _count, _min }) => ({
      connection,
      keys: _count.keyId,
      since: _min.updatedAt,
    }))
  },
  counts: async (incidentId) => {
    if (!isUuid(incidentId)) return {}
    const rows = await db.incidentKey.groupBy({
      by: ['state'],
      where: { incidentId },
      _count: true,
    })
    return Object.fromEntries(rows.map(({ state, _count }) => [state, _count]))
  },
  failures: async (incidentId) => {
    const [replacements, restorations] = await Promise.all([
      db.incidentKey.count({ where: { incidentId, replacement: 'failed' } }),
      db.incidentKey.count({ where: { incidentId, restoration: 'failed' } }),
    ])
    return { replacements, restorations }
  },
  troubled: async (incidentId, limit) => {
    const where = {
      incidentId,
      OR: [
        { state: { in: ['failed', 'unproven'] } },
        { replacement: 'failed' },
        { restoration: 'failed' },
      ],
    }
    const [rows, count] = await Promise.all([
      db.incidentKey.findMany({ where, orderBy: { position: 'asc' }, take: limit }),
      db.incidentKey.count({ where }),
    ])
    return { keys: rows.map(toKey), count }
  },
  atRest: async () => {
    const found = await db.$queryRaw<{ readonly id: string }[]>`
      SELECT i.id FROM app.incident i WHERE i.state = 'executing' AND NOT EXISTS (
        SELECT FROM app.incident_key_timer t
        WHERE t.incident_id = i.id AND (t.due_at IS NOT NULL OR t.lease_owner IS NOT NULL))`
    if (found.length === 0) return []
    const rows = await db.incident.findMany({ where: { id: { in: found.map(({ id }) => id) } } })
    return rows.map(toIncident)
  },
  approvals: async (incidentId) => {
    const rows = isUuid(incidentId)
      ? await db.incidentApproval.findMany({
          where: { incidentId },
          orderBy: [{ at: 'asc' }, { principalId: 'asc' }],
        })
      : []
    return rows.map((row) => ({ ...row, roles: row.roles.map((role) => word(role)) }))
  },
  notes: async (incidentId) => {
    const rows = isUuid(incidentId)
      ? await db.incidentNote.findMany({ where: { incidentId }, orderBy: asSaid })
      : []
    return rows.map((row) => ({ ...row, kind: word(row.kind) }))
  },
  ticks: async (incidentId) => {
    const rows = isUuid(incidentId)
      ? await db.incidentStep.findMany({ where: { incidentId }, orderBy: asSaid })
      : []
    return rows.map((row) => ({ ...row, outcome: word(row.outcome) }))
  },
})

/** `due`: keys are due from now on. */
export const incidentWrites = (db: Db, due: () => void): Tx['writeIncident'] => ({
  insert: async (incident) => {
    await db.incident.create({ data: toRow(incident), select: { id: true } })
  },
  update: async (incident, expected) => {
    const { count } = await db.incident.updateMany({
      where: { id: incident.id, state: expected.state, revision: expected.revision },
      data: toRow(incident),
    })
    return count === 1
  },
  putPreview: async (incidentId, preview) => {
    await db.$executeRaw`
      INSERT INTO app.incident_preview (incident_id, hash, body)
      VALUES (${incidentId}::uuid, ${preview.hash}, ${JSON.stringify(preview)}::jsonb)
      ON CONFLICT (incident_id) DO UPDATE SET hash = EXCLUDED.hash, body = EXCLUDED.body`
  },
  insertKeys: async (keys, versions) => {
    due()
    await db.$executeRaw`
      WITH made AS (
        INSERT INTO app.incident_key SELECT * FROM jsonb_populate_recordset(NULL::app.incident_key, ${text(keys.map(keyColumns))}::jsonb)
        RETURNING incident_id, key_id, connection, position)
      INSERT INTO app.incident_key_timer (incident_id, key_id, lane, position, due_at)
      SELECT incident_id, key_id, connection, position, app.now() FROM made`
    await db.$executeRaw`
      INSERT INTO app.incident_version SELECT * FROM jsonb_populate_recordset(NULL::app.incident_version, ${text(versions.map(versionColumns))}::jsonb)`
  },
  putKeys: async (keys) => {
    await db.$executeRaw`
      UPDATE app.incident_key k SET state = n.state, replacement = n.replacement, rotation_id = n.rotation_id,
        restoration = n.restoration, late_until = n.late_until, detail = n.detail, updated_at = n.updated_at
      FROM jsonb_populate_recordset(NULL::app.incident_key, ${text(keys.map(progressColumns))}::jsonb) n
      WHERE k.incident_id = n.incident_id AND k.key_id = n.key_id`
  },
  putVersions: async (versions) => {
    await db.$executeRaw`
      UPDATE app.incident_version v SET state = n.state, requested_at = n.requested_at, effective_at = n.effective_at,
        proven_at = n.proven_at, operation = n.operation, code = n.code, refused_after = n.refused_after, detail = n.detail,
        operation_id = n.operation_id, audit_event_id = n.audit_event_id
      FROM jsonb_populate_recordset(NULL::app.incident_version, ${text(versions.map(versionColumns))}::jsonb) n
      WHERE v.incident_id = n.incident_id AND v.key_id = n.key_id AND v.version = n.version`
  },
  hold: async (leases) => {
    const rows = await db.$queryRaw<{ readonly key_id: string; readonly incident_id: string }[]>`
      SELECT t.incident_id, t.key_id FROM app.incident_key_timer t
      JOIN jsonb_to_recordset(${text(leases)}::jsonb) AS n ("incidentId" uuid, "keyId" uuid, owner text)
        ON t.incident_id = n."incidentId" AND t.key_id = n."keyId" AND t.lease_owner = n.owner
      ORDER BY t.incident_id, t.key_id FOR UPDATE OF t`
    const held = new Set(rows.map((row) => `${row.incident_id} ${row.key_id}`))
    return leases.filter(({ incidentId, keyId }) => held.has(`${incidentId} ${keyId}`))
  },
  release: (leases) => releaseLeases(db, leases),
  seize: async (incidentId, keyIds) => {
    due()
    await db.$executeRaw`
      UPDATE app.incident_key_timer SET due_at = app.now(), stage = 0, progress = NULL, lease_owner = NULL, lease_until = NULL
      WHERE incident_id = ${incidentId}::uuid AND key_id = ANY (${[...keyIds]}::uuid[])`
  },
  approve: async (approval) => {
    await db.incidentApproval.createMany({
      data: [{ ...approval, roles: [...approval.roles] }],
      skipDuplicates: true,
    })
  },
  note: async (note) => {
    await db.incidentNote.create({ data: note, select: { id: true } })
  },
  tick: async (tick) => {
    await db.incidentStep.create({ data: tick, select: { id: true } })
  },
})

/** Whoever set a due time meanwhile has something to be done: an earlier one stays. */
export const releaseLeases = async (
  db: Db,
  leases: readonly (IncidentLease & IncidentTimerPatch)[],
): Promise<void> => {
  await db.$executeRaw`
    UPDATE app.incident_key_timer t SET lease_owner = NULL, lease_until = NULL, stage = n.stage,
      due_at = least(t.due_at, app.now() + n."afterMs" * interval '1 millisecond'),
      progress = jsonb_build_object('tries', n.tries)
    FROM jsonb_to_recordset(${text(leases)}::jsonb)
      AS n ("incidentId" uuid, "keyId" uuid, owner text, "afterMs" double precision, stage int, tries int)
    WHERE t.incident_id = n."incidentId" AND t.key_id = n."keyId" AND t.lease_owner = n.owner`
}

const text = (rows: readonly object[]): string => JSON.stringify(rows)

const toPreview = (
  body: Omit<IncidentPreview, 'at' | 'expiresAt'> & {
    readonly at: string
    readonly expiresAt: string
  },
): IncidentPreview => ({ ...body, at: new Date(body.at), expiresAt: new Date(body.expiresAt) })

const keyColumns = (key: IncidentKey) => ({
  key_name: key.key,
  connection: key.connection,
  position: key.position,
  plan: key.plan,
  ...progressColumns(key),
})

/** What changes of it, and its name. */
const progressColumns = (key: IncidentKey) => ({
  incident_id: key.incidentId,
  key_id: key.keyId,
  state: key.state,
  replacement: key.replacement,
  rotation_id: key.rotationId,
  restoration: key.restoration,
  late_until: key.lateUntil,
  detail: key.detail,
  updated_at: key.updatedAt,
})

const versionColumns = (evidence: VersionEvidence) => ({
  incident_id: evidence.incidentId,
  key_id: evidence.keyId,
  version: evidence.version,
  containment: evidence.containment,
  state: evidence.state,
  requested_at: evidence.requestedAt,
  effective_at: evidence.effectiveAt,
  proven_at: evidence.provenAt,
  operation: evidence.operation,
  code: evidence.code,
  refused_after: evidence.refusedAfter,
  detail: evidence.detail,
  operation_id: evidence.operationId,
  audit_event_id: evidence.auditEventId,
})

export const toOpenKey = (
  row: KeyRow,
  { mode, state }: Pick<Row, 'mode' | 'state'>,
): OpenIncidentKey => ({
  ...toKey(row),
  mode: word(mode),
  incidentState: word(state),
})

const toKey = ({ keyName, ...row }: KeyRow): IncidentKey => ({
  ...row,
  key: keyName,
  plan: from(row.plan),
  state: word(row.state),
  replacement: word(row.replacement),
  restoration: word(row.restoration),
})

const toEvidence = (row: VersionRow): VersionEvidence => ({
  ...row,
  containment: word(row.containment),
  state: word(row.state),
})

const toIncident = (row: Row): Incident => ({
  id: row.id,
  title: row.title,
  severity: word(row.severity),
  mode: word(row.mode),
  reason: row.reason,
  selector: from(row.selector),
  state: word(row.state),
  revision: row.revision,
  openedBy: { id: row.openedById, name: row.openedByName },
  commander: row.commander,
  breakGlass: row.breakGlass,
  playbook: from(row.playbook),
  preview: from(row.preview),
  execution:
    row.executedAt && row.executedHash !== null
      ? {
          hash: row.executedHash,
          at: row.executedAt,
          by: { id: row.executedById ?? '', name: row.executedByName ?? '' },
        }
      : null,
  settledAt: row.settledAt,
  closed: row.closedAt && {
    at: row.closedAt,
    by: row.closedBy ?? '',
    reason: row.closeReason ?? '',
  },
  review: row.reviewedAt && {
    at: row.reviewedAt,
    by: { id: row.reviewedById ?? '', name: row.reviewedByName ?? '' },
    text: row.review ?? '',
  },
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
})

const toRow = (incident: Incident) => ({
  id: incident.id,
  title: incident.title,
  severity: incident.severity,
  mode: incident.mode,
  reason: incident.reason,
  selector: json(incident.selector),
  state: incident.state,
  revision: incident.revision,
  openedById: incident.openedBy.id,
  openedByName: incident.openedBy.name,
  commander: incident.commander,
  breakGlass: incident.breakGlass,
  playbook: jsonOrNull(incident.playbook),
  preview: jsonOrNull(incident.preview),
  executedHash: incident.execution?.hash ?? null,
  executedAt: incident.execution?.at ?? null,
  executedById: incident.execution?.by.id ?? null,
  executedByName: incident.execution?.by.name ?? null,
  settledAt: incident.settledAt,
  closedAt: incident.closed?.at ?? null,
  closedBy: incident.closed?.by ?? null,
  closeReason: incident.closed?.reason ?? null,
  reviewedAt: incident.review?.at ?? null,
  reviewedById: incident.review?.by.id ?? null,
  reviewedByName: incident.review?.by.name ?? null,
  review: incident.review?.text ?? null,
  createdAt: incident.createdAt,
  updatedAt: incident.updatedAt,
})
