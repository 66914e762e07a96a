// An intent without an outcome: the provider is asked what became of it before the rotation does anything else. Whoever
// holds the lease does this, whether the request's reply was lost, its sender died, or a person has turned the rotation
// round since.
//
// An effect of the phase that the rotation is in may be sent again once it is known to be absent. One of a phase that was
// left is only looked for: what it did becomes part of what is undone, and it is never sent.

import type { HandStep } from '#domain/by-hand.ts'
import { type Probe, ProviderError } from '#domain/provider.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import { renewLease, type Run, stall, type Step } from './rotation-engine.ts'
import { specOf } from './effect-of-intent.ts'
import { absentDetail, record } from './record-effect.ts'
import { recoveryIn } from './rotation-holds.ts'
import { refused, unanswered } from './rotation-retries.ts'
import { longestWaitMs, progressOf, waitFor } from './rotation-wait.ts'
import {
  asProviderError,
  type EffectSpec,
  materialIn,
  nameOf,
  type Sent,
  succeeded,
  waitHeld,
  writeMs,
} from './run-effect.ts'

const probeMs = 10_000
/** A provider that works on one request for longer than this is a matter for a person. */
const mostProgressMs = 24 * 3_600_000

export const resolveEffect = async (
  run: Run,
  rotation: Rotation,
  intent: Intent,
): Promise<Step> => {
  // A removal may follow, or another try: in recovery mode nothing is even looked for.
  const recovery = await run.ledger.read(recoveryIn)
  if (recovery) return waitHeld(run, rotation, recovery)
  // The answer counts for the moment when it was asked for.
  const askedAt = await run.timers.now()
  let spec: EffectSpec
  let answer: Probe<Sent>
  try {
    spec = await specOf(run, rotation, intent)
    const call = { signal: run.clock.deadline(probeMs), operationId: intent.operationId }
    answer = await spec.probe(intent, await materialIn(run, intent), call)
  } catch (error) {
    return unanswered(run, rotation, nameOf(intent), asProviderError(error))
  }
  const open: Open = { run, rotation, spec, intent, askedAt }
  if (spec.byHand && answer.answer === 'absent') return personsAnswer(open, spec.byHand)
  switch (answer.answer) {
    case 'ours':
      return answer.secretLost && spec.discard
        ? discarded(open, answer.value)
        : succeeded(run, rotation, spec, intent, answer.value, await foundBy(run, spec, intent))
    case 'goalMet': {
      const detail = 'the goal was found met; by whom is not known'
      return succeeded(run, rotation, spec, intent, answer.value, detail)
    }
    case 'inProgress':
      return inProgress(open, answer.pollAfterMs)
    case 'absent':
      return absent(open)
    case 'partial':
      return stallOpen(open, `${nameOf(spec)} was found half done: ${answer.detail}`)
    case 'foreign': {
      const found = `${nameOf(spec)} was found not ours: ${answer.detail}`
      // In undo there is nothing of ours to take back, and what is not ours is not touched.
      if (wasLeft(open)) return ended(open, found)
      if (spec.foreign === 'stays') {
        return { moved: await record(run, rotation, spec, intent, 'failed', found) }
      }
      return spec.foreign === 'overwritten' ? absent(open) : stallOpen(open, found)
    }
  }
}

/** Only who has said something has confirmed it. */
const foundBy = async (run: Run, { byHand }: EffectSpec, { operationId }: Intent) => {
  if (!byHand) return 'found by a probe'
  const said = await run.ledger.read((db) => db.confirmations.get(operationId))
  return said ? 'confirmed by a person' : 'it was so already: nobody was asked'
}

interface Open {
  readonly run: Run
  readonly rotation: Rotation
  readonly spec: EffectSpec
  readonly intent: Intent
  readonly askedAt: Date
}

/** The rotation is in another phase now than when this was sent. */
const wasLeft = ({ rotation, intent }: Open): boolean => intent.phase !== rotation.phase

/** Found after the request can have had its effect at last, as often as the type's consistency asks: it did not happen. */
const absent = async (open: Open): Promise<Step> => {
  const { run, rotation, spec, intent, askedAt } = open
  const { delayMs, confirmations } = spec.consistency
  if (spec.lateEffectMs !== 'anytime') {
    const until = new Date(intent.sentNotAfter.getTime() + delayMs)
    const leftMs = until.getTime() - askedAt.getTime()
    if (leftMs >= 0) {
      const text = `${nameOf(spec)} is not there yet and may still arrive`
      return waitFor(run, rotation, 'probe', text, { afterMs: Math.min(leftMs + 1, 5_000), until })
    }
    const { absent: before } = await progressOf(run, rotation)
    const { operationId } = intent
    const seen = (before?.operationId === operationId ? before.seen : 0) + 1
    if (seen < confirmations) {
      const text = `${nameOf(spec)} was not found; looking again`
      const afterMs = delayMs / confirmations
      return waitFor(run, rotation, 'probe', text, {
        afterMs,
        progress: { absent: { operationId, seen } },
      })
    }
  }
  return ended(open, absentDetail)
}

/** Nobody has said that it is done. Somebody may have said that it was not; else it is waited for, and a person who lets it
 *  pass its date is a matter for others. Also where the rotation was turned round: what was done must be known first. */
const personsAnswer = async (open: Open, step: HandStep): Promise<Step> => {
  const { run, rotation, spec, intent, askedAt } = open
  const said = await run.ledger.read((db) => db.confirmations.get(intent.operationId))
  if (said?.done === false) {
    const detail = `${said.principalName} says that it was not done: ${said.evidence}`
    const now = await record(run, rotation, spec, intent, 'failed', detail)
    if (wasLeft(open)) return { moved: now }
    return refused(run, now, nameOf(spec), new ProviderError('permanent', 'none', detail))
  }
  const again = rotation.phaseEnteredAt.getTime() + step.withinMs
  const until = new Date(Math.max(intent.sentNotAfter.getTime(), again))
  if (askedAt > until) {
    return stallOpen(open, `nobody has confirmed by ${until.toISOString()}: ${step.asks}`)
  }
  const text = wasLeft(open)
    ? `say whether this was done before it was undone: ${step.asks}`
    : step.asks
  return waitFor(run, rotation, 'person', text, {
    afterMs: longestWaitMs,
    until,
    missing: step.steps,
  })
}

/** Known to have had no effect: closed. Unless its phase was left it is sent anew under another id, as often as the policy
 *  says, and then the phase has failed. */
const ended = async (open: Open, detail: string): Promise<Step> => {
  const { run, rotation, spec, intent } = open
  const now = await record(run, rotation, spec, intent, 'failed', detail)
  if (wasLeft(open)) return { moved: now }
  const failure = new ProviderError('outcomeUnknown', 'none', detail)
  return refused(run, now, nameOf(spec), failure, { firstAtOnce: true })
}

/** Removing an orphan is covered by the intent that made it. A crash before it is recorded finds the orphan again, or its
 *  absence, and goes on from there; so does a removal that failed. */
const discarded = async (open: Open, orphan: Sent): Promise<Step> => {
  const { run, rotation, spec, intent } = open
  await renewLease(run, rotation)
  try {
    const call = { signal: run.clock.deadline(writeMs), operationId: intent.operationId }
    await spec.discard?.(orphan, call)
  } catch (error) {
    return unanswered(run, rotation, `the removal of ${nameOf(spec)}`, asProviderError(error))
  }
  return ended(open, 'its secret was lost with the reply: removed')
}

const inProgress = async (open: Open, pollAfterMs: number): Promise<Step> => {
  const { run, rotation, spec, intent, askedAt } = open
  if (askedAt.getTime() - intent.startedAt.getTime() > mostProgressMs) {
    return stallOpen(open, `${nameOf(spec)} is in progress at the provider for more than a day`)
  }
  const text = `${nameOf(spec)} is still in progress at the provider`
  return waitFor(run, rotation, 'probe', text, { afterMs: pollAfterMs })
}

/** The intent stays open: whoever resumes asks again. */
const stallOpen = async ({ run, rotation, spec, intent }: Open, reason: string): Promise<Step> =>
  stall(run, await record(run, rotation, spec, intent, 'unknown', reason), reason)
