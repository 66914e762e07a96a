// What an auditor is told of the key-encryption keys: which one seals, what is left under others, and whose file lacks one.

import { type HouseProcess, type Kek, retirableFrom } from '#domain/kek.ts'
import type { Ledger, Processes } from '#domain/ports.ts'
import type { InstallationCheck } from './check-installation.ts'
import { livingMs } from './every-process.ts'

export interface CheckKeksDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly processes: Pick<Processes, 'living'>
  /** How many rows are under each. */
  readonly rows: () => Promise<ReadonlyMap<string, number>>
}

export const makeCheckKeks =
  ({ ledger, processes, rows }: CheckKeksDeps): (() => Promise<readonly InstallationCheck[]>) =>
  async () => {
    const [keks, counts, living] = await Promise.all([
      ledger.read((db) => db.keks.list()),
      rows(),
      processes.living(livingMs),
    ])
    const active = keks.find(({ state }) => state === 'active')
    if (active === undefined) return []
    const needed = new Set([active.id, ...counts.keys()])
    return [
      {
        name: 'kek sealing',
        state: 'ok',
        detail: `${active.id} seals, ${told(counts.get(active.id) ?? 0)} under it`,
        hint: null,
      },
      ...left(keks, counts, active.id),
      ...keks.flatMap((kek) => waiting(kek, counts)),
      ...living.flatMap((one) => lacking(one, needed)),
      ...keks.flatMap((kek) => keeping(kek, living)),
    ]
  }

const left = (
  keks: readonly Kek[],
  counts: ReadonlyMap<string, number>,
  active: string,
): readonly InstallationCheck[] => {
  const others = [...counts].filter(([id]) => id !== active)
  const unfinished = keks.filter(({ state, rewrappedAt }) => state === 'replaced' && !rewrappedAt)
  const open = new Map([...unfinished.map(({ id }) => [id, 0] as const), ...others])
  return [...open].map(([id, n]) => ({
    name: 'kek rewrap',
    state: 'warn',
    detail: `${told(n)} under ${id}, which ${active} has replaced`,
    hint: 'Run `rekey kek rotate` again: it goes on.',
  }))
}

const waiting = (kek: Kek, counts: ReadonlyMap<string, number>): readonly InstallationCheck[] => {
  const from = retirableFrom(kek)
  if (kek.state !== 'replaced' || from === null || counts.has(kek.id)) return []
  return [
    {
      name: 'kek replaced',
      state: 'ok',
      detail: `no row is under ${kek.id}; it can be retired from ${from.toISOString()} on`,
      hint: 'Then run `rekey kek retire`.',
    },
  ]
}

const lacking = (
  { instance, host, accepts }: HouseProcess,
  needed: ReadonlySet<string>,
): readonly InstallationCheck[] => {
  const missing = [...needed].filter((id) => !accepts.includes(id))
  if (missing.length === 0) return []
  return [
    {
      name: 'kek file',
      state: 'fail',
      detail: `the file of ${instance} on ${host} lacks ${missing.join(', ')}: its next start refuses`,
      hint: 'Give that host the lines of another host.',
    },
  ]
}

const keeping = (
  { id, state }: Kek,
  living: readonly HouseProcess[],
): readonly InstallationCheck[] => {
  const hosts = new Set(living.filter((one) => one.accepts.includes(id)).map(({ host }) => host))
  if (state !== 'retired' || hosts.size === 0) return []
  return [
    {
      name: 'kek retired',
      state: 'warn',
      detail: `the file of ${[...hosts].join(', ')} still holds ${id}, which is retired`,
      hint: 'Run `rekey kek retire` there: it takes the line out.',
    },
  ]
}

const told = (n: number): string => `${n} row${n === 1 ? ' is' : 's are'}`
