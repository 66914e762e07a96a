// What each open phase does when its rotation is rung for. A phase either moves on, or says what it waits for; it never
// sleeps. The prose of every phase, with what a crash leaves, stands in domain/rotation-machine.ts.

import type { Rotation } from '#domain/rotation.ts'
import { nextPhase, type OpenPhase, type Phase } from '#domain/rotation-machine.ts'
import { awaitingApproval, planned } from './begin-rotation.ts'
import { complete } from './complete-rotation.ts'
import { retiring, soaking, suspending } from './end-old-version.ts'
import { overlapping } from './overlap-versions.ts'
import { preflight } from './preflight-rotation.ts'
import { measuredGap } from './measured-gap.ts'
import { promiseGate, propagationOf } from './propagation.ts'
import { distribute, writtenTo } from './publish-effects.ts'
import { mint, promoteAtProvider, promoted } from './rotation-effects.ts'
import { goOn, move, type Run, type Step } from './rotation-engine.ts'
import { intentsOf, sceneOf } from './rotation-scene.ts'
import { type Closed, timeGate } from './rotation-gates.ts'
import { waitFor, waitForGate } from './rotation-wait.ts'
import { runEffect } from './run-effect.ts'
import { rollBack } from './undo-steps.ts'
import { verifying } from './verify-new-version.ts'
import { servePrimary } from './version-changes.ts'

export type PhaseHandler = (run: Run, rotation: Rotation) => Promise<Step>

const next = (rotation: Rotation): Phase => nextPhase(rotation.plan.phases, rotation.phase)

const minting: PhaseHandler = async (run, rotation) =>
  runEffect(run, rotation, await mint(run, rotation))

const distributing: PhaseHandler = async (run, rotation) => {
  const intents = await intentsOf(run, rotation)
  const target = rotation.plan.publish.find(({ name }) => !writtenTo(intents, name))
  return target
    ? runEffect(run, rotation, await distribute(run, rotation, target))
    : goOn(run, rotation, next(rotation))
}

/** Once caches know the new version: the provider's pointer first (where it has one), then one transaction makes new primary and puts old in overlap. */
const promoting: PhaseHandler = async (run, rotation) => {
  if (rotation.promotedAt !== null) return complete(run, rotation, await sceneOf(run, rotation))
  if (rotation.plan.traits.staging === 'native') {
    const { promoteAfterMs, asked } = propagationOf(await intentsOf(run, rotation))
    const unknown =
      (await timeGate(run, rotation, 'propagation', promoteAfterMs)) ??
      (asked ? await stillUnknown(run, rotation) : null)
    if (unknown) return waitForGate(run, rotation, unknown)
    return runEffect(run, rotation, await promoteAtProvider(run, rotation))
  }
  // With one slot not when the step began: a verification may have gone before in it, and the gap lasted through that.
  const isGap = rotation.plan.traits.slot === 'single'
  const now = isGap || !run.seen ? await run.timers.now() : run.seen.at
  const { phase = rotation.phase, patch = {} } = promoted(rotation, now)
  const told = await measuredGap(run, rotation, now)
  return move(run, rotation, phase, { patch, told, also: (tx, moved) => servePrimary(tx, moved) })
}

const stillUnknown = async (run: Run, rotation: Rotation): Promise<Closed | null> => {
  const scene = await sceneOf(run, rotation)
  return scene.to && promiseGate(run, scene, scene.to, 'propagation')
}

/** A stalled rotation does nothing by itself. */
const stalled: PhaseHandler = async (run, rotation) =>
  waitFor(run, rotation, 'person', `stalled in ${rotation.stalledIn}: ${rotation.stalledReason}`, {
    afterMs: null,
    missing: ['resume', 'rollback', 'abandon'],
  })

export const phaseHandlers: Readonly<Record<OpenPhase, PhaseHandler>> = {
  planned,
  awaitingApproval,
  preflight,
  minting,
  verifying,
  distributing,
  promoting,
  overlapping,
  suspending,
  soaking,
  retiring,
  rollingBack: rollBack,
  stalled,
}
