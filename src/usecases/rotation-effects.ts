// The effects that go forward, each as data for `runEffect`: what is read before, what is sent, how it is found again, and
// what the rotation becomes by it.

import type { JsonObject } from '#domain/json.ts'
import type { LedgerEvent } from '#domain/ports.ts'
import { type Material, type MintOrder, type Probe, ProviderError } from '#domain/provider.ts'
import type { Intent, PublishTarget, Rotation } from '#domain/rotation.ts'
import { nextPhase } from '#domain/rotation-machine.ts'
import { carrier, type Run, type Scene, sceneOf } from './rotation-engine.ts'
import type { EffectSpec, Sent } from './run-effect.ts'
import { adoptCarriers, advanceVersion, retireVersion, servePrimary } from './version-changes.ts'

const call = (run: Run) => ({ signal: run.clock.deadline(10_000) })

/** The new version. Material of ours is made here and sealed with the intent, so that a repeat sends the same. */
export const mint = async (run: Run, rotation: Rotation): Promise<EffectSpec> => {
  const { session, object, type, from } = await sceneOf(run, rotation)
  const order = (intent: Intent, material: Material | null): MintOrder => ({
    object,
    operationId: intent.operationId,
    preImage: intent.preImage,
    generate: rotation.plan.generate,
    material,
  })
  return {
    effect: 'mint',
    target: null,
    object: { id: objectIdOf(rotation), name: rotation.keyName },
    lateEffectMs: type.traits.lateEffectMs,
    consistency: type.traits.consistency,
    begin: async () => {
      const { preImage } = await session.prepare(object, from && carrier(from), call(run))
      const material = type.generate?.(rotation.plan.generate, (bytes) => run.ids.random(bytes))
      // To roll forward the old value must be at hand, and a provider may drop it with the very write of the new one.
      const held =
        type.traits.undo === 'rollForward' && from?.sealedId === null
          ? await session.readMaterial(object, carrier(from), call(run))
          : null
      return {
        preImage,
        ...(material ? { material } : {}),
        ...(held ? { keep: { oldSealedId: held } } : {}),
      }
    },
    send: async (intent, material, at) => sentOf(await session.mint(order(intent, material), at)),
    probe: async (intent, material, at) =>
      probeOf(await session.probeMint(order(intent, material), at)),
    discard: async (sent, at) => {
      await session.retire(object, providerVersionOf(sent.result), 'destroy', at)
    },
    done: async (tx, current, sent, intent) => {
      const versions = await tx.versions.of(current.keyId)
      const number = 1 + Math.max(0, ...versions.map((version) => version.version))
      const sealedId = sent.material
        ? await tx.writeSealed.insert(sent.material, intent.operationId)
        : intent.sealedId
      const material =
        sent.material ?? (intent.sealedId ? await tx.sealed.open(intent.sealedId) : null)
      const now = await tx.now()
      await tx.writeVersion.insert({
        keyId: current.keyId,
        version: number,
        state: 'preActivation',
        primary: false,
        providerVersions: [providerVersionOf(sent.result)],
        materialKnown: material !== null || type.traits.authority === 'store',
        fingerprint: material ? tx.fingerprint(material) : null,
        sealedId,
        rotationId: current.id,
        verifiedAt: null,
        createdAt: now,
        activatedAt: null,
        suspendedAt: null,
        deactivatedAt: null,
        compromisedAt: null,
        destroyedAt: null,
      })
      // `single`: there is one place at the provider; what was in it is gone from there with this very effect.
      const events: LedgerEvent[] = []
      const old = from && (await adoptCarriers(tx, current, from, intent.preImage, events))
      if (old && type.traits.slot === 'single') {
        await advanceVersion(tx, old, ['suspended'], { primary: false })
      }
      return {
        phase: nextPhase(current.plan.phases, current.phase),
        patch: { toVersion: number },
        events,
      }
    },
  }
}

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
    lateEffectMs: at.type.traits.lateEffectMs,
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

/** The provider's own pointer, by compare-and-swap; the same transaction that records it makes new primary here. */
export const promoteAtProvider = async (run: Run, rotation: Rotation): Promise<EffectSpec> => {
  const { session, object, type, from, to } = await sceneOf(run, rotation)
  if (!to) throw new RangeError('nothing was minted')
  const order = (intent: Intent) => ({
    object,
    operationId: intent.operationId,
    from: from && carrier(from),
    to: carrier(to),
  })
  return {
    effect: 'promote',
    target: null,
    object: { id: objectIdOf(rotation), name: rotation.keyName },
    lateEffectMs: type.traits.lateEffectMs,
    consistency: type.traits.consistency,
    begin: async () => ({ preImage: { from: from && carrier(from), to: carrier(to) } }),
    send: async (intent, _material, at) => ({ result: await session.promote(order(intent), at) }),
    probe: async (intent, _material, at) => {
      const answer = await session.probePromote(order(intent), at)
      return answer.answer === 'ours' || answer.answer === 'goalMet'
        ? { answer: answer.answer, value: { result: { current: carrier(to) } } }
        : answer
    },
    done: async (tx, current) => {
      const promotedAt = await tx.now()
      const events = await servePrimary(tx, current)
      return { phase: nextPhase(current.plan.phases, current.phase), patch: { promotedAt }, events }
    },
  }
}

/** One of the provider's versions that carry the old one is switched off, on again, or removed; `last` moves the rotation. */
export const setOld = async (
  run: Run,
  rotation: Rotation,
  effect: 'suspend' | 'reinstate' | 'retire',
  providerVersion: string,
  last: boolean,
  stallReason?: string,
): Promise<EffectSpec> => {
  const scene = await sceneOf(run, rotation)
  const { from } = scene
  if (!from) throw new RangeError('there is no old version')
  return {
    ...setState(
      run,
      rotation,
      scene,
      effect,
      providerVersion,
      rotation.plan.policy.retire === 'destroy' ? 'destroy' : 'disable',
    ),
    done: async (tx, current) => {
      if (effect === 'reinstate') {
        await advanceVersion(tx, from, ['active'])
        return stallReason
          ? { phase: 'stalled', patch: { stalledIn: current.phase, stalledReason: stallReason } }
          : {}
      }
      if (!last) return {}
      if (effect === 'suspend') await advanceVersion(tx, from, ['suspended'])
      else await retireVersion(tx, current, from)
      return { phase: nextPhase(current.plan.phases, current.phase) }
    },
  }
}

/** The common part of every effect with set semantics: its probe is the state itself. */
export const setState = (
  run: Run,
  rotation: Rotation,
  { session, object, type }: Scene,
  effect: 'suspend' | 'reinstate' | 'retire' | 'removeNew',
  providerVersion: string,
  how: 'disable' | 'destroy',
): Omit<EffectSpec, 'done'> => {
  const wanted =
    effect === 'reinstate'
      ? 'enabled'
      : effect === 'suspend' || how === 'disable'
        ? 'disabled'
        : 'destroyed'
  return {
    effect,
    target: providerVersion,
    object: { id: objectIdOf(rotation), name: rotation.keyName },
    lateEffectMs: type.traits.lateEffectMs,
    consistency: type.traits.consistency,
    begin: async () => ({
      preImage: { state: await session.stateOf(object, providerVersion, call(run)) },
    }),
    send: async (intent, _material, at) => {
      try {
        return {
          result:
            effect === 'suspend'
              ? await session.suspend(object, providerVersion, at)
              : effect === 'reinstate'
                ? await session.reinstate(object, providerVersion, at)
                : await session.retire(object, providerVersion, how, at),
        }
      } catch (error) {
        // The provider dropped it by itself (it keeps so many versions and no more), and says so twice.
        const gone =
          error instanceof ProviderError &&
          error.kind === 'notFound' &&
          intent.preImage['state'] === 'absent'
        const needed = effect === 'reinstate' && type.traits.undo !== 'rollForward'
        if (!gone || needed) throw error
        return { result: { state: 'absent' } }
      }
    },
    probe: async (_intent, _material, at): Promise<Probe<Sent>> => {
      const state = await session.stateOf(object, providerVersion, at)
      const met = state === wanted || (wanted === 'destroyed' && state === 'absent')
      return met ? { answer: 'ours', value: { result: { state } } } : { answer: 'absent' }
    },
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
    session: await run.world.sessions.open(connection),
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

export const sentOf = (minted: {
  readonly providerVersion: string
  readonly material?: Material
  readonly facts: JsonObject
}): Sent => ({
  result: { providerVersion: minted.providerVersion, facts: minted.facts },
  ...(minted.material ? { material: minted.material } : {}),
})

export const probeOf = (
  answer: Probe<{
    readonly providerVersion: string
    readonly material?: Material
    readonly facts: JsonObject
  }>,
): Probe<Sent> =>
  answer.answer === 'ours' || answer.answer === 'goalMet'
    ? { ...answer, value: sentOf(answer.value) }
    : answer

export const providerVersionOf = (result: JsonObject): string => {
  const id = result['providerVersion']
  if (typeof id !== 'string') throw new RangeError('an effect has no provider version')
  return id
}

/** The object's id, for the record. */
export const objectIdOf = (rotation: Rotation): string => rotation.plan.objectId
