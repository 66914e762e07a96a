// The freeze switch: one, or none.

import { Type } from 'typebox'
import type { Freeze } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Clock } from '#domain/ports.ts'
import { deleteFreeze, freezeFields, putFreeze } from '#usecases/put-freeze.ts'
import { type Route, route } from '../route.ts'
import { momentSchema, nullable, strict } from '../schemas.ts'
import { ignored, shownObject } from './resource.ts'

export interface FreezeRoutesDeps {
  readonly clock: Clock
}

const freezeSchema = strict(
  {
    until: momentSchema,
    reason: Type.String(),
    selector: nullable(shownObject),
    status: strict({
      active: Type.Boolean(),
      setBy: Type.String(),
      revision: Type.Integer(),
      updatedAt: momentSchema,
    }),
  },
  { $id: 'Freeze' },
)

export const freezeRoutes = ({ clock }: FreezeRoutesDeps): readonly Route[] => {
  const present = (freeze: Freeze) => ({
    until: freeze.until.toISOString(),
    reason: freeze.reason,
    selector: freeze.selector,
    status: {
      active: freeze.until > clock.now(),
      setBy: freeze.setBy,
      revision: freeze.revision,
      updatedAt: freeze.updatedAt.toISOString(),
    },
  })
  return [
    route({
      method: 'GET',
      path: '/v1/freeze',
      operationId: 'getFreeze',
      tag: 'freeze',
      summary: 'What is frozen',
      access: ['viewer', 'operator', 'approver', 'responder', 'auditor'],
      replies: { 200: freezeSchema },
      errors: ['resource.notFound'],
      handler: async ({ ledger }) => {
        const freeze = await ledger.read((db) => db.freeze.get())
        if (!freeze) throw new RekeyError('resource.notFound', { detail: 'Nothing is frozen.' })
        return { status: 200, body: present(freeze), revision: freeze.revision }
      },
    }),
    route({
      method: 'PUT',
      path: '/v1/freeze',
      operationId: 'putFreeze',
      tag: 'freeze',
      summary: 'Freeze all keys, or those of a selector',
      description: 'Until then no rotation writes at a provider; undo always may.',
      access: ['operator', 'responder'],
      body: strict({ ...freezeFields, ...ignored }),
      replies: { 200: freezeSchema, 201: freezeSchema },
      errors: ['request.impossible'],
      examples: [
        {
          body: {
            until: '2099-01-04T00:00:00Z',
            reason: 'year-end change freeze',
            selector: { matchLabels: { team: 'billing' } },
          },
        },
      ],
      handler: async ({ ledger, actor, body, precondition }) => {
        const { value, receipts } = await putFreeze({ ledger })(actor, { body, precondition })
        const { resource, created } = value
        return {
          status: created ? 201 : 200,
          body: present(resource),
          revision: resource.revision,
          receipts,
        }
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/freeze',
      operationId: 'deleteFreeze',
      tag: 'freeze',
      summary: 'Thaw',
      access: ['operator', 'responder'],
      replies: { 200: strict({ deleted: Type.Literal(true) }) },
      errors: ['resource.notFound'],
      handler: async ({ ledger, actor, precondition }) => {
        const { receipts } = await deleteFreeze({ ledger })(actor, { precondition })
        return { status: 200, body: { deleted: true as const }, receipts }
      },
    }),
  ]
}
