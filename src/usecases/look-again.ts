// What was under way when a key was contained (a rotation's undo, the restoration of another incident) had been sent before anybody
// knew of the emergency, and may land after the proof: the version is on again, and the record says that it is refused. So the
// key is looked at once more when nothing of it can land any more, or as soon as somebody has found out that it has landed
// (resolve-effect.ts rings). What is on is pending again: it is switched off and proven like the first time.
//
// Until then the incident is not at rest, so that it is neither called contained nor closed. Looking leaves nothing: a crash here
// looks once more.

import { effectOf, isSettled, stages } from '#domain/contain-key.ts'
import type { VersionEvidence } from '#domain/incident.ts'
import type { Version } from '#domain/key.ts'
import type { IncidentTimerPatch } from '#domain/ports.ts'
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
import { type Trial, tryVersion } from './prove-contained.ts'

/** Whether something that was under way may have changed what was proven. */
export const isToLook = (found: Case): boolean =>
  found.key.lateUntil !== null &&
  found.key.replacement !== 'pending' &&
  toLookAt(found).length === found.evidence.length

/** Whoever has the rotation finds out soon what became of it, and rings. */
const unresolvedMs = 5_000

/** When it is looked at, from now, in milliseconds; null: it is not. */
export const lateMsOf = ({ key, type }: Pick<Case, 'key' | 'type'>, now: number): number | null => {
  if (key.lateUntil === null) return null
  const leftMs = key.lateUntil.getTime() + type.traits.consistency.delayMs - now
  return leftMs >= 0 ? leftMs + 1 : unresolvedMs
}

/** Its outcome will change what the records say, too. A rotation that is stalled, or has ended, asks no more by itself. */
const isUnresolved = async ({ ledger }: Pick<Containing, 'ledger'>, keyId: string) =>
  ledger.read(async (db) => {
    const rotation = await db.rotations.openOf(keyId)
    return (
      rotation !== null &&
      rotation.phase !== 'stalled' &&
      (await db.intents.switchingOn([keyId])).length > 0
    )
  })

const toLookAt = ({ evidence }: Case): readonly VersionEvidence[] =>
  evidence.filter((one) => isSettled(one) && one.state !== 'restored')

/** Looks, and gives the lease back. False: there is nothing to be looked at. */
export const lookAgain = async (
  engine: Containing,
  found: Case,
  place: Place,
  next: (after: Case) => IncidentTimerPatch,
): Promise<boolean> => {
  if (!isToLook(found)) return false
  const since = timeAt(found, engine.clock)
  const looked: (readonly [VersionEvidence, Trial])[] = []
  for (const one of toLookAt(found)) {
    // oxlint-disable-next-line no-await-in-loop -- canaries are spaced
    looked.push([one, await lookAt(engine, found, one, place)])
  }
  const errors = looked.flatMap(([, trial]) => (trial.is === 'failed' ? [trial.error] : []))
  const { delayMs } = found.type.traits.consistency
  const isOver =
    since > (found.key.lateUntil?.getTime() ?? 0) + delayMs &&
    !(await isUnresolved(engine, found.key.keyId))
  const again = errors.length > 0 && found.lease.tries + 1 < mostTries
  await record(engine, found, (at) => {
    const evidence = looked.flatMap(([one, trial]) => changedBy(one, trial, again))
    const key = keyWith(found, evidence, at, isOver && !again ? { lateUntil: null } : {})
    const after = afterStep(found, { key, evidence })
    // What was under way may have made one of them active, or handed it out, in the records too. As long as nobody knows what became
    // of it, whoever has the rotation is not fenced for the sake of what is as it was.
    const contained = looked.flatMap(([{ version }, trial]) => {
      const state = trial.is === 'refused' ? stateAfter(found, plannedOf(found, version)) : null
      return state && (isOver || !isRecorded(found, version, state)) ? [{ version, state }] : []
    })
    const waitMs = Math.max(0, ...errors.map((error) => backoffMs(engine.ids, found, error)))
    return {
      key,
      contained,
      proven: provenOf(found, after.evidence),
      evidence,
      events: [keyEvent(key, evidence)],
      release: again
        ? { afterMs: waitMs, stage: stages.prove, tries: found.lease.tries + 1 }
        : next(after),
    }
  })
  return true
}

const isRecorded = ({ versions }: Case, number: number, state: Version['state']): boolean =>
  versions.some((one) => one.version === number && one.state === state && !one.primary)

/** What was refused is tried as before. Of what could not be tried, or was accepted still, the provider's word is asked for. */
const lookAt = async (
  engine: Containing,
  found: Case,
  { version, state }: VersionEvidence,
  place: Place,
): Promise<Trial> => {
  const planned = plannedOf(found, version)
  if (state === 'refused' || state === 'refusedAfter')
    return tryVersion(engine, found, version, place)
  if (state === 'failed' || effectOf(planned) === null) return { is: 'untried', why: '' }
  const signal = engine.clock.deadline(requestMs)
  try {
    for (const id of planned.providerVersions) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const there = await place.turn(() => place.session.stateOf(found.object, id, { signal }))
      if (there === 'enabled') return { is: 'accepted', detail: `${id} is on` }
    }
    return { is: 'untried', why: '' }
  } catch (error) {
    return { is: 'failed', error: asFailure(error, signal.aborted) }
  }
}

/** Nothing where it is as it was. */
const changedBy = (
  one: VersionEvidence,
  trial: Trial,
  again: boolean,
): readonly VersionEvidence[] => {
  if (trial.is === 'accepted')
    return [
      {
        ...one,
        state: 'pending',
        requestedAt: null,
        effectiveAt: null,
        provenAt: null,
        operation: null,
        code: null,
        refusedAfter: null,
        detail: `Something that was under way has switched it on again: ${trial.detail}`,
      },
    ]
  if (trial.is !== 'failed' || again || one.state === 'unproven') return []
  const detail = `It was refused, and could not be tried again once all that was under way was over: ${said(trial.error)}`
  return [{ ...one, state: 'unproven', provenAt: null, detail }]
}
