// Undo of handing out: the old version is current at the provider and primary here again. From then on both are valid.

import type { LedgerEvent } from '#domain/ports.ts'
import { lateEffectOf, type Material } from '#domain/provider.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import { byHand } from './ask-person.ts'
import type { Run } from './rotation-engine.ts'
import { call, objectIdOf, probeOf, providerVersionOf, sentOf } from './rotation-effects.ts'
import { carrier, intentsOf, type Scene } from './rotation-scene.ts'
import type { EffectSpec } from './run-effect.ts'
import { adoptCarriers, present, serveOld } from './version-changes.ts'

/** As the type undoes: its pointer is moved back, or the old value is written once more as the newest version. */
export const swapBack = (run: Run, rotation: Rotation, scene: Scene): EffectSpec =>
  scene.type.traits.undo === 'pointer'
    ? movePointerBack(rotation, scene)
    : rollForward(run, rotation, scene)

const versionsOf = ({ from, to }: Scene) => {
  if (!from || !to) throw new RangeError('there is nothing to swap')
  return { from, to }
}

const commonOf = (rotation: Rotation, scene: Scene) =>
  ({
    effect: 'swapBack',
    target: null,
    ...byHand(scene, rotation, 'swapBack'),
    object: { id: objectIdOf(rotation), name: rotation.keyName },
    lateEffectMs: lateEffectOf(scene.type, scene.connection),
    consistency: scene.type.traits.consistency,
  }) as const

const movePointerBack = (rotation: Rotation, scene: Scene): EffectSpec => {
  const { session, object } = scene
  const { from, to } = versionsOf(scene)
  const order = (intent: Intent) => ({
    object,
    operationId: intent.operationId,
    from: carrier(to),
    to: carrier(from),
  })
  return {
    ...commonOf(rotation, scene),
    begin: async () => ({ preImage: { from: carrier(to), to: carrier(from) } }),
    send: async (intent, _material, at) => ({ result: await session.promote(order(intent), at) }),
    probe: async (intent, _material, at) => {
      const answer = await session.probePromote(order(intent), at)
      return answer.answer === 'ours' || answer.answer === 'goalMet'
        ? { answer: answer.answer, value: { result: {} } }
        : answer
    },
    done: async (tx, current) => (await serveOld(tx, current), {}),
  }
}

/** Only once the old value is the newest version does the new one go. */
const rollForward = (run: Run, rotation: Rotation, scene: Scene): EffectSpec => {
  const { session, object } = scene
  const { from, to } = versionsOf(scene)
  const order = (intent: Intent, material: Material | null) => ({
    object,
    operationId: intent.operationId,
    preImage: intent.preImage,
    generate: {},
    material,
  })
  return {
    ...commonOf(rotation, scene),
    begin: async () => {
      const { preImage } = await session.prepare(object, carrier(to), call(run))
      const sealedId = from.sealedId ?? (await keptByMint(run, rotation))
      return sealedId
        ? { preImage, sealedId }
        : { preImage, material: await session.readMaterial(object, carrier(from), call(run)) }
    },
    send: async (intent, material, at) => sentOf(await session.mint(order(intent, material), at)),
    probe: async (intent, material, at) =>
      probeOf(await session.probeMint(order(intent, material), at)),
    done: async (tx, current, sent, intent) => {
      await serveOld(tx, current)
      const old = await present(tx, from.keyId, from.version)
      const providerVersions = [...old.providerVersions, providerVersionOf(sent.result)]
      await tx.writeVersion.update({ ...old, providerVersions }, old.state)
      // Copies of new that somebody's write made are removed with it.
      const events: LedgerEvent[] = []
      const bad = await present(tx, to.keyId, to.version)
      await adoptCarriers(tx, current, bad, intent.preImage, events)
      return { events }
    },
  }
}

/** What the old version held, sealed before the new one was made. */
export const keptByMint = async (run: Run, rotation: Rotation): Promise<string | null> => {
  const intents = await intentsOf(run, rotation)
  const minted = intents.find(
    (intent) => intent.effect === 'mint' && intent.outcome === 'succeeded',
  )
  const kept = minted?.preImage['oldSealedId']
  return typeof kept === 'string' ? kept : null
}
