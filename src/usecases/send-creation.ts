// The effect of a creation: sent once, its fate asked for where the answer was lost, sent again where nothing came of it.
// The protocol stands in create-object.ts.

import type { Actor } from '#domain/actor.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Committed } from '#domain/ports.ts'
import { type Minted, type MintOrder, ProviderError } from '#domain/provider.ts'
import {
  type Creation,
  effectEvent,
  intentOf,
  isPast,
  lost,
  notAfter,
  opened,
  pending,
  takenByAnother,
  tellUnknown,
} from './creation.ts'
import { finishCreation, withdrawKey } from './finish-creation.ts'
import { asking, asRekeyError } from './provider-failures.ts'
import { callMs } from './prove-version.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import { addressOf, type RegisterKeyDeps } from './registration.ts'

type Deps = RegisterKeyDeps

/** A request that the intent's `sentNotAfter` covers. */
interface Request {
  readonly signal: AbortSignal
  /** Until when an earlier request under the same id may still arrive; null: there was none. */
  readonly earlier: Date | null
}

export const sendCreation = async (
  deps: Deps,
  actor: Actor,
  creation: Creation,
  { signal, earlier }: Request,
): Promise<Committed<Key>> => {
  const session = await opened(deps, creation)
  const order = await orderOf(deps, creation)
  if (signal.aborted) throw pending('The time was over before anything was sent.')
  let minted: Minted
  try {
    minted = await session.create(order, { signal, operationId: order.operationId })
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    if (error.effect === 'none') {
      // This request had no effect; an earlier one of the same id may still arrive, and then belongs to the key.
      const unless = earlier && { stillArrives: earlier }
      return withdrawKey(deps, actor, creation, error.message, asRekeyError(error), unless)
    }
    await tellUnknown(deps, actor, creation, { detail: error.message })
    return probeCreation(deps, actor, creation, { resend: false })
  }
  return finishCreation(deps, actor, creation, minted)
}

const orderOf = async (deps: Deps, { key, intent }: Creation): Promise<MintOrder> => {
  const { sealedId } = intent
  const material =
    sealedId === null ? null : await deps.ledger.read((db) => db.sealed.open(sealedId))
  // Withdrawn or given up at this very moment: its material went with it.
  if (sealedId !== null && !material) throw pending('Another request ended it.')
  const generate = intent.preImage['generate']
  return {
    object: addressOf(key),
    operationId: intent.operationId,
    preImage: {},
    generate: (generate ?? {}) as JsonObject,
    material,
  }
}

const looks = 3
const lookPauseMs = 300

/** Asks what became of the request. `resend`: this run has not sent anything yet. */
export const probeCreation = async (
  deps: Deps,
  actor: Actor,
  creation: Creation,
  { resend }: { readonly resend: boolean },
): Promise<Committed<Key>> => {
  const session = await opened(deps, creation)
  const order = await orderOf(deps, creation)
  const give = (reason: string, error: Error) =>
    withdrawKey(deps, actor, creation, reason, error, null)
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
        return answer.secretLost
          ? give('the object was made and its secret was lost', lost(answer.value))
          : finishCreation(deps, actor, creation, answer.value)
      case 'goalMet':
        return finishCreation(deps, actor, creation, answer.value)
      case 'foreign':
        return give(answer.detail, takenByAnother(answer.detail))
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
  const signal = deps.clock.deadline(callMs)
  if (creation.place.type.traits.exactlyOnce === 'probe') {
    const next = await nextAttempt(deps, actor, creation)
    return sendCreation(deps, actor, next, { signal, earlier: null })
  }
  const renewed = await renew(deps, actor, creation)
  return sendCreation(deps, actor, renewed, { signal, earlier: creation.intent.sentNotAfter })
}

/** The same intent covers one more request; the new moment is committed before that is sent. */
const renew = async (deps: Deps, actor: Actor, creation: Creation): Promise<Creation> => {
  const { key, intent, place } = creation
  const { value } = await deps.ledger.commit(actor, async (tx) => {
    await mustWriteProviders(tx)
    await tx.holdKeys([key.id])
    const renewed = { ...intent, sentNotAfter: notAfter(place, await tx.now()) }
    if (!(await tx.writeIntent.settle(renewed))) throw pending('Another request ended it.')
    return {
      value: renewed,
      audit: [effectEvent(key, intent, 'unknown', 'absent; sent again under the same id')],
    }
  })
  return { ...creation, intent: value }
}

const nextAttempt = async (deps: Deps, actor: Actor, creation: Creation): Promise<Creation> => {
  const { key, intent, place } = creation
  const eventId = deps.ids.next()
  const detail = 'absent later than it could arrive'
  const { value } = await deps.ledger.commit(actor, async (tx) => {
    await mustWriteProviders(tx)
    await tx.holdKeys([key.id])
    const now = await tx.now()
    if (!isPast(intent.sentNotAfter, place, now)) {
      throw pending('The first request may still arrive at the provider.')
    }
    const closed = { ...intent, outcome: 'failed', closed: true, detail, endedAt: now } as const
    if (!(await tx.writeIntent.settle(closed))) throw pending('Another request is finishing it.')
    const next = intentOf(key, {
      eventId,
      attempt: intent.attempt + 1,
      sealedId: intent.sealedId,
      generate: (intent.preImage['generate'] ?? {}) as JsonObject,
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
  return { ...creation, intent: value }
}
