// A version that somebody else made at the provider comes under management as an old one (I15: what Rekey does not own is
// never touched without adoption). A rotation that begins at overlapping then retires it, through the same gates as any.
//
// The provider is only read; version and rotation are written in one transaction: a crash leaves both or none.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Receipt } from '#domain/audit.ts'
import type { Version } from '#domain/key.ts'
import type { Clock, Sessions } from '#domain/ports.ts'
import { openRotation } from './plan-rotation.ts'
import { asking } from './provider-failures.ts'
import { callMs } from './prove-version.ts'
import { addressOf } from './registration.ts'
import { mustSee } from './rights.ts'
import { makeStartRetirement, type StartDeps } from './start-rotation.ts'

export interface AdoptVersionDeps extends StartDeps {
  readonly sessions: Pick<Sessions, 'open'>
  readonly clock: Clock
}

export interface Adopted {
  readonly version: Version
  /** The one that retires it. */
  readonly rotationId: string
  readonly receipts: readonly Receipt[]
}

export const adoptVersion =
  (deps: AdoptVersionDeps) =>
  async (
    actor: Actor,
    { name, providerVersion }: { readonly name: string; readonly providerVersion: string },
  ): Promise<Adopted> => {
    const { key, connection } = await deps.ledger.read(async (db) => {
      const found = mustSee(actor, await db.keys.byName(name), 'key', name)
      return { key: found, connection: await db.connections.get(found.connection) }
    })
    if (!connection) throw new RangeError(`the key ${key.id} has lost its connection`)
    const session = await asking(() => deps.sessions.open(connection))
    const { versions } = await asking(() =>
      session.describe(addressOf(key), { signal: deps.clock.deadline(callMs) }),
    )
    const there = versions.find((version) => version.id === providerVersion)
    if (there?.state !== 'enabled') {
      throw new RekeyError('request.impossible', {
        detail: there
          ? `The version is ${there.state} at the provider.`
          : 'The provider has no such version.',
        errors: [{ pointer: '/providerVersion', detail: 'names no enabled version' }],
      })
    }
    const { value, receipts } = await deps.ledger.commit(actor, async (tx) => {
      await tx.lock(`key:${key.id}`)
      if (await tx.rotations.openOf(key.id)) {
        throw new RekeyError('rotation.inProgress', {
          hint: 'Adopt the version when the rotation has ended.',
        })
      }
      const known = await tx.versions.of(key.id)
      const before = known.find((one) => one.providerVersions.includes(providerVersion))
      if (before) {
        throw new RekeyError('resource.exists', {
          detail: `It is version ${before.version} of the key already.`,
        })
      }
      const now = await tx.now()
      const adopted: Version = {
        keyId: key.id,
        version: Math.max(0, ...known.map((one) => one.version)) + 1,
        state: 'active',
        primary: false,
        providerVersions: [providerVersion],
        materialKnown: false,
        fingerprint: null,
        sealedId: null,
        rotationId: null,
        verifiedAt: null,
        createdAt: there.createdAt ?? now,
        activatedAt: now,
        suspendedAt: null,
        deactivatedAt: null,
        compromisedAt: null,
        destroyedAt: null,
      }
      await tx.writeVersion.insert(adopted)
      const rotation = await makeStartRetirement(deps)(tx, actor, key, adopted.version)
      return {
        value: { version: adopted, rotationId: rotation.id },
        audit: [
          {
            action: 'key.versionAdopted',
            target: { id: key.id, name: key.name },
            outcome: 'succeeded',
            after: { version: adopted.version, providerVersion, rotation: rotation.id },
          },
          await openRotation(tx, rotation),
        ],
        wake: [rotation.id],
      }
    })
    return { ...value, receipts }
  }
