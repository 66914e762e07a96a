// What failed is tried again, as often as its class and the policy allow, and then it ends: on the failure edge of the phase,
// or in a stall that somebody is told of. Tries are counted for one thing at a time (an effect on one target, a read), in a
// row: another thing, a success or another visit of the phase begins anew.

import { AtLimit, type ProviderError } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { mayGo } from '#domain/rotation-machine.ts'
import { type Run, stall, type Step } from './rotation-engine.ts'
import { fail } from './rotation-failure.ts'
import { progressOf, waitFor, waitForRoom } from './rotation-wait.ts'

/** The provider said no, or could not be asked for something that has no effect. */
export const refused = async (
  run: Run,
  rotation: Rotation,
  of: string,
  failure: ProviderError,
  { firstAtOnce = false } = {},
): Promise<Step> => {
  if (failure instanceof AtLimit) return waitForRoom(run, rotation, roomAfter(failure))
  const count = await nextTry(run, rotation, of)
  if (failure.retryable && count < rotation.plan.policy.retry.attempts) {
    return waitFor(run, rotation, 'retry', `${of} failed, try ${count}: ${failure.message}`, {
      afterMs: firstAtOnce && count === 1 ? 0 : backoff(run, rotation, count, failure),
      progress: { tries: { of, count } },
    })
  }
  return fail(run, rotation, `${of}: ${withHint(failure)}`)
}

/** An effect is under way and the provider does not say what became of it: nothing may be undone or repeated before it
 *  does, so the end of these tries is always a stall. */
export const unanswered = async (
  run: Run,
  rotation: Rotation,
  of: string,
  failure: ProviderError,
): Promise<Step> => {
  if (failure instanceof AtLimit) return waitForRoom(run, rotation, roomAfter(failure))
  const count = await nextTry(run, rotation, of)
  if (count >= Math.max(3, rotation.plan.policy.retry.attempts)) {
    return stall(run, rotation, `what became of ${of} cannot be found out: ${withHint(failure)}`)
  }
  const text = `the provider does not say what became of ${of}: ${failure.message}`
  return waitFor(run, rotation, 'probe', text, {
    afterMs: backoff(run, rotation, count, failure),
    progress: { tries: { of, count } },
  })
}

/** Within a step there was no room for one of its requests, though there was when it began. */
const roomAfter = ({ retryAfterMs, message }: AtLimit) => ({
  afterMs: retryAfterMs ?? 1_000,
  why: message,
})

/** What faults are counted as, whatever their class. */
export const faultTries = 'fault'
/** Tries of what nobody foresaw: with these pauses about three minutes, time for a deployment that mends it. */
const mostFaults = 8
const firstFaultMs = 2_000
const longestFaultMs = 60_000

/** A bug here or in an adapter. Its text may carry anything: the record names its class, the worker's log has the rest. */
export const faulted = async (run: Run, rotation: Rotation, error: unknown): Promise<Step> => {
  const of = faultTries
  const count = await nextTry(run, rotation, of)
  const what = `a fault in Rekey (${error instanceof Error ? error.name : typeof error})`
  if (count >= mostFaults) {
    const reason = `${what} in ${rotation.phase}, ${count} times in a row: the worker's log says more`
    return mayGo(rotation.phase, 'stalled')
      ? stall(run, rotation, reason)
      : fail(run, rotation, reason)
  }
  return waitFor(run, rotation, 'retry', `${what}, try ${count}`, {
    afterMs: Math.min(longestFaultMs, firstFaultMs * 2 ** (count - 1)),
    progress: { tries: { of, count } },
  })
}

const nextTry = async (run: Run, rotation: Rotation, of: string): Promise<number> => {
  const { tries } = await progressOf(run, rotation)
  return (tries?.of === of ? tries.count : 0) + 1
}

const withHint = ({ message, hint }: ProviderError): string => message + (hint ? ` (${hint})` : '')

/** Exponential with full jitter; a provider's Retry-After is a floor. */
const backoff = (run: Run, rotation: Rotation, tries: number, failure: ProviderError): number => {
  const { initialMs, maxMs } = rotation.plan.policy.retry
  const ceiling = Math.min(maxMs, initialMs * 2 ** Math.min(tries - 1, 30))
  return Math.max(failure.retryAfterMs ?? 0, 100, ceiling * run.ids.fraction())
}
