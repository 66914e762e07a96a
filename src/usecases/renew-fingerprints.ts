// Fingerprints of an old pepper whose material is in this database are made anew: rounds over them, in small steps, until two in a
// row found none. A step is a transaction over rows that nobody else is changing, with its audit event; a crash leaves each row
// under the old pepper or under the new one, and both are known.

import type { Actor } from '#domain/actor.ts'
import type { PepperName } from '#domain/pepper.ts'
import type { Clock, Ledger, VersionPlace } from '#domain/ports.ts'
import { askAgainMs } from './every-process.ts'
import { pepperTarget } from './follow-own-keys.ts'

export interface RenewDeps {
  readonly ledger: Pick<Ledger, 'commit'>
  readonly clock: Pick<Clock, 'pause'>
}

const stepRows = 500

/** `other`: versions whose material is another than their fingerprint was made of, or does not open. */
export const renewFingerprints = async (
  deps: RenewDeps,
  actor: Actor,
  pepper: PepperName,
  mustGoOn: () => Promise<void>,
): Promise<{ readonly renewed: number; readonly other: number }> => {
  let renewed = 0
  let other = 0
  for (let idle = 0; idle < 2;) {
    // oxlint-disable no-await-in-loop -- rounds, and steps in each
    const before = renewed
    other = 0
    for (let after: VersionPlace | null = null; ;) {
      await mustGoOn()
      const step = await renewStep(deps, actor, pepper, after)
      other += step.other.length
      renewed += step.done
      after = step.after
      if (after === null) break
    }
    // Rows that others held for a moment are met in the next round.
    idle = renewed === before ? idle + 1 : 0
    if (idle === 1) await deps.clock.pause(askAgainMs)
    // oxlint-enable no-await-in-loop
  }
  return { renewed, other }
}

class Nothing extends Error {}

/** Guarded rows change with an event; a step that changes none writes none. */
const renewStep = async (
  { ledger }: Pick<RenewDeps, 'ledger'>,
  actor: Actor,
  pepper: PepperName,
  after: VersionPlace | null,
) => {
  let step = { after: null as VersionPlace | null, done: 0, other: [] as readonly VersionPlace[] }
  try {
    await ledger.commit(actor, async (tx) => {
      step = await tx.writePepper.renew(pepper.number, after, stepRows)
      if (step.done === 0) throw new Nothing()
      return {
        value: null,
        audit: [
          {
            action: 'pepper.renewed',
            target: pepperTarget(pepper),
            outcome: 'succeeded',
            after: { rows: step.done },
          },
        ],
      }
    })
  } catch (error) {
    if (!(error instanceof Nothing)) throw error
  }
  return step
}
