// The end of a key-encryption key that was replaced. The order: the database refuses rows under it, and counts none; processes
// forget it within two seconds; then its line leaves the file. A crash before the last step leaves a line that nobody uses, and
// the command takes it out when it is run again.

import type { Actor } from '#domain/actor.ts'
import { type Kek, KekRefused, retirableFrom } from '#domain/kek.ts'
import type { KekFile, Ledger, Processes } from '#domain/ports.ts'
import { livingMs } from './every-process.ts'

export interface RetireKekDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly processes: Processes
  readonly file: KekFile
}

export interface KekRetired {
  readonly retired: readonly string[]
  /** Lines that were taken out of the file of this host. */
  readonly removed: readonly string[]
  /** Hosts whose files still hold a retired key. */
  readonly elsewhere: readonly string[]
}

export const makeRetireKek =
  (deps: RetireKekDeps) =>
  /** `atOnce`: a leaked key is worth more than the cursors and idempotency keys of a day. */
  async (actor: Actor, { atOnce }: { readonly atOnce: boolean }): Promise<KekRetired> => {
    const { ledger, processes, file } = deps
    const keks = await ledger.read((db) => db.keks.list())
    const replaced = keks.filter(({ state }) => state === 'replaced')
    for (const kek of replaced) await retire(deps, actor, kek, atOnce) // oxlint-disable-line no-await-in-loop -- one after the other
    const ended = [
      ...replaced.map(({ id }) => id),
      ...keks.filter(({ state }) => state === 'retired').map(({ id }) => id),
    ]
    const removed: string[] = []
    for (const id of ended) if (await file.remove(id)) removed.push(id) // oxlint-disable-line no-await-in-loop -- one file
    const living = await processes.living(livingMs)
    // A process on this host reads the file again within two seconds.
    const holding = living.filter(({ accepts }) =>
      accepts.some((id) => ended.includes(id) && !removed.includes(id)),
    )
    return {
      retired: replaced.map(({ id }) => id),
      removed,
      elsewhere: [...new Set(holding.map(({ host }) => host))],
    }
  }

const retire = async (
  { ledger, processes }: RetireKekDeps,
  actor: Actor,
  kek: Kek,
  atOnce: boolean,
): Promise<void> => {
  const { id } = kek
  const from = retirableFrom(kek)
  if (from === null)
    throw new KekRefused(
      'inUse',
      `rows may still be under ${id}`,
      'Run `rekey kek rotate` again: it goes on.',
    )
  const sealing = (await processes.living(livingMs)).filter(({ seals }) => seals === id)
  if (sealing.length > 0)
    throw new KekRefused(
      'waits',
      `${sealing.map(({ instance, host }) => `${instance} on ${host}`).join(', ')} still seals under ${id}`,
      'Run `rekey kek rotate` again: it waits for it.',
    )
  await ledger.commit(actor, async (tx) => {
    await tx.lock('kek')
    const now = await tx.now()
    if (!atOnce && now < from)
      throw new KekRefused(
        'early',
        `${id} is still needed until ${from.toISOString()}: cursors and idempotency keys of the day before are signed with it`,
        'Run the command then; or with --now, and those are refused.',
      )
    if (!(await tx.writeKek.retire(id, now)))
      throw new KekRefused(
        'inUse',
        `rows are under ${id} again`,
        'Run `rekey kek rotate` again: it goes on.',
      )
    return {
      value: null,
      audit: [
        {
          action: 'kek.retired',
          target: { id, name: id },
          outcome: 'succeeded',
          after: { early: now < from },
        },
      ],
    }
  })
}
