// One key of an emergency: its versions are switched off, and then the old credential is tried (prove-contained.ts). Every
// provider write has its intent, committed before; a crash at any line leaves it open, and whoever has the lease next asks the
// provider before it sends anything.
//
// It does not wait for a rotation of the key, nor for what that has under way: see record-containment.ts. What is sent has set
// semantics: sent again, when the provider was found not to have done it, it changes nothing more.

import {
  containing,
  effectOf,
  isSettled,
  lastIntent,
  mayContain,
  stages,
  uncontained,
} from '#domain/contain-key.ts'
import type { ContainedVersion, VersionEvidence } from '#domain/incident.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Clock, Ids, IncidentTimerPatch, Ledger } from '#domain/ports.ts'
import { ProviderError, type Session } from '#domain/provider.ts'
import type { Intent } from '#domain/rotation.ts'
import { afterStep, type Case, keyWith, plannedOf } from './contained-cases.ts'
import { effectEvent, keyEvent } from './containment-events.ts'
import { beginIntent, endIntent } from './incident-intents.ts'
import type { MakeStep, Recorder } from './record-containment.ts'

export interface Containing {
  readonly ledger: Ledger
  readonly recorder: Recorder
  readonly clock: Clock
  readonly ids: Ids
  /** Gives the lease back where nothing has happened. */
  readonly release: (found: Case, patch: IncidentTimerPatch) => Promise<void>
}

/** Where a key is: requests of one connection go on a few at a time. */
export interface Place {
  readonly session: Session
  readonly turn: <T>(work: () => Promise<T>) => Promise<T>
}

/** One request. */
export const requestMs = 12_000
const longestTurnMs = 40_000
/** Tries of one thing before it has failed. */
export const mostTries = 6
const mostThrottled = 40

interface Sending {
  readonly version: ContainedVersion
  readonly effect: 'suspend' | 'retire'
  readonly how: 'disable' | 'destroy'
  readonly intent: Intent
  /** Somebody who is gone began it. */
  readonly inherited: boolean
}

type Sent = Sending & { readonly outcome: Succeeded | Failed }
interface Succeeded {
  readonly ok: true
  readonly result: JsonObject
  readonly detail: string | null
}
interface Failed {
  readonly ok: false
  readonly error: ProviderError
}

/** Writes a step. Null: the lease is lost. */
export const record = async (
  { recorder }: Pick<Containing, 'recorder'>,
  found: Case,
  make: MakeStep,
): Promise<Case | null> => {
  const step = await recorder.add(found.lease, make)
  return step && afterStep(found, step)
}

/** Sends what is not known to be done. Null: the lease is lost, or was given back; else all of it is off. */
export const containKey = async (
  engine: Containing,
  found: Case,
  place: Place,
): Promise<Case | null> => {
  const begun = await begin(engine, found)
  if (!begun) return null
  const sendings = openOf(begun, new Set(found.intents.map(({ operationId }) => operationId)))
  if (sendings.length === 0) return begun
  const since = engine.clock.now()
  const sent = await Promise.all(
    sendings.map(async (sending): Promise<Sent> => ({
      ...sending,
      outcome: await place.turn(() => send(engine, begun, place.session, sending, since)),
    })),
  )
  return end(engine, begun, sent)
}

/** Whether something is to be sent, or to be found out. */
export const isToSend = (found: Case): boolean => wantedOf(found).length > 0

/** What is to be sent for the versions that are not at rest, one a provider version. */
const wantedOf = (found: Case) =>
  found.evidence
    .filter(
      (evidence) =>
        !isSettled(evidence) && mayContain(found.incident.mode, found.key, evidence.version),
    )
    .flatMap((evidence) => {
      const version = plannedOf(found, evidence.version)
      const effect = effectOf(version)
      if (!effect) return []
      return uncontained(found.intents, found.incident.id, version, evidence).map((target) => ({
        version,
        target,
        ...effect,
        last: lastIntent(found.intents, containing(found.incident.id), target),
      }))
    })

const openOf = (found: Case, before: ReadonlySet<string>): readonly Sending[] =>
  wantedOf(found).flatMap(({ last, target: _target, ...sending }) =>
    last && !last.closed
      ? [{ ...sending, intent: last, inherited: before.has(last.operationId) }]
      : [],
  )

/** Commits the intents of what has none that is open. */
const begin = async (engine: Containing, found: Case): Promise<Case | null> => {
  const fresh = wantedOf(found).filter(({ last }) => last?.closed !== false)
  if (fresh.length === 0) return found
  const phase = containing(found.incident.id)
  const named = fresh.map((one) => ({ ...one, eventId: engine.ids.next() }))
  return record(engine, found, (at) => {
    const begun = named.map(({ version: { version, state }, how, ...of }) => {
      const wanted = how === 'destroy' ? 'destroyed' : 'disabled'
      return beginIntent(
        found,
        { ...of, verb: 'contain', phase, preImage: { wanted, version, state } },
        at,
      )
    })
    const evidence = found.evidence.flatMap((one): readonly VersionEvidence[] => {
      const n = named.findIndex(({ version }) => version.version === one.version)
      const intent = begun[n]
      return intent
        ? [
            {
              ...one,
              state: 'revoking',
              requestedAt: one.requestedAt ?? at,
              operationId: intent.operationId,
              auditEventId: intent.eventId,
            },
          ]
        : []
    })
    const [first, ...more] = begun.map((intent) =>
      effectEvent(found, intent, 'intent', { id: intent.eventId }),
    )
    if (!first) throw new RangeError('nothing is begun')
    return { key: keyWith(found, evidence, at), begun, evidence, events: [first, ...more] }
  })
}

/** Never throws. One whose sender is gone is looked for, and sent anew under another id where it was not done. What is off already
 *  by what is known, in its soak or by another incident, is asked about before anything is sent. */
const send = async (
  { clock }: Containing,
  { object, versions }: Case,
  session: Session,
  { intent, version, effect, how, inherited }: Sending,
  since: Date,
): Promise<Sent['outcome']> => {
  if (clock.now().getTime() - since.getTime() > longestTurnMs) return { ok: false, error: tooLate }
  const id = intent.target ?? ''
  const { operationId } = intent
  const call = { signal: clock.deadline(requestMs), operationId, incident: true }
  try {
    const now = versions.find((one) => one.version === version.version)?.state
    if (inherited || now === 'suspended' || now === 'compromised') {
      const state = await session.stateOf(object, id, call)
      if (isMet(intent, state)) return { ok: true, result: { state }, detail: 'found by a probe' }
      if (inherited) return { ok: false, error: notDone }
    }
    const result =
      effect === 'suspend'
        ? await session.suspend(object, id, call)
        : await session.retire(object, id, how, call)
    return { ok: true, result, detail: null }
  } catch (error) {
    const failure = asFailure(error, call.signal.aborted)
    if (failure.kind !== 'notFound') return { ok: false, error: failure }
    // What is not there is refused; but not where a provider says so of what it cannot find right now.
    const again = { signal: clock.deadline(requestMs) }
    const state = await session.stateOf(object, id, again).catch(() => 'enabled' as const)
    return isMet(intent, state)
      ? { ok: true, result: { state }, detail: 'it was gone already' }
      : { ok: false, error: failure }
  }
}

export const isMet = (
  { preImage }: Intent,
  state: 'enabled' | 'disabled' | 'destroyed' | 'absent',
): boolean =>
  state === 'destroyed' ||
  state === 'absent' ||
  (state === 'disabled' && preImage['wanted'] === 'disabled')

export const notDone = new ProviderError(
  'outcomeUnknown',
  'none',
  'whoever sent it is gone, and the provider has not done it',
)

const tooLate = new ProviderError('throttled', 'none', 'its turn came too late: nothing was sent')

/** Of a fault that no adapter translated nothing is kept but its class. */
export const asFailure = (error: unknown, aborted: boolean): ProviderError => {
  if (error instanceof ProviderError) return error
  const name = error instanceof Error ? error.name : typeof error
  return new ProviderError(
    aborted ? 'timeout' : 'outcomeUnknown',
    'unknown',
    `the adapter failed (${name})`,
  )
}

/** What became of it. A version all of whose provider versions are off is off. */
const end = async (
  engine: Containing,
  found: Case,
  sent: readonly Sent[],
): Promise<Case | null> => {
  const failures = sent.flatMap((one) => (one.outcome.ok ? [] : [{ ...one, ...one.outcome }]))
  const over = new Set(
    failures
      .filter(({ error }) => !mayTryAgain(error, found.lease.tries))
      .map(({ version }) => version.version),
  )
  const again = failures.filter(({ version }) => !over.has(version.version))
  const waitMs = Math.max(0, ...again.map(({ error }) => backoffMs(engine.ids, found, error)))
  const next = await record(engine, found, (at) => {
    const ended = sent.map(({ intent, outcome }) =>
      outcome.ok
        ? endIntent({ ...intent, result: outcome.result, detail: outcome.detail }, null, at)
        : endIntent(intent, outcome.error, at),
    )
    const now = afterStep(found, { key: found.key, ended })
    const evidence = now.evidence.flatMap((one): readonly VersionEvidence[] => {
      const failure = failures.find(({ version }) => version.version === one.version)
      if (over.has(one.version) && failure)
        return [{ ...one, state: 'failed', detail: said(failure.error), code: failure.error.kind }]
      return isSettled(one) || one.effectiveAt || !isOff(now, one)
        ? []
        : [{ ...one, effectiveAt: at }]
    })
    const contained = evidence.flatMap(({ version, effectiveAt }) => {
      const state = effectiveAt && stateAfter(found, plannedOf(found, version))
      return state ? [{ version, state }] : []
    })
    const key = keyWith(found, evidence, at)
    const told = sent.map(({ intent, outcome }) =>
      outcome.ok
        ? effectEvent(found, intent, 'succeeded', { after: outcome.result, detail: outcome.detail })
        : effectEvent(found, intent, outcome.error.effect === 'none' ? 'failed' : 'unknown', {
            detail: said(outcome.error),
          }),
    )
    const settled = evidence.filter(isSettled)
    const [first, ...more] = [...told, ...(settled.length > 0 ? [keyEvent(key, settled)] : [])]
    if (!first) throw new RangeError('nothing was sent')
    const release: IncidentTimerPatch | null =
      again.length > 0
        ? { afterMs: waitMs, stage: stages.contain, tries: found.lease.tries + 1 }
        : null
    return {
      key,
      ended,
      contained,
      evidence,
      events: [first, ...more],
      ...(release ? { release } : {}),
    }
  })
  return again.length > 0 ? null : next
}

const isOff = (found: Case, evidence: VersionEvidence): boolean => {
  const planned = plannedOf(found, evidence.version)
  return (
    effectOf(planned) !== null &&
    uncontained(found.intents, found.incident.id, planned, evidence).length === 0
  )
}

/** What the version is here from now on; null: what it was. A mode that brings back suspends what is active. */
export const stateAfter = (
  { incident }: Case,
  { containment }: ContainedVersion,
): 'suspended' | 'compromised' | null => {
  if (incident.mode !== 'disable') return 'compromised'
  return containment === 'none' || containment === 'byHand' ? null : 'suspended'
}

const mayTryAgain = (error: ProviderError, tries: number): boolean =>
  error.kind === 'throttled' ? tries < mostThrottled : error.retryable && tries + 1 < mostTries

export const backoffMs = (
  ids: Pick<Ids, 'fraction'>,
  { lease }: Case,
  { retryAfterMs }: ProviderError,
): number => {
  const ceiling = Math.min(30_000, 1_000 * 2 ** lease.tries)
  return Math.max(retryAfterMs ?? 0, ceiling * (0.5 + ids.fraction() / 2))
}

export const said = ({ message, hint }: ProviderError): string =>
  message + (hint ? ` (${hint})` : '')
