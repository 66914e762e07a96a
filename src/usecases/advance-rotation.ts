// The driver: rung by the doorbell with a rotation's id and nothing else, it reads the row, asks the phase what to do, and
// goes on until there is something to wait for. Any number of workers may be rung for one rotation at once:
//
// - the lease (database clock) lets one of them act; taking over an expired one adds one to the epoch, before anything else
// - every write compares phase and epoch; whoever is stale writes nothing and stops
// - a run knows its epoch from its lease (or from its own takeover) and works under no other: one that was stopped anywhere,
//   also before its first look, and goes on past its lease, finds another epoch; so no two living runs ever share one
// - a lease belongs to one run, not to the process: what a run leaves behind that could not give it back expires, and is
//   taken over like that of any dead worker
//
// A crash anywhere leaves the lease; when it expires the sweep rings, and the next holder starts from the row. An effect that
// was under way is resolved first, whatever phase the rotation is in by then.
//
// Whatever is thrown ends here, on one of three roads. A provider's refusal goes the way of every refusal (retries, then the
// failure edge of the phase). A bug is counted, and stalls after some tries. That the database is away is neither: nothing
// can be written then, and it passes by itself.

import { systemActor } from '#domain/actor.ts'
import type { Bell, TimerPatch, Timers } from '#domain/ports.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { isOpen, type OpenPhase } from '#domain/rotation-machine.ts'
import { overtaken } from './overtaken-rotation.ts'
import { resolveEffect } from './resolve-effect.ts'
import {
  type EngineDeps,
  Fenced,
  type Going,
  move,
  type Run,
  type Step,
  unseen,
  write,
  type WrittenStep,
} from './rotation-engine.ts'
import { phaseHandlers } from './rotation-phases.ts'
import { faulted, refused } from './rotation-retries.ts'
import { Full, intentsOf, isOurDatabase } from './rotation-scene.ts'
import { waitForRoom } from './rotation-wait.ts'

export interface WorkerIdentity {
  /** Names the process in the audit log; each run adds its own name to it for its lease. */
  readonly instance: string
  readonly bell: Bell
  /** One line for the log: no text of a provider in it. */
  readonly report: (rotationId: string, error: unknown) => void
  /** Aborts when the process is to end: the step under way is finished, and whoever is rung next goes on. */
  readonly stopping?: AbortSignal | undefined
}

export interface Advance {
  (rotationId: string): Promise<void>
  /** The heartbeat of the leases of the runs that are under way in this process. */
  readonly renewLeases: () => Promise<void>
}

type Lease = NonNullable<Awaited<ReturnType<Timers['claim']>>>

/** Longer than a request (12 s) by more than the 5 s that the design asks for. */
export const leaseMs = 20_000
/** A run has far fewer steps, so more means that something goes round in circles. */
const mostSteps = 1_000
const afterFaultMs = 2_000

export const makeAdvanceRotation = (
  deps: EngineDeps,
  { instance, bell, report, stopping }: WorkerIdentity,
): Advance => {
  const running = new Set<string>()
  const advance = async (rotationId: string): Promise<void> => {
    if (stopping?.aborted) return
    const owner = `${instance}/${deps.ids.next()}`
    const run: Run = { ...deps, actor: systemActor('worker', instance), owner, leaseMs }
    const lease = await run.timers.claim(rotationId, owner, leaseMs)
    if (!lease) return
    running.add(owner)
    try {
      await work(run, rotationId, lease)
    } finally {
      running.delete(owner)
    }
  }

  const work = async (run: Run, rotationId: string, lease: Lease): Promise<void> => {
    const epoch = lease.takeover ? await takeOver(run, rotationId, lease.epoch) : lease.epoch
    if (epoch === null) return
    let patch: TimerPatch = {}
    try {
      patch = await drive(run, rotationId, epoch, { bell, report, stopping })
    } catch (error) {
      const fenced = error instanceof Fenced
      if (!fenced) report(rotationId, error)
      const now = await run.timers.now()
      patch = { dueAt: new Date(now.getTime() + (fenced ? 0 : afterFaultMs)) }
    } finally {
      await run.timers.release(rotationId, run.owner, patch)
    }
  }

  /** The former holder may still be alive: from here on it cannot write. If the epoch cannot be raised, or was raised by
   *  another since the lease was given, no work is done, and the lease goes on as one that expired in our hands, so that the
   *  next holder raises it first. Null then, else the new epoch. */
  const takeOver = async (run: Run, rotationId: string, epoch: number): Promise<number | null> => {
    try {
      const rotation = await run.ledger.read((db) => db.rotations.get(rotationId))
      if (!rotation || !isOpen(rotation.phase)) return epoch
      if (rotation.epoch === epoch) return (await raiseEpoch(run, rotation)).epoch
    } catch (error) {
      if (!(error instanceof Fenced)) report(rotationId, error)
    }
    await run.timers.expire(rotationId, run.owner)
    return null
  }

  return Object.assign(advance, {
    renewLeases: async () => {
      await deps.timers.heartbeat([...running], leaseMs)
    },
  })
}

const drive = async (
  run: Run,
  rotationId: string,
  epoch: number,
  { bell, report, stopping }: Pick<WorkerIdentity, 'bell' | 'report' | 'stopping'>,
): Promise<TimerPatch> => {
  /* oxlint-disable no-await-in-loop -- one step after the other */
  for (let n = 0; ; n++) {
    const seen = await run.ledger.read((db) => db.rotations.situation(rotationId))
    if (!seen || !isOpen(seen.rotation.phase)) return { dueAt: null }
    const { rotation } = seen
    if (rotation.epoch !== epoch) throw new Fenced(rotationId)
    if (n > 0 && stopping?.aborted) return { dueAt: seen.at }
    if (n === mostSteps) {
      const step = await faulted(run, rotation, new RangeError('it goes round in circles'))
      return 'wait' in step ? step.wait : { dueAt: seen.at }
    }
    const first = await attempt({ ...run, seen }, rotation, seen.rotation.phase, report)
    const step =
      'going' in first
        ? await goFurther({ ...run, seen }, first.going, stopping?.aborted === true)
        : first
    if ('wait' in step) return step.wait
    if (!isOpen(step.moved.phase)) return afterEnd(run, step.moved, bell)
  }
  /* oxlint-enable no-await-in-loop */
}

/** The next phase has its first step with what was seen before this one. Where it has written nothing, whatever kept it from that,
 *  the transition is written alone, and the phase is asked anew. */
const goFurther = async (run: Run, going: Going, stopping: boolean): Promise<WrittenStep> => {
  const { from, to, more } = going
  // Whoever stops begins no effect more.
  if (stopping) return move(run, from, to.phase, more)
  try {
    const step = isOpen(to.phase) && (await phaseHandlers[to.phase]({ ...run, going }, to))
    if (step && going.written && !('going' in step)) return step
  } catch (error) {
    if (going.written || error instanceof Fenced || isOurDatabase(error)) throw error
  }
  return move(run, from, to.phase, more)
}

const attempt = async (
  run: Run,
  rotation: Rotation,
  phase: OpenPhase,
  report: WorkerIdentity['report'],
): Promise<Step> => {
  try {
    return await act(run, rotation, phase)
  } catch (error) {
    if (error instanceof Full) return waitForRoom(run, rotation, error.room)
    if (error instanceof Fenced || isOurDatabase(error) || phase === 'stalled') throw error
    // What was written before it was thrown must not be written over.
    const now = await run.ledger.read((db) => db.rotations.get(rotation.id))
    if (now?.phase !== phase || now.epoch !== rotation.epoch) throw new Fenced(rotation.id)
    if (error instanceof ProviderError) return refused(run, now, phase, error)
    report(rotation.id, error)
    return faulted(run, now, error)
  }
}

/** Phases without an effect under way: nothing was sent yet, or (stalled) nothing is done by itself, also not about that. */
const idle: ReadonlySet<OpenPhase> = new Set([
  'planned',
  'awaitingApproval',
  'preflight',
  'stalled',
])

const act = async (run: Run, rotation: Rotation, phase: OpenPhase): Promise<Step> => {
  const intents = idle.has(phase) ? [] : await intentsOf(run, rotation)
  const open = intents.find((intent) => !intent.closed)
  if (open) return resolveEffect(unseen(run), rotation, open)
  const taken = await overtaken(run, rotation)
  if (taken !== null && taken !== 'urgent') return taken
  const handled: Rotation = taken === 'urgent' ? { ...rotation, trigger: 'incident' } : rotation
  return phaseHandlers[phase](run, handled)
}

const raiseEpoch = async (run: Run, rotation: Rotation): Promise<Rotation> => {
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const next = await write(tx, rotation, { patch: { epoch: rotation.epoch + 1 } })
    return {
      value: next,
      audit: [
        {
          action: 'rotation.takenOver',
          target: { id: rotation.id, name: rotation.keyName },
          outcome: 'succeeded',
          correlationId: rotation.id,
          before: { epoch: rotation.epoch },
          after: { epoch: next.epoch, phase: next.phase },
        },
      ],
    }
  })
  return value
}

/** The next of its group has a place now. A crash before this costs it a look: those that wait look again by themselves. */
const afterEnd = async (run: Run, rotation: Rotation, bell: Bell): Promise<TimerPatch> => {
  await bell.ring(
    await run.ledger.read((db) => db.rotations.waitingInGroup(rotation.plan.group.id, 1)),
  )
  return { dueAt: null, waitingFor: null }
}
