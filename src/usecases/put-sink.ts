// Sinks: systems that Rekey tells. The record only; delivery is elsewhere. Private addresses need REKEY_EGRESS_ALLOW.

import { Type, type Static } from 'typebox'
import type { Actor } from '#domain/actor.ts'
import type { Sink } from '#domain/connection.ts'
import { notices } from '#domain/notice.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { Secret } from '#domain/secret.ts'
import { signingSecretSchema } from '#domain/signing-secret.ts'
import type { EgressRules } from './put-connection.ts'
import { keepOrSeal } from './webhook-secret.ts'
import { asJson, mustHold, sameJson, type Written, type DeepReadonly } from './written.ts'

export const sinkFields = {
  type: Type.Literal('webhook'),
  url: Type.String({ maxLength: 2000 }),
  secret: Type.Optional(signingSecretSchema),
  events: Type.Optional(
    Type.Union([
      Type.Array(Type.Enum([...notices]), {
        minItems: 1,
        uniqueItems: true,
        description: 'left out: all',
      }),
      Type.Null(),
    ]),
  ),
}
const sinkBody = Type.Object(sinkFields)
export type SinkBody = DeepReadonly<Static<typeof sinkBody>>

export interface PutSinkDeps {
  readonly ledger: Ledger
  readonly egress: EgressRules
}

export interface PutSink {
  readonly name: string
  readonly body: SinkBody
  readonly precondition: Precondition
}

export const putSink =
  ({ ledger, egress }: PutSinkDeps) =>
  async (
    actor: Actor,
    { name, body, precondition }: PutSink,
  ): Promise<Committed<Written<Sink>>> => {
    egress.checkUrl(body.url, 'webhook', { insecure: false })
    return ledger.commit(actor, async (tx) => {
      await tx.lock(`sink:${name}`)
      const before = await tx.sinks.get(name)
      checkPrecondition(precondition, before?.revision ?? null)
      const { sealedId } = await keepOrSeal(tx, {
        purpose: `sink:${name}`,
        before: before && { url: before.url, sealedId: before.sealedId },
        url: body.url,
        secret: body.secret === undefined ? null : new Secret(body.secret),
        pointer: '/secret',
      })
      const now = await tx.now()
      const wanted: Sink = {
        name,
        type: body.type,
        url: body.url,
        sealedId,
        events: body.events ?? null,
        // Whoever writes it again means it to work again.
        disabledReason: null,
        revision: (before?.revision ?? 0) + 1,
        createdAt: before?.createdAt ?? now,
        updatedAt: now,
      }
      const changed = !before || !sameJson(fieldsOf(before), fieldsOf(wanted))
      if (changed) mustHold(await tx.writeSink.put(wanted, before?.revision ?? null))
      if (before && before.sealedId !== sealedId) await tx.writeSealed.erase(before.sealedId)
      const resource = changed || !before ? wanted : before
      return {
        value: { resource, created: !before, changed },
        audit: [
          {
            action: 'sink.put',
            target: { id: name, name },
            outcome: 'succeeded',
            before: before && asJson(told(before)),
            after: asJson(told(resource)),
          },
        ],
      }
    })
  }

const fieldsOf = ({ type, url, sealedId, events, disabledReason }: Sink) => ({
  type,
  url,
  sealedId,
  events,
  disabledReason,
})

const told = ({ type, url, events, disabledReason, revision }: Sink) => ({
  type,
  url,
  events,
  disabledReason,
  revision,
})
