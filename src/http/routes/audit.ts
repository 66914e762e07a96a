// Reading the audit log. Checkpoints, tiles and proofs are elsewhere.

import { Type } from 'typebox'
import { type AuditAction, auditActions, auditOutcomes } from '#domain/audit.ts'
import { RekeyError } from '#domain/errors.ts'
import { nameSchema, oneLinePattern } from '#domain/names.ts'
import type { StoredEvent } from '#domain/ports.ts'
import { parseTimestamp, timestampSchema } from '#domain/timestamp.ts'
import { readAudit } from '#usecases/read-audit.ts'
import type { Tally } from '#usecases/tally.ts'
import { type Route, route } from '../route.ts'
import { listOf, momentSchema, nullable, receiptSchema, strict } from '../schemas.ts'

export interface AuditRoutesDeps {
  /** Of readers: one event an hour. */
  readonly tally: Tally
}

const text = nullable(Type.String())

const eventSchema = strict(
  {
    id: Type.String(),
    at: momentSchema,
    actor: strict({
      type: Type.String(),
      id: Type.String(),
      name: Type.String(),
      roles: Type.Array(Type.String()),
    }),
    action: Type.String(),
    target: strict({ kind: Type.String(), id: Type.String(), name: Type.String() }),
    outcome: Type.Enum([...auditOutcomes]),
    reason: text,
    ticket: text,
    requestId: text,
    traceId: text,
    correlationId: text,
    causationId: text,
    stream: nullable(strict({ id: Type.String(), seq: Type.Integer(), prev: text })),
    before: Type.Unknown(),
    after: Type.Unknown(),
    provider: nullable(strict({ operationId: Type.String(), requestId: text })),
    recordedAt: momentSchema,
    receipt: receiptSchema,
  },
  { $id: 'AuditEvent' },
)

const present = ({ body, receipt, recordedAt }: StoredEvent) => ({
  ...body,
  recordedAt: recordedAt.toISOString(),
  receipt,
})

const id = Type.String({
  minLength: 1,
  maxLength: 200,
  pattern: '^[^\\s\\u0000-\\u001f\\u007f-\\u009f]+$',
})

/** Also of those who came by JWT: issuer, # and subject. */
const actorIdSchema = Type.String({ minLength: 1, maxLength: 800, pattern: oneLinePattern })

export const auditRoutes = (deps: AuditRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/audit/events',
    operationId: 'listAuditEvents',
    tag: 'audit',
    summary: 'Audit events, newest first',
    description: 'A token with a scope names a key or rotation within it.',
    access: ['auditor'],
    list: true,
    query: strict({
      key: Type.Optional(nameSchema),
      rotation: Type.Optional(id),
      incident: Type.Optional(id),
      actor: Type.Optional(actorIdSchema),
      action: Type.Optional(Type.Enum(Object.keys(auditActions) as AuditAction[])),
      outcome: Type.Optional(Type.Enum([...auditOutcomes])),
      from: Type.Optional(timestampSchema),
      to: Type.Optional(timestampSchema),
    }),
    replies: { 200: listOf(eventSchema) },
    errors: ['resource.notFound'],
    handler: async ({
      ledger,
      actor,
      query: { incident, from, to, ...query },
      page,
      pageReply,
    }) => {
      const filter = {
        ...query,
        ...(incident === undefined ? {} : { correlationId: incident }),
        ...(from === undefined ? {} : { from: momentOf(from, 'from') }),
        ...(to === undefined ? {} : { to: momentOf(to, 'to') }),
      }
      const found = await readAudit({ ...deps, ledger })(actor, filter, page)
      return { status: 200, body: pageReply(found, present) }
    },
  }),
]

const momentOf = (moment: string, name: string): Date => {
  const parsed = parseTimestamp(moment)
  if (parsed) return parsed
  throw new RekeyError('request.invalid', {
    detail: `There is no such moment in ${name}.`,
    errors: [{ pointer: `/query/${name}`, detail: 'no such moment' }],
  })
}
