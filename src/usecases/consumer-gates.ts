// The gates that consumers hold: they must have acknowledged the new version, and nobody may use the old one. Asked while
// both versions are valid, and once more at the moment before the first effect that switches the old version off, which a
// freeze, a blackout or a refusal may have held for days.

import type { LedgerEvent } from '#domain/ports.ts'
import type { Gate, Rotation } from '#domain/rotation.ts'
import { commit, type Run, type Step, write } from './rotation-engine.ts'
import { beginUndo } from './rotation-failure.ts'
import { acknowledgementGate, type Closed, observedIn, usageGate } from './rotation-gates.ts'
import { sceneOf } from './rotation-scene.ts'
import { progressOf } from './rotation-wait.ts'

/** The first gate that is shut, or the undo that late acknowledgements lead to; null when all are open. */
export const consumerGates = async (
  run: Run,
  rotation: Rotation,
  passed: ReadonlySet<Gate>,
): Promise<{ readonly shut: Closed } | { readonly step: Step } | null> => {
  const missing = passed.has('acknowledgement') ? null : await acknowledgementGate(run, rotation)
  const step = missing && (await lateAcknowledgements(run, rotation, missing))
  if (step) return { step }
  if (missing) return { shut: missing }
  if (passed.has('usage')) return null
  const { session, object, from } = await sceneOf(run, rotation)
  const used =
    from &&
    (await usageGate(run, rotation, {
      session,
      object,
      traits: rotation.plan.traits,
      version: from,
    }))
  return used && { shut: used }
}

const weekMs = 7 * 24 * 3_600_000

/** How often it should have been told of acknowledgements that are missing, after so much time that was seen to pass. */
export const alertsDue = (observedMs: number, timeoutMs: number): number => {
  if (observedMs < timeoutMs / 2) return 0
  return observedMs < timeoutMs ? 1 : 2 + Math.floor((observedMs - timeoutMs) / weekMs)
}

/** Told at half of the timeout, at its end, and every week after that; `onTimeout: rollback` undoes. */
const lateAcknowledgements = async (
  run: Run,
  rotation: Rotation,
  closed: Closed,
): Promise<Step | null> => {
  const { acknowledgement } = rotation.plan.policy.consumers
  if (!acknowledgement) return null
  const observed = await observedIn(run, rotation)
  const { timeoutMs, onTimeout } = acknowledgement
  if (observed >= timeoutMs && onTimeout === 'rollback') {
    return beginUndo(run, rotation, `${closed.text} in time`)
  }
  const due = alertsDue(observed, timeoutMs)
  const progress = await progressOf(run, rotation)
  if (due <= (progress.alerts ?? 0)) return null
  await commit(run, rotation, async (tx, at) => {
    await write(tx, at, {})
    await tx.writeTimer.set(rotation.id, { progress: { ...progress, alerts: due } })
    return { value: null, audit: [ackMissing(rotation, closed)] }
  })
  return null
}

const ackMissing = (rotation: Rotation, closed: Closed): LedgerEvent => ({
  action: 'rotation.ackMissing',
  target: { id: rotation.id, name: rotation.keyName },
  outcome: 'failed',
  correlationId: rotation.id,
  reason: closed.text,
  after: {
    key: rotation.keyName,
    keyId: rotation.keyId,
    policy: rotation.policy,
    version: rotation.toVersion,
    missing: closed.missing,
  },
})
