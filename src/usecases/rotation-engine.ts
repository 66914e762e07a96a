// What the phases of a rotation share: the dependencies of the engine, the step a phase answers with, and the ways of moving
// on. `advance-rotation.ts` drives; `rotation-phases.ts` decides; `run-effect.ts` touches providers; `resolve-effect.ts`
// finds out what became of what somebody else had begun.

import type { Actor } from '#domain/actor.ts'
import type { JsonObject } from '#domain/json.ts'
import type {
  AlsoMoved,
  Clock,
  Ids,
  Ledger,
  Outcome,
  SendToSink,
  LedgerEvent,
  Sessions,
  Situation,
  TimerPatch,
  Timers,
  Tx,
} from '#domain/ports.ts'
import type { KeyType } from '#domain/provider.ts'
import type { Rotation, WaitingFor } from '#domain/rotation.ts'
import { isOpen, mayGo, type Phase } from '#domain/rotation-machine.ts'
import { eraseKept } from './erase-kept.ts'

/** The outside that the engine acts on. */
export interface World {
  readonly sessions: Sessions
  readonly types: ReadonlyMap<string, KeyType>
  /** For verify webhooks: egress rules apply, no redirects. */
  readonly fetch: typeof globalThis.fetch
  /** For reload webhooks of consumers: signed, under the same egress rules. */
  readonly send: SendToSink
}

export interface EngineDeps {
  readonly ledger: Ledger
  readonly timers: Timers
  readonly world: World
  readonly clock: Clock
  readonly ids: Ids
}

/** One run of the engine over one rotation, under one lease. */
export interface Run extends EngineDeps {
  readonly actor: Actor
  /** Names the holder of the lease. */
  readonly owner: string
  readonly leaseMs: number
  /** How the rotation stood when the present step began. Not there once this step has written something. */
  readonly seen?: Situation
  /** The phase is entered by the next commit: see `goOn`. */
  readonly going?: Going
}

/** The same run, which has written something since. */
export const unseen = ({ seen: _read, ...run }: Run): Run => run

/** What a phase answers: it moved on, it goes on with the next commit, or there is nothing to do before the patch says so. */
export type Step = WrittenStep | { readonly going: Going }
export type WrittenStep =
  | { readonly moved: Rotation }
  | { readonly wait: TimerPatch & { readonly waitingFor: WaitingFor | null } }

/** A transition that is decided and not written yet. */
export interface Going {
  readonly from: Rotation
  /** As it will be, but for the exact time. */
  readonly to: Rotation
  readonly more: Moving
  /** By this run, with whatever came next. */
  written: boolean
}

/** Another worker, or a person, moved the rotation: everything that this run still holds is stale. */
export class Fenced extends Error {
  constructor(rotationId: string) {
    super(`rotation ${rotationId} was moved by somebody else`)
    this.name = 'Fenced'
  }
}

/** Right before a request: the lease must outlive it. Throws `Fenced` when it is not ours any more; one that expired is never
 *  taken here, from nobody, since whoever takes a lease must raise the epoch. */
export const renewLease = async (run: Run, rotation: Rotation): Promise<void> => {
  if ((await run.timers.heartbeat([run.owner], run.leaseMs)) === 0) throw new Fenced(rotation.id)
}

/** The same, for the transaction that commits the intent of the request. */
export const leaseOf = ({ owner, leaseMs }: Run): AlsoMoved['lease'] => ({ owner, ttlMs: leaseMs })

export interface Change {
  readonly phase?: Phase
  readonly patch?: Partial<Rotation>
  /** Incidents that the key is in look at it, whatever becomes of the rotation. */
  readonly wakesIncident?: boolean
}

/** Writes the rotation's next state under its fence; throws `Fenced` when phase or epoch are no longer what was read, or the lease
 *  that is to be renewed is not ours any more. */
export const write = async (
  tx: Tx,
  rotation: Rotation,
  change: Change,
  lease?: AlsoMoved['lease'],
): Promise<Rotation> => {
  const phase = change.phase ?? rotation.phase
  if (phase !== rotation.phase && !mayGo(rotation.phase, phase)) {
    throw new RangeError(`a rotation does not go from ${rotation.phase} to ${phase}`)
  }
  const moves = phase !== rotation.phase
  const entered = moves ? await enteredAt(tx, rotation.phase, phase) : {}
  if (!isOpen(phase)) await eraseKept(tx, rotation)
  const ended = isOpen(phase) ? {} : { endedAt: await tx.now() }
  const next: Rotation = { ...rotation, ...change.patch, ...entered, ...ended, phase }
  const also: AlsoMoved = {
    ...(lease ? { lease } : {}),
    // An incident may wait for what serves, or for the key to be free.
    wakesIncident:
      change.wakesIncident === true || next.promotedAt !== rotation.promotedAt || !isOpen(phase),
    // The line behind it moves up, in the same transaction: only its first one looks for a place by itself (begin-rotation.ts).
    wakesGroup: moves && (rotation.phase === 'planned' || !isOpen(phase)),
  }
  if (!(await tx.writeRotation.move(next, rotation, also))) throw new Fenced(rotation.id)
  return next
}

const enteredAt = async (tx: Tx, from: Phase, to: Phase): Promise<Partial<Rotation>> => {
  const now = await tx.now()
  return {
    phaseEnteredAt: now,
    phaseObservedMs: await tx.observed(),
    ...(isOnePassage(from, to) ? {} : { passageAt: now }),
  }
}

/** The gates that opened in `overlapping` are those of the switching off that follows it. */
const isOnePassage = (from: Phase, to: Phase): boolean =>
  from === 'overlapping' && (to === 'suspending' || to === 'retiring')

const actionOf = {
  promoted: 'rotation.promoted',
  completed: 'rotation.completed',
  cancelled: 'rotation.cancelled',
  rolledBack: 'rotation.rolledBack',
  abandoned: 'rotation.abandoned',
  stalled: 'rotation.stalled',
  rollingBack: 'rotation.rollingBack',
} as const

/** The one event of a transition. */
export const transitionEvent = (
  from: Rotation,
  to: Rotation,
  said?: string,
  told: JsonObject = {},
): LedgerEvent => {
  const reason = said ?? (to.phase === 'stalled' ? to.stalledReason : null)
  const named: Partial<Record<Phase, LedgerEvent['action']>> = actionOf
  const promoted = from.phase === 'promoting' && to.promotedAt !== from.promotedAt
  return {
    action: promoted ? actionOf.promoted : (named[to.phase] ?? 'rotation.advanced'),
    target: { id: to.id, name: to.keyName },
    outcome: 'succeeded',
    correlationId: to.id,
    ...(reason ? { reason } : {}),
    before: { phase: from.phase, epoch: from.epoch },
    after: {
      phase: to.phase,
      epoch: to.epoch,
      key: to.keyName,
      keyId: to.keyId,
      policy: to.policy,
      fromVersion: to.fromVersion,
      toVersion: to.toVersion,
      ...told,
    },
  }
}

interface Moving {
  readonly patch?: Partial<Rotation>
  readonly reason?: string
  /** Beside what the event of every transition says. */
  readonly told?: JsonObject
  readonly also?: (tx: Tx, next: Rotation) => Promise<readonly LedgerEvent[]>
}

/** Moves on without touching a provider, with whatever else `also` writes in the same transaction. */
export const move = async (
  run: Run,
  rotation: Rotation,
  phase: Phase,
  more: Moving = {},
): Promise<WrittenStep> => ({
  moved: await commit(run, rotation, async (tx, at) => {
    const { next, audit } = await enter(tx, at, phase, more)
    return { value: next, audit }
  }),
})

const enter = async (
  tx: Tx,
  from: Rotation,
  phase: Phase,
  more: Moving,
  lease?: AlsoMoved['lease'],
) => {
  const change = { phase, ...(more.patch ? { patch: more.patch } : {}) }
  const next = await write(tx, from, change, lease)
  const extra = more.also ? await more.also(tx, next) : []
  const told = transitionEvent(from, next, more.reason, more.told)
  return { next, audit: [told, ...extra] as const }
}

/** The same transition, written with the first thing that the next phase writes: one transaction, each with its own events. Only
 *  for what no provider answers between the two, and where the next phase reads nothing that `also` writes. A crash before
 *  that leaves the phase that was, whose reads are made again. Where the next phase writes nothing, it is written alone. */
export const goOn = (
  run: Run,
  rotation: Rotation,
  phase: Phase,
  more: Moving = {},
): Promise<Step> => {
  const { seen, going } = run
  if (!seen || going) return move(run, rotation, phase, more)
  const entered = { phaseEnteredAt: seen.at, phaseObservedMs: seen.observedMs }
  const passage = isOnePassage(rotation.phase, phase) ? {} : { passageAt: seen.at }
  const to: Rotation = { ...rotation, ...more.patch, ...entered, ...passage, phase }
  return Promise.resolve({ going: { from: rotation, to, more, written: false } })
}

/** A commit of the engine: with it goes whatever is to be written before. `at`: the rotation as it is in this transaction. */
export const commit = async <T>(
  run: Run,
  rotation: Rotation,
  work: (tx: Tx, at: Rotation) => Promise<Outcome<T>>,
  first: {
    /** Before anything is written. */
    readonly mayWrite?: (tx: Tx) => Promise<void>
    /** Renewed where a transition is written before. */
    readonly lease?: AlsoMoved['lease']
  } = {},
): Promise<T> => {
  const { going } = run
  const joins = going !== undefined && !going.written
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    await first.mayWrite?.(tx)
    if (!joins) return work(tx, rotation)
    const { from, to, more } = going
    const { next, audit } = await enter(tx, from, to.phase, more, first.lease)
    const outcome = await work(tx, { ...next, trigger: rotation.trigger })
    return { ...outcome, audit: [...audit, ...outcome.audit] }
  })
  if (joins) going.written = true
  return value
}

/** Stops where it is, with everything valid, and says why; a person goes on from here. */
export const stall = (run: Run, rotation: Rotation, reason: string): Promise<Step> =>
  move(run, rotation, 'stalled', {
    patch: { stalledIn: rotation.phase, stalledReason: reason },
    reason,
  })
