// The rows that a key begins with, as adoption and creation both write them.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Tx } from '#domain/ports.ts'
import { lockPolicies, policyBook, policyForNewKey, selection } from './assign-policies.ts'
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
  }: { readonly id: string; readonly input: Registration; readonly place: Place },
): Promise<{ readonly key: Key; readonly generate: Readonly<Record<string, unknown>> }> => {
  await tx.lock(`connection:${input.connection}`)
  await lockPolicies(tx)
  const again = await placeOf(tx, providers, actor, input)
  if (
    again.connection.revision !== place.connection.revision ||
    again.objectId !== place.objectId
  ) {
    throw new RekeyError('connection.unusable', {
      detail: 'The connection was changed at the same moment.',
      hint: 'Try again.',
    })
  }
  await mustBeFree(tx, input.name, place.objectId)
  const selectable = {
    name: input.name,
    connection: input.connection,
    type: input.type,
    labels: input.labels ?? {},
  }
  const policies = await tx.policies.all()
  const chosen = policyForNewKey(policyBook(policies), selectable)
  keyMustSuit(policies, selectable, place.type)
  const now = await tx.now()
  const key = keyOf(id, input, place, selection(null, chosen, now), now)
  await tx.writeKey.insert(key)
  // As in a rotation: the policy's parameters win, the key's fill what is not in them.
  return { key, generate: { ...key.generate, ...chosen.resolved?.generate } }
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
