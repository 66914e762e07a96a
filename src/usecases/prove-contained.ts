// Refused means tried and refused. The old credential is tried once for each provider version, one after the other, by the
// adapter's own canary, and never where the preview says that it cannot be. What the provider still accepts has failed, however
// politely it said that it is off; what nobody could try is unproven. Trying leaves nothing: a crash here tries once more.

import {
  cachedUntil,
  containing,
  isSettled,
  lastIntent,
  mayContain,
  stages,
} from '#domain/contain-key.ts'
import type { ContainedVersion, VersionEvidence } from '#domain/incident.ts'
import type { JsonObject } from '#domain/json.ts'
import type { IncidentTimerPatch } from '#domain/ports.ts'
import type { ProviderError } from '#domain/provider.ts'
import {
  asFailure,
  backoffMs,
  type Containing,
  mostTries,
  type Place,
  record,
  requestMs,
  said,
  stateAfter,
} from './contain-key.ts'
import { afterStep, type Case, keyWith, plannedOf, provenOf, timeAt } from './contained-cases.ts'
import { keyEvent } from './containment-events.ts'

export type Trial =
  | { readonly is: 'refused'; readonly facts: JsonObject }
  | { readonly is: 'accepted'; readonly detail: string }
  | { readonly is: 'untried'; readonly why: string; readonly at?: Date }
  | { readonly is: 'failed'; readonly error: ProviderError }

/** Whether something is off and not tried yet. */
export const isToProve = (found: Case, now: number): boolean =>
  found.evidence.some((one) => isToTry(found, one, now))

/** Tries what is off and not tried yet, and gives the lease back. False: there is nothing to be tried. */
export const proveKey = async (
  engine: Containing,
  found: Case,
  place: Place,
  next: (after: Case) => IncidentTimerPatch,
): Promise<boolean> => {
  const due = found.evidence.filter((one) => isToTry(found, one, timeAt(found, engine.clock)))
  if (due.length === 0) return false
  const trials = new Map<number, Trial>()
  for (const { version } of due) {
    // oxlint-disable-next-line no-await-in-loop -- canaries are spaced
    trials.set(version, await tryVersion(engine, found, version, place))
  }
  const receipt = engine.ids.next()
  const fraction = { fraction: () => 0.5 }
  await record(engine, found, (at) => {
    const evidence = due.map((one) => {
      const trial = trials.get(one.version)
      return trial ? judged(found, one, trial, at, receipt) : one
    })
    const key = keyWith(found, evidence, at)
    // What is not answered for is asked again, later and later, whatever it counts as meanwhile.
    const waits = evidence.some((one) => !isSettled(one) || isToTry(found, one, at.getTime()))
    const errors = [...trials.values()].flatMap((trial) =>
      trial.is === 'failed' ? [trial.error] : [],
    )
    const spreadMs =
      found.type.traits.consistency.delayMs / found.type.traits.consistency.confirmations
    const afterMs = Math.max(
      200,
      spreadMs,
      ...errors.map((error) => backoffMs(fraction, found, error)),
    )
    // What was sent is written down already.
    const contained = evidence.flatMap(({ version, requestedAt }) => {
      const state = requestedAt ? null : stateAfter(found, plannedOf(found, version))
      return state ? [{ version, state }] : []
    })
    return {
      key,
      contained,
      proven: provenOf(found, evidence),
      evidence,
      events: [keyEvent(key, evidence, receipt)],
      release: waits
        ? { afterMs, stage: stages.prove, tries: found.lease.tries + errors.length }
        : next(afterStep(found, { key, evidence })),
    }
  })
  return true
}

/** Off, or never to be sent; or refused once, and the time of its caches is over. */
const isToTry = (found: Case, one: VersionEvidence, now: number): boolean => {
  const until = cachedUntil(one)
  if (until !== null) return until.getTime() <= now
  if (isSettled(one) || !mayContain(found.incident.mode, found.key, one.version)) return false
  const { containment } = plannedOf(found, one.version)
  if (containment === 'replace') return found.key.replacement === 'done'
  return containment === 'none' || containment === 'byHand' || one.effectiveAt !== null
}

export const tryVersion = async (
  { ledger, clock }: Pick<Containing, 'ledger' | 'clock'>,
  found: Case,
  number: number,
  { session, turn }: Place,
): Promise<Trial> => {
  const planned = plannedOf(found, number)
  if (planned.containment === 'byHand') return untriedByHand(found, planned)
  // Nothing was sent, and it is what readers get.
  if (planned.containment === 'none' && planned.state !== 'destroyed' && planned.primary)
    return { is: 'accepted', detail: planned.why ?? 'nothing could be sent' }
  const trial = await tryAtProvider({ ledger, clock }, found, planned, { session, turn })
  // What no provider revokes may be refused for one use and good for another: that nobody has ended it is what is known.
  return trial.is === 'refused' && endsNothing(found, planned)
    ? { is: 'untried', why: planned.why ?? 'Its provider revokes nothing.' }
    : trial
}

/** Nobody can try it. Whether it is off is what a person has said (confirm-containment.ts), be it before it was executed again. */
const untriedByHand = (found: Case, planned: ContainedVersion): Trial => {
  const words = planned.providerVersions.map((id) =>
    lastIntent(found.intents, containing(found.incident.id), id),
  )
  const at = words[0]?.endedAt
  if (at && words.every((word) => word?.outcome === 'succeeded'))
    return { is: 'untried', why: `Switched off by hand, a person said at ${at.toISOString()}.`, at }
  return {
    is: 'untried',
    why: `${planned.why ?? 'A person must switch it off.'} Nobody has said that it is done.`,
  }
}

const endsNothing = ({ type }: Case, { containment, state }: ContainedVersion): boolean =>
  containment === 'none' &&
  state !== 'destroyed' &&
  (type.traits.revokes === 'none' || type.incident?.endedBy === 'nobody')

const tryAtProvider = async (
  { ledger, clock }: Pick<Containing, 'ledger' | 'clock'>,
  found: Case,
  planned: ContainedVersion,
  { session, turn }: Place,
): Promise<Trial> => {
  const version = found.versions.find((one) => one.version === planned.version)
  if (planned.providerVersions.length === 0)
    return { is: 'untried', why: planned.why ?? 'Its provider never had it.' }
  if (planned.expect === 'unproven' && planned.containment !== 'none')
    return { is: 'untried', why: planned.why ?? 'It cannot be tried.' }
  if (found.type.incident?.proof === 'asked')
    return asked({ clock }, found, planned, { session, turn })
  const needsValue = found.type.incident?.proof === 'material'
  if (!version || (needsValue && !version.materialKnown))
    return { is: 'untried', why: planned.why ?? 'Its value is not known here: it cannot be tried.' }
  const { sealedId } = version
  try {
    const material = sealedId === null ? null : await ledger.read((db) => db.sealed.open(sealedId))
    let facts: JsonObject = {}
    for (const providerVersion of planned.providerVersions) {
      const order = { object: found.object, providerVersion, material, preImage: {} }
      // oxlint-disable-next-line no-await-in-loop -- canaries are spaced
      const verdict = await turn(() =>
        session.verify(
          { ...order, how: 'refused' },
          { signal: clock.deadline(requestMs), incident: true },
        ),
      )
      if (!verdict.ok) return { is: 'accepted', detail: verdict.detail }
      facts = verdict.facts
      // The provider says that it is off, and nobody has tried it.
      if (facts['tried'] === false)
        return { is: 'untried', why: 'Its provider says that it is off; its value is not known.' }
    }
    return { is: 'refused', facts }
  } catch (error) {
    return { is: 'failed', error: asFailure(error, false) }
  }
}

/** Never tried, since wrong tries lock good ones out; and nothing was sent. What its provider says of it is not a refusal. */
const asked = async (
  { clock }: Pick<Containing, 'clock'>,
  found: Case,
  planned: ContainedVersion,
  { session, turn }: Place,
): Promise<Trial> => {
  const signal = clock.deadline(requestMs)
  try {
    for (const id of planned.providerVersions) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const state = await turn(() => session.stateOf(found.object, id, { signal }))
      if (state === 'enabled') return { is: 'accepted', detail: `${id} is on at its provider` }
    }
    return {
      is: 'untried',
      why: 'Its provider says that it is off, and it is not tried: wrong tries would lock good ones out.',
    }
  } catch (error) {
    return { is: 'failed', error: asFailure(error, signal.aborted) }
  }
}

const judged = (
  found: Case,
  one: VersionEvidence,
  trial: Trial,
  at: Date,
  receipt: string,
): VersionEvidence => {
  const effectiveAt = one.effectiveAt ?? (one.containment === 'replace' ? at : null)
  const now = { ...one, effectiveAt, auditEventId: receipt }
  switch (trial.is) {
    case 'untried':
      return {
        ...now,
        state: 'unproven',
        effectiveAt: trial.at ?? effectiveAt,
        detail: trial.why,
      }
    case 'failed':
      if (found.lease.tries + 1 < mostTries && trial.error.retryable) return one
      return { ...now, state: 'unproven', detail: `It could not be tried: ${said(trial.error)}` }
    case 'accepted': {
      const { delayMs } = found.type.traits.consistency
      const until = (one.effectiveAt ?? at).getTime() + delayMs
      // That it is off may not be known everywhere yet.
      if (one.containment !== 'none' && one.state === 'revoking' && at.getTime() < until) return one
      return { ...now, state: 'failed', detail: `It is accepted still: ${trial.detail}` }
    }
    case 'refused': {
      const { operation, code } = toldBy(trial.facts)
      const known = { ...now, operation, code, detail: null }
      const cachedMs = found.type.incident?.cachedForMs?.(found.connection.settings) ?? 0
      const planned = plannedOf(found, one.version)
      const keptUntil = keptUntilIn(trial.facts)
      if (keptUntil === 0 && (planned.expect !== 'refusedAfter' || cachedMs === 0))
        return { ...known, state: 'refused', provenAt: at }
      const refusedAfter =
        one.refusedAfter ?? new Date(Math.max((effectiveAt ?? at).getTime() + cachedMs, keptUntil))
      return {
        ...known,
        state: 'refusedAfter',
        refusedAfter,
        provenAt: refusedAfter <= at ? at : null,
      }
    }
  }
}

/** Until when copies may be kept that were handed out before it was switched off; 0: the adapter knows of none. */
const keptUntilIn = ({ acceptedUntil }: JsonObject): number =>
  typeof acceptedUntil === 'string' ? new Date(acceptedUntil).getTime() || 0 : 0

/** What was tried, and what the refusal came with, in the words of the adapter. */
const toldBy = (facts: JsonObject): { readonly operation: string; readonly code: string } => {
  const text = (name: string): string | null => {
    const value = facts[name]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : null
  }
  return {
    operation: text('operation') ?? 'verify',
    code: text('code') ?? text('status') ?? text('state') ?? 'refused',
  }
}
