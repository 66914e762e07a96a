// A key comes under management: its present version is adopted as version 1, or with `create: true` a missing object is
// made (create-object.ts; resume-creation.ts finishes what a crash left).
//
// Adoption only reads at the provider, then writes everything in one transaction: a crash before the commit leaves nothing,
// after it all is done. Rights and names are checked twice: first, so that nobody learns by registering what an object
// holds; then again inside the commit, under the locks that other writers of keys, policies and connections take.

import { type Actor, inScope } from '#domain/actor.ts'
import type { ManagedBy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Committed } from '#domain/ports.ts'
import { type Described, ProviderError, type ProviderVersion } from '#domain/provider.ts'
import { createObject } from './create-object.ts'
import { firstVersion, insertKey } from './insert-key.ts'
import { callMs, proveVersion } from './prove-version.ts'
import { asking } from './provider-failures.ts'
import { addressOf, mustBeFree, placeOf, type RegisterKeyDeps, toldKey } from './registration.ts'
import { reschedule } from './reschedule.ts'
import { resumeCreation } from './resume-creation.ts'

export interface RegisterKey {
  readonly registration: Registration
  /** Nothing may be made at a provider. */
  readonly dryRun: boolean
  /** The owner set of a file apply. */
  readonly managedBy?: ManagedBy
}

export const registerKey =
  (deps: RegisterKeyDeps) =>
  async (
    actor: Actor,
    { registration: input, dryRun, managedBy = null }: RegisterKey,
  ): Promise<Committed<Key>> => {
    const { place, existing } = await deps.ledger.read(async (db) => ({
      place: await placeOf(db, deps.providers, actor, input),
      existing: await db.keys.byName(input.name),
    }))
    if (existing) {
      // Of a key out of scope no more is said than that its name is taken.
      if (!inScope(actor, existing)) throw taken(input.name)
      return resumeCreation(deps, actor, { key: existing, input, place, dryRun })
    }
    await deps.ledger.read((db) => mustBeFree(db, input.name, place.objectId))

    const id = deps.ids.next()
    const object = addressOf({ id, name: input.name, type: input.type, ref: place.ref })
    const session = await asking(() => deps.sessions.open(place.connection))
    const found = await asking(() =>
      describe(() => session.describe(object, { signal: deps.clock.deadline(callMs) })),
    )
    if (!found) {
      if (input.create) return createObject(deps, actor, { id, input, place, dryRun, managedBy })
      throw new RekeyError('key.noObject', {
        detail: 'The object does not exist at the provider.',
        hint: 'Check the ref, or send create: true to have it made.',
        errors: [{ pointer: '/ref', detail: 'names no existing object' }],
      })
    }
    const chosen = presentVersion(found, input.adopt)
    const proof = await asking(() => proveVersion(session, deps.clock, object, chosen.id))

    return deps.ledger.commit(actor, async (tx) => {
      const { key } = await insertKey(tx, deps.providers, actor, { id, input, place, managedBy })
      const now = await tx.now()
      await tx.writeVersion.insert(firstVersion(tx, key, chosen.id, proof, now))
      await reschedule(tx, key.id)
      return {
        value: key,
        audit: [
          {
            action: 'key.registered',
            target: { id, name: key.name },
            outcome: 'succeeded',
            after: { ...toldKey(key), adopted: chosen.id, verified: proof.verified },
          },
        ],
      }
    })
  }

const taken = (name: string): RekeyError =>
  new RekeyError('resource.exists', { detail: `There is a key "${name}" already.` })

const describe = async (work: () => Promise<Described>): Promise<Described | null> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound') return null
    throw error
  }
}

/** The version that readers use now. Several that could be it, and no pointer that says which: a person must name one. */
export const presentVersion = (found: Described, adopt: string | undefined): ProviderVersion => {
  const enabled = found.versions.filter((version) => version.state === 'enabled')
  const candidates = enabled.map((version) => ({
    providerVersion: version.id,
    current: version.current,
    createdAt: version.createdAt?.toISOString() ?? null,
  }))
  if (adopt !== undefined) {
    const named = enabled.find((version) => version.id === adopt)
    if (named) return named
    throw new RekeyError('request.impossible', {
      detail: 'The object has no enabled version of the name in `adopt`.',
      errors: [{ pointer: '/adopt', detail: 'names no enabled version' }],
      extra: { candidates },
    })
  }
  const current = enabled.filter((version) => version.current)
  const [only] = current.length > 0 ? current : enabled
  if (!only) {
    throw new RekeyError('key.noObject', {
      detail: 'The object has no enabled version that could be adopted.',
    })
  }
  if ((current.length > 0 ? current : enabled).length > 1) {
    throw new RekeyError('key.ambiguousPrimary', {
      detail: `${enabled.length} versions of the object are enabled, and nothing says which one is used.`,
      hint: 'Send adopt with the providerVersion of the one that consumers use now.',
      extra: { candidates },
    })
  }
  return only
}
