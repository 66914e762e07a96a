// The gates between overlap and the end of an old version: time that was seen to pass, acknowledgements, silence.
// The same gates guard the removal of a *new* version in undo, so that those who moved are not cut off.
//
// Time here is the observed clock (`Timers.observe`): it grows in steps of at most a minute, so neither a jumping clock nor
// a long downtime opens anything early. Unknown last use counts as used.
//
// An override passes one gate, said by two people. It counts for the passage in which they said it: the way from the
// overlap to the switching off that follows, or one undo. Whoever says "go on although orders is silent" knows that nothing
// has failed so far; once the rotation stalled or turned round, that is no longer what they decided on.

import { formatDuration } from '#domain/duration.ts'
import type { Version } from '#domain/key.ts'
import {
  type ObjectAddress,
  ProviderError,
  type Session,
  type TypeTraits,
} from '#domain/provider.ts'
import type { Approval, Gate, Rotation } from '#domain/rotation.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { byDifferentPeople } from './another-person.ts'
import type { Run } from './rotation-engine.ts'

export interface Closed {
  readonly gate: Gate
  readonly text: string
  readonly missing: readonly string[]
  /** How long until it can open at the earliest; null where that is not known. */
  readonly inMs: number | null
}

/** Time observed since the present phase began. */
export const observedIn = async (run: Pick<Run, 'timers'>, rotation: Rotation): Promise<number> =>
  Math.max(0, (await run.timers.observe()) - rotation.phaseObservedMs)

/** Two different people, one of them an approver, said so for this gate in this passage. */
export const overriddenGates = async (
  run: Pick<Run, 'ledger' | 'seen'>,
  rotation: Rotation,
): Promise<ReadonlySet<Gate>> => {
  if (run.seen?.approvals.length === 0) return new Set()
  return run.ledger.read(async (db) => {
    const approvals = await db.approvals.of(rotation.id)
    const passed = new Set<Gate>()
    for (const gate of ['overlap', 'acknowledgement', 'usage'] as const) {
      const said = overridesOf(approvals, rotation, gate)
      if (!said.some(({ approver }) => approver)) continue
      const people = await byDifferentPeople(db, said) // oxlint-disable-line no-await-in-loop -- one connection
      if (people.length >= 2) passed.add(gate)
    }
    return passed
  })
}

/** What was said of this gate in this passage. */
export const overridesOf = (
  approvals: readonly Approval[],
  { passageAt }: Rotation,
  gate: Gate,
): readonly Approval[] =>
  approvals.filter(
    (approval) =>
      approval.kind === 'override' &&
      approval.gate === gate &&
      approval.passageAt.getTime() === passageAt.getTime(),
  )

const timeTexts = {
  propagation: 'caches may not know the version that is to be handed out',
  overlap: 'both versions stay valid for a while',
  soak: 'the old version is off; watching',
} as const

/** Shut until so much time was observed since the phase began. */
export const timeGate = async (
  run: Pick<Run, 'timers'>,
  rotation: Rotation,
  gate: keyof typeof timeTexts,
  wantedMs: number,
): Promise<Closed | null> =>
  wantedMs <= 0 ? null : timeLeft(gate, await observedIn(run, rotation), wantedMs)

export const timeLeft = (
  gate: keyof typeof timeTexts,
  observedMs: number,
  wantedMs: number,
): Closed | null => {
  const left = wantedMs - observedMs
  return left <= 0
    ? null
    : {
        gate,
        text: timeTexts[gate],
        missing: [],
        inMs: left,
      }
}

/** Shut while consumers of the frozen list that are needed did not acknowledge `version`. */
export const acknowledgementGate = async (
  run: Pick<Run, 'ledger'>,
  rotation: Rotation,
): Promise<Closed | null> => {
  const { acknowledgement } = rotation.plan.policy.consumers
  const { consumers } = rotation.plan
  const version = rotation.toVersion
  if (!acknowledgement || consumers.length === 0 || version === null) return null
  const acks = await run.ledger.read((db) => db.acknowledgements.of(rotation.keyId, version))
  const said = new Set(acks.map((ack) => ack.consumer))
  const missing = consumers.filter((consumer) => !said.has(consumer))
  const enough =
    missing.length === 0 ||
    (acknowledgement.required === 'any' && missing.length < consumers.length)
  return enough
    ? null
    : {
        gate: 'acknowledgement',
        text: `${missing.join(', ')} did not acknowledge version ${version}`,
        missing,
        inMs: null,
      }
}

/** Where a passage begins. */
const begins: ReadonlySet<Phase> = new Set(['overlapping', 'rollingBack'])

interface Used {
  readonly session: Session
  readonly object: ObjectAddress
  readonly traits: TypeTraits
  readonly version: Version
}

/** Silence of a version: nobody used it for `unusedForMs` and the source's lag, and so long it was watched. Silence from before the
 *  overlap (or the undo) does not count: of that time only the clocks tell, and one of them may have jumped. */
export const usageGate = async (
  run: Pick<Run, 'timers' | 'clock'>,
  rotation: Rotation,
  at: Used,
): Promise<Closed | null> => {
  const { unusedForMs } = rotation.plan.policy.overlap
  const { usage } = at.traits
  if (unusedForMs === 0 || usage === null) return null
  const wanted = unusedForMs + usage.lagMs
  const last = await lastUse(run, at)
  if (last === 'never') return null
  const missing = [`a quiet version ${at.version.version}`]
  if (last === 'unknown') {
    return {
      gate: 'usage',
      text: 'whether the version is still used is not known',
      missing,
      inMs: null,
    }
  }
  const now = await run.timers.now()
  const observed = await observedIn(run, rotation)
  const unseen = Math.max(0, now.getTime() - rotation.phaseEnteredAt.getTime() - observed)
  const silent = now.getTime() - last.getTime() - unseen
  // Who switches it off was let through by the overlap: what is asked there is whether it was used since.
  const watched = begins.has(rotation.phase) ? observed : Infinity
  const quiet = Math.min(silent, watched)
  if (quiet >= wanted) return null
  const used = `version ${at.version.version} was last used at ${last.toISOString()}`
  const text = silent < wanted ? used : `${used}, and is watched for ${formatDuration(wanted)}`
  return { gate: 'usage', text, missing, inMs: wanted - quiet }
}

/** The latest use of any of the provider's versions that carry it; what is not known of one is not known of all. `never`:
 *  the provider has none of them any more. */
const lastUse = async (
  run: Pick<Run, 'clock'>,
  { session, object, version }: Used,
): Promise<Date | 'unknown' | 'never'> => {
  let latest: Date | 'never' = 'never'
  for (const id of version.providerVersions) {
    // oxlint-disable-next-line no-await-in-loop -- few, and a provider counts requests
    const last = await lastUseOf(run, session, object, id)
    if (last === 'unknown') return last
    if (last !== 'never' && (latest === 'never' || last > latest)) latest = last
  }
  return latest
}

const lastUseOf = async (
  run: Pick<Run, 'clock'>,
  session: Session,
  object: ObjectAddress,
  id: string,
): Promise<Date | 'unknown' | 'never'> => {
  const call = () => ({ signal: run.clock.deadline(10_000) })
  try {
    return (await session.lastUsed(object, id, call())) ?? 'unknown'
  } catch (error) {
    if (!(error instanceof ProviderError) || error.kind !== 'notFound') throw error
    const state = await session.stateOf(object, id, call())
    return state === 'absent' || state === 'destroyed' ? 'never' : 'unknown'
  }
}
