// A rotation with all that a step of it is decided by: one statement instead of ten, asked before each step.

import type { PolicySpec } from '#domain/policy.ts'
import type { Reads } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import {
  type Approval as ApprovalRow,
  type Connection as ConnectionRow,
  type Incident as IncidentRow,
  type IncidentKey as IncidentKeyRow,
  type Intent as IntentRow,
  Prisma,
  type Rotation as RotationRow,
  type RotationTimer as TimerRow,
  type Version as VersionRow,
} from '../generated/client.ts'
import { toApproval } from './approvals.ts'
import { toConnection } from './connections.ts'
import { type HoldRow, toHolds } from './holds.ts'
import { toOpenKey } from './incidents.ts'
import { toIntent } from './intents.ts'
import { type Cells, record } from './json-rows.ts'
import { observedNow } from './moment.ts'
import { toTimer } from './rotation-timers.ts'
import { toRotation } from './rotations.ts'
import { isUuid } from './translate.ts'
import { toVersion } from './versions.ts'

interface Row extends HoldRow {
  readonly observed: bigint
  readonly rotation: Cells
  readonly timer: Cells | null
  readonly connection: Cells | null
  readonly intents: readonly Cells[]
  readonly versions: readonly Cells[]
  readonly approvals: readonly Cells[]
  readonly reloads: boolean
  readonly incidents: readonly { readonly key: Cells; readonly incident: Cells }[]
  readonly spec: PolicySpec | null
}

export const situationOf =
  (db: Db): Reads['rotations']['situation'] =>
  async (id) => {
    if (!isUuid(id)) return null
    const rows = await db.$queryRaw<Row[]>`
      SELECT clock.now, ${observedNow} AS observed, to_jsonb(r) AS rotation, to_jsonb(t) AS timer, to_jsonb(c) AS connection,
        ${list(Prisma.sql`to_jsonb(i) ORDER BY i.started_at, i.operation_id`)} FROM app.intent i WHERE i.rotation_id = r.id) AS intents,
        ${list(Prisma.sql`to_jsonb(v) ORDER BY v.version`)} FROM app.version v
          WHERE v.key_id = r.key_id AND v.version IN (r.from_version, r.to_version)) AS versions,
        ${list(Prisma.sql`to_jsonb(a) ORDER BY a.at, a.id`)} FROM app.approval a WHERE a.rotation_id = r.id) AS approvals,
        ${list(Prisma.sql`jsonb_build_object('key', k, 'incident', jsonb_build_object('mode', n.mode, 'state', n.state)) ORDER BY k.incident_id`)}
          FROM app.incident_key k JOIN app.incident n ON n.id = k.incident_id
          WHERE k.key_id = r.key_id AND n.state <> 'closed') AS incidents,
        EXISTS (SELECT FROM app.consumer WHERE reload IS NOT NULL) AS reloads, y.began_at, y.detail, f.until, f.reason, f.selector,
        (SELECT labels FROM app.key WHERE id = r.key_id) AS labels,
        (SELECT spec FROM app.policy WHERE name = r.policy) AS spec
      FROM (SELECT app.now() AS now) clock CROSS JOIN app.observed_clock
        JOIN app.rotation r ON r.id = ${id}::uuid
        LEFT JOIN app.rotation_timer t ON t.rotation_id = r.id
        LEFT JOIN app.connection c ON c.name = r.plan -> 'key' ->> 'connection'
        LEFT JOIN app.recovery y ON y.ended_at IS NULL
        LEFT JOIN app.freeze f ON true
      LIMIT 1`
    const [row] = rows
    if (row === undefined) return null
    return {
      rotation: toRotation(record<RotationRow>(row.rotation)),
      at: row.now,
      observedMs: Number(row.observed),
      timer: row.timer && toTimer(record<TimerRow>(row.timer)),
      intents: row.intents.map((cells) => toIntent(record<IntentRow>(cells))),
      versions: row.versions.map((cells) => toVersion(record<VersionRow>(cells))),
      connection: row.connection && toConnection(record<ConnectionRow>(row.connection)),
      reloads: row.reloads,
      approvals: row.approvals.map((cells) => toApproval(record<ApprovalRow>(cells))),
      incidents: row.incidents.map(({ key, incident }) =>
        toOpenKey(
          record<IncidentKeyRow>(key),
          record<Pick<IncidentRow, 'mode' | 'state'>>(incident),
        ),
      ),
      holds: toHolds(row),
    }
  }

const list = (members: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`(SELECT coalesce(jsonb_agg(${members}), '[]')`
