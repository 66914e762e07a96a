// What an auditor is told of the peppers: which one makes fingerprints, what others are still known by, and whose file lacks one.

import type { HouseProcess } from '#domain/kek.ts'
import { forgettable, type Pepper, type PepperUses } from '#domain/pepper.ts'
import type { Ledger, Processes } from '#domain/ports.ts'
import type { InstallationCheck } from './check-installation.ts'
import { livingMs } from './every-process.ts'
import { told } from './rotate-pepper.ts'

export interface CheckPeppersDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly processes: Pick<Processes, 'living'>
}

export const makeCheckPeppers =
  ({ ledger, processes }: CheckPeppersDeps): (() => Promise<readonly InstallationCheck[]>) =>
  async () => {
    const { peppers, uses } = await ledger.read(async (db) => {
      const all = await db.peppers.list()
      const found = new Map<number, PepperUses>()
      for (const { number, state } of all)
        if (state === 'replaced') found.set(number, await db.peppers.uses(number)) // oxlint-disable-line no-await-in-loop -- few
      return { peppers: all, uses: found }
    })
    const active = peppers.find(({ state }) => state === 'active')
    if (active === undefined) return []
    const living = await processes.living(livingMs)
    const inUse = peppers.filter(({ state }) => state !== 'retired')
    return [
      { name: 'pepper', state: 'ok', detail: `${told(active)} makes fingerprints`, hint: null },
      ...inUse.flatMap((pepper) => replaced(pepper, uses.get(pepper.number))),
      ...living.flatMap((one) => lacking(one, inUse)),
      ...peppers.flatMap((pepper) => keeping(pepper, living)),
    ]
  }

const replaced = (pepper: Pepper, uses: PepperUses | undefined): readonly InstallationCheck[] => {
  if (uses === undefined) return []
  const name = 'pepper replaced'
  if (pepper.renewedAt === null)
    return [
      {
        name,
        state: 'warn',
        detail: `${told(pepper)} is being replaced, and that did not end`,
        hint: 'Run `rekey pepper rotate` again: it goes on.',
      },
    ]
  const left = uses.versions + forgettable(uses)
  return [
    {
      name,
      state: 'ok',
      detail: `${left} fingerprint${left === 1 ? '' : 's'} of ${told(pepper)} ${left === 1 ? 'is' : 'are'} left${uses.open > 0 ? `, and ${uses.open} open rotations or incidents from before` : ''}`,
      hint: left + uses.open === 0 ? 'Run `rekey pepper retire`.' : 'See: rekey pepper status',
    },
  ]
}

/** A process of an earlier version knows of one, and tells of none. */
const lacking = (
  { instance, host, marks, peppers }: HouseProcess,
  inUse: readonly Pepper[],
): readonly InstallationCheck[] => {
  const missing = inUse.filter(({ id }) => !peppers.includes(id))
  if (missing.length === 0 || (marks === null && inUse.length === 1)) return []
  return [
    {
      name: 'pepper file',
      state: 'fail',
      detail: `the file of ${instance} on ${host} lacks ${missing.map(told).join(', ')}: its next start refuses`,
      hint: 'Give that host the lines of another host.',
    },
  ]
}

const keeping = (pepper: Pepper, living: readonly HouseProcess[]): readonly InstallationCheck[] => {
  const hosts = new Set(
    living.filter((one) => one.peppers.includes(pepper.id)).map(({ host }) => host),
  )
  if (pepper.state !== 'retired' || hosts.size === 0) return []
  return [
    {
      name: 'pepper retired',
      state: 'warn',
      detail: `the file of ${[...hosts].join(', ')} still holds ${told(pepper)}, which is retired`,
      hint: 'Run `rekey pepper retire` there: it takes the line out.',
    },
  ]
}
