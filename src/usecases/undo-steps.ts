// `rollingBack`: the steps that undo froze, one after the other. Every step is skipped when there is nothing to undo, each
// provider write has its own intent, and none is held by a freeze or a blackout.
//
//   reinstateOld     the old version is switched on again
//   swapBack         the old version is current at the provider and primary here; from now on both are valid
//   restoreTargets   each publish target gets back what it held, in reverse order
//   gateNew          those who moved to the new version are waited for: acknowledgements of the old one, and silence
//   removeNew        the new version is destroyed
//
// First of all the open intents of the phase that failed get their answer: a request that is still under way may make a
// version that must be removed too.

import type { LedgerEvent } from '#domain/ports.ts'
import type { Material, MintOrder } from '#domain/provider.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import type { UndoStepName } from '#domain/rotation-machine.ts'
import {
  distribute,
  mint,
  objectIdOf,
  probeOf,
  promoteAtProvider,
  providerVersionOf,
  sentOf,
  setOld,
  setState,
  targetOf,
} from './rotation-effects.ts'
import { carrier, move, type Run, sceneOf, stall, type Step, waitFor } from './rotation-engine.ts'
import { isOverridden, usageGate } from './rotation-gates.ts'
import { type EffectSpec, isDone, resolveOpen, runEffect } from './run-effect.ts'
import { adoptCarriers, removeVersion, serveOld } from './version-changes.ts'

type UndoHandler = (run: Run, rotation: Rotation) => Promise<Step>

export const rollBack = async (run: Run, rotation: Rotation): Promise<Step> => {
  const { undo } = rotation
  if (!undo) return stall(run, rotation, 'the list of undo steps is missing')
  const open = await openIntent(run, rotation)
  if (open) return settleOpen(run, rotation, open)
  const step = undo.steps[undo.at]
  if (step === undefined) return move(run, rotation, 'rolledBack', { reason: undo.reason })
  return handlers[step](run, rotation)
}

const openIntent = async (run: Run, rotation: Rotation): Promise<Intent | undefined> =>
  (await run.ledger.read((db) => db.intents.of(rotation.id))).find(
    (intent) => !intent.closed && intent.phase !== 'rollingBack',
  )

/** An effect of the phase that was left: it is probed, never sent. Whatever it did becomes part of what is undone. */
const settleOpen = async (run: Run, rotation: Rotation, intent: Intent): Promise<Step> => {
  const spec = await specOf(run, rotation, intent)
  return resolveOpen(
    run,
    rotation,
    {
      ...spec,
      done: async (tx, current, sent, at) => {
        const { patch = {}, events = [] } = await spec.done(
          tx,
          { ...current, phase: rotation.undo?.from ?? current.phase },
          sent,
          at,
        )
        return { patch, events }
      },
    },
    intent,
  )
}

const specOf = async (run: Run, rotation: Rotation, intent: Intent): Promise<EffectSpec> => {
  switch (intent.effect) {
    case 'mint':
      return mint(run, rotation)
    case 'distribute': {
      const target = rotation.plan.publish.find(({ name }) => name === intent.target)
      if (target) return distribute(run, rotation, target)
      break
    }
    case 'promote':
      return promoteAtProvider(run, rotation)
    case 'suspend':
    case 'reinstate':
    case 'retire':
      if (intent.target !== null) return setOld(run, rotation, intent.effect, intent.target, true)
      break
    default:
  }
  throw new RangeError(`no phase has the effect ${intent.effect} on ${intent.target}`)
}

const stepDone = (
  run: Run,
  rotation: Rotation,
  also?: Parameters<typeof move>[3],
): Promise<Step> => {
  const { undo } = rotation
  if (!undo) throw new RangeError('nothing is being undone')
  return move(run, rotation, 'rollingBack', {
    ...also,
    patch: { undo: { ...undo, at: undo.at + 1 } },
  })
}

const reinstateOld: UndoHandler = async (run, rotation) => {
  const { from } = await sceneOf(run, rotation)
  for (const providerVersion of from?.state === 'suspended' || from?.state === 'active'
    ? from.providerVersions
    : []) {
    if (!(await isDone(run, rotation, 'reinstate', providerVersion))) {
      return runEffect(
        run,
        rotation,
        await setOld(run, rotation, 'reinstate', providerVersion, false),
      )
    }
  }
  return stepDone(run, rotation)
}

const swapBack: UndoHandler = async (run, rotation) => {
  const scene = await sceneOf(run, rotation)
  const { from, to, session, object, type } = scene
  const nothing = !from || !to
  const moved = rotation.promotedAt !== null
  if (nothing) return stepDone(run, rotation)
  const byPointer = type.traits.undo === 'pointer'
  const atProvider = byPointer || type.traits.undo === 'rollForward'
  const done = await isDone(run, rotation, 'swapBack', null)
  if (!atProvider || done || (byPointer && !moved && !(await pointsAtNew(run, rotation)))) {
    return stepDone(run, rotation, { also: async (tx) => (await serveOld(tx, rotation), []) })
  }
  const common = {
    effect: 'swapBack',
    target: null,
    object: { id: objectIdOf(rotation), name: rotation.keyName },
    lateEffectMs: type.traits.lateEffectMs,
    consistency: type.traits.consistency,
  } as const
  if (byPointer) {
    const order = (intent: Intent) => ({
      object,
      operationId: intent.operationId,
      from: carrier(to),
      to: carrier(from),
    })
    return runEffect(run, rotation, {
      ...common,
      begin: async () => ({ preImage: { from: carrier(to), to: carrier(from) } }),
      send: async (intent, _material, at) => ({ result: await session.promote(order(intent), at) }),
      probe: async (intent, _material, at) => {
        const answer = await session.probePromote(order(intent), at)
        return answer.answer === 'ours' || answer.answer === 'goalMet'
          ? { answer: answer.answer, value: { result: {} } }
          : answer
      },
      done: async (tx, current) => (await serveOld(tx, current), {}),
    })
  }
  // Roll forward: the old value is written once more, as the newest version, and only then the new one goes.
  const order = (intent: Intent, material: Material | null): MintOrder => ({
    object,
    operationId: intent.operationId,
    preImage: intent.preImage,
    generate: {},
    material,
  })
  return runEffect(run, rotation, {
    ...common,
    begin: async () => {
      const at = { signal: run.clock.deadline(10_000) }
      const { preImage } = await session.prepare(object, carrier(to), at)
      const sealedId = from.sealedId ?? (await keptByMint(run, rotation))
      return sealedId
        ? { preImage, sealedId }
        : { preImage, material: await session.readMaterial(object, carrier(from), at) }
    },
    send: async (intent, material, at) => sentOf(await session.mint(order(intent, material), at)),
    probe: async (intent, material, at) =>
      probeOf(await session.probeMint(order(intent, material), at)),
    done: async (tx, current, sent, intent) => {
      await serveOld(tx, current)
      const old = await tx.versions.get(from.keyId, from.version)
      if (old) {
        const providerVersions = [...old.providerVersions, providerVersionOf(sent.result)]
        await tx.writeVersion.update({ ...old, providerVersions }, old.state)
      }
      // Copies of new that somebody's write made are removed with it.
      const events: LedgerEvent[] = []
      const bad = await tx.versions.get(to.keyId, to.version)
      if (bad) await adoptCarriers(tx, current, bad, intent.preImage, events)
      return { events }
    },
  })
}

/** What the old version held, sealed before the new one was made. */
const keptByMint = async (run: Run, rotation: Rotation): Promise<string | null> => {
  const intents = await run.ledger.read((db) => db.intents.of(rotation.id))
  const minted = intents.find(
    (intent) => intent.effect === 'mint' && intent.outcome === 'succeeded',
  )
  const kept = minted?.preImage['oldSealedId']
  return typeof kept === 'string' ? kept : null
}

const pointsAtNew = async (run: Run, rotation: Rotation): Promise<boolean> => {
  const { session, object, to } = await sceneOf(run, rotation)
  if (!to) return false
  const { versions } = await session.describe(object, { signal: run.clock.deadline(10_000) })
  return versions.some((version) => version.current && version.id === carrier(to))
}

const restoreTargets: UndoHandler = async (run, rotation) => {
  const written = (await run.ledger.read((db) => db.intents.of(rotation.id))).filter(
    (intent) => intent.effect === 'distribute' && intent.outcome === 'succeeded',
  )
  for (const intent of written.toReversed()) {
    const target = rotation.plan.publish.find(({ name }) => name === intent.target)
    if (target && !(await isDone(run, rotation, 'restoreTarget', target.name))) {
      return runEffect(run, rotation, await restoreSpec(run, rotation, intent, target))
    }
  }
  return stepDone(run, rotation)
}

/** What it held is written again; where it held nothing, what we wrote is removed. */
const restoreSpec = async (
  run: Run,
  rotation: Rotation,
  written: Intent,
  target: Rotation['plan']['publish'][number],
): Promise<EffectSpec> => {
  const at = await targetOf(run, rotation, target)
  const ours = providerVersionOf(written.result as never)
  const sealedId = written.preImage['previousSealedId']
  const common = {
    effect: 'restoreTarget',
    target: target.name,
    object: { id: at.objectId, name: rotation.keyName },
    done: async () => ({}),
  } as const
  if (typeof sealedId !== 'string') {
    return { ...setState(run, rotation, at, 'removeNew', ours, 'destroy'), ...common }
  }
  const order = (intent: Intent, material: Material | null): MintOrder => ({
    object: at.object,
    operationId: intent.operationId,
    preImage: intent.preImage,
    generate: {},
    material,
  })
  return {
    ...common,
    lateEffectMs: at.type.traits.lateEffectMs,
    consistency: at.type.traits.consistency,
    begin: async () => {
      const { preImage } = await at.session.prepare(at.object, ours, {
        signal: run.clock.deadline(10_000),
      })
      return { preImage, sealedId }
    },
    send: async (intent, material, bounds) =>
      sentOf(await at.session.mint(order(intent, material), bounds)),
    probe: async (intent, material, bounds) =>
      probeOf(await at.session.probeMint(order(intent, material), bounds)),
  }
}

/** Not overlap.min: only those who really moved are waited for. */
const gateNew: UndoHandler = async (run, rotation) => {
  const { session, object, to } = await sceneOf(run, rotation)
  if (!to || rotation.promotedAt === null) return stepDone(run, rotation)
  const approvals = await run.ledger.read((db) => db.approvals.of(rotation.id))
  if (!isOverridden(approvals, rotation, 'acknowledgement')) {
    const back = await notBack(run, rotation)
    if (back.length > 0) {
      const text = `${back.join(', ')} acknowledged version ${to.version} and not yet version ${rotation.fromVersion} again`
      return waitFor(run, rotation, 'acknowledgement', text, { afterMs: 60_000, missing: back })
    }
  }
  if (!isOverridden(approvals, rotation, 'usage')) {
    const closed = await usageGate(run, rotation, {
      session,
      object,
      traits: rotation.plan.traits,
      version: to,
    })
    if (closed) {
      return waitFor(run, rotation, 'usage', closed.text, {
        afterMs: Math.min(closed.inMs ?? 60_000, 60_000),
        missing: closed.missing,
      })
    }
  }
  return stepDone(run, rotation)
}

/** Consumers that acknowledged new and did not acknowledge old again in this rotation. */
const notBack = async (run: Run, rotation: Rotation): Promise<readonly string[]> => {
  const { fromVersion, toVersion, keyId } = rotation
  if (fromVersion === null || toVersion === null) return []
  return run.ledger.read(async (db) => {
    const moved = await db.acknowledgements.of(keyId, toVersion)
    const again = (await db.acknowledgements.of(keyId, fromVersion)).filter(
      (ack) => ack.rotationId === rotation.id,
    )
    const back = new Set(again.map((ack) => ack.consumer))
    return moved.map((ack) => ack.consumer).filter((consumer) => !back.has(consumer))
  })
}

const removeNew: UndoHandler = async (run, rotation) => {
  const scene = await sceneOf(run, rotation)
  const { to } = scene
  if (!to || to.state === 'destroyed') return stepDone(run, rotation)
  for (const providerVersion of to.providerVersions) {
    if (!(await isDone(run, rotation, 'removeNew', providerVersion))) {
      return runEffect(run, rotation, {
        ...setState(run, rotation, scene, 'removeNew', providerVersion, 'destroy'),
        done: async () => ({}),
      })
    }
  }
  return stepDone(run, rotation, { also: async (tx) => (await removeVersion(tx, to), []) })
}

const handlers: Readonly<Record<UndoStepName, UndoHandler>> = {
  reinstateOld,
  swapBack,
  restoreTargets,
  gateNew,
  removeNew,
}
