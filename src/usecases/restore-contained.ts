// What an incident of mode `disable` switched off is switched on again: intent, the provider, its word, one real use, and then
// the versions are what they were. A crash leaves an open intent: whoever has the lease next asks the provider, and goes on.
//
// A request to switch off that was given up may still land for a while, and be seen later still; nothing is switched on before that
// time is over, by the database's clock. What has no outcome then, be it because the restoration took the key from whoever was at it, is asked about
// and closed: what was done is taken back, what was not never will be. So is what an earlier try to switch on left, where the
// version has leaked since.
//
// What was off before the incident stays off: a version in its soak, or one that was retired by switching it off. So does what
// has leaked since: compromised is for ever (I11).

import { containing, lastIntent, restoring, stages } from '#domain/contain-key.ts'
import type { IncidentKey, VersionEvidence } from '#domain/incident.ts'
import type { Version } from '#domain/key.ts'
import type { LedgerEvent } from '#domain/ports.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Intent } from '#domain/rotation.ts'
import {
  asFailure,
  backoffMs,
  type Containing,
  isMet,
  mostTries,
  notDone,
  type Place,
  record,
  requestMs,
  said,
} from './contain-key.ts'
import { type Case, keyWith, plannedOf, timeAt } from './contained-cases.ts'
import { effectEvent, keyEvent } from './containment-events.ts'
import { beginIntent, endIntent } from './incident-intents.ts'
import type { Step } from './record-containment.ts'

export type RestoreKey = (engine: Containing, found: Case, place: Place) => Promise<void>

export const restoreKey: RestoreKey = async (engine, found, place) => {
  const { delayMs } = found.type.traits.consistency
  const late = Math.max(
    0,
    ...found.intents
      .filter(
        (intent) =>
          (intent.phase.startsWith('contain:') && intent.outcome !== 'succeeded') ||
          isLeft(found, intent),
      )
      .map(({ sentNotAfter }) => sentNotAfter.getTime() + delayMs - timeAt(found, engine.clock)),
  )
  if (late > 0) {
    await engine.release(found, { afterMs: late, stage: stages.contain, tries: found.lease.tries })
    return
  }
  const known = await closeLeft(engine, found, place)
  const begun = known && (await begin(engine, known))
  if (!begun) return
  const sent: (readonly [Intent, ProviderError | null])[] = []
  for (const intent of openOf(begun)) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    sent.push([intent, await place.turn(() => switchOn(engine, begun, place, intent))])
  }
  const failure = sent.find(([, error]) => error !== null)?.[1] ?? null
  await (failure
    ? again(engine, begun, sent, failure)
    : end(
        engine,
        begun,
        sent.map(([intent]) => intent),
      ))
}

/** Without an outcome, and nothing of what follows finds it. */
const isLeft = (found: Case, { phase, closed, target }: Intent): boolean =>
  !closed &&
  (phase === containing(found.incident.id) ||
    (phase === phaseOf(found) && !switchedOff(found).some(([, id]) => id === target)))

/** Null: it was given back, or the lease is lost. */
const closeLeft = async (
  engine: Containing,
  found: Case,
  { session, turn }: Place,
): Promise<Case | null> => {
  const left = found.intents.filter((intent) => isLeft(found, intent))
  if (left.length === 0) return found
  const ended: ((at: Date) => Intent)[] = []
  try {
    for (const intent of left) {
      const call = { signal: engine.clock.deadline(requestMs), incident: true }
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const state = await turn(() => session.stateOf(found.object, intent.target ?? '', call))
      const isOn = state === 'enabled'
      const done = intent.effect === 'reinstate' ? isOn : isMet(intent, state)
      const told = { ...intent, result: { state }, detail: 'found by a probe' }
      ended.push((at) => (done ? endIntent(told, null, at) : endIntent(intent, notDone, at)))
    }
  } catch (error) {
    await unanswered(engine, found, asFailure(error, false))
    return null
  }
  return record(engine, found, (at) => {
    const closed = ended.map((end) => end(at))
    const [first, ...more] = closed.map((intent) =>
      effectEvent(found, intent, intent.outcome ?? 'unknown', { detail: intent.detail }),
    )
    if (!first) throw new RangeError('nothing was left')
    return { key: { ...found.key, updatedAt: at }, ended: closed, events: [first, ...more] }
  })
}

const unanswered = async (
  engine: Containing,
  found: Case,
  failure: ProviderError,
): Promise<void> => {
  if (!failure.retryable || found.lease.tries + 1 >= mostTries)
    return again(engine, found, [], failure)
  const afterMs = backoffMs(engine.ids, found, failure)
  await engine.release(found, { afterMs, stage: stages.contain, tries: found.lease.tries + 1 })
}

const phaseOf = ({ incident }: Case): string => restoring(incident.id)

/** Whether it was on before the incident, and may be on again. With the whole key all of its versions would be on, and another
 *  incident, closed or not, may have ended one of them for ever. */
const comesBack = (found: Case, number: number): boolean => {
  const version = found.versions.find((one) => one.version === number)
  const { state: before, containment } = plannedOf(found, number)
  if (containment === 'switchOffKey' && hasLeaked(found.versions)) return false
  if (!version || version.state === 'compromised' || version.state === 'destroyed') return false
  if (before === 'suspended') return false
  // By `retire: keep` it was left on, by `retire: disable` it was suspended first.
  return before !== 'deactivated' || version.suspendedAt === null
}

const hasLeaked = (versions: readonly Version[]): boolean =>
  versions.some(({ state }) => state === 'compromised')

/** The provider versions that this incident has switched off, or may have. */
const switchedOff = (found: Case): readonly (readonly [VersionEvidence, string])[] =>
  found.evidence
    .filter(({ version }) => comesBack(found, version))
    .flatMap((one) =>
      plannedOf(found, one.version)
        .providerVersions.filter((id) => {
          const last = lastIntent(found.intents, containing(found.incident.id), id)
          return last !== null && last.outcome !== 'failed'
        })
        .map((id) => [one, id] as const),
    )

const openOf = (found: Case): readonly Intent[] =>
  switchedOff(found).flatMap(([, id]) => {
    const last = lastIntent(found.intents, phaseOf(found), id)
    return last && !last.closed ? [last] : []
  })

const begin = async (engine: Containing, found: Case): Promise<Case | null> => {
  const fresh = switchedOff(found).flatMap(([one, target]) => {
    const last = lastIntent(found.intents, phaseOf(found), target)
    return last?.closed === false || last?.outcome === 'succeeded' ? [] : [{ one, target, last }]
  })
  if (fresh.length === 0) return found
  const ids = fresh.map(() => engine.ids.next())
  return record(engine, found, (at) => {
    const begun = fresh.map(({ one: { version }, target, last }, n) =>
      beginIntent(
        found,
        {
          verb: 'restore',
          phase: phaseOf(found),
          target,
          last,
          effect: 'reinstate',
          preImage: { wanted: 'enabled', version },
          eventId: ids[n] ?? '',
        },
        at,
      ),
    )
    const [first, ...more] = begun.map((intent) =>
      effectEvent(found, intent, 'intent', { id: intent.eventId }),
    )
    if (!first) throw new RangeError('nothing is begun')
    return { key: found.key, begun, events: [first, ...more] }
  })
}

/** Null: it is on, and works. */
const switchOn = async (
  { clock, ledger }: Containing,
  found: Case,
  { session }: Place,
  { target, operationId, preImage }: Intent,
): Promise<ProviderError | null> => {
  const id = target ?? ''
  const call = { signal: clock.deadline(requestMs), operationId, incident: true }
  try {
    // As it is now: another incident may have compromised it since this key was claimed.
    const versions = await ledger.read((db) => db.versions.of(found.key.keyId))
    const version = versions.find((one) => one.version === preImage['version'])
    const isWholeKey = plannedOf(found, version?.version ?? 0).containment === 'switchOffKey'
    if (version?.state === 'compromised' || (isWholeKey && hasLeaked(versions)))
      return compromisedSince
    if ((await session.stateOf(found.object, id, call)) !== 'enabled')
      await session.reinstate(found.object, id, call)
    if (version?.state !== 'suspended') return null
    const { sealedId } = version
    const material = sealedId === null ? null : await ledger.read((db) => db.sealed.open(sealedId))
    const order = { object: found.object, providerVersion: id, material, preImage: {} }
    const verdict = await session.verify(
      { ...order, how: 'roundTrip' },
      { signal: clock.deadline(requestMs) },
    )
    return verdict.ok
      ? null
      : new ProviderError('transient', 'none', `it is on and does not work: ${verdict.detail}`)
  } catch (error) {
    return asFailure(error, call.signal.aborted)
  }
}

const compromisedSince = new ProviderError('permanent', 'none', 'it is compromised by now')

const again = async (
  engine: Containing,
  found: Case,
  sent: readonly (readonly [Intent, ProviderError | null])[],
  failure: ProviderError,
): Promise<void> => {
  const more = failure.retryable && found.lease.tries + 1 < mostTries
  await record(engine, found, (at) => {
    const ended = sent.map(([intent, error]) => endIntent(intent, error, at))
    const told = ended.map((intent) =>
      effectEvent(found, intent, intent.outcome ?? 'unknown', { detail: intent.detail }),
    )
    const change: Partial<IncidentKey> = more
      ? {}
      : { restoration: 'failed', detail: `It could not be restored: ${said(failure)}` }
    const key = keyWith(found, [], at, change)
    const [first, ...others] = [...told, ...(more ? [] : [keyEvent(key, [])])]
    if (!first) throw new RangeError('nothing was sent')
    return {
      key,
      ended,
      events: [first, ...others],
      release: {
        afterMs: more ? backoffMs(engine.ids, found, failure) : null,
        stage: stages.contain,
        tries: more ? found.lease.tries + 1 : 0,
      },
    }
  })
}

/** All of it is on: the versions are what they were, and what served serves again, unless something else does by now. What another
 *  incident has ended since this key was claimed, be it in this very moment, has not come back. */
const end = async (engine: Containing, found: Case, intents: readonly Intent[]): Promise<void> => {
  const receipt = engine.ids.next()
  await record(engine, found, (at) => ({
    ...backOn(found, intents, at, receipt),
    asOf: (versions) => backOn({ ...found, versions }, intents, at, receipt),
  }))
}

const backOn = (found: Case, intents: readonly Intent[], at: Date, receipt: string): Step => {
  const ended = intents.map((intent) => endIntent(intent, null, at))
  const back = found.evidence.filter(({ version }) => comesBack(found, version))
  const off = found.evidence.filter(({ version }) => !comesBack(found, version))
  const evidence = back.map((one): VersionEvidence => ({
    ...one,
    state: 'restored',
    auditEventId: receipt,
  }))
  const detail = off.length === 0 ? null : staysOff(off)
  // What was under way may do as it likes from here on: the incident is through with the key.
  const change: Partial<IncidentKey> = { restoration: 'done', lateUntil: null, detail }
  const key = { ...keyWith(found, evidence, at, change), state: 'restored' as const }
  const told: readonly LedgerEvent[] = ended.map((intent) =>
    effectEvent(found, intent, 'succeeded', {}),
  )
  return {
    key,
    ended,
    evidence,
    restored: restoredOf(found),
    events: [keyEvent(key, evidence, receipt), ...told],
    release: { afterMs: null, stage: stages.contain, tries: 0 },
  }
}

const staysOff = (off: readonly VersionEvidence[]): string =>
  `${off.map(({ version }) => `version ${version}`).join(', ')} stays off: it was off before, or it is compromised, or is switched on only with another version that is`

const restoredOf = (
  found: Case,
): readonly { readonly version: number; readonly primary: boolean }[] => {
  return found.versions.flatMap(({ version, state }) => {
    const before = found.key.plan.versions.find((one) => one.version === version)
    if (state !== 'suspended' || !before || !comesBack(found, version)) return []
    // A promotion that was under way has handed it out since.
    const promoted = before.state === 'preActivation'
    return before.state === 'active' || promoted
      ? [{ version, primary: before.primary || promoted }]
      : []
  })
}
