// The gates between overlap and the end of an old version: time that was seen to pass, acknowledgements, silence.
// The same gates guard the removal of a *new* version in undo, so that those who moved are not cut off.
//
// Time here is the observed clock (`Timers.observe`): it grows in steps of at most a minute, so neither a jumping clock nor
// a long downtime opens anything early. Unknown last use counts as used. An override passes one gate, said by two people.

import type { Version } from '#domain/key.ts'
import type { ObjectAddress, Session, TypeTraits } from '#domain/provider.ts'
import type { Approval, Gate, Rotation } from '#domain/rotation.ts'
import { carrier, type Run } from './rotation-engine.ts'

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

/** Two different people, one of them an approver, said so for this gate in this phase. */
export const isOverridden = (
  approvals: readonly Approval[],
  rotation: Rotation,
  gate: Gate,
): boolean => {
  const said = approvals.filter(
    (approval) =>
      approval.kind === 'override' && approval.gate === gate && approval.phase === rotation.phase,
  )
  return (
    new Set(said.map((approval) => approval.principalId)).size >= 2 &&
    said.some((approval) => approval.approver)
  )
}

export const timeGate = (
  gate: 'overlap' | 'soak',
  observedMs: number,
  wantedMs: number,
): Closed | null => {
  const left = wantedMs - observedMs
  return left <= 0
    ? null
    : {
        gate,
        text:
          gate === 'overlap'
            ? 'both versions stay valid for a while'
            : 'the old version is off; watching',
        missing: [],
        inMs: left,
      }
}

/** Consumers of the frozen list that did not acknowledge `version`, if enough are missing to keep the gate shut. */
export const missingAcks = async (
  run: Pick<Run, 'ledger'>,
  rotation: Rotation,
  version: number,
): Promise<readonly string[]> => {
  const { acknowledgement } = rotation.plan.policy.consumers
  if (!acknowledgement || rotation.plan.consumers.length === 0) return []
  const said = new Set(
    (await run.ledger.read((db) => db.acknowledgements.of(rotation.keyId, version))).map(
      (ack) => ack.consumer,
    ),
  )
  const missing = rotation.plan.consumers.filter((consumer) => !said.has(consumer))
  const enough =
    acknowledgement.required === 'any' && missing.length < rotation.plan.consumers.length
  return enough ? [] : missing
}

/** Silence of a version: nobody used it for `unusedForMs` and the source's lag, counted without the time that nobody saw pass. */
export const usageGate = async (
  run: Pick<Run, 'timers' | 'clock'>,
  rotation: Rotation,
  at: {
    readonly session: Session
    readonly object: ObjectAddress
    readonly traits: TypeTraits
    readonly version: Version
  },
): Promise<Closed | null> => {
  const { unusedForMs } = rotation.plan.policy.overlap
  const { usage } = at.traits
  if (unusedForMs === 0 || usage === null) return null
  const wanted = unusedForMs + usage.lagMs
  const call = { signal: run.clock.deadline(10_000) }
  const last = await at.session.lastUsed(at.object, carrier(at.version), call)
  const missing = [`a quiet version ${at.version.version}`]
  if (last === null) {
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
  const quiet = now.getTime() - last.getTime() - unseen
  return quiet >= wanted
    ? null
    : {
        gate: 'usage',
        text: `version ${at.version.version} was last used at ${last.toISOString()}`,
        missing,
        inMs: wanted - quiet,
      }
}
