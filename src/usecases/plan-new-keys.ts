// Keys of a plan that do not exist yet, or whose object is still being made: checked against what the plan leads to, as far as
// that goes without a provider.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import { openCreation } from './creation.ts'
import { policyBook } from './assign-policies.ts'
import { chooseForNewKey } from './insert-key.ts'
import { type Faults, referenceOf } from './plan-faults.ts'
import { bodyOf, type Look } from './plan-looks.ts'
import type { Providers } from './registration.ts'

export interface NewKey {
  /** The policy that will apply; null: none. */
  readonly policy: string | null
  /** The key is there, and its object still being made. */
  readonly unfinished: boolean
}

/** Names of keys whose object is still being made, or may be. */
export const unfinishedOf = async (
  db: Reads,
  looks: readonly Look[],
): Promise<ReadonlySet<string>> => {
  const keys = looks.flatMap(({ live }) => live?.key ?? [])
  const begun = new Set((await db.versions.primaries(keys.map(({ id }) => id))).map((v) => v.keyId))
  const names = new Set<string>()
  for (const { id, name } of keys.filter((key) => !begun.has(key.id))) {
    // oxlint-disable-next-line no-await-in-loop -- few keys have no primary
    if (await openCreation(db, id)) names.add(name)
  }
  return names
}

/** By name, in the order of the looks. */
export const lookAtNewKeys = async (
  {
    tx,
    actor,
    faults,
    deps: { providers },
  }: {
    readonly tx: Tx
    readonly actor: Actor
    readonly faults: Faults
    readonly deps: { readonly providers: Providers }
  },
  looks: readonly Look[],
  unfinished: ReadonlySet<string>,
): Promise<ReadonlyMap<string, NewKey>> => {
  const found = new Map<string, NewKey>()
  const objects = new Map<string, string>()
  const policies = await tx.policies.all()
  const after = { policies, book: policyBook(policies) }
  for (const look of looks) {
    const { name } = look.subject
    if (unfinished.has(name)) {
      found.set(name, { policy: look.live?.key?.policy ?? null, unfinished: true })
    } else if (!look.live) {
      const registration = { ...bodyOf<Omit<Registration, 'name'>>(look), name }
      // oxlint-disable-next-line no-await-in-loop -- one connection
      await faults.attempt(look.subject, async () => {
        const { place, chosen } = await chooseForNewKey(tx, providers, actor, registration, after)
        const other = objects.get(place.objectId)
        if (other !== undefined) {
          throw new RekeyError('key.objectTaken', {
            detail: `${referenceOf({ kind: 'Key', name: other })} of this plan names the same object: one object, one key.`,
            errors: [{ pointer: '/ref', detail: 'named twice' }],
          })
        }
        objects.set(place.objectId, name)
        found.set(name, { policy: chosen.policy?.name ?? null, unfinished: false })
      })
    }
  }
  return found
}
