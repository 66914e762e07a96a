import type { Reads, Tx } from '#domain/ports.ts'
import type { Intent } from '#domain/rotation.ts'
import type { Db } from '../database.ts'
import { type Intent as Row, Prisma } from '../generated/client.ts'
import { jsonRows } from './json-rows.ts'
import { from, isUuid, json, jsonOrNull, word } from './translate.ts'

const inOrder = [{ startedAt: 'asc' }, { operationId: 'asc' }] as const

export const intentReads = (db: Db): Reads['intents'] => ({
  of: async (rotationId) =>
    isUuid(rotationId)
      ? (await db.intent.findMany({ where: { rotationId }, orderBy: [...inOrder] })).map(toIntent)
      : [],
  get: async (operationId) => {
    const row = await db.intent.findUnique({ where: { operationId } })
    return row && toIntent(row)
  },
  ofCreation: async (keyId) =>
    (
      await db.intent.findMany({
        where: { keyId, rotationId: null, incidentId: null },
        orderBy: [...inOrder],
      })
    ).map(toIntent),
  ofIncident: async (incidentId, keyIds) =>
    (
      await jsonRows<Row>(
        db,
        Prisma.sql`app.intent t WHERE t.key_id = ANY (${[...keyIds]}::uuid[]) AND t.incident_id = ${incidentId}::uuid
          ORDER BY t.started_at, t.operation_id`,
      )
    ).map(toIntent),
  switchingOn: (keyIds) =>
    db.$queryRaw<Pick<Row, 'keyId' | 'sentNotAfter'>[]>`
      SELECT key_id AS "keyId", sent_not_after AS "sentNotAfter" FROM app.intent
      WHERE key_id = ANY (${[...keyIds]}::uuid[]) AND NOT closed AND effect IN ('reinstate', 'swapBack', 'promote')`,
})

export const intentWrites = (db: Db): Tx['writeIntent'] => ({
  insert: async (row) => {
    await db.intent.create({ data: toRow(row), select: { operationId: true } })
  },
  insertMany: async (rows) => {
    await db.$executeRaw`
      INSERT INTO app.intent (operation_id, rotation_id, key_id, phase, target, attempt, effect, pre_image, sealed_id,
        sent_not_after, outcome, closed, result, detail, event_id, started_at, ended_at, incident_id)
      SELECT operation_id, rotation_id, key_id, phase, target, attempt, effect, pre_image, sealed_id,
        sent_not_after, outcome, closed, result, detail, event_id, started_at, ended_at, incident_id
      FROM jsonb_populate_recordset(NULL::app.intent, ${JSON.stringify(rows.map(columns))}::jsonb)`
  },
  settleMany: async (rows) => {
    const settled = await db.$queryRaw<{ readonly id: string }[]>`
      UPDATE app.intent i SET outcome = n.outcome, closed = n.closed, result = n.result, detail = n.detail, ended_at = n.ended_at
      FROM jsonb_populate_recordset(NULL::app.intent, ${JSON.stringify(rows.map(endColumns))}::jsonb) n
      WHERE i.operation_id = n.operation_id AND NOT i.closed RETURNING i.operation_id AS id`
    return settled.map(({ id }) => id)
  },
  settle: async (row) => {
    const { count } = await db.intent.updateMany({
      where: { operationId: row.operationId, closed: false },
      data: {
        outcome: row.outcome,
        closed: row.closed,
        result: jsonOrNull(row.result),
        detail: row.detail,
        sealedId: row.sealedId,
        sentNotAfter: row.sentNotAfter,
        endedAt: row.endedAt,
      },
    })
    return count === 1
  },
})

const columns = (intent: Intent) => ({
  ...endColumns(intent),
  rotation_id: intent.rotationId,
  key_id: intent.keyId,
  phase: intent.phase,
  target: intent.target,
  attempt: intent.attempt,
  effect: intent.effect,
  pre_image: intent.preImage,
  sealed_id: intent.sealedId,
  sent_not_after: intent.sentNotAfter,
  event_id: intent.eventId,
  started_at: intent.startedAt,
  incident_id: intent.incidentId,
})

const endColumns = (intent: Intent) => ({
  operation_id: intent.operationId,
  outcome: intent.outcome,
  closed: intent.closed,
  result: intent.result,
  detail: intent.detail,
  ended_at: intent.endedAt,
})

export const toIntent = (row: Row): Intent => ({
  ...row,
  effect: word(row.effect),
  outcome: word(row.outcome),
  preImage: from(row.preImage),
  result: from(row.result),
})

const toRow = (intent: Intent) => ({
  ...intent,
  preImage: json(intent.preImage),
  result: jsonOrNull(intent.result),
})
