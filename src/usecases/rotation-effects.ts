// The effects that make and hand out the new version, each as data for `runEffect`: what is read before, what is sent, how it
// is found again, and what the rotation becomes by it.

import type { JsonObject } from '#domain/json.ts'
import type { Version } from '#domain/key.ts'
import type { LedgerEvent, Reads } from '#domain/ports.ts'
import {
  type Call,
  lateEffectOf,
  type Material,
  type Minted,
  type MintOrder,
  type Probe,
} from '#domain/provider.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import { nextPhase } from '#domain/rotation-machine.ts'
import { byHand } from './ask-person.ts'
import { readable } from './prove-version.ts'
import type { Change, Run } from './rotation-engine.ts'
import { carrier, type Scene, sceneOf } from './rotation-scene.ts'
import type { EffectSpec, Sent } from './run-effect.ts'
import { mustBeOurs, overwritten, refusalToMint } from './standby.ts'
import {
  adoptCarriers,
  advanceVersion,
  carriersIn,
  present,
  servePrimary,
} from './version-changes.ts'

/** Bounds of a read. */
export const call = (run: Run) => ({ signal: run.clock.deadline(10_000) })

/** The same before a mint. */
export const callToMint = (run: Run, { plan, trigger }: Rotation): Call => ({
  ...call(run),
  generate: plan.generate,
  ...(trigger === 'incident' ? { incident: true } : {}),
})

/** The new version. Material of ours is made here and sealed with the intent, so that a repeat sends the same. */
export const mint = async (run: Run, rotation: Rotation): Promise<EffectSpec> => {
  const scene = await sceneOf(run, rotation)
  const { session, object, connection, type, from } = scene
  const order = (intent: Intent, material: Material | null) =>
    mintOrder(scene, rotation, intent, material)
  return {
    effect: 'mint',
    target: null,
    ...byHand(scene, rotation, 'mint'),
    object: { id: objectIdOf(rotation), name: rotation.keyName },
    lateEffectMs: lateEffectOf(type, connection),
    consistency: type.traits.consistency,
    ...(type.traits.slot === 'pair'
      ? {
          permitted: async (db: Reads) => refusalToMint(await db.versions.of(rotation.keyId)),
        }
      : {}),
    begin: async () => {
      const { preImage } = await session.prepare(
        object,
        from && carrier(from),
        callToMint(run, rotation),
      )
      if (type.traits.slot === 'pair') await mustBeOurs(run, scene)
      const material = type.generate?.(rotation.plan.generate, (bytes) => run.ids.random(bytes))
      const held = from?.sealedId === null ? await heldOf(run, scene, from) : null
      return {
        preImage,
        ...(material ? { material } : {}),
        ...(held ? { keep: { oldSealedId: held } } : {}),
      }
    },
    send: async (intent, material, at) =>
      sentOf(await session.mint(order(intent, material), { ...callToMint(run, rotation), ...at })),
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
        fingerprint: material ? tx.fingerprint(material) : (sent.fingerprint ?? null),
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
      const touchesOld = type.traits.slot === 'single' || carriersIn(intent.preImage).length > 0
      const before = from && touchesOld ? await present(tx, current.keyId, from.version) : null
      const old = before && (await adoptCarriers(tx, current, before, intent.preImage, events))
      if (old?.state === 'active' && type.traits.slot === 'single') {
        await advanceVersion(tx, old, ['suspended'], { primary: false })
      }
      if (type.traits.slot === 'pair')
        await overwritten(tx, scene, providerVersionOf(sent.result), versions)
      return {
        phase: nextPhase(current.plan.phases, current.phase),
        patch: { toVersion: number },
        events,
      }
    },
  }
}

/** To roll forward the old value must be at hand, and a provider may drop it with the very write of the new one. With one slot
 *  it does: without undo it is only needed to try it afterwards, and a value that does not come out is none to be tried. */
const heldOf = async (
  run: Run,
  { session, object, type }: Scene,
  from: Version,
): Promise<Material | null> => {
  const read = () => session.readMaterial(object, carrier(from), call(run))
  if (type.traits.undo === 'rollForward') return read()
  return type.traits.slot === 'single' ? readable(read) : null
}

/** The provider's own pointer, by compare-and-swap; the same transaction that records it makes new primary here. */
export const promoteAtProvider = async (run: Run, rotation: Rotation): Promise<EffectSpec> => {
  const scene = await sceneOf(run, rotation)
  const { session, object, connection, type, from, to } = scene
  if (!to) throw new RangeError('nothing was minted')
  const order = (intent: Intent) => ({
    object,
    operationId: intent.operationId,
    from: from ? carrier(from) : pointedAt(intent),
    to: carrier(to),
  })
  return {
    effect: 'promote',
    target: null,
    ...byHand(scene, rotation, 'promote'),
    object: { id: objectIdOf(rotation), name: rotation.keyName },
    lateEffectMs: lateEffectOf(type, connection),
    consistency: type.traits.consistency,
    begin: async () => ({
      preImage: {
        from: from ? carrier(from) : await containedCurrent(run, scene),
        to: carrier(to),
      },
    }),
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
      return { ...promoted(current, promotedAt), events }
    },
  }
}

const pointedAt = ({ preImage: { from } }: Intent): string | null =>
  typeof from === 'string' ? from : null

/** A key whose old version an incident has contained has none that is handed out; the provider's pointer is on it all the same. */
const containedCurrent = async (
  run: Run,
  { session, object }: Pick<Scene, 'session' | 'object'>,
): Promise<string | null> => {
  const versions = await run.ledger.read((db) => db.versions.of(object.keyId))
  const contained = versions.filter(({ state }) => state === 'compromised')
  if (contained.length === 0) return null
  const there = await session.describe(object, call(run))
  const current = there.versions.find((version) => version.current)
  return current && contained.some(({ providerVersions }) => providerVersions.includes(current.id))
    ? current.id
    : null
}

/** Where nothing follows but the end, it stays in its phase for the last look (complete-rotation.ts). */
export const promoted = (rotation: Rotation, promotedAt: Date): Change => {
  const next = nextPhase(rotation.plan.phases, rotation.phase)
  return { patch: { promotedAt }, ...(next === 'completed' ? {} : { phase: next }) }
}

/** The order that an intent to mint stands for, to be sent or to be looked for. */
export const mintOrder = (
  { object }: Pick<Scene, 'object'>,
  rotation: Rotation,
  intent: Intent,
  material: Material | null,
): MintOrder => ({
  object,
  operationId: intent.operationId,
  preImage: intent.preImage,
  generate: rotation.plan.generate,
  material,
})

export const sentOf = (minted: Minted): Sent => ({
  result: { providerVersion: minted.providerVersion, facts: minted.facts },
  ...(minted.material ? { material: minted.material } : {}),
  ...(minted.fingerprint ? { fingerprint: minted.fingerprint } : {}),
})

export const probeOf = (answer: Probe<Minted>): Probe<Sent> =>
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
