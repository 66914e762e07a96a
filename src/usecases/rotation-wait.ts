// Waiting is a column: when a rotation is looked at again, what people are told that it waits for, and what the visit of its
// phase has come to so far. Nothing here is an event, and whoever lost the lease writes none of it.

import type { Gate, Progress, Rotation, RotationTimer } from '#domain/rotation.ts'
import type { NoRoom } from '#domain/ports.ts'
import type { Run, Step } from './rotation-engine.ts'
import type { Closed } from './rotation-gates.ts'

/** Between looks at something that nobody rings for: a hold that may be lifted, a group with no free place. */
export const lookAgainMs = 5_000
/** The observed clock counts no more than a minute a look. */
export const longestWaitMs = 60_000

export interface Wait {
  /** From now; null: until somebody rings. */
  readonly afterMs: number | null
  readonly until?: Date | null
  readonly missing?: readonly string[]
  readonly progress?: Partial<Omit<Progress, 'visit'>>
}

/** The start of the wait survives repeated looks. Tries do only while what failed is not over: whoever waits for anything
 *  else has got past it. */
export const waitFor = async (
  run: Run,
  rotation: Rotation,
  gate: Gate,
  text: string,
  { afterMs, until, missing = [], progress = {} }: Wait,
): Promise<Step> => {
  const [now, timer] = await Promise.all([run.timers.now(), timerOf(run, rotation.id)])
  const before = timer?.waitingFor
  const { tries, ...kept } = progressIn(timer, rotation)
  const failing = tries && (gate === 'probe' || gate === 'retry') ? { tries } : {}
  return {
    wait: {
      dueAt: afterMs === null ? null : new Date(now.getTime() + afterMs),
      progress: { ...kept, ...failing, ...progress },
      waitingFor: {
        gate,
        since: before?.gate === gate ? before.since : now.toISOString(),
        ...(until ? { until: until.toISOString() } : {}),
        missing,
        text,
      },
    },
  }
}

const longestForRoomMs = 15_000

/** Its connection is at its limit. Whoever has waited longer looks less often, or those of a fleet would do nothing but look.
 *  What it waited for before stays: a gate counts its own time, and a canary is not tried again. */
export const waitForRoom = async (
  run: Run,
  rotation: Rotation,
  { afterMs, why }: NoRoom,
): Promise<Step> => {
  const [now, timer] = await Promise.all([run.timers.now(), timerOf(run, rotation.id)])
  const before = timer?.waitingFor
  const waited = before?.gate === 'limit' ? now.getTime() - Date.parse(before.since) : 0
  const backOff = Math.max(afterMs, Math.min(waited, longestForRoomMs)) * (0.5 + run.ids.fraction())
  const step = await waitFor(run, rotation, 'limit', why, { afterMs: backOff })
  return 'wait' in step && before && before.gate !== 'limit'
    ? { wait: { dueAt: step.wait.dueAt ?? now, waitingFor: before } }
    : step
}

/** A gate that opens with time is looked at when it can be open, and once a minute at least. */
export const waitForGate = (run: Run, rotation: Rotation, closed: Closed): Promise<Step> =>
  waitFor(run, rotation, closed.gate, closed.text, {
    afterMs: Math.max(50, Math.min(closed.inMs ?? longestWaitMs, longestWaitMs)),
    missing: closed.missing,
  })

export const timerOf = (run: Pick<Run, 'ledger'>, id: string): Promise<RotationTimer | null> =>
  run.ledger.read((db) => db.timers.get(id))

export const progressOf = async (run: Pick<Run, 'ledger'>, rotation: Rotation): Promise<Progress> =>
  progressIn(await timerOf(run, rotation.id), rotation)

/** When the step began. */
export const progressSeen = async (
  run: Pick<Run, 'ledger' | 'seen'>,
  rotation: Rotation,
): Promise<Progress> =>
  run.seen ? progressIn(run.seen.timer, rotation) : progressOf(run, rotation)

/** What a worker that lost its lease left behind belongs to another visit. */
const progressIn = (timer: RotationTimer | null, rotation: Rotation): Progress => {
  const visit = rotation.phaseEnteredAt.toISOString()
  return timer?.progress?.visit === visit ? timer.progress : { visit }
}
