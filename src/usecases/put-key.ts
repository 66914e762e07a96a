// Changes what may be changed of a key: not which object it is. Labels decide which policy applies and who may do what, so
// the scope is asked before and after, the grant again where labels change, and overlap of policies under the lock.

import { Type, type Static } from 'typebox'
import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { lockPolicies, policyBook, policyForKey, reschedule, selection } from './assign-policies.ts'
import { checkShape } from './check-shape.ts'
import { findType, keyFields, keyPlace, type Providers, toldKey } from './registration.ts'
import { checkLabels, mustBeGranted, mustSee, mustStayInScope } from './rights.ts'
import { asJson, mustHold, sameJson, type Written, type DeepReadonly } from './written.ts'

const keyBody = Type.Object({ ...keyPlace, ...keyFields })
export type KeyBody = DeepReadonly<Static<typeof keyBody>>

export interface PutKeyDeps {
  readonly ledger: Ledger
  readonly providers: Providers
}

export const putKey =
  ({ ledger, providers }: PutKeyDeps) =>
  (
    actor: Actor,
    {
      name,
      body,
      precondition,
    }: { readonly name: string; readonly body: KeyBody; readonly precondition: Precondition },
  ): Promise<Committed<Written<Key>>> =>
    ledger.commit(actor, async (tx) => {
      await lockPolicies(tx)
      const before = mustSee(actor, await tx.keys.byName(name), 'key', name)
      checkPrecondition(precondition, before.revision)
      mustBeSameObject(before, body)
      const labels = body.labels ?? {}
      const connection = await tx.connections.get(before.connection)
      if (connection && body.generate) {
        checkShape(
          findType(providers, connection, before.type).generateSchema,
          body.generate,
          '/generate',
        )
      }
      if (connection && !sameJson(before.labels, labels)) {
        await checkLabels(tx, actor, before.labels, labels)
        mustBeGranted(actor, connection, labels, before.objectId, '/labels')
      }
      mustStayInScope(actor, { labels, connection: before.connection })

      const now = await tx.now()
      const chosen = policyForKey(policyBook(await tx.policies.all()), before, {
        ...before,
        labels,
      })
      const wanted: Key = {
        ...before,
        purpose: body.purpose,
        owner: body.owner,
        environment: body.environment,
        labels,
        consumers: body.consumers ?? [],
        usableBy: body.usableBy ?? [],
        observe: body.observe ?? null,
        generate: (body.generate ?? null) as JsonObject | null,
        ...selection(before, chosen, now),
        revision: before.revision + 1,
        updatedAt: now,
      }
      const changed = !sameJson(writable(before), writable(wanted))
      const resource = changed ? wanted : before
      if (changed) {
        mustHold(await tx.writeKey.update(wanted, before.revision))
        if (wanted.policy !== before.policy) {
          await tx.writeKey.assignPolicy([wanted.id], wanted.policy, wanted.policySelectedAt)
        }
        await reschedule(tx, wanted, chosen.resolved, now)
      }
      return {
        value: { resource, created: false, changed },
        audit: [
          {
            action: 'key.put',
            target: { id: before.id, name },
            outcome: 'succeeded',
            before: asJson(toldKey(before)),
            after: asJson(toldKey(resource)),
          },
        ],
      }
    })

const mustBeSameObject = (key: Key, body: KeyBody): void => {
  const fixed = [
    { pointer: '/connection', same: body.connection === key.connection },
    { pointer: '/type', same: body.type === key.type },
    { pointer: '/ref', same: sameJson(body.ref ?? {}, key.ref) },
  ].filter(({ same }) => !same)
  if (fixed.length > 0) {
    throw new RekeyError('request.impossible', {
      detail: 'A key stays the key of its object: connection, type and ref do not change.',
      hint: 'Register another key for the other object, and delete this one when nobody uses it.',
      errors: fixed.map(({ pointer }) => ({ pointer, detail: 'cannot be changed' })),
    })
  }
}

const writable = ({
  purpose,
  owner,
  environment,
  labels,
  consumers,
  usableBy,
  observe,
  generate,
}: Key) => ({
  purpose,
  owner,
  environment,
  labels,
  consumers,
  usableBy,
  observe,
  generate,
})
