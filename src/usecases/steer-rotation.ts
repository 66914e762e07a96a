// What people say to an open rotation: approve, acknowledge, override, cancel, roll back, resume, abandon.
// Each is a compare-and-swap on phase and epoch. A worker that is in the middle of a phase finds its write refused (the
// fence) and stops; an effect that it had sent keeps its intent, and is probed by whoever goes on.

import { hasRole, inScope, type Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import type { Acknowledgement, Approval, Rotation } from '#domain/rotation.ts'
import {
  isOpen,
  machine,
  mayGo,
  type Phase,
  resumeInto,
  undoSteps,
} from '#domain/rotation-machine.ts'
import { hasSaid, mustBeAnother } from './another-person.ts'
import { overridesOf } from './rotation-gates.ts'
import { Fenced, transitionEvent, write } from './rotation-engine.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import { recordAcknowledgement } from './record-acknowledgement.ts'
import { mayHaveMinted } from './rotation-failure.ts'
import { notFound } from './rights.ts'

export interface SteerDeps {
  readonly ledger: Ledger
}

type Steer<I, T> = (actor: Actor, id: string, input: I) => Promise<Committed<T>>
interface Said {
  readonly reason: string
}

/** A rotation is seen by whoever may see its key. */
export const visibleRotation = async (
  db: Pick<Tx, 'rotations' | 'keys'>,
  actor: Actor,
  id: string,
): Promise<Rotation> => {
  const rotation = await db.rotations.get(id)
  const key = rotation && (await db.keys.byId(rotation.keyId))
  if (!rotation || !key || !inScope(actor, key)) throw notFound('rotation', id)
  return rotation
}

/** Of the frozen plan, by its hash: who approves has seen what will happen. Nobody approves what they requested. */
export const makeApprove =
  ({
    ledger,
  }: SteerDeps): Steer<{ readonly planHash: string; readonly reason?: string }, Approval> =>
  (actor, id, { planHash, reason = '' }) =>
    ledger.commit(actor, async (tx) => {
      const rotation = await visibleRotation(tx, actor, id)
      requirePhase(rotation, 'awaitingApproval', 'approved')
      requireRole(actor, rotation)
      if (rotation.planHash !== planHash) {
        throw new RekeyError('rotation.planChanged', {
          hint: `the plan's hash is ${rotation.planHash}`,
        })
      }
      await mustBeAnother(tx, actor, {
        asking: [{ id: rotation.plan.requester.id, did: requested(rotation) }],
        said: (await tx.approvals.of(id)).filter(({ kind }) => kind === 'approval'),
        code: 'rotation.selfApproval',
      })
      const approval = await say(tx, actor, rotation, { kind: 'approval', gate: null, reason })
      return {
        value: approval,
        audit: [event('rotation.approved', rotation, reason, { planHash })],
        wake: [id],
      }
    })

const requested = ({ trigger }: Rotation): string =>
  trigger === 'manual'
    ? 'requested this rotation'
    : 'wrote the policy last that planned this rotation'

const requireRole = (actor: Actor, rotation: Rotation): void => {
  const { roles } = rotation.plan.policy.approval
  if (!hasRole(actor, ...roles)) {
    throw new RekeyError('auth.denied', {
      detail: `its policy asks for an approval by: ${roles.join(', ')}`,
    })
  }
}

/** A consumer says that it uses a version: the new one, or, while the rotation is undone, the old one again. */
export const makeAcknowledge =
  ({
    ledger,
  }: SteerDeps): Steer<
    { readonly consumer: string; readonly version: number; readonly evidence?: string },
    Acknowledgement
  > =>
  (actor, id, { consumer, version, evidence }) =>
    ledger.commit(actor, async (tx) => {
      const rotation = await acknowledgeable(tx, actor, id, consumer)
      const expected = rotation.phase === 'rollingBack' ? rotation.fromVersion : rotation.toVersion
      if (version !== expected) {
        throw new RekeyError('request.impossible', {
          detail: `version ${expected ?? 'not made yet'} is the one to acknowledge, not ${version}`,
          errors: [
            {
              pointer: '/version',
              detail: `must be ${expected ?? 'the new version, once there is one'}`,
            },
          ],
        })
      }
      const { row, event: acknowledged } = await recordAcknowledgement(tx, rotation, {
        consumer,
        version,
        evidence: evidence ?? null,
        principalId: actor.id,
      })
      await tx.writeTimer.set(id, { dueNow: true })
      return {
        value: row,
        audit: [acknowledged],
        wake: [id],
      }
    })

/** An `ack` token counts for its own consumer only; it sees no more of the rotation than that it is there. */
const acknowledgeable = async (
  tx: Tx,
  actor: Actor,
  id: string,
  consumer: string,
): Promise<Rotation> => {
  const bound = actor.consumer !== null
  // Before anything is looked up: what there is besides is not its business.
  if (bound && actor.consumer !== consumer) {
    throw new RekeyError('auth.denied', {
      detail: `this token acknowledges for ${actor.consumer} only`,
    })
  }
  const rotation = await tx.rotations.get(id)
  const key = rotation && (await tx.keys.byId(rotation.keyId))
  if (!rotation || !key || !(bound || inScope(actor, key))) throw notFound('rotation', id)
  if (!bound && !hasRole(actor, 'operator'))
    throw new RekeyError('auth.denied', { detail: 'the role operator is missing' })
  // Whom the plan froze it waits for, whatever became of the record: removing a consumer must neither shorten the list nor
  // leave a gate that nobody can open.
  const frozen = rotation.plan.consumers.includes(consumer)
  if (!frozen && !(await tx.consumers.get(consumer))) throw notFound('consumer', consumer)
  if (bound && !frozen && !key.consumers.includes(consumer)) throw notFound('rotation', id)
  if (!isOpen(rotation.phase)) throw wrongPhase(rotation, 'acknowledged')
  return rotation
}

/** Passes the gate that it waits for; counts once another person has said so too, one of both an approver. */
export const makeOverride =
  ({ ledger }: SteerDeps): Steer<Said, Approval> =>
  (actor, id, { reason }) =>
    ledger.commit(actor, async (tx) => {
      const rotation = await visibleRotation(tx, actor, id)
      const gate = (await tx.timers.get(id))?.waitingFor?.gate
      if (gate !== 'overlap' && gate !== 'acknowledgement' && gate !== 'usage') {
        throw new RekeyError('rotation.wrongPhase', {
          detail: gate
            ? `${gate} is not a gate that people can override`
            : 'it waits for nothing that can be overridden',
        })
      }
      await mustBeAnother(tx, actor, {
        asking: [],
        said: overridesOf(await tx.approvals.of(id), rotation, gate),
        code: 'rotation.selfApproval',
      })
      const approval = await say(tx, actor, rotation, { kind: 'override', gate, reason })
      return {
        value: approval,
        audit: [event('rotation.overridden', rotation, reason, { gate, phase: rotation.phase })],
        wake: [id],
      }
    })

/** Before minting: nothing was done, nothing has to be undone. */
export const makeCancel = (deps: SteerDeps): Steer<Said, Rotation> =>
  steer(deps, async (_tx, rotation) => {
    if (machine[rotation.phase].undo !== 'cancel')
      throw wrongPhase(rotation, 'cancelled', 'roll it back instead')
    return { phase: 'cancelled' }
  })

/** From minting until retiring, as far as the provider can undo at all; if it cannot, nothing changes. */
export const makeRollback = (deps: SteerDeps): Steer<Said, Rotation> =>
  steer(deps, async (tx, rotation, reason) => {
    const from =
      rotation.phase === 'stalled' && rotation.stalledIn ? rotation.stalledIn : rotation.phase
    await mustWriteProviders(tx)
    if (!isOpen(rotation.phase) || from === 'rollingBack') throw wrongPhase(rotation, 'rolled back')
    // Holds the row: a worker that is about to commit the intent of a mint comes before this look, or is fenced by what follows.
    if (!(await tx.writeRotation.move(rotation, rotation))) throw new Fenced(rotation.id)
    const steps = undoSteps(
      from,
      rotation.plan.traits,
      await mayHaveMinted({ ledger: { read: (work) => work(tx) } }, rotation),
    )
    if (steps === 'cancel') {
      throw wrongPhase(
        rotation,
        'rolled back',
        rotation.phase === 'stalled'
          ? 'nothing was made: abandon it'
          : 'nothing was made yet: cancel it',
      )
    }
    if (steps === 'impossible') {
      throw new RekeyError('rotation.undoImpossible', {
        detail: `${rotation.plan.key.type} cannot go back once a new version is made`,
        hint: 'the old version keeps working for what was made with it; start another rotation if the new one is bad',
      })
    }
    if (steps === 'late') throw new RekeyError('rotation.pastPointOfNoReturn')
    return { phase: 'rollingBack', patch: { undo: { from, steps, at: 0, reason } } }
  })

/** Back into the phase that stalled, with its tries counted anew. */
export const makeResume = (deps: SteerDeps): Steer<Said, Rotation> =>
  steer(deps, async (tx, rotation) => {
    if (rotation.phase !== 'stalled' || !rotation.stalledIn) throw wrongPhase(rotation, 'resumed')
    await mustWriteProviders(tx)
    return {
      phase: resumeInto(rotation.stalledIn),
      patch: { stalledIn: null, stalledReason: null },
      action: 'rotation.resumed',
    }
  })

/** Gives up where it is: everything stays as it is at the provider. */
export const makeAbandon = (deps: SteerDeps): Steer<Said, Rotation> =>
  steer(deps, async (_tx, rotation) => {
    if (!mayGo(rotation.phase, 'abandoned'))
      throw wrongPhase(rotation, 'abandoned', 'only a stalled rotation can be')
    return { phase: 'abandoned' }
  })

interface Turn {
  readonly phase: Phase
  readonly patch?: Partial<Rotation>
  readonly action?: 'rotation.resumed'
}

const steer =
  (
    { ledger }: SteerDeps,
    decide: (tx: Tx, rotation: Rotation, reason: string) => Promise<Turn>,
  ): Steer<Said, Rotation> =>
  async (actor, id, { reason }) => {
    const attempt = async (): Promise<Committed<Rotation>> => {
      return ledger.commit(actor, async (tx) => {
        const rotation = await visibleRotation(tx, actor, id)
        const turn = await decide(tx, rotation, reason)
        const { phase, patch } = turn
        const next = await write(tx, rotation, { phase, ...(patch ? { patch } : {}) })
        await tx.writeTimer.set(id, isOpen(next.phase) ? { dueNow: true } : { dueAt: null })
        const moved = transitionEvent(rotation, next, reason)
        return {
          value: next,
          audit: [turn.action ? { ...moved, action: turn.action } : moved],
          wake: [id],
        }
      })
    }
    // A worker was faster. What a person meant is asked anew of where the rotation stands now: it is the same, or refused.
    for (let n = 0; n < tries; n++) {
      try {
        return await attempt() // oxlint-disable-line no-await-in-loop -- one after the other
      } catch (error) {
        if (!(error instanceof Fenced)) throw error
      }
    }
    throw new RekeyError('rotation.wrongPhase', {
      detail: 'the rotation moves on faster than this can be said',
      hint: 'look at it and try again',
    })
  }

/** More than the phases that follow each other without a wait. */
const tries = 5

const say = async (
  tx: Tx,
  actor: Actor,
  rotation: Rotation,
  what: Pick<Approval, 'kind' | 'gate' | 'reason'>,
): Promise<Approval> => {
  const row: Approval = {
    ...what,
    rotationId: rotation.id,
    phase: rotation.phase,
    passageAt: rotation.passageAt,
    principalId: actor.id,
    principalName: actor.name,
    approver: hasRole(actor, 'approver'),
    at: await tx.now(),
  }
  await tx.lock(`approvals:${rotation.id}`)
  const ofThis = (await tx.approvals.of(rotation.id)).filter(
    ({ kind, gate, passageAt }) =>
      kind === row.kind && gate === row.gate && passageAt.getTime() === row.passageAt.getTime(),
  )
  if (await hasSaid(tx, actor, ofThis)) {
    throw new RekeyError('resource.exists', {
      detail: `${actor.name} said so already`,
      hint: 'another person is needed',
    })
  }
  await tx.writeApproval.insert(row)
  await tx.writeTimer.set(rotation.id, { dueNow: true })
  return row
}

const event = (
  action: LedgerEvent['action'],
  rotation: Rotation,
  reason: string,
  after: LedgerEvent['after'],
): LedgerEvent => ({
  action,
  target: { id: rotation.id, name: rotation.keyName },
  outcome: 'succeeded',
  correlationId: rotation.id,
  ...(reason ? { reason } : {}),
  after: { key: rotation.keyName, ...(after as object) },
})

const requirePhase = (rotation: Rotation, phase: Phase, participle: string): void => {
  if (rotation.phase !== phase) throw wrongPhase(rotation, participle)
}

const wrongPhase = (rotation: Rotation, participle: string, hint?: string): RekeyError =>
  new RekeyError('rotation.wrongPhase', {
    detail: `a rotation in phase ${rotation.phase} cannot be ${participle}`,
    ...(hint ? { hint } : {}),
    extra: { phase: rotation.phase },
  })
