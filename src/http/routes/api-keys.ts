// Tokens of people, services and consumers. The token itself is in one reply and nowhere else.

import { Type } from 'typebox'
import { roles } from '#domain/actor.ts'
import { type BreakGlass, endOfUse, sinkOfFrozen } from '#domain/break-glass.ts'
import { apiKeyTypes } from '#domain/connection.ts'
import { durationSchema } from '#domain/duration.ts'
import { RekeyError } from '#domain/errors.ts'
import { freeTextSchema, nameSchema } from '#domain/names.ts'
import type { Ids } from '#domain/ports.ts'
import { scopeSchema } from '#domain/scope-schema.ts'
import type { Sha256 } from '#usecases/authenticate.ts'
import { createApiKey } from '#usecases/create-api-key.ts'
import { approveApiKey } from '#usecases/approve-api-key.ts'
import { deleteApiKey } from '#usecases/delete-api-key.ts'
import { listApiKeys, type SeenApiKey } from '#usecases/list-api-keys.ts'
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
  roles: Type.Optional(
    Type.With(fields.roles, { description: 'left out with the type brk, which has its own' }),
  ),
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
  breakGlass: nullable(
    strict(
      {
        approvedBy: nullable(Type.String({ description: 'null: it opens nothing yet' })),
        approvedAt: nullable(momentSchema),
        usedAt: nullable(momentSchema),
        usedFrom: nullable(Type.String()),
        endsAt: nullable(momentSchema),
        incident: nullable(Type.String({ description: 'the only one that it works on' })),
        sinks: Type.Array(strict({ name: Type.String(), url: Type.String() }), {
          description:
            'those that there were when it was made: they are told of its use, whatever became of them',
        }),
      },
      { description: 'of the type brk' },
    ),
  ),
}
const apiKeySchema = strict(shown, { $id: 'ApiKey' })
const createdSchema = strict({
  ...shown,
  token: Type.String({ description: 'shown once; empty on a dry run' }),
})

const present = ({ apiKey: key, lastUsedAt, breakGlass }: SeenApiKey) => ({
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
  breakGlass: breakGlass && presentGlass(breakGlass),
})

const presentGlass = ({
  approvedByName,
  approvedAt,
  usedAt,
  usedFrom,
  incidentId,
  sinks,
}: BreakGlass) => ({
  approvedBy: approvedByName,
  approvedAt: approvedAt?.toISOString() ?? null,
  usedAt: usedAt?.toISOString() ?? null,
  usedFrom,
  endsAt: usedAt && endOfUse(usedAt).toISOString(),
  incident: incidentId,
  sinks: sinks.map(({ name, url }) => ({ name: sinkOfFrozen(name), url })),
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
      body: pageReply(await listApiKeys({ ledger })(actor, page), present),
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
      {
        summary: 'to break glass with',
        body: { name: 'envelope-1', type: 'brk', expiresIn: '365d' },
      },
    ],
    handler: async ({ ledger, actor, body, dryRun }) => {
      checkAddresses(body.addresses ?? [])
      const { value, receipts } = await createApiKey({ ...deps, ledger, addressesWithin })(
        actor,
        body,
      )
      const { token, ...made } = value
      return {
        status: 201,
        // A rehearsed token does not exist.
        body: { ...present({ ...made, lastUsedAt: null }), token: dryRun ? '' : token.reveal() },
        location: `/v1/api-keys/${made.apiKey.id}`,
        receipts,
      }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/api-keys/{id}/approvals',
    operationId: 'approveApiKey',
    tag: 'tokens',
    summary: 'Agree to a token to break glass with',
    description:
      'Until a second admin has, it opens nothing. Neither the maker nor a token that one of the two made for the other counts. The first use, of whatever kind, begins its hour and is told to every sink, the present ones and those of `breakGlass.sinks`.',
    access: ['admin'],
    params: idParams,
    replies: { 201: apiKeySchema },
    errors: ['request.impossible', 'rotation.selfApproval'],
    handler: async ({ ledger, actor, params: { id } }) => {
      const { value, receipts } = await approveApiKey({ ledger })(actor, id)
      return { status: 201, body: present(value), location: `/v1/api-keys/${id}`, receipts }
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
      return { status: 200, body: present(value), receipts }
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
