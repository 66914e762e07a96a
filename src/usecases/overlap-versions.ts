// Both versions are accepted, the new one is handed out. It lasts until `overlap.min` and what the type asks for
// are over, the required consumers have acknowledged, and the old version is silent.

import type { Rotation } from '#domain/rotation.ts'
import { nextPhase } from '#domain/rotation-machine.ts'
import { consumerGates } from './consumer-gates.ts'
import { promiseGate, propagationOf } from './propagation.ts'
import { reloadConsumers } from './reload-consumers.ts'
import { goOn, type Run, type Step } from './rotation-engine.ts'
import { type Closed, overriddenGates, timeGate } from './rotation-gates.ts'
import { holdsOf } from './rotation-holds.ts'
import { intentsOf, sceneOf } from './rotation-scene.ts'
import { waitForGate } from './rotation-wait.ts'
import { waitHeld } from './run-effect.ts'

export const overlapping = async (run: Run, rotation: Rotation): Promise<Step> => {
  const told = await reloadConsumers(run, rotation)
  if (told) return told
  const passed = await overriddenGates(run, rotation)
  const { minMs } = rotation.plan.policy.overlap
  const { keepOldForMs, asked: promises } = propagationOf(await intentsOf(run, rotation))
  const time = passed.has('overlap')
    ? null
    : ((await timeGate(run, rotation, 'overlap', Math.max(minMs, keepOldForMs))) ??
      (promises ? await stillHonoured(run, rotation) : null))
  // Acknowledgements are late by their own time, also while this one runs. The provider is asked for uses only after it.
  const asked = time ? new Set([...passed, 'usage' as const]) : passed
  const closed = await consumerGates(run, rotation, asked)
  if (closed && 'step' in closed) return closed.step
  const shut = time ?? closed?.shut
  if (shut) return waitForGate(run, rotation, shut)
  const hold = await holdsOf(run, rotation)
  return hold
    ? waitHeld(run, rotation, hold)
    : goOn(run, rotation, nextPhase(rotation.plan.phases, rotation.phase))
}

const stillHonoured = async (run: Run, rotation: Rotation): Promise<Closed | null> => {
  const scene = await sceneOf(run, rotation)
  return scene.from && promiseGate(run, scene, scene.from, 'overlap')
}
