// An audit event as those who follow a rotation or an incident get it.

import { Type } from 'typebox'
import type { AuditBody } from '#domain/audit.ts'
import { momentSchema, nullable, strict } from '../schemas.ts'

export const toldEventSchema = strict({
  at: momentSchema,
  action: Type.String(),
  outcome: Type.String(),
  actor: Type.String(),
  phase: nullable(Type.String()),
  reason: nullable(Type.String()),
})

export const toldEvent = (body: AuditBody) => {
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
