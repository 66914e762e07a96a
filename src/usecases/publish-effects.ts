// Publish targets: the new value is written to places that applications read, and undo gives each back what it held.

import type { JsonObject } from '#domain/json.ts'
import { lateEffectOf, type Material, type MintOrder, ProviderError } from '#domain/provider.ts'
import type { Intent, PublishTarget, Rotation } from '#domain/rotation.ts'
import type { Run } from './rotation-engine.ts'
import { call, probeOf, providerVersionOf, sentOf } from './rotation-effects.ts'
import { carrier, openSession, type Scene, sceneOf } from './rotation-scene.ts'
import type { EffectSpec } from './run-effect.ts'
import { setState } from './switch-effects.ts'

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
    begin: async () => {
      if (!source.to) throw new RangeError('nothing was minted')
      const material = source.to.sealedId
        ? null
        : await source.session.readMaterial(source.object, carrier(source.to), call(run))
      return {
        ...(await heldBy(run, at)),
        ...(source.to.sealedId ? { sealedId: source.to.sealedId } : {}),
        ...(material ? { material } : {}),
      }
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

interface TargetScene extends Scene {
  readonly objectId: string
}

export const targetOf = async (
  run: Run,
  rotation: Rotation,
  target: PublishTarget,
): Promise<TargetScene> => {
  const connection = await run.ledger.read((db) => db.connections.get(target.connection))
  const type = run.world.types.get(target.type)
  if (!connection || !type) {
    throw new ProviderError(
      'precondition',
      'none',
      `publish target ${target.name} has no connection or type any more`,
    )
  }
  const key = await run.ledger.read((db) => db.keys.byId(rotation.keyId))
  if (!key) throw new RangeError('the key is gone')
  const object = {
    type: target.type,
    ref: target.ref,
    keyId: rotation.keyId,
    keyName: rotation.keyName,
  }
  return {
    key,
    connection,
    type,
    object,
    session: await openSession(run, connection),
    from: null,
    to: null,
    objectId: type.objectId({
      settings: connection.settings,
      ref: target.ref,
      keyName: rotation.keyName,
    }),
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
})

/** The effect that a target holds now, if the rotation wrote to it. */
export const writtenTo = (intents: readonly Intent[], target: string): Intent | undefined =>
  intents.find(
    (intent) =>
      intent.effect === 'distribute' && intent.target === target && intent.outcome === 'succeeded',
  )

/** What it held is written again. Where it held nothing, what we wrote is taken away. */
export const restoreTarget = async (
  run: Run,
  rotation: Rotation,
  target: PublishTarget,
): Promise<EffectSpec> => {
  const intents = await run.ledger.read((db) => db.intents.of(rotation.id))
  const written = writtenTo(intents, target.name)
  if (!written) throw new RangeError(`nothing was written to ${target.name}`)
  const at = await targetOf(run, rotation, target)
  const ours = providerVersionOf(written.result as JsonObject)
  const sealedId = written.preImage['previousSealedId']
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
    lateEffectMs: lateEffectOf(at.type, at.connection),
    consistency: at.type.traits.consistency,
    begin: async () => {
      const { preImage } = await at.session.prepare(at.object, ours, call(run))
      return { preImage, sealedId }
    },
    send: async (intent, material, bounds) =>
      sentOf(await at.session.mint(targetOrder(at, intent, material), bounds)),
    probe: async (intent, material, bounds) =>
      probeOf(await at.session.probeMint(targetOrder(at, intent, material), bounds)),
  }
}
