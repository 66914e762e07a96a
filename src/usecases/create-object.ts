// Makes an object at the provider, with its first version, for a key that is registered with `create: true`.
//
// Intent, effect, outcome, in this order, each committed before the next begins. What a crash leaves:
//
//   before commit 1           nothing
//   after commit 1            a key without a version and an open intent `<key>:create:1` with the sealed new material.
//                             The object may be absent, on its way, or made. The key's status says so; no policy rotates it.
//   while the request runs    the same
//   after the effect          the same, and the object is there
//   after commit 2 (unknown)  the same; the intent says that the outcome is not known
//   after commit 3            done
//
// Who repairs it: a repeat of the same POST (by a person, CI, or a plan that is applied again) finds the open intent and asks
// the provider first: *ours* → finish; *absent* → send the same order again under the same id, which makes one object however
// often it is sent (types that can only probe wait until the first request can no longer arrive, then use the next attempt);
// *foreign* → the key is withdrawn. New material is never generated for an open intent. Two repeats at once do no harm: the
// first commit 3 closes the intent, the other one reads what that wrote. DELETE is refused while the intent is open.
//
// A definite refusal withdraws the key (a tombstone, with its history), so that name and object are free again.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Committed, LedgerEvent, Tx } from '#domain/ports.ts'
import {
  type Material,
  type Minted,
  type MintOrder,
  ProviderError,
  type Session,
} from '#domain/provider.ts'
import type { Intent } from '#domain/rotation.ts'
import { reschedule } from './assign-policies.ts'
import { asking, asRekeyError } from './provider-failures.ts'
import { callMs, proveVersion } from './prove-version.ts'
import { firstVersion, insertKey, resolvedOf } from './insert-key.ts'
import { addressOf, type Place, type RegisterKeyDeps, toldKey } from './registration.ts'
import { mustHold, sameJson } from './written.ts'

type Deps = RegisterKeyDeps

interface Creation {
  readonly key: Key
  readonly intent: Intent
  readonly place: Place
}

/** Commit 1, then the effect. */
export const createObject = async (
  deps: Deps,
  actor: Actor,
  order: {
    readonly id: string
    readonly input: Registration
    readonly place: Place
    readonly dryRun: boolean
  },
): Promise<Committed<Key>> => {
  const { id, place } = order
  const eventId = deps.ids.next()
  const begun = await deps.ledger.commit(actor, async (tx) => {
    const { key, generate } = await insertKey(tx, deps.providers, actor, order)
    const parameters = generate as JsonObject
    const material = place.type.generate?.(parameters, (bytes) => deps.ids.random(bytes)) ?? null
    const sealedId = material && (await tx.writeSealed.insert(material, `key:${id}:create`))
    const intent = intentOf(key, {
      eventId,
      attempt: 1,
      sealedId,
      generate: parameters,
      place,
      now: await tx.now(),
    })
    await tx.writeIntent.insert(intent)
    return {
      value: { key, intent },
      audit: [
        {
          action: 'key.registered',
          target: { id, name: key.name },
          outcome: 'intent',
          after: toldKey(key),
        },
        { ...effectEvent(key, intent, 'intent'), id: eventId },
      ],
    }
  })
  if (order.dryRun) return { ...begun, value: begun.value.key }
  return send(deps, actor, { ...begun.value, place }, { first: true })
}

/** The name is taken: by a finished key (409), or by one whose creation was interrupted and is the same. */
export const resumeCreation = async (
  deps: Deps,
  actor: Actor,
  order: {
    readonly key: Key
    readonly input: Registration
    readonly place: Place
    readonly dryRun: boolean
  },
): Promise<Committed<Key>> => {
  const { key, input, place } = order
  const { intents, versions } = await deps.ledger.read(async (db) => ({
    intents: await db.intents.ofCreation(key.id),
    versions: await db.versions.of(key.id),
  }))
  const intent = intents.find((candidate) => !candidate.closed)
  const same =
    key.connection === input.connection &&
    key.type === input.type &&
    key.objectId === place.objectId
  if (
    !intent ||
    versions.length > 0 ||
    !input.create ||
    !same ||
    !sameJson(key.labels, input.labels ?? {})
  ) {
    throw new RekeyError('resource.exists', {
      detail: `There is a key "${key.name}" already.`,
      ...(intent
        ? { hint: 'Its object is still being made: repeat the POST that began it, unchanged.' }
        : {}),
    })
  }
  const creation = { key, intent, place }
  if (order.dryRun) {
    return deps.ledger.commit(actor, async () => ({
      value: key,
      audit: [
        {
          action: 'key.registered',
          target: { id: key.id, name: key.name },
          outcome: 'intent',
          after: toldKey(key),
        },
      ],
    }))
  }
  return probe(deps, actor, creation, { resend: true })
}

const intentOf = (
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
  keyId: key.id,
  phase: 'create',
  target: null,
  attempt: of.attempt,
  effect: 'create',
  preImage: { generate: of.generate },
  sealedId: of.sealedId,
  sentNotAfter: new Date(of.now.getTime() + callMs + of.place.type.traits.lateEffectMs),
  outcome: null,
  closed: false,
  result: null,
  detail: null,
  eventId: of.eventId,
  startedAt: of.now,
  endedAt: null,
})

const effectEvent = (
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

const orderOf = async (deps: Deps, { key, intent }: Creation): Promise<MintOrder> => {
  const { sealedId } = intent
  const material =
    sealedId === null ? null : await deps.ledger.read((db) => db.sealed.open(sealedId))
  if (sealedId !== null && !material)
    throw new RangeError(`the material of ${intent.operationId} is gone`)
  const generate = intent.preImage['generate']
  return {
    object: addressOf(key),
    operationId: intent.operationId,
    preImage: {},
    generate: (generate ?? {}) as JsonObject,
    material,
  }
}

const send = async (
  deps: Deps,
  actor: Actor,
  creation: Creation,
  { first }: { readonly first: boolean },
): Promise<Committed<Key>> => {
  const session = await opened(deps, creation)
  const order = await orderOf(deps, creation)
  const call = { signal: deps.clock.deadline(callMs), operationId: order.operationId }
  try {
    return await finish(deps, actor, creation, await session.create(order, call))
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    if (error.effect === 'none') {
      // This request had no effect; an earlier one of the same id may still arrive, and then belongs to the key.
      if (!first && !tooLate(deps, creation)) throw asRekeyError(error)
      return withdraw(deps, actor, creation, error.message, asRekeyError(error))
    }
    await deps.ledger.commit(actor, async (tx) => {
      const { key, intent } = creation
      const open = await tx.writeIntent.settle({
        ...intent,
        outcome: 'unknown',
        detail: error.message,
      })
      return {
        value: null,
        audit: [
          open
            ? effectEvent(key, intent, 'unknown', error.message)
            : registered(key, 'unknown', 'another request knows the outcome'),
        ],
      }
    })
    return probe(deps, actor, creation, { resend: false })
  }
}

/** Whether no request under the intent's id can take effect any more. */
const tooLate = (deps: Deps, { intent, place }: Creation): boolean => {
  const now = deps.clock.now().getTime()
  return now > intent.sentNotAfter.getTime() + place.type.traits.consistency.delayMs
}

/** A connection that cannot be opened has sent nothing: the fate of an earlier request stays as it was. */
const opened = (deps: Deps, { place }: Creation): Promise<Session> =>
  asking(() => deps.sessions.open(place.connection))

const looks = 3
const lookPauseMs = 300

/** Asks what became of the request. `resend`: this run has not sent anything yet. */
const probe = async (
  deps: Deps,
  actor: Actor,
  creation: Creation,
  { resend }: { readonly resend: boolean },
): Promise<Committed<Key>> => {
  const session = await opened(deps, creation)
  const order = await orderOf(deps, creation)
  for (let look = 1; look <= looks; look += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    const answer = await asking(() =>
      session.probeMint(order, {
        signal: deps.clock.deadline(callMs),
        operationId: order.operationId,
      }),
    )
    switch (answer.answer) {
      case 'ours':
        if (answer.secretLost) {
          return withdraw(
            deps,
            actor,
            creation,
            'the object was made and its secret was lost',
            lost(answer.value),
          )
        }
        return finish(deps, actor, creation, answer.value)
      case 'goalMet':
        return finish(deps, actor, creation, answer.value)
      case 'foreign':
        return withdraw(deps, actor, creation, answer.detail, taken(answer.detail))
      case 'partial':
        throw pending(`The object was made in part: ${answer.detail}.`)
      case 'absent':
        if (resend) return sendAgain(deps, actor, creation)
        break
      case 'inProgress':
    }
    if (look < looks) await deps.clock.pause(lookPauseMs) // oxlint-disable-line no-await-in-loop -- spacing of looks
  }
  throw pending('It is not known yet whether the object was made.')
}

/** Absent. The same id makes one object however often it is sent; a type that can only probe waits for late effects first. */
const sendAgain = async (deps: Deps, actor: Actor, creation: Creation): Promise<Committed<Key>> => {
  const { traits } = creation.place.type
  if (traits.exactlyOnce !== 'probe') return send(deps, actor, creation, { first: false })
  const { key, intent, place } = creation
  const eventId = deps.ids.next()
  const { value } = await deps.ledger.commit(actor, async (tx) => {
    const now = await tx.now()
    if (now.getTime() <= intent.sentNotAfter.getTime() + traits.consistency.delayMs) {
      throw pending('The first request may still arrive at the provider.')
    }
    const detail = 'absent later than it could arrive'
    if (
      !(await tx.writeIntent.settle({
        ...intent,
        outcome: 'failed',
        closed: true,
        detail,
        endedAt: now,
      }))
    ) {
      throw pending('Another request is finishing it.')
    }
    const generate = (intent.preImage['generate'] ?? {}) as JsonObject
    const next = intentOf(key, {
      eventId,
      attempt: intent.attempt + 1,
      sealedId: intent.sealedId,
      generate,
      place,
      now,
    })
    await tx.writeIntent.insert(next)
    return {
      value: next,
      audit: [
        effectEvent(key, intent, 'failed', detail),
        { ...effectEvent(key, next, 'intent'), id: eventId },
      ],
    }
  })
  return send(deps, actor, { ...creation, intent: value }, { first: true })
}

/** Commit 3: the version, the outcome, and the key's schedule. Before it, the pointer is set where the provider has one. */
const finish = async (
  deps: Deps,
  actor: Actor,
  creation: Creation,
  minted: Minted,
): Promise<Committed<Key>> => {
  const { key, intent } = creation
  const session = await opened(deps, creation)
  const object = addressOf(key)
  const to = minted.providerVersion
  const call = () => ({ signal: deps.clock.deadline(callMs), operationId: intent.operationId })
  const proof = await asking(async () => {
    if (creation.place.type.traits.staging === 'native') {
      const { versions } = await session.describe(object, call())
      // A crash inside the provider's own create can leave a version that nothing points at.
      if (!versions.some((version) => version.current)) {
        await session.promote({ object, operationId: intent.operationId, from: null, to }, call())
      }
    }
    return proveVersion(session, deps.clock, object, to)
  })
  return deps.ledger.commit(actor, async (tx) => {
    const now = await tx.now()
    const closed: Intent = {
      ...intent,
      outcome: 'succeeded',
      closed: true,
      result: { providerVersion: to },
      endedAt: now,
    }
    if (!(await tx.writeIntent.settle(closed))) return alreadyFinished(tx, key)
    const sealedId = await keptMaterial(tx, key, intent, minted, proof.material)
    const shown = minted.material ?? null
    const known = { ...proof, material: proof.material ?? shown }
    await tx.writeVersion.insert(firstVersion(tx, key, to, known, now, sealedId))
    await reschedule(tx, key, await resolvedOf(tx, key), now)
    return {
      value: key,
      audit: [
        { ...effectEvent(key, intent, 'succeeded'), after: { providerVersion: to } },
        {
          action: 'key.objectCreated',
          target: { id: key.id, name: key.name },
          outcome: 'succeeded',
          after: { providerVersion: to, verified: proof.verified },
        },
      ],
    }
  })
}

/** Material stays sealed here only where the provider does not give it back. */
const keptMaterial = async (
  tx: Tx,
  key: Key,
  intent: Intent,
  minted: Minted,
  readable: Material | null,
): Promise<string | null> => {
  if (minted.material && !readable)
    return tx.writeSealed.insert(minted.material, `version:${key.id}:1`)
  if (intent.sealedId !== null && readable) {
    await tx.writeSealed.erase(intent.sealedId)
    return null
  }
  return intent.sealedId
}

const alreadyFinished = async (tx: Tx, key: Key) => {
  const version: Version | null = await tx.versions.get(key.id, 1)
  if (!version) throw pending('Another request withdrew it.')
  return {
    value: key,
    audit: [
      {
        action: 'key.registered',
        target: { id: key.id, name: key.name },
        outcome: 'succeeded',
        reason: 'finished by another request',
      },
    ] as const,
  }
}

/** Nothing of ours is at the provider: the key becomes a tombstone and the caller hears why. */
const withdraw = async (
  deps: Deps,
  actor: Actor,
  { key, intent }: Creation,
  reason: string,
  error: RekeyError,
): Promise<never> => {
  await deps.ledger.commit(actor, async (tx) => {
    const now = await tx.now()
    const closed: Intent = {
      ...intent,
      outcome: 'failed',
      closed: true,
      detail: reason,
      endedAt: now,
      sealedId: null,
    }
    // An intent has one final outcome in the log: who comes second adds none.
    if (!(await tx.writeIntent.settle(closed))) {
      return { value: null, audit: [registered(key, 'failed', 'another request ended it')] }
    }
    if (intent.sealedId !== null) await tx.writeSealed.erase(intent.sealedId)
    const present = await tx.keys.byId(key.id)
    if (present) {
      const gone = {
        ...present,
        policy: null,
        policySelectedAt: null,
        deletedAt: now,
        updatedAt: now,
        revision: present.revision + 1,
      }
      mustHold(await tx.writeKey.update(gone, present.revision))
    }
    await tx.writeSchedule.delete(key.id)
    return {
      value: null,
      audit: [effectEvent(key, intent, 'failed', reason), registered(key, 'failed', reason)],
    }
  })
  throw error
}

const registered = (key: Key, outcome: LedgerEvent['outcome'], reason: string): LedgerEvent => ({
  action: 'key.registered',
  target: { id: key.id, name: key.name },
  outcome,
  reason,
})

const pending = (detail: string): RekeyError =>
  new RekeyError('provider.unavailable', {
    detail,
    hint: 'Repeat the same request: it finds out and finishes, and never makes a second object.',
  })

const taken = (detail: string): RekeyError =>
  new RekeyError('provider.rejected', {
    detail: `Somebody else made the object meanwhile: ${detail}.`,
    hint: 'Register it without create to adopt it.',
  })

const lost = (minted: Minted): RekeyError =>
  new RekeyError('provider.rejected', {
    detail: `The object was made, and its secret was lost on the way (provider version ${minted.providerVersion}).`,
    hint: 'Remove it at the provider, then register the key again.',
  })
