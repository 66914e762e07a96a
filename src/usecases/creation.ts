// The creation of an object at the provider, as the files beside this one share it: its intent, its events, its refusals, and
// how it is given up. The protocol stands in create-object.ts.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { LedgerEvent, Reads, Tx } from '#domain/ports.ts'
import { lateEffectOf, type Minted, type Session } from '#domain/provider.ts'
import type { Intent } from '#domain/rotation.ts'
import { asking } from './provider-failures.ts'
import { callMs } from './prove-version.ts'
import type { Place, RegisterKeyDeps } from './registration.ts'

export interface Creation {
  readonly key: Key
  readonly intent: Intent
  readonly place: Place
}

export const intentOf = (
  key: Key,
  of: {
    readonly eventId: string
    readonly attempt: number
    readonly sealedId: string | null
    readonly generate: JsonObject
    readonly place: Place
    readonly now: Date
  },
): Intent => ({
  operationId: `${key.id}:create:${of.attempt}`,
  rotationId: null,
  incidentId: null,
  keyId: key.id,
  phase: 'create',
  target: null,
  attempt: of.attempt,
  effect: 'create',
  preImage: { generate: of.generate },
  sealedId: of.sealedId,
  sentNotAfter: notAfter(of.place, of.now),
  outcome: null,
  closed: false,
  result: null,
  detail: null,
  eventId: of.eventId,
  startedAt: of.now,
  endedAt: null,
})

/** Of a request whose deadline began before `now`, on the database's clock. */
export const notAfter = (place: Place, now: Date): Date =>
  new Date(now.getTime() + callMs + lateEffectOf(place.type, place.connection))

/** Whether requests that end at `sentNotAfter` are over, and a look would have found what they did. */
export const isPast = (sentNotAfter: Date, { type }: Place, now: Date): boolean =>
  now.getTime() > sentNotAfter.getTime() + type.traits.consistency.delayMs

export const effectEvent = (
  key: Key,
  intent: Intent,
  outcome: LedgerEvent['outcome'],
  reason?: string,
): LedgerEvent => ({
  action: 'effect.create',
  target: { id: key.objectId, name: key.name },
  outcome,
  correlationId: key.id,
  ...(outcome === 'intent' ? {} : { causationId: intent.eventId }),
  ...(reason === undefined ? {} : { reason }),
  provider: { operationId: intent.operationId },
})

export const registeredEvent = (
  key: Key,
  outcome: LedgerEvent['outcome'],
  reason: string,
): LedgerEvent => ({
  action: 'key.registered',
  target: { id: key.id, name: key.name },
  outcome,
  reason,
})

/** The object may be there and cannot be said to work: the intent stays open, and says why. */
export const tellUnknown = async (
  { ledger }: Pick<RegisterKeyDeps, 'ledger'>,
  actor: Actor,
  { key, intent }: Creation,
  told: { readonly detail: string; readonly result?: JsonObject },
): Promise<void> => {
  const { detail } = told
  await ledger.commit(actor, async (tx) => {
    await tx.holdKeys([key.id])
    const open = await tx.writeIntent.settle({ ...intent, outcome: 'unknown', ...told })
    return {
      value: null,
      audit: [
        open
          ? effectEvent(key, intent, 'unknown', detail)
          : registeredEvent(key, 'unknown', 'another request knows the outcome'),
      ],
    }
  })
}

/** A connection that cannot be opened has sent nothing: the fate of an earlier request stays as it was. */
export const opened = (deps: RegisterKeyDeps, { place }: Creation): Promise<Session> =>
  asking(() => deps.sessions.open(place.connection))

/** The intent of a key whose object is still being made, or null. */
export const openCreation = async (
  db: Pick<Reads, 'intents'>,
  keyId: string,
): Promise<Intent | null> =>
  (await db.intents.ofCreation(keyId)).find((intent) => !intent.closed) ?? null

/** Nothing begins on a key before its first version works. */
export const mustBeMade = async (
  db: Pick<Reads, 'intents' | 'versions'>,
  key: Key,
): Promise<void> => {
  const intent = await openCreation(db, key.id)
  if (!intent && (await db.versions.of(key.id)).length > 0) return
  throw new RekeyError('key.busy', {
    detail: intent?.detail
      ? `The object of the key is still being made: ${intent.detail}.`
      : 'The object of the key is still being made, or may be.',
    hint: 'Repeat the POST that began it, or delete the key.',
  })
}

/** The key is to be deleted, and is held. Closes an open intent once no request under it can arrive any more; what it made, if
 *  anything, stays at the provider, as with every key that is deleted. Returns what is to be told. */
export const giveUpCreation = async (
  tx: Tx,
  key: Key,
  now: Date,
): Promise<readonly LedgerEvent[]> => {
  const intent = await openCreation(tx, key.id)
  if (!intent) return []
  if (now <= intent.sentNotAfter) {
    throw new RekeyError('key.busy', {
      detail: `The object of the key is being made: the request may arrive until ${intent.sentNotAfter.toISOString()}.`,
      hint: 'Delete the key after that, or repeat the POST that began it.',
    })
  }
  const reason = 'given up: the key was deleted, and whether its object was made is not known'
  await tx.writeIntent.settle({
    ...intent,
    outcome: 'failed',
    closed: true,
    detail: reason,
    sealedId: null,
    endedAt: now,
  })
  if (intent.sealedId !== null) await tx.writeSealed.erase(intent.sealedId)
  return [effectEvent(key, intent, 'failed', reason)]
}

export const pending = (detail: string): RekeyError =>
  new RekeyError('provider.unavailable', {
    detail,
    hint: 'Repeat the same request: it finds out and finishes, and never makes a second object.',
  })

export const takenByAnother = (detail: string): RekeyError =>
  new RekeyError('provider.rejected', {
    detail: `Somebody else made the object meanwhile: ${detail}.`,
    hint: 'Register it without create to adopt it.',
  })

export const lost = (minted: Minted): RekeyError =>
  new RekeyError('provider.rejected', {
    detail: `The object was made, and its secret was lost on the way (provider version ${minted.providerVersion}).`,
    hint: 'Remove it at the provider, then register the key again.',
  })
