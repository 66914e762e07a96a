// The list of floors: the admin's, as a whole. It holds from the moment it is written: rotations that are planned from then
// on obey it, whatever their policy says; those that are open keep the plan that was approved. Policies that say less are
// not refused, since whoever wrote one could otherwise keep an admin from raising a floor: they are told, here and with the
// policy, until somebody changes them (docs/adr/0009-floors-hold-at-planning.md).

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import { type Floor, type Floors, sayFloor, type Undercut, undercuts } from '#domain/floor.ts'
import { defaultPolicy, resolveStored } from '#domain/policy.ts'
import type { Committed, Ledger, Reads } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { lockPolicies } from './assign-policies.ts'
import { sayUndercut } from './below-floor.ts'
import { asJson, mustHold, sameJson } from './written.ts'

/** A policy whose text a floor overrules at present; null: the defaults of keys without one. */
export interface Overruled {
  readonly policy: string | null
  readonly keys: number
  readonly undercuts: readonly Undercut[]
}

export interface SeenFloors {
  readonly floors: Floors
  readonly overruled: readonly Overruled[]
}

/** An actor with a scope sees the floors that may hold for keys in it, and not which policies they overrule elsewhere. */
export const getFloors =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  (actor: Actor): Promise<SeenFloors> =>
    ledger.read(async (db) => {
      const floors = await db.floors.get()
      if (!actor.scope) return { floors, overruled: await overruledBy(db, floors.items) }
      const mine = Object.entries(actor.scope.matchLabels ?? {})
      const items = floors.items.filter(({ matchLabels }) =>
        mine.every(([label, value]) => (matchLabels[label] ?? value) === value),
      )
      return { floors: { ...floors, items }, overruled: [] }
    })

export interface PutFloors {
  readonly items: readonly Floor[]
  readonly precondition: Precondition
}

export const putFloors =
  ({ ledger }: { readonly ledger: Ledger }) =>
  async (actor: Actor, { items, precondition }: PutFloors): Promise<Committed<SeenFloors>> => {
    if (actor.scope) {
      throw new RekeyError('auth.denied', {
        detail: 'Floors hold for the whole installation, and the token is limited to a scope.',
      })
    }
    return ledger.commit(actor, async (tx) => {
      // No policy and no key is written between the look at what they overrule and their beginning to hold.
      await lockPolicies(tx)
      const before = await tx.floors.get()
      checkPrecondition(precondition, before.revision)
      const changed = !sameJson(before.items, items)
      const now = await tx.now()
      const { revision } = before
      if (changed) {
        mustHold(await tx.writeFloors.put({ items, setBy: actor.name, updatedAt: now }, revision))
      }
      const floors = changed
        ? { items, revision: revision + 1, setBy: actor.name, updatedAt: now }
        : before
      const overruled = await overruledBy(tx, items)
      return {
        value: { floors, overruled },
        audit: [
          {
            action: 'floors.put',
            target: { id: 'floors', name: 'floors' },
            outcome: 'succeeded',
            before: asJson({ revision, items: before.items }),
            after: asJson({
              revision: floors.revision,
              items,
              overruled: overruled.map(({ policy, keys }) => ({ policy, keys })),
            }),
          },
        ],
      }
    })
  }

/** Sentences for a policy's own page: the floors that overrule its text for some of its keys. */
export const overruledIn = async (db: Reads, policy: string): Promise<readonly string[]> => {
  const { items } = await db.floors.get()
  return (await overruledBy(db, items))
    .filter((one) => one.policy === policy)
    .flatMap(({ keys, undercuts: less }) =>
      less.map(
        (one) =>
          `${sayUndercut(one)}: rotations of ${keys} of its keys obey ${sayFloor(one.floor)}`,
      ),
    )
}

const overruledBy = async (db: Reads, items: readonly Floor[]): Promise<readonly Overruled[]> => {
  const found: Overruled[] = []
  if (items.length === 0) return found
  const specs = new Map((await db.policies.all()).map(({ name, spec }) => [name, spec]))
  for (const floor of items) {
    // oxlint-disable-next-line no-await-in-loop -- few floors, each by the index on labels
    for (const { policy, keys } of await db.keys.policiesOf(floor.matchLabels)) {
      const spec = policy === null ? undefined : specs.get(policy)
      const resolved = spec ? resolveStored({ spec }) : defaultPolicy
      const less = undercuts(resolved, floor)
      if (less.length > 0) found.push({ policy, keys, undercuts: less })
    }
  }
  return found
}
