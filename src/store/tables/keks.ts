import type { Kek } from '#domain/kek.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { word } from './translate.ts'

export const kekReads = (db: Db): Reads['keks'] => ({
  list: async () => {
    const rows = await db.kek.findMany({ orderBy: [{ activatedAt: 'asc' }, { id: 'asc' }] })
    return rows.map((row): Kek => ({ ...row, state: word(row.state) }))
  },
})

export const kekWrites = (db: Db): Tx['writeKek'] => ({
  activate: async (id, at) => {
    await db.$executeRaw`
      UPDATE app.kek SET state = 'replaced', replaced_at = ${at} WHERE state = 'active' AND id <> ${id}`
    const made = await db.$executeRaw`
      INSERT INTO app.kek (id, state, activated_at) VALUES (${id}, 'active', ${at})
      ON CONFLICT (id) DO UPDATE SET state = 'active', activated_at = excluded.activated_at, replaced_at = NULL, rewrapped_at = NULL
      WHERE kek.state = 'replaced'`
    return made === 1
  },
  rewrapped: async (id, at) => {
    const { count } = await db.kek.updateMany({
      where: { id, state: 'replaced', rewrappedAt: null },
      data: { rewrappedAt: at },
    })
    return count === 1
  },
  retire: async (id, at) => {
    // Waits for transactions that are just sealing under it; whoever comes after this commit is refused by a trigger.
    await db.$executeRaw`SELECT FROM app.kek WHERE id = ${id} FOR UPDATE`
    const used = await db.$queryRaw<{ readonly used: boolean }[]>`
      SELECT EXISTS (SELECT FROM app.sealed WHERE kek_id = ${id} AND erased_at IS NULL)
          OR EXISTS (SELECT FROM vault.material WHERE kek_id = ${id} AND state <> 'destroyed') AS used`
    if (used[0]?.used !== false) return false
    const { count } = await db.kek.updateMany({
      where: { id, state: 'replaced' },
      data: { state: 'retired', retiredAt: at },
    })
    return count === 1
  },
})
