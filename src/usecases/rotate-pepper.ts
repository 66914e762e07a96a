// Another fingerprint pepper for the whole installation, while everything runs. A command beside the database and the file, as with
// the key-encryption key (rotate-kek.ts):
//
//   1. no living process is of a version that knows of one pepper only: it would not know what others make
//   2. a pepper that was never used is in the file, or is put there under the next number. Material is known by it, none is made
//   3. every living process has it in its file: what another one makes with it, it knows again
//   4. it is made active, in one commit. Processes make fingerprints and names with it within two seconds; the old ones are known
//   5. no living process makes any with the old one any more
//   6. fingerprints whose material is here are made anew, in small steps, each with its audit event
//   7. this is written down. What is left is renewed when its value is seen next (renew-names.ts), or when its key is rotated
//
// Killed anywhere, it is run again. Before 4: the pepper lies in the file, and is taken. After 4: what is under an old one is still
// there to be seen, and 5 goes on.

import type { Actor } from '#domain/actor.ts'
import { lastPepper, type Pepper, type PepperName, PepperRefused } from '#domain/pepper.ts'
import type { Clock, Ledger, PepperFile, PepperRing, Processes } from '#domain/ports.ts'
import { everyone, type Waiting } from './every-process.ts'
import { pepperTarget } from './follow-own-keys.ts'
import { renewFingerprints } from './renew-fingerprints.ts'

export interface RotatePepperDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly processes: Pick<Processes, 'living'>
  readonly file: PepperFile
  /** Of the command. */
  readonly ring: PepperRing
  readonly clock: Pick<Clock, 'deadline' | 'pause'>
}

export interface PepperRotated {
  readonly active: PepperName
  readonly replaced: readonly PepperName[]
}

export const makeRotatePepper =
  (deps: RotatePepperDeps) =>
  async (actor: Actor, options: Waiting): Promise<PepperRotated> => {
    await everyone(deps, options, {
      holds: ({ marks }) => marks !== null,
      what: 'know of several peppers: an earlier version',
      hint: 'Upgrade every process first, then run the command again. Nothing was changed.',
      refuse: (detail, hint) => new PepperRefused('older', detail, hint),
    })
    const peppers = await listed(deps)
    const before = activeOf(peppers)
    const goesOn = peppers.some((one) => one.state === 'replaced' && one.renewedAt === null)
    const active = goesOn ? before : await exchange(deps, actor, options, { peppers, before })
    if (goesOn)
      options.say(`${told(before)} makes fingerprints already; what is left of others is made anew`)
    await everyone(deps, options, {
      holds: ({ marks }) => marks === active.id,
      what: `make fingerprints with ${told(active)}`,
      hint: `Does its file hold ${told(active)}, and does it reach the database? Then run the command again: it goes on.`,
      refuse: waits,
    })
    const replaced = (await listed(deps)).filter(({ state }) => state === 'replaced')
    for (const pepper of replaced) await makeAnew(deps, actor, options, pepper) // oxlint-disable-line no-await-in-loop -- one after the other
    return { active, replaced }
  }

export const told = ({ number, id }: PepperName): string => `pepper ${number} (${id})`

const waits = (detail: string, hint: string): Error => new PepperRefused('waits', detail, hint)

const listed = ({ ledger }: Pick<RotatePepperDeps, 'ledger'>): Promise<readonly Pepper[]> =>
  ledger.read((db) => db.peppers.list())

const activeOf = (peppers: readonly Pepper[]): PepperName => {
  const active = peppers.find(({ state }) => state === 'active')
  if (active === undefined) throw new Error('no pepper is active')
  return { number: active.number, id: active.id }
}

/** Steps 2 to 4. */
const exchange = async (
  deps: RotatePepperDeps,
  actor: Actor,
  options: Waiting,
  { peppers, before }: { readonly peppers: readonly Pepper[]; readonly before: PepperName },
): Promise<PepperName> => {
  const { file, ring, ledger } = deps
  const next = await candidate(deps, options, peppers)
  ring.reread()
  await everyone(deps, options, {
    holds: (one) => one.peppers.includes(next.id),
    what: `have ${told(next)}`,
    hint: `Give it the lines of ${file.path} (it reads its own file again by itself), then run the command again. Nothing is made with it yet.`,
    refuse: waits,
  })
  await options.mustGoOn()
  // Whoever edits the file by hand might have taken it out again: nothing may be made with a pepper that is in no file.
  if (!file.peppers().some(({ id }) => id === next.id))
    throw new PepperRefused(
      'file',
      `${told(next)} is no longer in ${file.path}`,
      'Run the command again.',
    )
  await ledger.commit(actor, async (tx) => {
    await tx.lock('pepper')
    const now = activeOf(await tx.peppers.list())
    if (now.number !== before.number || !(await tx.writePepper.activate(next, await tx.now())))
      throw new PepperRefused(
        'busy',
        `${told(now)} was made active meanwhile`,
        'Run the command again.',
      )
    return {
      value: null,
      audit: [
        {
          action: 'pepper.activated',
          target: pepperTarget(next),
          outcome: 'succeeded',
          before: { active: before.number },
          after: { active: next.number },
        },
      ],
    }
  })
  ring.obey({ makes: next, inUse: [], retired: [] })
  options.say(
    `${told(next)} makes fingerprints from now on; what ${told(before)} made is still known`,
  )
  return next
}

const candidate = async (
  { file }: RotatePepperDeps,
  { say }: Waiting,
  peppers: readonly Pepper[],
): Promise<PepperName> => {
  const there = file.peppers()
  const unused = there.filter(({ id }) => !peppers.some((pepper) => pepper.id === id))
  const taken = unused.find(({ number }) => peppers.some((pepper) => pepper.number === number))
  if (taken)
    throw new PepperRefused(
      'file',
      `${file.path} holds ${told(taken)}, and number ${taken.number} was another pepper`,
      'A number is never used twice: give that line another one.',
    )
  if (unused.length > 1) {
    throw new PepperRefused(
      'ambiguous',
      `${file.path} holds several peppers that were never used: ${unused.map(told).join(', ')}`,
      'Take out all but one of their lines.',
    )
  }
  const [waiting] = unused
  if (waiting !== undefined) {
    say(`${told(waiting)} is in ${file.path} and was never used: it is taken`)
    return waiting
  }
  const number = Math.max(...[...peppers, ...there].map((one) => one.number)) + 1
  if (number > lastPepper)
    throw new PepperRefused(
      'last',
      `there were ${lastPepper} peppers`,
      'There is no further number.',
    )
  const made = await file.add(number)
  say(
    `${told(made)} was made and stands in ${file.path}; keep a copy of the file where the old one is kept`,
  )
  return made
}

/** Steps 6 and 7. */
const makeAnew = async (
  deps: RotatePepperDeps,
  actor: Actor,
  { say, mustGoOn }: Waiting,
  pepper: Pepper,
): Promise<void> => {
  const { renewed, other } = await renewFingerprints(deps, actor, pepper, mustGoOn)
  if (renewed > 0)
    say(`${renewed} fingerprint${renewed === 1 ? '' : 's'} of ${told(pepper)} made anew`)
  if (other > 0)
    say(
      `${other} version${other === 1 ? ' holds' : 's hold'} another value than the fingerprint was made of, or cannot be opened: see rekey doctor`,
    )
  if (pepper.renewedAt !== null) return
  await deps.ledger.commit(actor, async (tx) => {
    await tx.lock('pepper')
    if (!(await tx.writePepper.renewed(pepper.number, await tx.now())))
      throw new PepperRefused('busy', 'another command ended it', 'Look: rekey pepper status')
    const { keys: _keys, ...left } = await tx.peppers.uses(pepper.number)
    return {
      value: null,
      audit: [
        {
          action: 'pepper.renewed',
          target: pepperTarget(pepper),
          outcome: 'succeeded',
          after: { rows: renewed, left },
        },
      ],
    }
  })
}
