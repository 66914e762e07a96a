// Another key-encryption key for the whole installation, while everything runs. A command beside the database and the file:
//
//   1. a key that was never used is in the file, or is put there. It opens, and does not seal
//   2. every living process has it in its file: what another one seals under it, it opens
//   3. it is made active, in one commit. Processes seal under it within two seconds; the old one still opens
//   4. no living process seals under the old one any more
//   5. rows under old ones are sealed anew, in small steps (store/rewrap.ts)
//   6. there are none: this is written down, and the old one may be retired a day later (retire-kek.ts)
//
// Killed anywhere, it is run again. Before 3: the key lies in the file, and is taken. After 3: what is not under the active key is
// still there to be seen, and 4 goes on. Two at once are kept apart by the caller; if they were not, a row would be sealed anew
// by one of them, and 3 refuses the second.

import type { Actor } from '#domain/actor.ts'
import { type Kek, KekRefused, retirableFrom } from '#domain/kek.ts'
import type { Clock, KekFile, KekRing, Ledger, Processes, Rewrap } from '#domain/ports.ts'
import { askAgainMs, everyone, type Waiting } from './every-process.ts'

export interface RotateKekDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly processes: Processes
  readonly rewrap: Rewrap
  readonly file: KekFile
  /** Of the command. */
  readonly keyring: KekRing
  readonly clock: Pick<Clock, 'deadline' | 'pause'>
}

export interface RotateKekOptions extends Waiting {
  /** Fingerprint; null: the one in the file that was never used, or a new one. */
  readonly to: string | null
}

export interface KekRotated {
  readonly active: string
  /** What may be retired, and from when on. */
  readonly replaced: readonly { readonly id: string; readonly retirableFrom: Date }[]
}

const stepRows = 200

export const makeRotateKek =
  (deps: RotateKekDeps) =>
  async (actor: Actor, options: RotateKekOptions): Promise<KekRotated> => {
    const keks = await listed(deps)
    const before = activeOf(keks)
    const goesOn = (options.to ?? before) === before && (await isUnfinished(deps, keks, before))
    const active = goesOn ? before : await exchange(deps, actor, options, { keks, before })
    if (goesOn) options.say(`${before} seals already; what is left under others is sealed anew`)
    await everyone(deps, options, {
      refuse,
      holds: ({ seals }) => seals === active,
      what: `seal under ${active}`,
      hint: `Does its file hold ${active}, and does it reach the database? Then run the command again: it goes on.`,
    })
    await sealAnew(deps, options, active)
    await writeDown(deps, actor)
    const replaced = (await listed(deps)).filter(({ state }) => state === 'replaced')
    return {
      active,
      replaced: replaced.flatMap((kek) => {
        const from = retirableFrom(kek)
        return from === null ? [] : [{ id: kek.id, retirableFrom: from }]
      }),
    }
  }

const refuse = (detail: string, hint: string): Error => new KekRefused('waits', detail, hint)

const listed = ({ ledger }: Pick<RotateKekDeps, 'ledger'>): Promise<readonly Kek[]> =>
  ledger.read((db) => db.keks.list())

const activeOf = (keks: readonly Kek[]): string => {
  const active = keks.find(({ state }) => state === 'active')
  if (active === undefined) throw new Error('no key-encryption key is active')
  return active.id
}

const isUnfinished = async (
  { rewrap }: RotateKekDeps,
  keks: readonly Kek[],
  active: string,
): Promise<boolean> =>
  keks.some(({ state, rewrappedAt }) => state === 'replaced' && rewrappedAt === null) ||
  [...(await rewrap.rows()).keys()].some((id) => id !== active)

/** Steps 1 to 3. */
const exchange = async (
  deps: RotateKekDeps,
  actor: Actor,
  options: RotateKekOptions,
  { keks, before }: { readonly keks: readonly Kek[]; readonly before: string },
): Promise<string> => {
  const { file, keyring, ledger } = deps
  const next = await candidate(deps, options, keks)
  keyring.reread()
  await everyone(deps, options, {
    refuse,
    holds: ({ accepts }) => accepts.includes(next),
    what: `accept ${next}`,
    hint: `Give it the lines of ${file.path} (it reads its own file again by itself), then run the command again. Nothing seals under ${next} yet.`,
  })
  await options.mustGoOn()
  // Whoever edits the file by hand might have taken it out again: nothing may be sealed under a key that is in no file.
  if (!file.ids().includes(next))
    throw new KekRefused('file', `${next} is no longer in ${file.path}`, 'Run the command again.')
  await ledger.commit(actor, async (tx) => {
    await tx.lock('kek')
    const now = activeOf(await tx.keks.list())
    if (now !== before || !(await tx.writeKek.activate(next, await tx.now())))
      throw new KekRefused('busy', `${now} was made active meanwhile`, 'Run the command again.')
    return {
      value: null,
      audit: [
        {
          action: 'kek.activated',
          target: { id: next, name: next },
          outcome: 'succeeded',
          before: { active: before },
          after: { active: next },
        },
      ],
    }
  })
  keyring.obey({ seals: next, retired: [] })
  options.say(`${next} seals from now on; ${before} still opens`)
  return next
}

const candidate = async (
  { file }: RotateKekDeps,
  { to, say }: RotateKekOptions,
  keks: readonly Kek[],
): Promise<string> => {
  const there = file.ids()
  if (to !== null) {
    const known = keks.find(({ id }) => id === to)
    if (known?.state === 'retired')
      throw new KekRefused('file', `${to} is retired`, 'Name another key, or none.')
    if (known?.state === 'active')
      throw new KekRefused('file', `${to} seals already`, 'Name another key, or none.')
    if (there.includes(to)) return to
    throw new KekRefused(
      'file',
      `${to} is not in ${file.path}, which holds ${there.join(', ')}`,
      'Put its line into the file first.',
    )
  }
  const unused = there.filter((id) => !keks.some((kek) => kek.id === id))
  if (unused.length > 1) {
    throw new KekRefused(
      'ambiguous',
      `${file.path} holds several keys that were never used: ${unused.join(', ')}`,
      'Name the one to use with --to.',
    )
  }
  const [waiting] = unused
  if (waiting !== undefined) {
    say(`${waiting} is in ${file.path} and was never used: it is taken`)
    return waiting
  }
  const made = await file.add()
  say(
    `${made} was made and stands in ${file.path}; keep a copy of the file where the old one is kept`,
  )
  return made
}

/** Step 5: rounds over all rows that are not under the active key, until there are none. */
const sealAnew = async (
  { rewrap, clock }: RotateKekDeps,
  { say, mustGoOn, patienceMs }: RotateKekOptions,
  active: string,
): Promise<void> => {
  let sealed = 0
  const walk = async (table: string, kekId: string, left: number): Promise<readonly string[]> => {
    const damaged: string[] = []
    for (let after: string | null = null; ;) {
      await mustGoOn() // oxlint-disable-line no-await-in-loop -- before each step
      const step = await rewrap.step(table, kekId, after, stepRows) // oxlint-disable-line no-await-in-loop -- one after the other
      if (step.after === null) return damaged
      after = step.after
      damaged.push(...step.damaged)
      const before = sealed
      sealed += step.done
      if (Math.floor(before / toldRows) < Math.floor(sealed / toldRows))
        say(`sealed ${sealed} of about ${left} rows anew`)
    }
  }
  const patience = clock.deadline(patienceMs)
  for (let first = true; ; first = false) {
    // oxlint-disable no-await-in-loop -- rounds
    const rows = [...(await rewrap.rows())].filter(([id]) => id !== active)
    if (rows.length === 0) break
    const left = sealed + rows.reduce((sum, [, n]) => sum + n, 0)
    if (first) say(`${left} row${left === 1 ? ' is' : 's are'} under another key`)
    const before = sealed
    const damaged: string[] = []
    for (const [kekId] of rows)
      for (const table of rewrap.tables) damaged.push(...(await walk(table, kekId, left)))
    if (damaged.length > 0 && sealed === before) {
      throw new KekRefused(
        'damaged',
        `${damaged.length} row${damaged.length === 1 ? ' does' : 's do'} not open: ${damaged.slice(0, 5).join(', ')}${damaged.length > 5 ? ' and more' : ''}`,
        'Somebody changed them in the database, or its disk did. They are left as they are, and the old key stays until they are erased or rotated away.',
      )
    }
    // Only rows that others hold at the moment: they are met in the next round.
    if (sealed === before && patience.aborted)
      throw new KekRefused(
        'waits',
        'others hold the rows that are left',
        'Run the command again: it goes on.',
      )
    if (sealed === before) await clock.pause(askAgainMs)
    // oxlint-enable no-await-in-loop
  }
  if (sealed > 0)
    say(`${sealed} row${sealed === 1 ? ' was' : 's were'} sealed anew; none is under another key`)
}
const toldRows = 5_000

const writeDown = async (
  { ledger }: Pick<RotateKekDeps, 'ledger'>,
  actor: Actor,
): Promise<void> => {
  const open = (keks: readonly Kek[]): readonly Kek[] =>
    keks.filter(({ state, rewrappedAt }) => state === 'replaced' && rewrappedAt === null)
  if (open(await listed({ ledger })).length === 0) return
  await ledger.commit(actor, async (tx) => {
    await tx.lock('kek')
    const now = await tx.now()
    const done = open(await tx.keks.list())
    for (const { id } of done) await tx.writeKek.rewrapped(id, now) // oxlint-disable-line no-await-in-loop -- one transaction
    const [first, ...rest] = done.map(({ id }) => ({
      action: 'kek.rewrapped' as const,
      target: { id, name: id },
      outcome: 'succeeded' as const,
      after: { rows: 0 },
    }))
    if (first === undefined)
      throw new KekRefused('busy', 'another command ended it', 'Look: rekey kek list')
    return { value: null, audit: [first, ...rest] }
  })
}
