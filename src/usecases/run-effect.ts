// Intent, effect, outcome: the only road on which a rotation touches a provider.
//
//   1. commit the intent: operation id, pre-image, sealed material, the moment after which the request is dead
//   2. send it once, outside any transaction, with a deadline that ends 5 s or more before the lease
//   3. commit what happened, together with whatever the rotation becomes by it
//
// A crash before 1 leaves nothing. A crash between 1 and 2, in 2, or between 2 and 3 leaves an open intent: whoever holds
// the lease next resolves it (resolve-effect.ts) before the phase does anything: it *probes* before anything is sent again.
// A request that was stopped past its lease may still land; its sender cannot record anything (the fence), so the probe of
// the next holder finds the effect and adopts it. A lost reply is `unknown`: a state of the intent, not an error. It is
// never answered by doing the thing again.

import type { HandStep } from '#domain/by-hand.ts'
import type { Fingerprint } from '#domain/fingerprint.ts'
import type { JsonObject } from '#domain/json.ts'
import type { LedgerEvent, Reads, Tx } from '#domain/ports.ts'
import { AtLimit, type Call, type Material, type Probe, ProviderError } from '#domain/provider.ts'
import type { Effect, Intent, Rotation } from '#domain/rotation.ts'
import { effectHold, effectHoldIn, type Hold } from './rotation-holds.ts'
import {
  type Change,
  Fenced,
  commit,
  leaseOf,
  type Run,
  type Step,
  transitionEvent,
  unseen,
  write,
} from './rotation-engine.ts'
import { faultTries, refused } from './rotation-retries.ts'
import { Full, isOurDatabase } from './rotation-scene.ts'
import { lookAgainMs, waitFor } from './rotation-wait.ts'
import { absentDetail, effectEvent, record, settle } from './record-effect.ts'

/** What came back. `material` is sealed in the outcome's transaction by `done`. */
export interface Sent {
  readonly result: JsonObject
  readonly material?: Material
  readonly fingerprint?: Fingerprint
}

/** An effect as data. It is made anew from the rotation and the intent alone by whoever takes over: nothing that decides is
 *  known only to the process that sent it. */
export interface EffectSpec {
  readonly effect: Effect
  /** Tells several effects of one phase apart: a publish target, a provider version. */
  readonly target: string | null
  /** What is touched, for the audit record. */
  readonly object: { readonly id: string; readonly name: string }
  /** `anytime`: landing late, or twice, changes nothing that Rekey answers for, so that nothing is waited for. */
  readonly lateEffectMs: number | 'anytime'
  readonly consistency: { readonly delayMs: number; readonly confirmations: number }
  /** A person carries it out: nothing is sent, and the probe finds it once that was confirmed. */
  readonly byHand?: HandStep
  /** Why it may not be sent now, or null: a right that is not the provider's to refuse. Asked before `begin` and again in the
   *  transaction that commits the intent. */
  readonly permitted?: (db: Reads) => Promise<ProviderError | null>
  /** Reads only. New material is sealed with the intent; a `sealedId` names what is sealed already. */
  readonly begin: () => Promise<{
    readonly preImage: JsonObject
    readonly material?: Material
    readonly sealedId?: string
    /** More that must survive a crash, such as what a target held: sealed with the intent, its ids put into the pre-image. */
    readonly keep?: Readonly<Record<string, Material>>
  }>
  readonly send: (intent: Intent, material: Material | null, call: Call) => Promise<Sent>
  readonly probe: (intent: Intent, material: Material | null, call: Call) => Promise<Probe<Sent>>
  /** Where somebody else wrote in its place: theirs stays and the phase looks again, or it is sent again over what is there
   *  now. Otherwise a person is asked. */
  readonly foreign?: 'stays' | 'overwritten'
  /** Removes an orphan of ours whose secret was shown once and is lost; then a new one is made. */
  readonly discard?: (sent: Sent, call: Call) => Promise<void>
  /** What the rotation becomes by the outcome; runs in its transaction. */
  readonly done: (
    tx: Tx,
    rotation: Rotation,
    sent: Sent,
    intent: Intent,
  ) => Promise<Change & { readonly events?: readonly LedgerEvent[] }>
}

/** Asked at the last moment before the intent is committed: a step to take in its place, or null. */
export type Guard = () => Promise<Step | null>

/** A request may run this long. The lease is renewed right before, and is longer by more than 5 s. */
export const writeMs = 12_000
/** How soon an unknown result is probed for the first time. */
const probeSoonMs = 1_000

/** What people read: `suspend 3`, `distribute orders-db`, `mint`. */
export const nameOf = ({ effect, target }: Pick<EffectSpec, 'effect' | 'target'>): string =>
  target === null ? effect : `${effect} ${target}`

/** Begins an effect. The driver has resolved whatever was open before. */
export const runEffect = async (
  begun: Run,
  rotation: Rotation,
  spec: EffectSpec,
  guard: Guard = async () => null,
): Promise<Step> => {
  const run = unseen(begun)
  const held = await effectHold(begun, rotation)
  if (held) return waitHeld(run, rotation, held)
  let prepared: Awaited<ReturnType<EffectSpec['begin']>>
  try {
    await run.ledger.read((db) => mustBePermitted(spec, db))
    prepared = await spec.begin()
  } catch (error) {
    return refused(run, rotation, nameOf(spec), asProviderError(error))
  }
  const shut = await guard()
  if (shut) return shut

  // The deadline starts before the intent is committed, so that `sentNotAfter` and the lease cover everything that follows.
  const call: Call = { signal: run.clock.deadline(writeMs) }
  try {
    const { intent, now } = await commitIntent(begun, rotation, spec, prepared)
    // The intent is what the person is asked to do: whoever looks next waits for the answer.
    if (spec.byHand) return { moved: now }
    return await send(run, now, spec, intent, call, prepared.material !== undefined)
  } catch (error) {
    if (error instanceof Held) return waitHeld(run, rotation, error.hold)
    // Not permitted any more; what became of the request itself is never thrown.
    if (error instanceof ProviderError) return refused(run, rotation, nameOf(spec), error)
    throw error
  }
}

const mustBePermitted = async (spec: EffectSpec, db: Reads): Promise<void> => {
  const refusal = await spec.permitted?.(db)
  if (refusal) throw refusal
}

class Held extends Error {
  readonly hold: Hold
  constructor(hold: Hold) {
    super('held')
    this.hold = hold
  }
}

export const waitHeld = (
  run: Run,
  rotation: Rotation,
  { gate, text, until }: Hold,
): Promise<Step> => waitFor(run, rotation, gate, text, { afterMs: lookAgainMs, until })

const commitIntent = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  prepared: Awaited<ReturnType<EffectSpec['begin']>>,
): Promise<{ readonly intent: Intent; readonly now: Rotation }> => {
  const eventId = run.ids.next()
  const lease = leaseOf(run)
  // Asked once more where the answer counts: whatever was set while the provider was read holds this write too.
  const mayWrite = async (tx: Tx): Promise<void> => {
    const held = await effectHoldIn(tx, rotation)
    if (held) throw new Held(held)
    await mustBePermitted(spec, tx)
  }
  const work = async (tx: Tx, at: Rotation) => {
    const now = await tx.now()
    const begun = run.seen?.intents ?? (await tx.intents.of(rotation.id))
    const before = begun.filter(
      ({ phase, target }) => phase === rotation.phase && target === spec.target,
    )
    const attempt = before.length + 1
    const place = spec.target === null ? '' : `:${spec.target}`
    const operationId = `${rotation.id}:${rotation.phase}${place}:${attempt}`
    // An input whose fate was unknown and that was then found absent is sent again as it is; a rejected one never is.
    const last = before.filter(({ effect }) => effect === spec.effect).at(-1)
    const again = last?.detail === absentDetail ? last.sealedId : null
    const sealedId =
      again ??
      prepared.sealedId ??
      (prepared.material ? await tx.writeSealed.insert(prepared.material, operationId) : null)
    const kept: Record<string, string> = {}
    for (const [name, material] of Object.entries(prepared.keep ?? {})) {
      kept[name] = await tx.writeSealed.insert(material, `${operationId}:${name}`)
    }
    const late = spec.byHand?.withinMs ?? (spec.lateEffectMs === 'anytime' ? 0 : spec.lateEffectMs)
    const intent: Intent = {
      operationId,
      rotationId: rotation.id,
      incidentId: null,
      keyId: rotation.keyId,
      phase: rotation.phase,
      target: spec.target,
      attempt,
      effect: spec.effect,
      preImage: { ...prepared.preImage, ...kept },
      sealedId,
      sentNotAfter: new Date(now.getTime() + writeMs + late),
      outcome: null,
      closed: false,
      result: null,
      detail: null,
      eventId,
      startedAt: now,
      endedAt: null,
    }
    await tx.writeIntent.insert(intent)
    // Entering the phase has passed the fence.
    const next = at === rotation ? await write(tx, rotation, {}, lease) : at
    return {
      value: { intent, now: next },
      audit: [
        effectEvent(rotation, spec, intent, 'intent', { id: eventId }),
        ...(spec.byHand && !isMet(intent) ? [stepAsked(rotation, intent, spec.byHand)] : []),
      ] as const,
    }
  }
  return commit(run, rotation, work, { mayWrite, lease })
}

/** It was so before: nobody is asked, and the probe finds it. */
const isMet = ({ preImage: { state, wanted } }: Intent): boolean =>
  wanted !== undefined && state === wanted

const stepAsked = (rotation: Rotation, intent: Intent, step: HandStep): LedgerEvent => ({
  action: 'rotation.stepAsked',
  target: { id: rotation.id, name: rotation.keyName },
  outcome: 'intent',
  correlationId: rotation.id,
  causationId: intent.eventId,
  reason: [step.asks, ...step.steps].join('; '),
  after: {
    key: rotation.keyName,
    keyId: rotation.keyId,
    policy: rotation.policy,
    by: intent.sentNotAfter.toISOString(),
  },
  provider: { operationId: intent.operationId },
})

class NotSent extends ProviderError {
  constructor() {
    super('timeout', 'none', 'its time was over before it could be sent')
  }
}

const send = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
  call: Call,
  ownsSealed: boolean,
): Promise<Step> => {
  let sent: Sent
  try {
    const material = await materialIn(run, intent)
    // Known not to have been sent: nothing has to be probed, nor waited for.
    if (call.signal.aborted) throw new NotSent()
    sent = await spec.send(intent, material, { ...call, operationId: intent.operationId })
  } catch (error) {
    const failure =
      error instanceof NotSent
        ? error
        : asProviderError(error, call.signal.aborted ? 'unknown' : undefined)
    return failure.effect === 'none'
      ? rejected(run, rotation, spec, intent, failure, ownsSealed)
      : unknown(run, rotation, spec, intent, failure)
  }
  return succeeded(run, rotation, spec, intent, sent)
}

/** The outcome and what the rotation becomes by it. An effect of a phase that was left since (it is being undone) changes
 *  what belongs to it, and no longer where the rotation goes. */
export const succeeded = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
  sent: Sent,
  detail: string | null = null,
): Promise<Step> => {
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const at = { ...rotation, phase: intent.phase as Rotation['phase'] }
    const { events = [], phase, patch = {} } = await spec.done(tx, at, sent, intent)
    const goesOn = intent.phase === rotation.phase && phase !== undefined
    // Found, it has landed at some time since: what an incident proved before that is to be looked at once more.
    const wakesIncident = detail !== null
    const next = await write(tx, rotation, { patch, wakesIncident, ...(goesOn ? { phase } : {}) })
    await settle(tx, intent, { outcome: 'succeeded', closed: true, result: sent.result, detail })
    // What had failed before this success is over: the tries of what comes next begin anew.
    if (next.phase === rotation.phase) await forgetTries(tx, rotation)
    const said = next.phase !== rotation.phase || next.promotedAt !== rotation.promotedAt
    return {
      value: next,
      audit: [
        effectEvent(rotation, spec, intent, 'succeeded', {
          after: sent.result,
          ...(detail ? { reason: detail } : {}),
        }),
        ...(said ? [transitionEvent(rotation, next)] : []),
        ...events,
      ],
    }
  })
  return { moved: value }
}

const forgetTries = async (tx: Tx, rotation: Rotation): Promise<void> => {
  const progress = (await tx.timers.get(rotation.id))?.progress
  // Faults go on being counted: whoever goes round in circles has successes too.
  if (!progress?.tries || progress.tries.of === faultTries) return
  const { tries: _over, ...kept } = progress
  await tx.writeTimer.set(rotation.id, { progress: kept })
}

/** The provider did not take it: nothing happened, and that is known. */
const rejected = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
  failure: ProviderError,
  ownsSealed: boolean,
): Promise<Step> => {
  const erase = ownsSealed ? intent.sealedId : null
  const now = await record(run, rotation, spec, intent, 'failed', failure.message, erase)
  return refused(run, now, nameOf(spec), failure)
}

const unknown = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
  failure: ProviderError,
): Promise<Step> => {
  const now = await record(run, rotation, spec, intent, 'unknown', failure.message)
  const text = `${nameOf(spec)}: ${failure.message}; asking the provider`
  return waitFor(run, now, 'probe', text, { afterMs: probeSoonMs })
}

/** A fault that no adapter translated is of unknown effect: the worst is assumed, and nothing of its text is kept. What is
 *  no fault of an adapter's (the fence, a full line, our database) is thrown on. */
export const asProviderError = (error: unknown, assume?: 'unknown'): ProviderError => {
  if (error instanceof Fenced || error instanceof Full || isOurDatabase(error)) throw error
  if (error instanceof ProviderError) {
    return assume &&
      error.effect === 'none' &&
      error.kind === 'timeout' &&
      !(error instanceof AtLimit)
      ? new ProviderError('timeout', 'unknown', error.message)
      : error
  }
  const name = error instanceof Error ? error.name : typeof error
  return new ProviderError('outcomeUnknown', 'unknown', `the adapter failed (${name})`)
}

export const materialIn = async (run: Run, intent: Intent): Promise<Material | null> => {
  const { sealedId } = intent
  return sealedId === null ? null : run.ledger.read((db) => db.sealed.open(sealedId))
}
