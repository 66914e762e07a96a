// The end of a pepper that was replaced. The order: the database takes no fingerprint under it and counts none that matters;
// processes forget it within two seconds; then its line leaves the file. A crash before the last step leaves a line that nobody
// uses, and the command takes it out when it is run again.
//
// What ended holds it too: the secret of a destroyed version is recognised when somebody pastes it. Who would rather be rid of the
// pepper says so with the number of what is forgotten then, as `status` shows it.

import type { Actor } from '#domain/actor.ts'
import {
  forgettable,
  type Pepper,
  type PepperName,
  PepperRefused,
  type PepperUses,
} from '#domain/pepper.ts'
import type { Ledger, PepperFile, Processes } from '#domain/ports.ts'
import { livingMs } from './every-process.ts'
import { pepperTarget } from './follow-own-keys.ts'
import { type RenewDeps, renewFingerprints } from './renew-fingerprints.ts'
import { told } from './rotate-pepper.ts'

export interface RetirePepperDeps extends RenewDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly processes: Pick<Processes, 'living'>
  readonly file: PepperFile
}

export interface PepperRetired {
  readonly retired: readonly PepperName[]
  /** How many fingerprints were dropped. */
  readonly forgotten: number
  /** Lines that were taken out of the file of this host. */
  readonly removed: readonly PepperName[]
  /** Hosts whose files still hold a retired pepper. */
  readonly elsewhere: readonly string[]
}

const stepRows = 1_000

export const makeRetirePepper =
  (deps: RetirePepperDeps) =>
  /** `forget`: how many fingerprints of what has ended may be dropped; null: none. */
  async (
    actor: Actor,
    {
      forget,
      mustGoOn,
    }: { readonly forget: number | null; readonly mustGoOn: () => Promise<void> },
  ): Promise<PepperRetired> => {
    const { ledger, processes, file } = deps
    const peppers = await ledger.read((db) => db.peppers.list())
    const replaced = peppers.filter(({ state }) => state === 'replaced')
    // What a step of a rotation has written back as it had read it, since the exchange.
    for (const pepper of replaced) await renewFingerprints(deps, actor, pepper, mustGoOn) // oxlint-disable-line no-await-in-loop -- one after the other
    await mustBeFree(deps, replaced, forget)
    let forgotten = 0
    for (const pepper of replaced) {
      // oxlint-disable no-await-in-loop -- one after the other
      if (forget !== null) forgotten += await drop(deps, actor, pepper, mustGoOn)
      await retire(deps, actor, pepper)
      // oxlint-enable no-await-in-loop
    }
    const ended = [...replaced, ...peppers.filter(({ state }) => state === 'retired')]
    const removed: PepperName[] = []
    for (const pepper of ended) if (await file.remove(pepper)) removed.push(pepper) // oxlint-disable-line no-await-in-loop -- one file
    const gone = new Set(ended.map(({ id }) => id))
    const ours = new Set(removed.map(({ id }) => id))
    // A process on this host reads the file again within two seconds.
    const holding = (await processes.living(livingMs)).filter((one) =>
      one.peppers.some((id) => gone.has(id) && !ours.has(id)),
    )
    return {
      retired: replaced,
      forgotten,
      removed,
      elsewhere: [...new Set(holding.map(({ host }) => host))],
    }
  }

/** Everything is asked before anything is forgotten. */
const mustBeFree = async (
  { ledger, processes }: RetirePepperDeps,
  replaced: readonly Pepper[],
  forget: number | null,
): Promise<void> => {
  const living = await processes.living(livingMs)
  let found = 0
  for (const pepper of replaced) {
    if (pepper.renewedAt === null)
      throw new PepperRefused(
        'inUse',
        `processes may still make fingerprints with ${told(pepper)}`,
        'Run `rekey pepper rotate` again: it goes on.',
      )
    const making = living.filter(({ marks }) => marks === pepper.id || marks === null)
    if (making.length > 0)
      throw new PepperRefused(
        'waits',
        `${making.map(({ instance, host }) => `${instance} on ${host}`).join(', ')} still makes fingerprints with ${told(pepper)}`,
        'Run `rekey pepper rotate` again: it waits for it.',
      )
    const uses = await ledger.read((db) => db.peppers.uses(pepper.number)) // oxlint-disable-line no-await-in-loop -- few
    mustNotMatter(pepper, uses)
    found += forgettable(uses)
  }
  if (found === (forget ?? 0)) return
  throw new PepperRefused(
    'ended',
    forget === null
      ? `${found} fingerprint${found === 1 ? '' : 's'} of what has ended, or was refused, ${found === 1 ? 'is' : 'are'} still known by it: a pasted secret of a destroyed version is recognised by them`
      : `there are ${found} fingerprints to forget, and not ${forget}`,
    found === 0
      ? 'Run the command without --forget.'
      : `Look at them with \`rekey pepper status\`. To be rid of the pepper all the same: rekey pepper retire --forget ${found}`,
  )
}

const mustNotMatter = (pepper: PepperName, { versions, keys, open }: PepperUses): void => {
  if (versions > 0)
    throw new PepperRefused(
      'inUse',
      `${versions} version${versions === 1 ? ' is' : 's are'} known by ${told(pepper)}: of ${keys.join(', ')}${versions > keys.length ? ' and more' : ''}`,
      'Files and secrets of Doppler get their new name when they are compared next (REKEY_RECONCILE_EVERY); the value of others is not here: rotate their keys.',
    )
  if (open > 0)
    throw new PepperRefused(
      'inUse',
      `${open} rotation${open === 1 ? '' : 's'} or incident${open === 1 ? '' : 's'} that may know values by ${told(pepper)} ${open === 1 ? 'is' : 'are'} not over`,
      'Let the rotations end, and close the incidents.',
    )
}

/** In steps, each told. What is forgotten is gone whether or not the end is reached; the next run counts what is left. */
const drop = async (
  { ledger }: RetirePepperDeps,
  actor: Actor,
  pepper: PepperName,
  mustGoOn: () => Promise<void>,
): Promise<number> => {
  for (let all = 0; ;) {
    await mustGoOn() // oxlint-disable-line no-await-in-loop -- one step after the other
    const rows = await dropSome(ledger, actor, pepper) // oxlint-disable-line no-await-in-loop -- see above
    if (rows === 0) return all
    all += rows
  }
}

class Nothing extends Error {}

const dropSome = async (
  ledger: Pick<Ledger, 'commit'>,
  actor: Actor,
  pepper: PepperName,
): Promise<number> => {
  try {
    const { value } = await ledger.commit(actor, async (tx) => {
      const rows = await tx.writePepper.forget(pepper.number, stepRows)
      if (rows === 0) throw new Nothing()
      return {
        value: rows,
        audit: [
          {
            action: 'pepper.forgotten',
            target: pepperTarget(pepper),
            outcome: 'succeeded',
            after: { rows },
          },
        ],
      }
    })
    return value
  } catch (error) {
    if (error instanceof Nothing) return 0
    throw error
  }
}

const retire = async (
  { ledger }: RetirePepperDeps,
  actor: Actor,
  pepper: PepperName,
): Promise<void> => {
  await ledger.commit(actor, async (tx) => {
    await tx.lock('pepper')
    if (!(await tx.writePepper.retire(pepper.number, await tx.now())))
      throw new PepperRefused(
        'inUse',
        `something is known by ${told(pepper)} again`,
        'Look: rekey pepper status',
      )
    return {
      value: null,
      audit: [
        {
          action: 'pepper.retired',
          target: pepperTarget(pepper),
          outcome: 'succeeded',
        },
      ],
    }
  })
}
