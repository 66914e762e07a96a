// Intent, effect, outcome: the only road on which a rotation touches a provider.
//
//   1. commit the intent: operation id, pre-image, sealed material, the moment after which the request is dead
//   2. send it once, outside any transaction, with a deadline that ends 5 s or more before the lease
//   3. commit what happened, together with whatever the rotation becomes by it
//
// A crash before 1 leaves nothing. A crash between 1 and 2, in 2, or between 2 and 3 leaves an open intent: whoever holds
// the lease next finds it and *probes* before anything is sent again. A request that was stopped past its lease may still
// land; its sender cannot record anything (the fence), so the probe of the next holder finds the effect and adopts it.
// A lost reply is `unknown`: a state of the intent, not an error. It is never answered by doing the thing again.

import type { JsonObject } from '#domain/json.ts'
import type { LedgerEvent, Tx } from '#domain/ports.ts'
import { type Call, type Material, type Probe, ProviderError } from '#domain/provider.ts'
import { type Effect, effects, type Intent, type Rotation } from '#domain/rotation.ts'
import { machine } from '#domain/rotation-machine.ts'
import { recoveryHold } from './recovery-mode.ts'
import { holdsOf } from './rotation-holds.ts'
import { fail } from './rotation-failure.ts'
import {
  type Change,
  Fenced,
  type Run,
  stall,
  type Step,
  timerOf,
  transitionEvent,
  waitFor,
  write,
} from './rotation-engine.ts'

/** What came back. `material` is sealed in the outcome's transaction by `done`. */
export interface Sent {
  readonly result: JsonObject
  readonly material?: Material
}

export interface EffectSpec {
  readonly effect: Effect
  /** Tells several effects of one phase apart: a publish target, a provider version. */
  readonly target: string | null
  /** What is touched, for the audit record. */
  readonly object: { readonly id: string; readonly name: string }
  readonly lateEffectMs: number
  readonly consistency: { readonly delayMs: number; readonly confirmations: number }
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

/** A request may run this long. The lease is renewed right before, and is longer by more than 5 s. */
const writeMs = 12_000
const probeMs = 10_000
/** How soon an unknown result is probed for the first time. */
const probeSoonMs = 1_000

export const runEffect = async (run: Run, rotation: Rotation, spec: EffectSpec): Promise<Step> => {
  // Before all else, undo and probes that may remove an orphan included: see recovery-mode.ts.
  const recovery = await run.ledger.read(recoveryHold)
  if (recovery !== null) return waitFor(run, rotation, 'recovery', recovery, { afterMs: 5_000 })
  const intents = await intentsOf(run, rotation, spec)
  const open = intents.find((intent) => !intent.closed)
  if (open) return resolveOpen(run, rotation, spec, open)
  return begin(run, rotation, spec, intents)
}

/** Whether this effect already has its outcome in this phase (several targets: those before the crash). */
export const isDone = async (
  run: Run,
  rotation: Rotation,
  effect: Effect,
  target: string | null,
): Promise<boolean> =>
  (await intentsOf(run, rotation, { effect, target })).some(
    (intent) => intent.outcome === 'succeeded',
  )

const intentsOf = async (
  run: Run,
  rotation: Rotation,
  { effect, target }: Pick<EffectSpec, 'effect' | 'target'>,
): Promise<readonly Intent[]> =>
  (await run.ledger.read((db) => db.intents.of(rotation.id))).filter(
    (intent) =>
      intent.phase === rotation.phase && intent.effect === effect && intent.target === target,
  )

const begin = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  before: readonly Intent[],
): Promise<Step> => {
  const held =
    machine[rotation.phase].writes && rotation.phase !== 'rollingBack'
      ? await holdsOf(run, rotation)
      : null
  if (held)
    return waitFor(run, rotation, held.gate, held.text, {
      afterMs: 5_000,
      ...(held.until ? { until: held.until } : {}),
    })

  let prepared: Awaited<ReturnType<EffectSpec['begin']>>
  try {
    prepared = await spec.begin()
  } catch (error) {
    return afterRefusal(run, rotation, spec, asProviderError(error))
  }

  // The deadline starts before the intent is committed, so that `sentNotAfter` covers everything that follows.
  const lease = await run.timers.claim(rotation.id, run.owner, run.leaseMs)
  if (!lease) throw new Fenced(rotation.id)
  const call: Call = { signal: run.clock.deadline(writeMs) }
  const intent = await commitIntent(run, rotation, spec, before, prepared)
  return send(run, rotation, spec, intent, call, prepared.material !== undefined)
}

const commitIntent = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  before: readonly Intent[],
  prepared: Awaited<ReturnType<EffectSpec['begin']>>,
): Promise<Intent> => {
  const attempt = before.length + 1
  const place = spec.target === null ? '' : `:${spec.target}`
  const operationId = `${rotation.id}:${rotation.phase}${place}:${attempt}`
  const eventId = run.ids.next()
  // An input whose fate was unknown and that was then found absent is sent again as it is; a rejected one never is.
  const last = before.at(-1)
  const again = last?.detail === absentDetail ? last.sealedId : null
  const observed = await run.timers.observe()
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const now = await tx.now()
    const sealedId =
      again ??
      prepared.sealedId ??
      (prepared.material ? await tx.writeSealed.insert(prepared.material, operationId) : null)
    const kept: Record<string, string> = {}
    for (const [name, material] of Object.entries(prepared.keep ?? {})) {
      kept[name] = await tx.writeSealed.insert(material, `${operationId}:${name}`)
    }
    const intent: Intent = {
      operationId,
      rotationId: rotation.id,
      keyId: rotation.keyId,
      phase: rotation.phase,
      target: spec.target,
      attempt,
      effect: spec.effect,
      preImage: { ...prepared.preImage, ...kept },
      sealedId,
      sentNotAfter: new Date(now.getTime() + writeMs + spec.lateEffectMs),
      outcome: null,
      closed: false,
      result: null,
      detail: null,
      eventId,
      startedAt: now,
      endedAt: null,
    }
    await tx.writeIntent.insert(intent)
    await write(tx, rotation, {}, observed)
    return {
      value: intent,
      audit: [effectEvent(rotation, spec, intent, 'intent', { id: eventId })],
    }
  })
  return value
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
    const material = await materialOf(run, intent)
    call.signal.throwIfAborted()
    sent = await spec.send(intent, material, { ...call, operationId: intent.operationId })
  } catch (error) {
    const failure = asProviderError(error, call.signal.aborted ? 'unknown' : undefined)
    return failure.effect === 'none'
      ? rejected(run, rotation, spec, intent, failure, ownsSealed)
      : unknown(run, rotation, spec, intent, failure)
  }
  return succeeded(run, rotation, spec, intent, sent)
}

const succeeded = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
  sent: Sent,
  detail: string | null = null,
): Promise<Step> => {
  const observed = await run.timers.observe()
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const { events = [], ...change } = await spec.done(tx, rotation, sent, intent)
    const next = await write(tx, rotation, change, observed)
    await settle(tx, intent, { outcome: 'succeeded', closed: true, result: sent.result, detail })
    const moved = next.phase === rotation.phase ? [] : [transitionEvent(rotation, next)]
    return {
      value: next,
      audit: [
        effectEvent(rotation, spec, intent, 'succeeded', {
          after: sent.result,
          ...(detail ? { reason: detail } : {}),
        }),
        ...moved,
        ...events,
      ],
    }
  })
  return { moved: value }
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
  const observed = await run.timers.observe()
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const next = await write(tx, rotation, {}, observed)
    await settle(tx, intent, {
      outcome: 'failed',
      closed: true,
      result: null,
      detail: failure.message,
    })
    if (ownsSealed && intent.sealedId) await tx.writeSealed.erase(intent.sealedId)
    return {
      value: next,
      audit: [effectEvent(rotation, spec, intent, 'failed', { reason: failure.message })],
    }
  })
  return afterRefusal(run, value, spec, failure)
}

const unknown = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
  failure: ProviderError,
): Promise<Step> => {
  const observed = await run.timers.observe()
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const next = await write(tx, rotation, {}, observed)
    await settle(tx, intent, {
      outcome: 'unknown',
      closed: false,
      result: null,
      detail: failure.message,
    })
    return {
      value: next,
      audit: [effectEvent(rotation, spec, intent, 'unknown', { reason: failure.message })],
    }
  })
  return waitFor(
    run,
    value,
    'probe',
    `${spec.effect}: no reply, ${failure.message}; asking the provider`,
    {
      afterMs: probeSoonMs,
    },
  )
}

/** An intent without an outcome: ask the provider what became of it, before anything is repeated. */
export const resolveOpen = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
): Promise<Step> => {
  let answer: Probe<Sent>
  try {
    answer = await probeOften(run, spec, intent)
  } catch (error) {
    return probeFailed(run, rotation, spec, asProviderError(error))
  }
  switch (answer.answer) {
    case 'ours':
      if (answer.secretLost && spec.discard) {
        // The same intent covers the removal: a crash here is probed again and finds the orphan, or its absence.
        await spec.discard(answer.value, {
          signal: run.clock.deadline(writeMs),
          operationId: intent.operationId,
        })
        return absent(run, rotation, spec, intent, 'its secret was lost with the reply: removed')
      }
      return succeeded(run, rotation, spec, intent, answer.value, 'found by a probe')
    case 'goalMet':
      return succeeded(
        run,
        rotation,
        spec,
        intent,
        answer.value,
        'the goal was found met; by whom is not known',
      )
    case 'inProgress':
      return waitFor(
        run,
        rotation,
        'probe',
        `${spec.effect} is still in progress at the provider`,
        {
          afterMs: answer.pollAfterMs,
        },
      )
    case 'absent': {
      const now = await run.timers.now()
      const until = new Date(intent.sentNotAfter.getTime() + spec.consistency.delayMs)
      if (now <= until) {
        return waitFor(
          run,
          rotation,
          'probe',
          `${spec.effect} is not there yet and may still arrive`,
          {
            afterMs: Math.min(until.getTime() - now.getTime() + 1, 5_000),
            until,
          },
        )
      }
      return absent(run, rotation, spec, intent, absentDetail)
    }
    case 'partial':
    case 'foreign': {
      const what = answer.answer === 'partial' ? 'half done' : 'not ours'
      return stallWith(
        run,
        rotation,
        spec,
        intent,
        `${spec.effect} was found ${what}: ${answer.detail}`,
      )
    }
  }
}

const absentDetail = 'the provider has no trace of it'

/** `absent` counts only when it was seen as often as the type's consistency asks; anything else counts at once. */
const probeOften = async (run: Run, spec: EffectSpec, intent: Intent): Promise<Probe<Sent>> => {
  const material = await materialOf(run, intent)
  const { delayMs, confirmations } = spec.consistency
  for (let seen = 1; ; seen++) {
    const call = { signal: run.clock.deadline(probeMs), operationId: intent.operationId }
    const answer = await spec.probe(intent, material, call)
    if (answer.answer !== 'absent' || seen >= confirmations) return answer
    await run.clock.pause(Math.min(delayMs / confirmations, 1_000))
  }
}

/** Known to have had no effect, late enough: the next attempt gets a new id. */
const absent = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
  detail: string,
): Promise<Step> => {
  const observed = await run.timers.observe()
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const next = await write(tx, rotation, {}, observed)
    await settle(tx, intent, { outcome: 'failed', closed: true, result: null, detail })
    return {
      value: next,
      audit: [effectEvent(rotation, spec, intent, 'failed', { reason: detail })],
    }
  })
  return { moved: value }
}

/** The intent stays open: whoever resumes probes again. */
const stallWith = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  intent: Intent,
  reason: string,
): Promise<Step> => {
  const observed = await run.timers.observe()
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const next = await write(tx, rotation, {}, observed)
    await settle(tx, intent, { outcome: 'unknown', closed: false, result: null, detail: reason })
    return { value: next, audit: [effectEvent(rotation, spec, intent, 'unknown', { reason })] }
  })
  return stall(run, value, reason)
}

/** A probe that cannot be asked changes nothing; after the policy's tries a person is told. */
const probeFailed = async (
  run: Run,
  rotation: Rotation,
  spec: EffectSpec,
  failure: ProviderError,
): Promise<Step> => {
  const timer = await timerOf(run, rotation.id)
  const attempts = (timer?.attempts ?? 0) + 1
  if (attempts >= rotation.plan.policy.retry.attempts && attempts >= 3) {
    return stall(
      run,
      rotation,
      `what became of ${spec.effect} cannot be found out: ${failure.message}`,
    )
  }
  return waitFor(
    run,
    rotation,
    'probe',
    `the provider does not say what became of ${spec.effect}: ${failure.message}`,
    {
      afterMs: backoff(run, rotation, attempts, failure),
      attempts,
    },
  )
}

/** Retried when its class allows, as often as the policy says; else the phase's failure edge. */
export const afterRefusal = async (
  run: Run,
  rotation: Rotation,
  spec: Pick<EffectSpec, 'effect'>,
  failure: ProviderError,
): Promise<Step> => {
  const timer = await timerOf(run, rotation.id)
  const attempts = (timer?.attempts ?? 0) + 1
  if (failure.retryable && attempts < rotation.plan.policy.retry.attempts) {
    const afterMs = backoff(run, rotation, attempts, failure)
    return waitFor(
      run,
      rotation,
      'retry',
      `${spec.effect} failed, try ${attempts}: ${failure.message}`,
      { afterMs, attempts },
    )
  }
  const hint = failure.hint ? ` (${failure.hint})` : ''
  return fail(run, rotation, `${spec.effect}: ${failure.message}${hint}`)
}

/** Exponential with full jitter; a provider's Retry-After is a floor. */
export const backoff = (
  run: Run,
  rotation: Rotation,
  attempts: number,
  failure: ProviderError,
): number => {
  const { initialMs, maxMs } = rotation.plan.policy.retry
  const ceiling = Math.min(maxMs, initialMs * 2 ** Math.min(attempts - 1, 30))
  return Math.max(failure.retryAfterMs ?? 0, 100, ceiling * run.ids.fraction())
}

/** A fault that no adapter translated is of unknown effect: the worst is assumed, and nothing of its text is kept. */
export const asProviderError = (error: unknown, assume?: 'unknown'): ProviderError => {
  if (error instanceof Fenced) throw error
  if (error instanceof ProviderError) {
    return assume && error.effect === 'none' && error.kind === 'timeout'
      ? new ProviderError('timeout', 'unknown', error.message)
      : error
  }
  const name = error instanceof Error ? error.name : typeof error
  return new ProviderError('outcomeUnknown', 'unknown', `the adapter failed (${name})`)
}

const materialOf = async (run: Run, intent: Intent): Promise<Material | null> => {
  const { sealedId } = intent
  return sealedId === null ? null : run.ledger.read((db) => db.sealed.open(sealedId))
}

const settle = async (
  tx: Tx,
  intent: Intent,
  end: Pick<Intent, 'outcome' | 'closed' | 'result' | 'detail'>,
): Promise<void> => {
  const endedAt = end.closed ? await tx.now() : null
  if (!(await tx.writeIntent.settle({ ...intent, ...end, endedAt }))) {
    throw new Fenced(intent.rotationId ?? intent.keyId)
  }
}

const effectEvent = (
  rotation: Rotation,
  spec: Pick<EffectSpec, 'effect' | 'object' | 'target'>,
  intent: Intent,
  outcome: LedgerEvent['outcome'],
  more: { readonly id?: string; readonly reason?: string; readonly after?: JsonObject },
): LedgerEvent => ({
  ...(more.id ? { id: more.id } : {}),
  action: effects[spec.effect],
  target: spec.object,
  outcome,
  correlationId: rotation.id,
  ...(outcome === 'intent' ? {} : { causationId: intent.eventId }),
  ...(more.reason ? { reason: more.reason } : {}),
  after: {
    key: rotation.keyName,
    keyId: rotation.keyId,
    phase: rotation.phase,
    target: spec.target,
    attempt: intent.attempt,
    epoch: rotation.epoch,
    ...(more.after ? { result: more.after } : {}),
  },
  provider: { operationId: intent.operationId },
})
