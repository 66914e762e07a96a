// Tokens of people, services and consumers. The token itself is in one reply and nowhere else.

import { Type } from 'typebox'
import { roles } from '#domain/actor.ts'
import { apiKeyTypes, type ApiKey } from '#domain/connection.ts'
import { durationSchema } from '#domain/duration.ts'
import { RekeyError } from '#domain/errors.ts'
import { freeTextSchema, nameSchema } from '#domain/names.ts'
import type { Ids } from '#domain/ports.ts'
import { scopeSchema } from '#domain/scope-schema.ts'
import type { Sha256 } from '#usecases/authenticate.ts'
import { createApiKey } from '#usecases/create-api-key.ts'
import { deleteApiKey } from '#usecases/delete-api-key.ts'
import { listApiKeys } from '#usecases/list-api-keys.ts'
import { addressesWithin, isAddress } from '../addresses.ts'
import { route, type Route } from '../route.ts'
import { idParams, listOf, momentSchema, nullable, strict } from '../schemas.ts'

export interface ApiKeyRoutesDeps {
  readonly ids: Pick<Ids, 'next' | 'random'>
  readonly sha256: Sha256
}

const fields = {
  name: nameSchema,
  type: Type.Enum([...apiKeyTypes]),
  roles: Type.Array(Type.Enum([...roles]), { minItems: 1, uniqueItems: true }),
}

const addressesSchema = Type.Array(freeTextSchema(64), {
  minItems: 1,
  maxItems: 100,
  description: 'IP addresses and networks that the token works from, such as 10.0.0.0/8',
})

const inputSchema = strict({
  ...fields,
  scope: Type.Optional(scopeSchema),
  consumer: Type.Optional(nameSchema),
  keys: Type.Optional(Type.Array(nameSchema, { minItems: 1, maxItems: 1000, uniqueItems: true })),
  expiresIn: Type.Optional(durationSchema),
  addresses: Type.Optional(addressesSchema),
})

const shown = {
  id: Type.String(),
  ...fields,
  scope: nullable(scopeSchema),
  consumer: nullable(Type.String()),
  keys: nullable(Type.Array(Type.String())),
  addresses: nullable(Type.Array(Type.String())),
  expiresAt: nullable(momentSchema),
  createdBy: Type.String({ description: 'the id of the principal who made it' }),
  createdAt: momentSchema,
  lastUsedAt: nullable(
    Type.String({ format: 'date-time', description: 'to a few seconds; null: never' }),
  ),
}
const apiKeySchema = strict(shown, { $id: 'ApiKey' })
const createdSchema = strict({
  ...shown,
  token: Type.String({ description: 'shown once; empty on a dry run' }),
})

const present = (key: ApiKey, lastUsedAt: Date | null) => ({
  id: key.id,
  name: key.name,
  type: key.type,
  roles: key.roles,
  scope: key.scope,
  consumer: key.consumer,
  keys: key.keys,
  addresses: key.addresses,
  expiresAt: key.expiresAt?.toISOString() ?? null,
  createdBy: key.createdBy,
  createdAt: key.createdAt.toISOString(),
  lastUsedAt: lastUsedAt?.toISOString() ?? null,
})

export const apiKeyRoutes = (deps: ApiKeyRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/api-keys',
    operationId: 'listApiKeys',
    tag: 'tokens',
    summary: 'List tokens, without what would let anybody use them',
    access: ['admin'],
    list: true,
    replies: { 200: listOf(apiKeySchema) },
    handler: async ({ ledger, actor, page, pageReply }) => ({
      status: 200,
      body: pageReply(await listApiKeys({ ledger })(actor, page), ({ apiKey, lastUsedAt }) =>
        present(apiKey, lastUsedAt),
      ),
    }),
  }),
  route({
    method: 'POST',
    path: '/v1/api-keys',
    operationId: 'createApiKey',
    tag: 'tokens',
    summary: 'Make a token',
    description:
      'The token is in this reply and nowhere else. Nobody gives roles, a scope, addresses or a life that their own token lacks; what is left out is that of the own token.',
    access: ['admin'],
    body: inputSchema,
    secret: true,
    replies: { 201: createdSchema },
    errors: ['request.impossible'],
    examples: [
      {
        body: {
          name: 'ci',
          type: 'svc',
          roles: ['operator'],
          scope: { matchLabels: { team: 'shop' } },
          expiresIn: '30d',
        },
      },
    ],
    handler: async ({ ledger, actor, body, dryRun }) => {
      checkAddresses(body.addresses ?? [])
      const { value, receipts } = await createApiKey({ ...deps, ledger, addressesWithin })(
        actor,
        body,
      )
      const { apiKey, token } = value
      return {
        status: 201,
        // A rehearsed token does not exist.
        body: { ...present(apiKey, null), token: dryRun ? '' : token.reveal() },
        location: `/v1/api-keys/${apiKey.id}`,
        receipts,
      }
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/api-keys/{id}',
    operationId: 'deleteApiKey',
    tag: 'tokens',
    summary: 'End a token at once',
    access: ['admin'],
    params: idParams,
    // A token is never changed, so there is no revision that a caller could have missed.
    ifMatch: false,
    replies: { 200: apiKeySchema },
    handler: async ({ ledger, actor, params }) => {
      const { value, receipts } = await deleteApiKey({ ledger })(actor, params.id)
      return { status: 200, body: present(value.apiKey, value.lastUsedAt), receipts }
    },
  }),
]

const checkAddresses = (addresses: readonly string[]): void => {
  const errors = addresses.flatMap((entry, i) =>
    isAddress(entry)
      ? []
      : [
          {
            pointer: `/addresses/${i}`,
            detail: 'must be an IP address or a network such as 10.0.0.0/8',
          },
        ],
  )
  if (errors.length > 0)
    throw new RekeyError('request.invalid', { detail: 'An address is not one.', errors })
}
