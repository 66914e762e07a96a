// The rows that a key begins with, as adoption and creation both write them.

import type { Actor } from '#domain/actor.ts'
import type { ManagedBy, Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import {
  type Chosen,
  lockPolicies,
  type PolicyBook,
  policyBook,
  policyForNewKey,
  selection,
} from './assign-policies.ts'
import { newKeyMustObeyFloors } from './below-floor.ts'
import { fingerprintOf, type Proof } from './prove-version.ts'
import { keyOf, mustBeFree, placeOf, type Place, type Providers } from './registration.ts'
import { keyMustSuit } from './suits-type.ts'

/** Inserts the key's row, with all checks made again under the locks. Used by creation too. */
export const insertKey = async (
  tx: Tx,
  providers: Providers,
  actor: Actor,
  {
    id,
    input,
    place,
    managedBy,
  }: {
    readonly id: string
    readonly input: Registration
    readonly place: Place
    readonly managedBy: ManagedBy
  },
): Promise<{ readonly key: Key; readonly generate: Readonly<Record<string, unknown>> }> => {
  await tx.lock(`connection:${input.connection}`)
  await lockPolicies(tx)
  const policies = await tx.policies.all()
  const book = policyBook(policies)
  const { place: again, chosen } = await chooseForNewKey(tx, providers, actor, input, {
    policies,
    book,
  })
  if (
    again.connection.revision !== place.connection.revision ||
    again.objectId !== place.objectId
  ) {
    throw new RekeyError('connection.unusable', {
      detail: 'The connection was changed at the same moment.',
      hint: 'Try again.',
    })
  }
  const now = await tx.now()
  const key = keyOf(id, input, place, { ...selection(null, chosen, now), managedBy }, now)
  await tx.writeKey.insert(key)
  // As in a rotation: the policy's parameters win, the key's fill what is not in them.
  return { key, generate: { ...key.generate, ...chosen.resolved?.generate } }
}

/** All that is asked of a new key before its provider is, and the policy that will apply to it. */
export const chooseForNewKey = async (
  db: Reads,
  providers: Providers,
  actor: Actor,
  input: Registration,
  { policies, book }: { readonly policies: readonly Policy[]; readonly book: PolicyBook },
): Promise<{ readonly place: Place; readonly chosen: Chosen }> => {
  const place = await placeOf(db, providers, actor, input)
  await mustBeFree(db, input.name, place.objectId)
  const selectable = {
    name: input.name,
    connection: input.connection,
    type: input.type,
    labels: input.labels ?? {},
  }
  const chosen = policyForNewKey(book, selectable)
  keyMustSuit(policies, selectable, place.type)
  newKeyMustObeyFloors((await db.floors.get()).items, selectable, chosen)
  return { place, chosen }
}

export const firstVersion = (
  tx: Tx,
  key: Key,
  providerVersion: string,
  proof: Proof,
  now: Date,
  sealedId: string | null = null,
): Version => ({
  keyId: key.id,
  version: 1,
  state: 'active',
  primary: true,
  providerVersions: [providerVersion],
  materialKnown: proof.material !== null || sealedId !== null,
  fingerprint: fingerprintOf(tx, proof.material),
  sealedId,
  rotationId: null,
  verifiedAt: proof.verified ? now : null,
  createdAt: now,
  activatedAt: now,
  suspendedAt: null,
  deactivatedAt: null,
  compromisedAt: null,
  destroyedAt: null,
})
