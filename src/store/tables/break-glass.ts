import type { BreakGlass } from '#domain/break-glass.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { BreakGlass as Row, BreakGlassSink } from '../generated/client.ts'
import { isUuid, word } from './translate.ts'

const whole = { include: { sinks: { orderBy: { name: 'asc' } } } } as const

export const breakGlassReads = (db: Db): Reads['breakGlass'] => ({
  get: async (apiKeyId) => {
    const row = isUuid(apiKeyId)
      ? await db.breakGlass.findUnique({ where: { apiKeyId }, ...whole })
      : null
    return row && toBreakGlass(row)
  },
  getMany: async (ids) => {
    const apiKeyId = { in: ids.filter(isUuid) }
    return (await db.breakGlass.findMany({ where: { apiKeyId }, ...whole })).map(toBreakGlass)
  },
  usedSince: async (moment) => {
    const where = { usedAt: { gt: moment } }
    const orderBy = { usedAt: 'asc' } as const
    return (await db.breakGlass.findMany({ where, orderBy, ...whole })).map(toBreakGlass)
  },
})

export const breakGlassWrites = (db: Db): Tx['writeBreakGlass'] => ({
  insert: async (apiKeyId, sinks) => {
    await db.breakGlass.create({ data: { apiKeyId }, select: { apiKeyId: true } })
    await db.breakGlassSink.createMany({ data: sinks.map((sink) => ({ apiKeyId, ...sink })) })
  },
  approve: async (apiKeyId, { at, by, byName }) => {
    const { count } = await db.breakGlass.updateMany({
      where: { apiKeyId, approvedAt: null },
      data: { approvedAt: at, approvedBy: by, approvedByName: byName },
    })
    return count === 1
  },
  // The cursors stand before this transaction: what it says of the use is told, too.
  use: async (apiKeyId, { at, from }) => {
    const { count } = await db.breakGlass.updateMany({
      where: { apiKeyId, approvedAt: { not: null }, usedAt: null },
      data: { usedAt: at, usedFrom: from },
    })
    if (count === 0) return false
    await db.$executeRaw`
      INSERT INTO app.sink_cursor (sink, after_txid, after_id)
      SELECT name, audit.log_xid(pg_current_xact_id())::text::bigint - 1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'
      FROM app.break_glass_sink WHERE api_key_id = ${apiKeyId}::uuid
      ON CONFLICT DO NOTHING`
    return true
  },
  bind: async (apiKeyId, incidentId) => {
    const { count } = await db.breakGlass.updateMany({
      where: { apiKeyId, usedAt: { not: null }, incidentId: null },
      data: { incidentId },
    })
    return count === 1
  },
})

const toBreakGlass = ({
  sinks,
  ...row
}: Row & { readonly sinks: readonly BreakGlassSink[] }): BreakGlass => ({
  ...row,
  sinks: sinks.map(({ name, type, url, sealedId }) => ({ name, type: word(type), url, sealedId })),
})
