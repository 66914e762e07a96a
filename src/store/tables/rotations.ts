import type { Reads, RotationFilter, Tx } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { openPhases } from '#domain/rotation-machine.ts'
import type { Tracer } from '#domain/telemetry.ts'
import type { Db } from '../database.ts'
import { Prisma, type Rotation as Row } from '../generated/client.ts'
import type { Heads } from '../stream-heads.ts'
import { jsonRows } from './json-rows.ts'
import { scopeConditions } from './keys.ts'
import { from, isUuid, json, jsonOrNull, paged, take, word } from './translate.ts'

export const rotationReads = (db: Db): Omit<Reads['rotations'], 'situation'> => ({
  get: async (id) => (isUuid(id) ? one(await db.rotation.findUnique({ where: { id } })) : null),
  list: async (filter, page) => {
    if (filter.keyId !== undefined && !isUuid(filter.keyId)) return { items: [], next: null }
    if (page.after !== null && !isUuid(page.after)) return { items: [], next: null }
    // Ids are UUIDv7: their order is the order of creation.
    const found = await db.$queryRaw<{ readonly id: string }[]>`
      SELECT r.id FROM app.rotation r ${scoped(filter)}
      WHERE true ${conditions(filter)}
        ${page.after === null ? Prisma.empty : Prisma.sql`AND r.id < ${page.after}::uuid`}
      ORDER BY r.id DESC LIMIT ${take(page)}`
    const rows =
      found.length === 0
        ? []
        : await db.rotation.findMany({
            where: { id: { in: found.map((r) => r.id) } },
            orderBy: { id: 'desc' },
          })
    return paged(rows.map(toRotation), page, (rotation) => rotation.id)
  },
  openOf: async (keyId) =>
    one(await db.rotation.findFirst({ where: { keyId, phase: { in: [...openPhases] } } })),
  openOfKeys: async (keyIds) =>
    (
      await jsonRows<Row>(
        db,
        Prisma.sql`app.rotation t WHERE t.key_id = ANY (${[...keyIds]}::uuid[]) AND t.phase NOT IN ('completed', 'cancelled', 'rolledBack', 'abandoned')`,
      )
    ).map(toRotation),
  brokenTwice: async (keyIds) => {
    const rows = await db.$queryRaw<{ readonly key_id: string }[]>`
      SELECT k.key_id FROM unnest(${[...keyIds]}::uuid[]) k (key_id)
      CROSS JOIN LATERAL (
        SELECT phase FROM app.rotation r WHERE r.key_id = k.key_id AND r.ended_at IS NOT NULL
          AND r.phase <> 'cancelled' AND r.plan ->> 'retireOnly' IS DISTINCT FROM 'true'
        ORDER BY r.ended_at DESC, r.id DESC LIMIT 2) last
      GROUP BY k.key_id
      HAVING count(*) = 2 AND bool_and(last.phase IN ('rolledBack', 'abandoned'))`
    return rows.map((row) => row.key_id)
  },
  answered: async (occurrences) => {
    const rows = await db.$queryRaw<{ readonly key_id: string }[]>`
      SELECT r.key_id FROM app.rotation r
      JOIN unnest(${occurrences.map(({ keyId }) => keyId)}::uuid[], ${occurrences.map(({ occurrence }) => occurrence)}::text[]) o (key_id, occurrence)
        ON r.key_id = o.key_id AND r.occurrence = o.occurrence`
    return rows.map((row) => row.key_id)
  },
  group: async (groupId) => {
    const taken = openPhases.filter((phase) => phase !== 'planned' && phase !== 'awaitingApproval')
    const rows = await db.$queryRaw<
      {
        readonly running: number
        readonly preparing: number
        readonly stalled: number
        readonly last: Date | null
      }[]
    >`
      SELECT count(*)::int AS running, (count(*) FILTER (WHERE phase = 'preflight'))::int AS preparing,
        (count(*) FILTER (WHERE phase = 'stalled'))::int AS stalled,
        (SELECT max(mint_entered_at) FROM app.rotation WHERE group_id = ${groupId}) AS last
      FROM app.rotation WHERE group_id = ${groupId} AND phase IN (${Prisma.join(taken)})`
    const { running = 0, preparing = 0, stalled = 0, last = null } = rows[0] ?? {}
    const first =
      stalled === 0
        ? []
        : await db.rotation.findMany({
            where: { groupId, phase: 'stalled' },
            orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
            take: 5,
          })
    return { running, preparing, stalled: first.map(toRotation), lastStartedAt: last }
  },
  waitingInGroup: async (groupId, count) => {
    const rows = await db.rotation.findMany({
      where: { groupId, phase: 'planned' },
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
      select: { id: true },
      take: count,
    })
    return rows.map((row) => row.id)
  },
})

/** `heads`: of streams that this transaction has locked. */
export const rotationWrites = (
  db: Db,
  trace: Pick<Tracer, 'current'>,
  heads: Heads,
): Tx['writeRotation'] => ({
  insert: async (row) => {
    // Kept for whoever advances it: all that is done to it, in any process, is one trace.
    const traceparent = trace.current()?.traceparent ?? null
    const data = { ...toRow(row), ...minted(row), traceparent }
    await db.rotation.create({ data, select: { id: true } })
  },
  // All that a rotation may become; what it was planned as stays. The spacing of a group counts from the last entry into
  // minting; going on from a stall into it counts again.
  move: async (row, before, { lease, wakesGroup = false, wakesIncident = false } = {}) => {
    const entered = row.phase !== before.phase
    const mints = entered && row.phase === 'minting'
    const owner = lease?.owner ?? null
    const rows = await db.$queryRaw<
      {
        readonly moved: number
        readonly timed: number
        readonly seq: number
        readonly leaf_hash: Uint8Array | null
      }[]
    >`
      WITH moved AS (
        UPDATE app.rotation SET phase = ${row.phase}, epoch = ${row.epoch},
          from_version = CASE WHEN ${row.fromVersion !== before.fromVersion} THEN ${row.fromVersion}::integer ELSE from_version END,
          to_version = CASE WHEN ${row.toVersion !== before.toVersion} THEN ${row.toVersion}::integer ELSE to_version END,
          pre_image = CASE WHEN ${row.preImage !== before.preImage} THEN ${JSON.stringify(row.preImage)}::jsonb ELSE pre_image END,
          undo = CASE WHEN ${row.undo !== before.undo} THEN ${row.undo && JSON.stringify(row.undo)}::jsonb ELSE undo END,
          promoted_at = CASE WHEN ${row.promotedAt !== before.promotedAt} THEN ${row.promotedAt}::timestamptz ELSE promoted_at END,
          stalled_in = ${row.stalledIn}, stalled_reason = ${row.stalledReason}, phase_observed_ms = ${Math.round(row.phaseObservedMs)}::bigint,
          phase_entered_at = ${row.phaseEnteredAt}, passage_at = ${row.passageAt}, ended_at = ${row.endedAt},
          mint_entered_at = CASE WHEN ${mints} THEN ${row.phaseEnteredAt} ELSE mint_entered_at END
        WHERE id = ${row.id}::uuid AND phase = ${before.phase} AND epoch = ${before.epoch}
        RETURNING id
      ), timed AS (
        UPDATE app.rotation_timer t SET progress = CASE WHEN NOT ${entered} THEN t.progress END,
          waiting_for = CASE WHEN NOT ${entered} THEN t.waiting_for END,
          lease_until = CASE WHEN ${owner}::text IS NULL THEN t.lease_until
            ELSE app.now() + ${lease?.ttlMs ?? 0}::double precision * interval '1 millisecond' END
        FROM moved WHERE t.rotation_id = moved.id AND CASE WHEN ${owner}::text IS NULL
          THEN ${entered} AND (t.progress IS NOT NULL OR t.waiting_for IS NOT NULL)
          ELSE t.lease_owner = ${owner} AND t.lease_until > app.now() END
        RETURNING 1
      ), next AS (
        UPDATE app.rotation_timer SET due_at = least(due_at, app.now()) WHERE ${wakesGroup} AND rotation_id = (
          SELECT id FROM app.rotation WHERE group_id = ${row.plan.group.id} AND phase = 'planned' AND id <> ${row.id}::uuid
          ORDER BY created_at, id LIMIT 1)
      ), incident AS (
        UPDATE app.incident_key_timer t SET due_at = least(t.due_at, app.now()) FROM app.incident_key k
        WHERE ${wakesIncident} AND k.key_id = ${row.keyId}::uuid AND (k.replacement IN ('pending', 'running') OR k.late_until IS NOT NULL)
          AND t.incident_id = k.incident_id AND t.key_id = k.key_id
      ), head AS (
        INSERT INTO app.stream_head AS h (stream, seq) VALUES (${row.id}, 0)
        ON CONFLICT (stream) DO UPDATE SET seq = h.seq RETURNING seq, leaf_hash
      )
      SELECT (SELECT count(*) FROM moved)::int AS moved, (SELECT count(*) FROM timed)::int AS timed, seq, leaf_hash FROM head`
    const [found] = rows
    if (found?.moved !== 1 || (lease && found.timed !== 1)) return false
    heads.set(row.id, { seq: found.seq, prev: found.leaf_hash })
    return true
  },
})

const minted = (row: Rotation) =>
  row.phase === 'minting' ? { mintEnteredAt: row.phaseEnteredAt } : {}

const scoped = (filter: RotationFilter): Prisma.Sql =>
  filter.scope ? Prisma.sql`JOIN app.key k ON k.id = r.key_id` : Prisma.empty

const conditions = (filter: RotationFilter): Prisma.Sql => {
  const all: Prisma.Sql[] = []
  if (filter.keyId !== undefined) all.push(Prisma.sql`AND r.key_id = ${filter.keyId}::uuid`)
  if (filter.policy !== undefined) all.push(Prisma.sql`AND r.policy = ${filter.policy}`)
  if (filter.trigger !== undefined) all.push(Prisma.sql`AND r.trigger = ${filter.trigger}`)
  if (filter.phase !== undefined)
    all.push(Prisma.sql`AND r.phase = ANY (${[...filter.phase]}::text[])`)
  if (filter.scope) all.push(scopeConditions(filter.scope))
  return all.length === 0 ? Prisma.empty : Prisma.join(all, ' ')
}

const one = (row: Row | null): Rotation | null => row && toRotation(row)

export const toRotation = (row: Row): Rotation => ({
  id: row.id,
  keyId: row.keyId,
  keyName: row.keyName,
  policy: row.policy,
  policyRevision: row.policyRevision,
  plan: from(row.plan),
  planHash: row.planHash,
  phase: word(row.phase),
  epoch: row.epoch,
  trigger: word(row.trigger),
  reason: row.reason,
  occurrence: row.occurrence,
  fromVersion: row.fromVersion,
  toVersion: row.toVersion,
  preImage: from(row.preImage),
  stalledIn: word(row.stalledIn),
  stalledReason: row.stalledReason,
  undo: from(row.undo),
  phaseObservedMs: Number(row.phaseObservedMs),
  phaseEnteredAt: row.phaseEnteredAt,
  passageAt: row.passageAt,
  promotedAt: row.promotedAt,
  createdAt: row.createdAt,
  endedAt: row.endedAt,
})

const toRow = (r: Rotation) => ({
  id: r.id,
  keyId: r.keyId,
  keyName: r.keyName,
  policy: r.policy,
  policyRevision: r.policyRevision,
  plan: json(r.plan),
  planHash: r.planHash,
  groupId: r.plan.group.id,
  phase: r.phase,
  epoch: r.epoch,
  trigger: r.trigger,
  reason: r.reason,
  occurrence: r.occurrence,
  fromVersion: r.fromVersion,
  toVersion: r.toVersion,
  preImage: json(r.preImage),
  stalledIn: r.stalledIn,
  stalledReason: r.stalledReason,
  undo: jsonOrNull(r.undo),
  phaseObservedMs: BigInt(Math.round(r.phaseObservedMs)),
  phaseEnteredAt: r.phaseEnteredAt,
  passageAt: r.passageAt,
  promotedAt: r.promotedAt,
  createdAt: r.createdAt,
  endedAt: r.endedAt,
})
