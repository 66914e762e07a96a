// The audit events of a rotation or an incident, as those who follow it get them.

import { Type } from 'typebox'
import type { AuditBody } from '#domain/audit.ts'
import type { Clock } from '#domain/ports.ts'
import { mustBeEventId } from '../events.ts'
import type { EventContext, ServerEvent } from '../route.ts'
import { momentSchema, nullable, strict } from '../schemas.ts'

export const toldEventSchema = strict({
  at: momentSchema,
  action: Type.String(),
  outcome: Type.String(),
  actor: Type.String(),
  phase: nullable(Type.String()),
  reason: nullable(Type.String()),
})

const toldEvent = (body: AuditBody) => {
  const after =
    typeof body.after === 'object' && body.after !== null && !Array.isArray(body.after)
      ? body.after
      : {}
  const phase = 'phase' in after ? after['phase'] : null
  return {
    at: body.at,
    action: body.action,
    outcome: body.outcome,
    actor: body.actor.name,
    phase: typeof phase === 'string' ? phase : null,
    reason: body.reason,
  }
}

const pollMs = 500
const pageSize = 200

/** In order, under their own ids; ends when the thing has and all was sent. */
export async function* followStream(
  { clock }: { readonly clock: Clock },
  { ledger, params, lastEventId, signal }: EventContext<{ id: string }>,
  hasEnded: () => Promise<boolean>,
): AsyncIterable<ServerEvent> {
  mustBeEventId(lastEventId)
  let after = lastEventId
  /* oxlint-disable no-await-in-loop -- a stream goes on in time */
  while (!signal.aborted) {
    const cursor = after
    // Before the events, so that the last event of one that has ended is not missed.
    const ended = await hasEnded()
    const found = await ledger.read((db) => db.audit.after(params.id, cursor, pageSize))
    for (const { body } of found) {
      yield { id: body.id, event: body.action, data: toldEvent(body) }
      after = body.id
    }
    if (found.length === 0 && ended) return
    if (found.length === 0) await clock.pause(pollMs, signal)
  }
  /* oxlint-enable no-await-in-loop */
}
