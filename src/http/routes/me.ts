// Who am I, and what may I do.

import { Type } from 'typebox'
import { roles } from '#domain/actor.ts'
import { scopeSchema } from '#domain/scope-schema.ts'
import { route, type Route } from '../route.ts'
import { momentSchema, nullable, strict } from '../schemas.ts'

const meSchema = strict(
  {
    id: Type.String(),
    name: Type.String(),
    type: Type.String(),
    roles: Type.Array(Type.Enum([...roles])),
    scope: nullable(scopeSchema),
    consumer: nullable(Type.String()),
    keys: nullable(Type.Array(Type.String())),
    expiresAt: nullable(momentSchema),
  },
  { $id: 'Me' },
)

export const meRoutes = (): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/me',
    operationId: 'getMe',
    tag: 'tokens',
    summary: 'Whose token this is, and what it may do',
    access: 'authenticated',
    replies: { 200: meSchema },
    handler: async ({ actor }) => {
      const { id, name, type, roles: mine, scope, consumer, keys } = actor
      const expiresAt = actor.expiresAt?.toISOString() ?? null
      return {
        status: 200,
        body: { id, name, type, roles: mine, scope, consumer, keys, expiresAt },
      }
    },
  }),
]
