// What keeps a rotation from writing at a provider right now: freeze, pause, a disabled policy, a blackout. These are read
// before every forward write, from the live records and not from the frozen plan. Undo is held by none of them: only by
// recovery mode, which holds everything.

import type { Freeze } from '#domain/connection.ts'
import { matches } from '#domain/names.ts'
import { resolveStored, type ResolvedPolicy } from '#domain/policy.ts'
import type { Holds, Reads } from '#domain/ports.ts'
import type { Gate, Rotation } from '#domain/rotation.ts'
import { machine } from '#domain/rotation-machine.ts'
import { blackoutAt, pauseAt } from '#domain/windows.ts'
import type { Recovery } from '#domain/recovery.ts'
import { saidOf } from './recovery-mode.ts'
import type { Run } from './rotation-engine.ts'

export interface Hold {
  readonly gate: Gate
  readonly text: string
  readonly until: Date | null
}

type Seeing = Pick<Run, 'ledger' | 'seen'>

/** What held it when the step began. */
export const holdsOf = async (run: Seeing, rotation: Rotation): Promise<Hold | null> =>
  run.seen ? among(run.seen.holds, rotation) : run.ledger.read((db) => holdIn(db, rotation))

const holdIn = async (db: Pick<Reads, 'holds'>, rotation: Rotation): Promise<Hold | null> =>
  among(await db.holds.of(rotation), rotation)

const among = ({ now, recovery, freeze, labels, spec }: Holds, rotation: Rotation): Hold | null => {
  if (recovery) return recoveryOf(recovery)
  const { connection, type } = rotation.plan.key
  const policy = spec && resolveStored({ spec })
  // Pauses and blackouts are for days without an emergency, unless the policy says otherwise. A freeze is a person's word.
  const urgent = rotation.trigger === 'incident' && policy?.emergency.ignoreBlackouts !== false
  return holdOf(freeze, { connection, type, labels }, urgent ? null : policy, now)
}

/** The same for an effect: whether it may be sent in the phase that the rotation is in. */
export const effectHoldIn = (db: Reads, rotation: Rotation): Promise<Hold | null> =>
  isHeldByPeople(rotation) ? holdIn(db, rotation) : recoveryIn(db)

/** When the step began. */
export const effectHold = async (run: Seeing, rotation: Rotation): Promise<Hold | null> => {
  const { seen } = run
  if (!seen) return run.ledger.read((db) => effectHoldIn(db, rotation))
  if (isHeldByPeople(rotation)) return among(seen.holds, rotation)
  return seen.holds.recovery && recoveryOf(seen.holds.recovery)
}

const isHeldByPeople = ({ phase }: Rotation): boolean =>
  machine[phase].writes && phase !== 'rollingBack'

export const recoveryIn = async (db: Pick<Reads, 'recovery'>): Promise<Hold | null> => {
  const recovery = await db.recovery.open()
  return recovery && recoveryOf(recovery)
}

const recoveryOf = (recovery: Pick<Recovery, 'beganAt' | 'detail'>): Hold => ({
  gate: 'recovery',
  text: saidOf(recovery),
  until: null,
})

/** The first hold there is; `policy` is the live one, null where none applies or it was deleted. */
export const holdOf = (
  freeze: Pick<Freeze, 'until' | 'reason' | 'selector'> | null,
  key: {
    readonly connection: string
    readonly type: string
    readonly labels: Readonly<Record<string, string>>
  },
  policy: ResolvedPolicy | null,
  now: Date,
): Hold | null => {
  if (freeze && freeze.until > now && (!freeze.selector || matches(freeze.selector, key))) {
    return { gate: 'freeze', text: `frozen: ${freeze.reason}`, until: freeze.until }
  }
  if (!policy) return null
  if (policy.unusable !== undefined)
    return { gate: 'pause', text: `the policy cannot be followed: ${policy.unusable}`, until: null }
  if (!policy.enabled) return { gate: 'pause', text: 'the policy is disabled', until: null }
  const pause = pauseAt(policy, now)
  if (pause)
    return { gate: 'pause', text: `the policy is paused: ${pause.reason}`, until: pause.until }
  const blackout = blackoutAt(policy, now)
  return blackout && { gate: 'blackout', text: `blackout ${blackout.name}`, until: blackout.until }
}
