// The driver: rung by the doorbell with a rotation's id and nothing else, it reads the row, asks the phase what to do, and
// goes on until there is something to wait for. Any number of workers may be rung for one rotation at once:
//
// - the lease (database clock) lets one of them act; taking over an expired one adds one to the epoch
// - every write compares phase and epoch; whoever is stale writes nothing and stops
//
// A crash anywhere leaves the lease; when it expires the sweep rings, and the next holder starts from the row.

import { systemActor } from '#domain/actor.ts'
import type { Bell, TimerPatch } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { isOpen } from '#domain/rotation-machine.ts'
import { type EngineDeps, Fenced, type Run, type Step, write } from './rotation-engine.ts'
import { type PhaseHandler, phaseHandlers } from './rotation-phases.ts'

export interface WorkerIdentity {
  /** Names the process in leases and in the audit log. */
  readonly instance: string
  readonly bell: Bell
  /** One line for the log: no text of a provider in it. */
  readonly report: (rotationId: string, error: unknown) => void
}

/** Longer than a request (12 s) by more than the 5 s that the design asks for. */
export const leaseMs = 20_000
/** A run takes at most this many steps; a rotation has fewer, so more means that something goes round in circles. */
const mostSteps = 200
const afterFaultMs = 2_000

export const makeAdvanceRotation =
  (deps: EngineDeps, { instance, bell, report }: WorkerIdentity) =>
  async (rotationId: string): Promise<void> => {
    const run: Run = { ...deps, actor: systemActor('worker', instance), owner: instance, leaseMs }
    const lease = await run.timers.claim(rotationId, instance, leaseMs)
    if (!lease) return
    let patch: TimerPatch = {}
    try {
      patch = await drive(run, rotationId, lease.takeover, bell)
    } catch (error) {
      if (!(error instanceof Fenced)) report(rotationId, error)
      const now = await run.timers.now()
      patch = { dueAt: new Date(now.getTime() + (error instanceof Fenced ? 0 : afterFaultMs)) }
    } finally {
      await run.timers.release(rotationId, instance, patch)
    }
  }

const drive = async (
  run: Run,
  rotationId: string,
  takeover: boolean,
  bell: Bell,
): Promise<TimerPatch> => {
  let rotation = await run.ledger.read((db) => db.rotations.get(rotationId))
  if (!rotation || !isOpen(rotation.phase)) return { dueAt: null }
  if (takeover) rotation = await takeOver(run, rotation)
  for (let n = 0; n < mostSteps; n++) {
    const handler: PhaseHandler | undefined = phaseHandlers[rotation.phase]
    if (!handler) break
    const step: Step = await handler(run, rotation)
    if ('wait' in step) return step.wait
    rotation = step.moved
    if (!isOpen(rotation.phase)) {
      await afterEnd(run, rotation, bell)
      return { dueAt: null, waitingFor: null }
    }
  }
  return { dueAt: await run.timers.now() }
}

/** The former holder may still be alive: from here on it cannot write. */
const takeOver = async (run: Run, rotation: Rotation): Promise<Rotation> => {
  const observed = await run.timers.observe()
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const next = await write(tx, rotation, { patch: { epoch: rotation.epoch + 1 } }, observed)
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
const afterEnd = async (run: Run, rotation: Rotation, bell: Bell): Promise<void> => {
  await bell.ring(
    await run.ledger.read((db) => db.rotations.waitingInGroup(rotation.plan.group.id, 1)),
  )
}
