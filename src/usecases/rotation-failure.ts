// Where a definite failure leads: the phase's own edge in the machine, and the beginning of undo.

import type { Ledger } from '#domain/ports.ts'
import { machine, mayGo, undoSteps } from '#domain/rotation-machine.ts'
import type { Rotation } from '#domain/rotation.ts'
import { move, type Run, stall, type Step } from './rotation-engine.ts'
import { intentsOf } from './rotation-scene.ts'

/** A phase without an edge of its own stalls, or where nothing was done yet is cancelled. */
export const fail = (run: Run, rotation: Rotation, reason: string): Promise<Step> => {
  const { failure } = machine[rotation.phase]
  if (failure === 'rollingBack') return beginUndo(run, rotation, reason)
  return failure === 'cancelled' || !mayGo(rotation.phase, 'stalled')
    ? move(run, rotation, 'cancelled', { reason })
    : stall(run, rotation, reason)
}

/** Undo begins with the list of its steps, frozen; where the provider cannot undo, everything stays and a person decides. */
export const beginUndo = async (run: Run, rotation: Rotation, reason: string): Promise<Step> => {
  const steps = undoSteps(rotation.phase, rotation.plan.traits, await mayHaveMinted(run, rotation))
  if (typeof steps === 'string') return stall(run, rotation, reason)
  return move(run, rotation, 'rollingBack', {
    patch: { undo: { from: rotation.phase, steps, at: 0, reason } },
    reason,
  })
}

/** A new version exists, or a request to make one has no final outcome yet. */
export const mayHaveMinted = async (
  run: { readonly ledger: Pick<Ledger, 'read'> },
  rotation: Rotation,
): Promise<boolean> => {
  if (rotation.toVersion !== null) return true
  const intents = await intentsOf(run, rotation)
  return intents.some((intent) => intent.effect === 'mint' && !intent.closed)
}
