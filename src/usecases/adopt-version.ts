// A version that somebody else made at the provider comes under management as an old one (I15: what Rekey does not own is
// never touched without adoption). A rotation that begins at overlapping then retires it, through the same gates as any.
// Asked again for one that is an old version of the key already, and whose retirement ended without it, it begins anew; so it
// does for what a rotation of ours made and left behind when it was given up.
//
// What readers get is never retired: neither what is current at the provider, nor what holds the value of the primary.
//
// The provider is only read; version and rotation are written in one transaction: a crash leaves both or none.

import type { Actor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Receipt } from '#domain/audit.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Clock, LedgerEvent, Reads, Sessions, Tx } from '#domain/ports.ts'
import type { KeyType, Material, ProviderVersion, Session } from '#domain/provider.ts'
import { mustBeMade } from './creation.ts'
import { openRotation } from './plan-rotation.ts'
import { asking } from './provider-failures.ts'
import { callMs, fingerprintOf, readable } from './prove-version.ts'
import { addressOf } from './registration.ts'
import { holdSeen, mustBeGranted, mustSee } from './rights.ts'
import { carrier } from './rotation-scene.ts'
import { makeStartRetirement, type StartDeps } from './start-rotation.ts'
import { advanceVersion, carriersIn } from './version-changes.ts'

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
    const { key, connection, primary } = await deps.ledger.read(async (db) => {
      const found = mustSee(actor, await db.keys.byName(name), 'key', name)
      await mustBeMade(db, found)
      return {
        key: found,
        connection: await grantedTo(db, actor, found),
        primary: await db.versions.primary(found.id),
      }
    })
    mustKeepOldOnes(deps.types.get(key.type), key.type)
    const session = await asking(() => deps.sessions.open(connection))
    const seen = await look(deps.clock, session, { key, primary, providerVersion })

    const { value, receipts } = await deps.ledger.commit(actor, async (tx) => {
      const held = await holdSeen(tx, actor, name)
      if (held.id !== key.id) throw inUse('The key was registered anew at this moment.')
      await grantedTo(tx, actor, held)
      if (await tx.rotations.openOf(key.id)) {
        throw new RekeyError('rotation.inProgress', {
          hint: 'Adopt the version when the rotation has ended.',
        })
      }
      const { version, events } = await oldVersion(tx, key, providerVersion, seen)
      const rotation = await makeStartRetirement(deps)(tx, actor, held, version.version)
      return {
        value: { version, rotationId: rotation.id },
        audit: [await openRotation(tx, rotation), ...events],
        wake: [rotation.id],
      }
    })
    return { ...value, receipts }
  }

/** A grant that was taken back since the key was registered lets nobody bring more under management. */
const grantedTo = async (db: Reads, actor: Actor, key: Key): Promise<Connection> => {
  const connection = await db.connections.get(key.connection)
  if (!connection) throw new RangeError(`the key ${key.id} has lost its connection`)
  mustBeGranted(actor, connection, key.labels, key.objectId, '/providerVersion')
  return connection
}

const mustKeepOldOnes = (type: KeyType | undefined, name: string): void => {
  const why =
    type?.traits.slot === 'internal'
      ? 'keeps its old versions by itself: there is none that Rekey could retire'
      : type?.traits.slot === 'single'
        ? 'has one place: what was in it before is gone'
        : null
  if (why !== null) throw new RekeyError('request.impossible', { detail: `A ${name} ${why}.` })
}

interface Seen {
  readonly there: ProviderVersion
  readonly material: Material | null
}

/** Reads only. Throws where there is no such version, or readers get it. */
const look = async (
  clock: Clock,
  session: Session,
  of: { readonly key: Key; readonly primary: Version | null; readonly providerVersion: string },
): Promise<Seen> => {
  const { primary, providerVersion } = of
  const object = addressOf(of.key)
  const call = () => ({ signal: clock.deadline(callMs) })
  const { versions } = await asking(() => session.describe(object, call()))
  const there = versions.find((version) => version.id === providerVersion)
  if (there?.state !== 'enabled' && there?.state !== 'disabled') {
    throw new RekeyError('request.impossible', {
      detail: there
        ? `The version is ${there.state} at the provider.`
        : 'The provider has no such version.',
      errors: [{ pointer: '/providerVersion', detail: 'names no version that is there' }],
    })
  }
  if (there.current) throw inUse('It is what readers get now.')
  if (!primary) throw inUse('The key has no version that it hands out: this may be the last one.')
  const { preImage } = await asking(() => session.prepare(object, carrier(primary), call()))
  if (carriersIn(preImage).includes(providerVersion))
    throw inUse('It holds the value of the primary version.')
  const material = await asking(() =>
    readable(() => session.readMaterial(object, providerVersion, call())),
  )
  return { there, material }
}

const inUse = (detail: string): RekeyError =>
  new RekeyError('key.versionInUse', {
    detail,
    hint: 'To keep it, delete the key and register it again: its present version is then version 1. Else put the former value back at the provider.',
  })

/** No rotation of the key is open: nobody will ever promote it. */
const leftBehind = async (
  tx: Tx,
  key: Key,
  version: Version,
  { there, material }: Seen,
): Promise<{ readonly version: Version; readonly events: readonly LedgerEvent[] }> => {
  mustBeEnabled(there)
  await mustNotHoldPrimary(tx, key, material)
  await advanceVersion(tx, version, ['active'])
  const adopted = await tx.versions.get(key.id, version.version)
  if (!adopted) throw new RangeError('a version is never deleted')
  return { version: adopted, events: [versionAdopted(key, version.version, there.id)] }
}

/** The version to retire: one that the key has already, or a new row. */
const oldVersion = async (
  tx: Tx,
  key: Key,
  providerVersion: string,
  { there, material }: Seen,
): Promise<{ readonly version: Version; readonly events: readonly LedgerEvent[] }> => {
  const known = await tx.versions.of(key.id)
  const before = known.find((one) => one.providerVersions.includes(providerVersion))
  if (before) {
    if (before.primary) throw inUse('It is the primary version of the key.')
    if (before.state === 'active' || before.state === 'suspended')
      return { version: before, events: [] }
    if (before.state === 'preActivation') return leftBehind(tx, key, before, { there, material })
    throw new RekeyError('resource.exists', {
      detail: `It is version ${before.version} of the key already, and ${before.state}.`,
    })
  }
  mustBeEnabled(there)
  await mustNotHoldPrimary(tx, key, material)
  const now = await tx.now()
  const version: Version = {
    keyId: key.id,
    version: Math.max(0, ...known.map((one) => one.version)) + 1,
    state: 'active',
    primary: false,
    providerVersions: [providerVersion],
    materialKnown: material !== null,
    fingerprint: fingerprintOf(tx, material),
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
  await tx.writeVersion.insert(version)
  return { version, events: [versionAdopted(key, version.version, providerVersion)] }
}

const mustBeEnabled = ({ state }: ProviderVersion): void => {
  if (state === 'enabled') return
  throw new RekeyError('request.impossible', {
    detail: `The version is ${state} at the provider.`,
    errors: [{ pointer: '/providerVersion', detail: 'names no enabled version' }],
  })
}

const mustNotHoldPrimary = async (tx: Tx, key: Key, material: Material | null): Promise<void> => {
  const primary = await tx.versions.primary(key.id)
  if (!primary?.fingerprint || !material) return
  if (tx.isFingerprintOf(primary.fingerprint, material))
    throw inUse('It holds the value of the primary version.')
}

const versionAdopted = (key: Key, version: number, providerVersion: string): LedgerEvent => ({
  action: 'key.versionAdopted',
  target: { id: key.id, name: key.name },
  outcome: 'succeeded',
  after: { version, providerVersion },
})
