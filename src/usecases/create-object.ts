// Makes an object at the provider, with its first version, for a key that is registered with `create: true`.
//
// Intent, effect, outcome, in this order, each committed before the next begins. What a crash leaves:
//
//   before commit 1           nothing
//   after commit 1            a key without a version and an open intent `<key>:create:1` with the sealed new material.
//                             The object may be absent, on its way, or made. The key's status says so; nothing rotates it.
//   while the request runs    the same
//   after the effect          the same, and the object is there
//   after commit 2 (unknown)  the same; the intent says that the outcome is not known, or why what was made does not work
//   after commit 3            done
//
// Who repairs it: a repeat of the same POST (by a person, CI, or a plan that is applied again) finds the open intent and asks
// the provider first: *ours* → finish; *absent* → send the same order again under the same id, which makes one object however
// often it is sent (types that can only probe wait until the first request can no longer arrive, then use the next attempt);
// *foreign* → the key is withdrawn. New material is never generated for an open intent. Two repeats at once do no harm: the
// first commit 3 closes the intent, the other one reads what that wrote.
//
// A definite refusal withdraws the key (a tombstone, with its history), so that name and object are free again. DELETE gives
// it up, once no request under the intent can arrive any more: every request is covered by a `sentNotAfter` that was
// committed before it was sent, on the database's clock. Every commit holds the key, so that none of these meet.

import type { Actor } from '#domain/actor.ts'
import type { ManagedBy } from '#domain/connection.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Committed } from '#domain/ports.ts'
import { effectEvent, intentOf } from './creation.ts'
import { insertKey } from './insert-key.ts'
import { callMs } from './prove-version.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import { type Place, type RegisterKeyDeps, toldKey } from './registration.ts'
import { sendCreation } from './send-creation.ts'

/** Commit 1, then the effect. */
export const createObject = async (
  deps: RegisterKeyDeps,
  actor: Actor,
  order: {
    readonly id: string
    readonly input: Registration
    readonly place: Place
    readonly dryRun: boolean
    readonly managedBy: ManagedBy
  },
): Promise<Committed<Key>> => {
  const { id, place } = order
  const eventId = deps.ids.next()
  // Before the commit, so that `sentNotAfter` covers everything that follows.
  const signal = deps.clock.deadline(callMs)
  const begun = await deps.ledger.commit(actor, async (tx) => {
    await mustWriteProviders(tx)
    const { key, generate } = await insertKey(tx, deps.providers, actor, order)
    const parameters = generate as JsonObject
    const material = place.type.generate?.(parameters, (bytes) => deps.ids.random(bytes)) ?? null
    const sealedId = material && (await tx.writeSealed.insert(material, `key:${id}:create`))
    const now = await tx.now()
    const intent = intentOf(key, {
      eventId,
      attempt: 1,
      sealedId,
      generate: parameters,
      place,
      now,
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
  return sendCreation(deps, actor, { ...begun.value, place }, { signal, earlier: null })
}
