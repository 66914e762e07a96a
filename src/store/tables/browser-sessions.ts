import { idleMs, keptMs, type SeenBrowserSession } from '#domain/browser-session.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { BrowserSession as Row, BrowserSessionUse } from '../generated/client.ts'
import { bytes, from, isUuid, json, paged, take } from './translate.ts'

/** As `lives` has it. */
const idleSince = (now: Date): Date => new Date(now.getTime() - idleMs)

const whole = { include: { use: true } } as const

export const browserSessionReads = (db: Db): Reads['browserSessions'] => ({
  byHash: async (hash) => {
    const row = await db.browserSession.findUnique({ where: { hash: bytes(hash) }, ...whole })
    return row && toSession(row)
  },
  list: async (now, page) => {
    const rows = await db.browserSession.findMany({
      where: {
        endedAt: null,
        expiresAt: { gt: now },
        OR: [
          { use: { lastUsedAt: { gt: idleSince(now) } } },
          { use: { is: null }, createdAt: { gt: idleSince(now) } },
        ],
        ...(page.after === null ? {} : { id: { gt: page.after } }),
      },
      orderBy: { id: 'asc' },
      take: take(page),
      ...whole,
    })
    return paged(rows.map(toSession), page, ({ id }) => id)
  },
})

export const browserSessionWrites = (db: Db): Tx['writeBrowserSession'] => ({
  // What a callback that is sent twice violates is that one login gives one session; anything else is a fault of ours.
  insert: async ({ hash, claims, ...row }) => {
    const { count } = await db.browserSession.createMany({
      data: [{ ...row, hash: bytes(hash), claims: json(claims) }],
      skipDuplicates: true,
    })
    return count === 1
  },
  end: async (id, at) => {
    if (!isUuid(id)) return false
    const { count } = await db.browserSession.updateMany({
      where: { id, endedAt: null },
      data: { endedAt: at },
    })
    return count === 1
  },
  endOf: async ({ issuer, subject }, at) => {
    const where = { issuer, subject, endedAt: null, expiresAt: { gt: at } }
    return (await db.browserSession.updateMany({ where, data: { endedAt: at } })).count
  },
  takeBack: async (principal, at) => {
    await db.takenBack.upsert({
      where: { principal },
      create: { principal, at },
      update: { at },
      select: { principal: true },
    })
  },
  endAllBut: async (kept, at) => {
    const where = {
      endedAt: null,
      expiresAt: { gt: at },
      NOT: { OR: kept.map(({ issuer, clientId }) => ({ issuer, clientId })) },
    }
    return (await db.browserSession.updateMany({ where, data: { endedAt: at } })).count
  },
  purge: async (now) => {
    const over = new Date(now.getTime() - keptMs)
    await db.browserSession.deleteMany({ where: { expiresAt: { lt: over } } })
  },
})

const toSession = ({
  use,
  ...row
}: Row & { readonly use: BrowserSessionUse | null }): SeenBrowserSession => ({
  ...row,
  claims: from(row.claims),
  lastUsedAt: use?.lastUsedAt ?? null,
})
