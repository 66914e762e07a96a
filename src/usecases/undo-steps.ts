// `rollingBack`: the steps that undo froze, one after the other. Every step is skipped when there is nothing to undo, each
// provider write has its own intent, and none is held by a freeze or a blackout.
//
//   reinstateOld     the old version is switched on again
//   swapBack         the old version is current at the provider and primary here; from now on both are valid
//   restoreTargets   each publish target gets back what it held, in reverse order
//   gateNew          those who moved to the new version are waited for: acknowledgements of the old one, and silence
//   removeNew        the new version is destroyed
//
// First of all the driver finds out what became of the effect that was under way (resolve-effect.ts): a request that still
// arrives may make a version that must be removed too.

import type { Rotation } from '#domain/rotation.ts'
import type { UndoStepName } from '#domain/rotation-machine.ts'
import { lateMint } from './complete-rotation.ts'
import { measuredGap } from './measured-gap.ts'
import { promiseGate, propagationOf } from './propagation.ts'
import { restoreTarget, writtenOver, writtenTo } from './publish-effects.ts'
import { call } from './rotation-effects.ts'
import { move, type Run, stall, type Step } from './rotation-engine.ts'
import { observedIn, overriddenGates, timeLeft, usageGate } from './rotation-gates.ts'
import { carrier, intentsOf, type Scene, sceneOf } from './rotation-scene.ts'
import { waitFor, waitForGate } from './rotation-wait.ts'
import { runEffect } from './run-effect.ts'
import { swapBack } from './swap-back.ts'
import { notYet, removeNew, setOld } from './switch-effects.ts'
import { removeVersion, serveOld } from './version-changes.ts'

type UndoHandler = (run: Run, rotation: Rotation) => Promise<Step>

export const rollBack = async (run: Run, rotation: Rotation): Promise<Step> => {
  const { undo } = rotation
  if (!undo) return stall(run, rotation, 'the list of undo steps is missing')
  const step = undo.steps[undo.at]
  if (step === undefined) {
    const told = await measuredGap(run, rotation, await run.timers.now())
    return move(run, rotation, 'rolledBack', { reason: undo.reason, told })
  }
  return handlers[step](run, rotation)
}

const stepDone = async (
  run: Run,
  rotation: Rotation,
  also?: Parameters<typeof move>[3],
): Promise<Step> => {
  const { undo } = rotation
  if (!undo) throw new RangeError('nothing is being undone')
  return move(run, rotation, 'rollingBack', {
    ...also,
    patch: { undo: { ...undo, at: undo.at + 1, sinceMs: await run.timers.observe() } },
  })
}

/** Sent also where no switching off is on record: what is on stays on, and a request that was given up may have landed. */
const reinstateOld: UndoHandler = async (run, rotation) => {
  const scene = await sceneOf(run, rotation)
  const { from } = scene
  if (from?.state !== 'suspended' && from?.state !== 'active') return stepDone(run, rotation)
  const [first] = notYet(await intentsOf(run, rotation), from, 'reinstate')
  return first === undefined
    ? stepDone(run, rotation)
    : runEffect(run, rotation, setOld(run, rotation, scene, 'reinstate', first))
}

const swapBackStep: UndoHandler = async (run, rotation) => {
  const scene = await sceneOf(run, rotation)
  const { from, to, type } = scene
  if (!from || !to) return stepDone(run, rotation)
  if (from.state !== 'active' && from.state !== 'suspended') {
    const text = `the old version is ${from.state}: it cannot be handed out again`
    return stall(run, rotation, text)
  }
  const intents = await intentsOf(run, rotation)
  const done = intents.some(
    ({ effect, outcome }) => effect === 'swapBack' && outcome === 'succeeded',
  )
  if (done || !(await isAtProvider(run, rotation, scene, type.traits.undo))) {
    return stepDone(run, rotation, { also: async (tx) => (await serveOld(tx, rotation), []) })
  }
  // Whoever fetched while it was off does not know it: until then new, which is valid, is what is handed out.
  const wasOff = intents.some(
    ({ effect, outcome }) => effect === 'reinstate' && outcome === 'succeeded',
  )
  const { promoteAfterMs } = propagationOf(intents)
  const unknown = wasOff
    ? (timeLeft('propagation', await observedInStep(run, rotation), promoteAfterMs) ??
      (await promiseGate(run, scene, from, 'propagation')))
    : null
  return unknown
    ? waitForGate(run, rotation, unknown)
    : runEffect(run, rotation, swapBack(run, rotation, scene))
}

const observedInStep = async (run: Run, rotation: Rotation): Promise<number> => {
  const since = rotation.undo?.sinceMs
  return since === undefined
    ? observedIn(run, rotation)
    : Math.max(0, (await run.timers.observe()) - since)
}

/** Whether something must be written for the old version to be current. */
const isAtProvider = async (
  run: Run,
  rotation: Rotation,
  { session, object, to }: Scene,
  undo: Scene['type']['traits']['undo'],
): Promise<boolean> => {
  if (undo !== 'pointer') return undo === 'rollForward'
  if (rotation.promotedAt !== null || !to) return true
  const { versions } = await session.describe(object, call(run))
  return versions.some((version) => version.current && version.id === carrier(to))
}

const restoreTargets: UndoHandler = async (run, rotation) => {
  const intents = await intentsOf(run, rotation)
  const restored = new Set(
    intents
      .filter(({ effect, outcome }) => effect === 'restoreTarget' && outcome === 'succeeded')
      .map(({ target }) => target),
  )
  const left: string[] = []
  for (const target of rotation.plan.publish.toReversed()) {
    const written = writtenTo(intents, target.name)
    if (!written || restored.has(target.name)) continue
    // oxlint-disable-next-line no-await-in-loop -- until the first that is ours
    const over = await writtenOver(run, rotation, target, written)
    if (over === null) {
      return runEffect(run, rotation, await restoreTarget(run, rotation, target)) // oxlint-disable-line no-await-in-loop -- ends the loop
    }
    left.push(`${target.name} is left as it is: version ${over} was written there since`)
  }
  return stepDone(run, rotation, left.length === 0 ? {} : { reason: left.join('; ') })
}

/** Not overlap.min, but what the type asks for: beyond it only those who really moved are waited for. Nobody did who could not have got the new version. */
const gateNew: UndoHandler = async (run, rotation) => {
  const scene = await sceneOf(run, rotation)
  const { session, object, to } = scene
  const { traits } = rotation.plan
  const intents = await intentsOf(run, rotation)
  const handedOut =
    rotation.promotedAt !== null ||
    traits.staging === 'none' ||
    traits.slot === 'single' ||
    intents.some(({ effect, outcome }) => effect === 'distribute' && outcome === 'succeeded')
  if (!to || !handedOut) return stepDone(run, rotation)
  const passed = await overriddenGates(run, rotation)
  // What it made while it was handed out is honoured to its end.
  const { keepOldForMs } = propagationOf(intents)
  const early =
    rotation.promotedAt === null || passed.has('overlap')
      ? null
      : (timeLeft('overlap', await observedInStep(run, rotation), keepOldForMs) ??
        (await promiseGate(run, scene, to, 'overlap')))
  if (early) return waitForGate(run, rotation, early)
  const back = passed.has('acknowledgement') ? [] : await notBack(run, rotation)
  if (back.length > 0) {
    const text = `${back.join(', ')} acknowledged version ${to.version} and not yet version ${rotation.fromVersion} again`
    return waitFor(run, rotation, 'acknowledgement', text, { afterMs: 60_000, missing: back })
  }
  const closed = passed.has('usage')
    ? null
    : await usageGate(run, rotation, { session, object, traits, version: to })
  return closed ? waitForGate(run, rotation, closed) : stepDone(run, rotation)
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

/** With it goes whatever of ours landed after it had been given up. */
const removeNewStep: UndoHandler = async (run, rotation) => {
  const scene = await sceneOf(run, rotation)
  const { to } = scene
  // I1: what is handed out does not go before something else is. There was no old version to go back to.
  if (to?.primary) return stall(run, rotation, 'nothing else could be handed out: abandon it')
  const left =
    to && to.state !== 'destroyed' ? notYet(await intentsOf(run, rotation), to, 'removeNew') : []
  const next = left[0] ?? (await lateMint(run, rotation, scene))
  if (next !== null) return runEffect(run, rotation, removeNew(run, rotation, scene, next))
  if (!to || to.state === 'destroyed') return stepDone(run, rotation)
  return stepDone(run, rotation, { also: async (tx) => (await removeVersion(tx, to), []) })
}

const handlers: Readonly<Record<UndoStepName, UndoHandler>> = {
  reinstateOld,
  swapBack: swapBackStep,
  restoreTargets,
  gateNew,
  removeNew: removeNewStep,
}
