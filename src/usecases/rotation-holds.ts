// What keeps a rotation from writing at a provider right now: freeze, pause, a disabled policy, a blackout. These are read
// before every forward write, from the live records and not from the frozen plan. Undo is held by none of them: only by
// recovery mode, which holds everything.

import type { Freeze } from '#domain/connection.ts'
import { matches } from '#domain/names.ts'
import { resolveStored, type ResolvedPolicy } from '#domain/policy.ts'
import type { Reads } from '#domain/ports.ts'
import type { Gate, Rotation } from '#domain/rotation.ts'
import { machine } from '#domain/rotation-machine.ts'
import { blackoutAt, pauseAt } from '#domain/windows.ts'
import { recoveryHold } from './recovery-mode.ts'
import type { Run } from './rotation-engine.ts'

export interface Hold {
  readonly gate: Gate
  readonly text: string
  readonly until: Date | null
}

export const holdsOf = async (
  run: Pick<Run, 'ledger' | 'timers'>,
  rotation: Rotation,
): Promise<Hold | null> => {
  const now = await run.timers.now()
  return run.ledger.read((db) => holdIn(db, rotation, now))
}

const holdIn = async (
  db: Pick<Reads, 'freeze' | 'keys' | 'policies' | 'recovery'>,
  rotation: Rotation,
  now: Date,
): Promise<Hold | null> => {
  const recovery = await recoveryIn(db)
  if (recovery) return recovery
  const freeze = await db.freeze.get()
  const key = await db.keys.byId(rotation.keyId)
  const policy = rotation.policy === null ? null : await db.policies.get(rotation.policy)
  const { connection, type } = rotation.plan.key
  const labels = key?.labels ?? {}
  return holdOf(freeze, { connection, type, labels }, policy && resolveStored(policy), now)
}

/** The same for an effect: whether it may be sent in the phase that the rotation is in. */
export const effectHoldIn = (db: Reads, rotation: Rotation, now: Date): Promise<Hold | null> => {
  const { phase } = rotation
  return machine[phase].writes && phase !== 'rollingBack'
    ? holdIn(db, rotation, now)
    : recoveryIn(db)
}

export const recoveryIn = async (db: Pick<Reads, 'recovery'>): Promise<Hold | null> => {
  const text = await recoveryHold(db)
  return text === null ? null : { gate: 'recovery', text, until: null }
}

/** The first hold there is; `policy` is the live one, null where none applies or it was deleted. */
export const holdOf = (
  freeze: Freeze | null,
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
