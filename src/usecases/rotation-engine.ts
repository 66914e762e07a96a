// What the phases of a rotation share: the dependencies of the engine, the step a phase answers with, and the two ways
// of moving on. `advance-rotation.ts` drives; `rotation-phases.ts` decides; `run-effect.ts` touches providers.

import type { Actor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import type { Key, Version } from '#domain/key.ts'
import type {
  Clock,
  Ids,
  Ledger,
  SendToSink,
  LedgerEvent,
  Sessions,
  TimerPatch,
  Timers,
  Tx,
} from '#domain/ports.ts'
import type { KeyType, ObjectAddress, Session } from '#domain/provider.ts'
import type { Gate, Rotation, RotationTimer, WaitingFor } from '#domain/rotation.ts'
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
}

/** What a phase answers: it moved on, or there is nothing to do before the patch says so. */
export type Step =
  | { readonly moved: Rotation }
  | { readonly wait: TimerPatch & { readonly waitingFor: WaitingFor | null } }

/** Another worker, or a person, moved the rotation: everything that this run still holds is stale. */
export class Fenced extends Error {
  constructor(rotationId: string) {
    super(`rotation ${rotationId} was moved by somebody else`)
    this.name = 'Fenced'
  }
}

export interface Change {
  readonly phase?: Phase
  readonly patch?: Partial<Rotation>
}

/** Writes the rotation's next state under its fence; throws `Fenced` when phase or epoch are no longer what was read. */
export const write = async (
  tx: Tx,
  rotation: Rotation,
  change: Change,
  observedMs: number,
): Promise<Rotation> => {
  const phase = change.phase ?? rotation.phase
  if (phase !== rotation.phase && !mayGo(rotation.phase, phase)) {
    throw new RangeError(`a rotation does not go from ${rotation.phase} to ${phase}`)
  }
  const now = await tx.now()
  const entered =
    phase === rotation.phase ? {} : { phaseEnteredAt: now, phaseObservedMs: observedMs }
  if (!isOpen(phase)) await eraseKept(tx, rotation)
  const ended = isOpen(phase) ? {} : { endedAt: now }
  const next: Rotation = { ...rotation, ...change.patch, ...entered, ...ended, phase }
  if (!(await tx.writeRotation.move(next, { phase: rotation.phase, epoch: rotation.epoch }))) {
    throw new Fenced(rotation.id)
  }
  if (phase !== rotation.phase) {
    await tx.writeTimer.set(rotation.id, { attempts: 0, waitingFor: null })
  }
  return next
}

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
export const transitionEvent = (from: Rotation, to: Rotation, reason?: string): LedgerEvent => {
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
    },
  }
}

/** Moves on without touching a provider, with whatever else `also` writes in the same transaction. */
export const move = async (
  run: Run,
  rotation: Rotation,
  phase: Phase,
  more: {
    readonly patch?: Partial<Rotation>
    readonly reason?: string
    readonly also?: (tx: Tx, next: Rotation) => Promise<readonly LedgerEvent[]>
  } = {},
): Promise<Step> => {
  const observed = await run.timers.observe()
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const next = await write(
      tx,
      rotation,
      { phase, ...(more.patch ? { patch: more.patch } : {}) },
      observed,
    )
    const extra = more.also ? await more.also(tx, next) : []
    return { value: next, audit: [transitionEvent(rotation, next, more.reason), ...extra] }
  })
  return { moved: value }
}

/** Stops where it is, with everything valid, and says why; a person goes on from here. */
export const stall = (run: Run, rotation: Rotation, reason: string): Promise<Step> =>
  move(run, rotation, 'stalled', {
    patch: { stalledIn: rotation.phase, stalledReason: reason },
    reason,
  })

/** Waits for a gate; `afterMs` from now it is looked at again. The start of the wait survives repeated looks. */
export const waitFor = async (
  run: Run,
  rotation: Rotation,
  gate: Gate,
  text: string,
  more: {
    readonly afterMs: number | null
    readonly until?: Date
    readonly missing?: readonly string[]
    readonly attempts?: number
  },
): Promise<Step> => {
  const [now, timer] = await Promise.all([run.timers.now(), timerOf(run, rotation.id)])
  const before = timer?.waitingFor
  return {
    wait: {
      ...(more.afterMs === null
        ? { dueAt: null }
        : { dueAt: new Date(now.getTime() + more.afterMs) }),
      ...(more.attempts === undefined ? {} : { attempts: more.attempts }),
      waitingFor: {
        gate,
        since: before?.gate === gate ? before.since : now.toISOString(),
        ...(more.until ? { until: more.until.toISOString() } : {}),
        missing: more.missing ?? [],
        text,
      },
    },
  }
}

export const timerOf = (run: Pick<Run, 'ledger'>, id: string): Promise<RotationTimer | null> =>
  run.ledger.read((db) => db.timers.get(id))

/** The key, its connection, an open session and the versions of a rotation. */
export interface Scene {
  readonly key: Key
  readonly connection: Connection
  readonly session: Session
  readonly type: KeyType
  readonly object: ObjectAddress
  readonly from: Version | null
  readonly to: Version | null
}

export const sceneOf = async (
  run: Pick<Run, 'ledger' | 'world'>,
  rotation: Rotation,
): Promise<Scene> => {
  const { key, connection, from, to } = await run.ledger.read(async (db) => ({
    key: await db.keys.byId(rotation.keyId),
    connection: await db.connections.get(rotation.plan.key.connection),
    from:
      rotation.fromVersion === null
        ? null
        : await db.versions.get(rotation.keyId, rotation.fromVersion),
    to:
      rotation.toVersion === null
        ? null
        : await db.versions.get(rotation.keyId, rotation.toVersion),
  }))
  const type = run.world.types.get(rotation.plan.key.type)
  if (!key || !connection || !type) {
    throw new RangeError(`rotation ${rotation.id} has lost its key, connection or type`)
  }
  const { id: keyId, name: keyName, type: typeName, ref } = rotation.plan.key
  return {
    key,
    connection,
    session: await run.world.sessions.open(connection),
    type,
    object: { type: typeName, ref, keyId, keyName },
    from,
    to,
  }
}

/** The provider's version that carries a version's material now. */
export const carrier = (version: Version): string => {
  const last = version.providerVersions.at(-1)
  if (last === undefined) throw new RangeError(`version ${version.version} has no provider version`)
  return last
}
