// Publish targets: the new value is written to places that applications read, and undo gives each back what it held. The
// grants of the target's connection are asked before each write and once more as it is committed: an admin who takes one
// back stops the policy there. To undo needs none: what we wrote never stays because of a right that ended.

import type { Connection } from '#domain/connection.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Reads } from '#domain/ports.ts'
import {
  type KeyType,
  lateEffectOf,
  type Material,
  type MintOrder,
  ProviderError,
} from '#domain/provider.ts'
import type { Intent, PublishTarget, Rotation } from '#domain/rotation.ts'
import { revealBytes } from '#domain/secret.ts'
import { targetAddress, targetPlace } from './publish-place.ts'
import { handedOut } from './handed-out.ts'
import { grants } from './rights.ts'
import type { Run } from './rotation-engine.ts'
import { call, probeOf, providerVersionOf, sentOf } from './rotation-effects.ts'
import {
  carrier,
  intentsOf,
  materialOf,
  openSession,
  type Scene,
  sceneOf,
} from './rotation-scene.ts'
import { type EffectSpec, materialIn } from './run-effect.ts'
import { setState } from './switch-effects.ts'

type PublishReads = Pick<Reads, 'connections' | 'keys'>
type Types = Run['world']['types']

/** A publish target gets the new value. What it held is read and sealed with the intent, for undo. */
export const distribute = async (
  run: Run,
  rotation: Rotation,
  target: PublishTarget,
): Promise<EffectSpec> => {
  const source = await sceneOf(run, rotation)
  const at = await targetOf(run, rotation, target)
  return {
    effect: 'distribute',
    target: target.name,
    object: { id: at.objectId, name: rotation.keyName },
    lateEffectMs: lateEffectOf(at.type, at.connection),
    consistency: at.type.traits.consistency,
    foreign: 'overwritten',
    permitted: (db) => refusalToPublish(db, run.world.types, rotation, target),
    begin: async () => {
      const held = await heldBy(run, at)
      return { ...held, ...(await valueOf(run, source)) }
    },
    send: async (intent, material, bounds) => {
      const order = targetOrder(at, intent, material)
      const absent = intent.preImage['previous'] === null
      return sentOf(
        await (absent ? at.session.create(order, bounds) : at.session.mint(order, bounds)),
      )
    },
    probe: async (intent, material, bounds) =>
      probeOf(await at.session.probeMint(targetOrder(at, intent, material), bounds)),
    done: async () => ({}),
  }
}

/** What is sealed already is not sealed again; another form of it is, so that a repeat sends the same whatever the settings
 *  have become. */
const valueOf = async (
  run: Run,
  { session, object, connection, type, to }: Scene,
): Promise<{ readonly sealedId: string } | { readonly material: Material }> => {
  if (!to) throw new RangeError('nothing was minted')
  const { sealedId } = to
  if (sealedId !== null && type.handedOut === undefined) return { sealedId }
  const material =
    (await materialOf(run, to)) ?? (await session.readMaterial(object, carrier(to), call(run)))
  return { material: handedOut(type, connection, to, material) }
}

interface Place {
  readonly key: Key
  readonly connection: Connection
  readonly type: KeyType
  readonly objectId: string
}

const placeOf = async (
  db: PublishReads,
  types: Types,
  rotation: Rotation,
  target: PublishTarget,
): Promise<Place> => {
  const connection = await db.connections.get(target.connection)
  const type = types.get(target.type)
  if (!connection || !type) {
    throw new ProviderError(
      'precondition',
      'none',
      `publish target ${target.name} has no connection or type any more`,
    )
  }
  const key = await db.keys.byId(rotation.keyId)
  if (!key) throw new RangeError('the key is gone')
  return { key, connection, type, objectId: type.objectId(targetPlace(connection, target)) }
}

/** Why the value may not be written there now, or null: by the key's labels and the connection's grants of this moment. An
 *  object that came under management since the policy was written is refused as it is at writing. */
export const refusalToPublish = async (
  db: PublishReads,
  types: Types,
  rotation: Rotation,
  target: PublishTarget,
): Promise<ProviderError | null> => {
  const { key, connection, objectId } = await placeOf(db, types, rotation, target)
  if (await db.keys.byObject(objectId)) {
    return new ProviderError(
      'precondition',
      'none',
      `the publish target ${target.name} is managed by a key now: publishing there would write over its versions`,
      { hint: 'delete that key, or take the target out of the policy' },
    )
  }
  if (grants(connection, key.labels, objectId)) return null
  return new ProviderError(
    'forbidden',
    'none',
    `the connection "${connection.name}" does not let keys with these labels be published to ${target.name}`,
    { hint: `an admin adds a grant to the connection "${connection.name}"` },
  )
}

interface TargetScene extends Scene, Place {}

export const targetOf = async (
  run: Run,
  rotation: Rotation,
  target: PublishTarget,
): Promise<TargetScene> => {
  const place = await run.ledger.read((db) => placeOf(db, run.world.types, rotation, target))
  return {
    ...place,
    object: targetAddress(target, rotation.keyId),
    session: await openSession(run, place.connection),
    from: null,
    to: null,
  }
}

/** Reads what a target holds: `previous` is its version (null: no such object yet), its value is sealed with the intent. */
const heldBy = async (
  run: Run,
  at: TargetScene,
): Promise<{
  readonly preImage: JsonObject
  readonly keep?: Readonly<Record<string, Material>>
}> => {
  try {
    const { versions } = await at.session.describe(at.object, call(run))
    const current = versions.find((version) => version.current)?.id ?? null
    const { preImage } = await at.session.prepare(at.object, current, call(run))
    if (current === null) return { preImage: { ...preImage, previous: null } }
    const held = await at.session.readMaterial(at.object, current, call(run))
    return { preImage: { ...preImage, previous: current }, keep: { previousSealedId: held } }
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound')
      return { preImage: { previous: null } }
    throw error
  }
}

const targetOrder = (at: TargetScene, intent: Intent, material: Material | null): MintOrder => ({
  object: at.object,
  operationId: intent.operationId,
  preImage: intent.preImage,
  generate: {},
  material,
  served: true,
})

/** The effect that a target holds now, if the rotation wrote to it. */
export const writtenTo = (intents: readonly Intent[], target: string): Intent | undefined =>
  intents.find(
    (intent) =>
      intent.effect === 'distribute' && intent.target === target && intent.outcome === 'succeeded',
  )

/** What stands there now, if that is neither what we wrote nor what it held before: somebody else's since, or another key's.
 *  It is not ours to write over. Our value in a version of somebody else is ours still: they wrote beside it. What is read
 *  late shows what it held, and is written again. */
export const writtenOver = async (
  run: Run,
  rotation: Rotation,
  target: PublishTarget,
  written: Intent,
): Promise<string | null> => {
  const at = await targetOf(run, rotation, target)
  const { versions } = await at.session.describe(at.object, call(run))
  const current = versions.find((version) => version.current)?.id ?? null
  const { previous } = written.preImage
  if (current === null || current === previous) return null
  if (current === providerVersionOf(written.result as JsonObject)) return null
  const ours = await materialIn(run, written)
  return ours && (await holds(run, at, current, ours)) ? null : current
}

const holds = async (
  run: Run,
  { session, object }: TargetScene,
  version: string,
  material: Material,
): Promise<boolean> => {
  try {
    const held = await session.readMaterial(object, version, call(run))
    return Buffer.from(revealBytes(held)).equals(revealBytes(material))
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound') return false
    throw error
  }
}

/** What it held is written again. Where it held nothing, what we wrote is taken away. */
export const restoreTarget = async (
  run: Run,
  rotation: Rotation,
  target: PublishTarget,
): Promise<EffectSpec> => {
  const intents = await intentsOf(run, rotation)
  const written = writtenTo(intents, target.name)
  if (!written) throw new RangeError(`nothing was written to ${target.name}`)
  const at = await targetOf(run, rotation, target)
  const ours = providerVersionOf(written.result as JsonObject)
  const { previous, previousSealedId: sealedId } = written.preImage
  const common = {
    effect: 'restoreTarget',
    target: target.name,
    object: { id: at.objectId, name: rotation.keyName },
    done: async () => ({}),
  } as const
  if (typeof sealedId !== 'string') {
    const bounds = { takeBack: true }
    return { ...setState(run, rotation, at, 'removeNew', ours, 'destroy', bounds), ...common }
  }
  return {
    ...common,
    foreign: 'stays',
    lateEffectMs: lateEffectOf(at.type, at.connection),
    consistency: at.type.traits.consistency,
    begin: async () => {
      const { preImage } = await at.session
        .prepare(at.object, ours, call(run))
        .catch((error: unknown) => {
          // A person has put back what it held: that is no other's value, and written over with itself.
          const isOther = error instanceof ProviderError && error.kind === 'conflict'
          if (!isOther || typeof previous !== 'string') throw error
          return at.session.prepare(at.object, previous, call(run))
        })
      return { preImage, sealedId }
    },
    send: async (intent, material, bounds) =>
      sentOf(await at.session.mint(targetOrder(at, intent, material), bounds)),
    probe: async (intent, material, bounds) =>
      probeOf(await at.session.probeMint(targetOrder(at, intent, material), bounds)),
  }
}
