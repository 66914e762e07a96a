// How a creation ends: the first version, proven, or a tombstone. The protocol stands in create-object.ts.

import type { Actor } from '#domain/actor.ts'
import { isRekeyError, RekeyError } from '#domain/errors.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Committed, Tx } from '#domain/ports.ts'
import type { Material, Minted } from '#domain/provider.ts'
import type { Intent } from '#domain/rotation.ts'
import { buryKey } from './bury-key.ts'
import {
  type Creation,
  effectEvent,
  isPast,
  opened,
  pending,
  registeredEvent,
  tellUnknown,
} from './creation.ts'
import { firstVersion } from './insert-key.ts'
import { asking } from './provider-failures.ts'
import { callMs, type Proof, proveVersion } from './prove-version.ts'
import { addressOf, type RegisterKeyDeps } from './registration.ts'
import { reschedule } from './reschedule.ts'

type Deps = RegisterKeyDeps

/** Commit 3: the version, the outcome, and the key's schedule. Before it, the pointer is set where the provider has one. */
export const finishCreation = async (
  deps: Deps,
  actor: Actor,
  creation: Creation,
  minted: Minted,
): Promise<Committed<Key>> => {
  const { key, intent } = creation
  const to = minted.providerVersion
  const held = await heldOf(deps, intent)
  const proof = await prove(deps, actor, creation, { to, held })
  return deps.ledger.commit(actor, async (tx) => {
    await tx.holdKeys([key.id])
    const now = await tx.now()
    const closed: Intent = {
      ...intent,
      outcome: 'succeeded',
      closed: true,
      result: { providerVersion: to },
      detail: null,
      endedAt: now,
    }
    if (!(await tx.writeIntent.settle(closed))) return alreadyFinished(tx, key)
    const sealedId = await keptMaterial(tx, key, intent, minted, proof.material)
    const known = { ...proof, material: proof.material ?? minted.material ?? held }
    await tx.writeVersion.insert(firstVersion(tx, key, to, known, now, sealedId))
    await reschedule(tx, key.id)
    return {
      value: key,
      audit: [
        { ...effectEvent(key, intent, 'succeeded'), after: { providerVersion: to } },
        {
          action: 'key.objectCreated',
          target: { id: key.id, name: key.name },
          outcome: 'succeeded',
          after: { providerVersion: to, verified: proof.verified },
        },
      ],
    }
  })
}

const heldOf = async (
  { ledger }: Pick<Deps, 'ledger'>,
  { sealedId }: Intent,
): Promise<Material | null> =>
  sealedId === null ? null : ledger.read((db) => db.sealed.open(sealedId))

/** Made, and used once for real. What does not work, or not yet, stays with its intent, which says why: a repeat tries again. */
const prove = async (
  deps: Deps,
  actor: Actor,
  creation: Creation,
  { to, held }: { readonly to: string; readonly held: Material | null },
): Promise<Proof> => {
  const { key, intent } = creation
  const session = await opened(deps, creation)
  const object = addressOf(key)
  const call = () => ({ signal: deps.clock.deadline(callMs), operationId: intent.operationId })
  try {
    return await asking(async () => {
      if (creation.place.type.traits.staging === 'native') {
        const { versions } = await session.describe(object, call())
        // A crash inside the provider's own create can leave a version that nothing points at.
        if (!versions.some((version) => version.current)) {
          await session.promote({ object, operationId: intent.operationId, from: null, to }, call())
        }
      }
      return proveVersion(session, deps.clock, object, to, held)
    })
  } catch (error) {
    if (!isRekeyError(error)) throw error
    const detail = `it was made, and could not be proven: ${error.message}`
    await tellUnknown(deps, actor, creation, { detail, result: { providerVersion: to } })
    throw new RekeyError(error.code, {
      detail: `The object was made, and could not be proven: ${error.message}`,
      hint: 'Repeat the same request once it works, or delete the key: what was made stays at the provider.',
    })
  }
}

/** Material stays sealed here only where the provider does not give it back. */
const keptMaterial = async (
  tx: Tx,
  key: Key,
  intent: Intent,
  minted: Minted,
  readable: Material | null,
): Promise<string | null> => {
  if (minted.material && !readable)
    return tx.writeSealed.insert(minted.material, `version:${key.id}:1`)
  if (intent.sealedId !== null && readable) {
    await tx.writeSealed.erase(intent.sealedId)
    return null
  }
  return intent.sealedId
}

const alreadyFinished = async (tx: Tx, key: Key) => {
  const version: Version | null = await tx.versions.get(key.id, 1)
  if (!version) throw pending('Another request ended it.')
  return {
    value: key,
    audit: [registeredEvent(key, 'succeeded', 'finished by another request')] as const,
  }
}

/** Nothing of ours is at the provider: the key becomes a tombstone and the caller hears why. Not while an earlier request may
 *  still arrive. */
export const withdrawKey = async (
  deps: Deps,
  actor: Actor,
  { key, intent, place }: Creation,
  reason: string,
  error: Error,
  unless: { readonly stillArrives: Date } | null,
): Promise<never> => {
  await deps.ledger.commit(actor, async (tx) => {
    await tx.holdKeys([key.id])
    const now = await tx.now()
    if (unless && !isPast(unless.stillArrives, place, now)) throw error
    const closed: Intent = {
      ...intent,
      outcome: 'failed',
      closed: true,
      detail: reason,
      endedAt: now,
      sealedId: null,
    }
    // An intent has one final outcome in the log: who comes second adds none.
    if (!(await tx.writeIntent.settle(closed))) {
      return { value: null, audit: [registeredEvent(key, 'failed', 'another request ended it')] }
    }
    if (intent.sealedId !== null) await tx.writeSealed.erase(intent.sealedId)
    const present = await tx.keys.byId(key.id)
    if (present) await buryKey(tx, present, now)
    return {
      value: null,
      audit: [effectEvent(key, intent, 'failed', reason), registeredEvent(key, 'failed', reason)],
    }
  })
  throw error
}
