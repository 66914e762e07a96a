// The one freeze switch: until when nothing that writes at a provider begins, for all keys or those of a selector. Undo
// always may. A token with a scope freezes, and thaws, only what lies within it.

import { Type, type Static } from 'typebox'
import type { Actor } from '#domain/actor.ts'
import type { Freeze } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import { freeTextPattern, selectorFaults, selectorSchema } from '#domain/names.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { parseTimestamp, timestampSchema } from '#domain/timestamp.ts'
import { liesWithin } from './rights.ts'
import { asJson, mustHold, sameJson, type Written, type DeepReadonly } from './written.ts'

export const freezeFields = {
  until: timestampSchema,
  reason: Type.String({ minLength: 1, maxLength: 500, pattern: freeTextPattern }),
  selector: Type.Optional(Type.Union([selectorSchema, Type.Null()])),
}
const freezeBody = Type.Object(freezeFields)
export type FreezeBody = DeepReadonly<Static<typeof freezeBody>>

export const putFreeze =
  ({ ledger }: { readonly ledger: Ledger }) =>
  async (
    actor: Actor,
    { body, precondition }: { readonly body: FreezeBody; readonly precondition: Precondition },
  ): Promise<Committed<Written<Freeze>>> => {
    const selector = body.selector ?? null
    const faults = selector ? selectorFaults(selector) : []
    if (faults.length > 0) {
      throw new RekeyError('request.invalid', {
        detail: 'The selector is malformed.',
        errors: faults.map(({ pointer, detail }) => ({ pointer: `/selector${pointer}`, detail })),
      })
    }
    return ledger.commit(actor, async (tx) => {
      await tx.lock('freeze')
      const before = await tx.freeze.get()
      checkPrecondition(precondition, before?.revision ?? null)
      if (before) mustReach(actor, before.selector)
      mustReach(actor, selector)
      const now = await tx.now()
      const until = parseTimestamp(body.until)
      if (!until || until <= now) {
        throw new RekeyError('request.impossible', {
          detail: 'The freeze would be over already.',
          errors: [{ pointer: '/until', detail: 'must be in the future' }],
        })
      }
      const wanted: Freeze = {
        until,
        reason: body.reason,
        selector,
        setBy: actor.name,
        revision: (before?.revision ?? 0) + 1,
        updatedAt: now,
      }
      const changed = !before || !sameJson(fieldsOf(before), fieldsOf(wanted))
      if (changed) mustHold(await tx.writeFreeze.put(wanted, before?.revision ?? null))
      const resource = changed || !before ? wanted : before
      return {
        value: { resource, created: !before, changed },
        audit: [
          {
            action: 'freeze.put',
            target: { id: 'freeze', name: 'freeze' },
            outcome: 'succeeded',
            reason: resource.reason,
            before: before && asJson(fieldsOf(before)),
            after: asJson(fieldsOf(resource)),
          },
        ],
      }
    })
  }

export const deleteFreeze =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (
    actor: Actor,
    { precondition }: { readonly precondition: Precondition },
  ): Promise<Committed<null>> =>
    ledger.commit(actor, async (tx) => {
      await tx.lock('freeze')
      const before = await tx.freeze.get()
      if (!before) throw new RekeyError('resource.notFound', { detail: 'Nothing is frozen.' })
      checkPrecondition(precondition, before.revision)
      mustReach(actor, before.selector)
      mustHold(await tx.writeFreeze.delete(before.revision))
      return {
        value: null,
        audit: [
          {
            action: 'freeze.deleted',
            target: { id: 'freeze', name: 'freeze' },
            outcome: 'succeeded',
            before: asJson(fieldsOf(before)),
          },
        ],
      }
    })

const mustReach = (actor: Actor, selector: Freeze['selector']): void => {
  if (liesWithin(selector ?? {}, actor.scope)) return
  throw new RekeyError('auth.denied', {
    detail: 'The freeze reaches beyond the scope of the token.',
    hint: 'Send a selector that demands the labels, and names a connection, of the scope.',
    errors: [{ pointer: '/selector', detail: 'wider than the scope of the token' }],
  })
}

const fieldsOf = ({ until, reason, selector }: Freeze) => ({
  until: until.toISOString(),
  reason,
  selector,
})
