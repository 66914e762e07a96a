// Leases and due times: they change every second and are no events. Times that gates and leases compare with are app.now().

import type { Reads, TimerPatch, Tx } from '#domain/ports.ts'
import type { RotationTimer } from '#domain/rotation.ts'
import type { Db } from '../database.ts'
import { Prisma, type RotationTimer as Row } from '../generated/client.ts'
import { from, isUuid } from './translate.ts'

export const timerReads = (db: Db): Reads['timers'] => ({
  get: async (rotationId) => {
    const row = isUuid(rotationId)
      ? await db.rotationTimer.findUnique({ where: { rotationId } })
      : null
    return row && toTimer(row)
  },
})

export const toTimer = ({ lane: _turns, waitingFor, progress, ...timer }: Row): RotationTimer => ({
  ...timer,
  waitingFor: from(waitingFor),
  progress: from(progress),
})

export const timerWrites = (db: Db): Tx['writeTimer'] => ({
  set: async (rotationId, patch) => {
    const { columns, values, assignments } = patchSql(patch)
    await db.$executeRaw`
      INSERT INTO app.rotation_timer (rotation_id ${columns}) VALUES (${rotationId}::uuid ${values})
      ON CONFLICT (rotation_id) DO UPDATE SET rotation_id = excluded.rotation_id ${assignments}`
  },
})

/** Each list begins with a comma for every member that the patch has. */
export const patchSql = (
  patch: TimerPatch,
): {
  readonly columns: Prisma.Sql
  readonly values: Prisma.Sql
  readonly assignments: Prisma.Sql
} => {
  const members: (readonly [Prisma.Sql, Prisma.Sql])[] = []
  if (patch.dueNow) members.push([Prisma.sql`due_at`, Prisma.sql`app.now()`])
  else if (patch.dueAt !== undefined)
    members.push([Prisma.sql`due_at`, Prisma.sql`${patch.dueAt}::timestamptz`])
  if (patch.lane !== undefined) members.push([Prisma.sql`lane`, Prisma.sql`${patch.lane}`])
  if (patch.progress !== undefined) members.push([Prisma.sql`progress`, jsonb(patch.progress)])
  if (patch.waitingFor !== undefined)
    members.push([Prisma.sql`waiting_for`, jsonb(patch.waitingFor)])
  const list = (each: (member: readonly [Prisma.Sql, Prisma.Sql]) => Prisma.Sql): Prisma.Sql =>
    members.length === 0 ? Prisma.empty : Prisma.sql`, ${Prisma.join(members.map(each))}`
  return {
    columns: list(([name]) => name),
    values: list(([, value]) => value),
    assignments: list(([name, value]) => Prisma.sql`${name} = ${value}`),
  }
}

const jsonb = (value: object | null): Prisma.Sql =>
  Prisma.sql`${value === null ? null : JSON.stringify(value)}::jsonb`
