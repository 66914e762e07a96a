// The intents of an incident: how one is begun, and what an answer makes of it. What is sent between the two is the business of
// contain-key.ts and restore-contained.ts.

import { lateEffectOf, type ProviderError } from '#domain/provider.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Effect, Intent } from '#domain/rotation.ts'
import type { Case } from './contained-cases.ts'

/** From an intent on: its request may have to wait for its turn, but not too long. */
const intentMs = 60_000

interface Begun {
  readonly verb: 'contain' | 'restore'
  readonly phase: string
  /** The provider version. */
  readonly target: string
  /** The try before. */
  readonly last: Intent | null
  readonly effect: Effect
  readonly preImage: JsonObject
  readonly eventId: string
}

export const beginIntent = (
  { incident, key, type, connection }: Pick<Case, 'incident' | 'key' | 'type' | 'connection'>,
  { verb, last, target, ...of }: Begun,
  at: Date,
): Intent => {
  const attempt = (last?.attempt ?? 0) + 1
  return {
    ...of,
    operationId: `${incident.id}:${key.keyId}:${verb}:${target}:${attempt}`,
    rotationId: null,
    incidentId: incident.id,
    keyId: key.keyId,
    target,
    attempt,
    sealedId: null,
    sentNotAfter: new Date(at.getTime() + intentMs + lateEffectOf(type, connection)),
    outcome: null,
    closed: false,
    result: null,
    detail: null,
    startedAt: at,
    endedAt: null,
  }
}

/** An effect that is unknown stays open: whoever has the lease next asks the provider. */
export const endIntent = (
  intent: Intent,
  failure: Pick<ProviderError, 'effect' | 'message'> | null,
  at: Date,
): Intent => {
  if (failure === null) return { ...intent, outcome: 'succeeded', closed: true, endedAt: at }
  const { effect, message: detail } = failure
  return effect === 'none'
    ? { ...intent, outcome: 'failed', closed: true, detail, endedAt: at }
    : { ...intent, outcome: 'unknown', closed: false, detail }
}
