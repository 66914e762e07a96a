// Connections: the admin's to write; others see those in their scope, never a credential.

import { Type } from 'typebox'
import type { Connection } from '#domain/connection.ts'
import { connectionFields } from '#domain/connection-schema.ts'
import { nameSchema, typeNameSchema } from '#domain/names.ts'
import type { Clock, Sessions } from '#domain/ports.ts'
import type { Provider } from '#domain/provider.ts'
import { checkConnection } from '#usecases/check-connection.ts'
import { deleteConnection } from '#usecases/delete-connection.ts'
import { foundStates, inventoryConnection } from '#usecases/inventory-connection.ts'
import {
  type CredentialRules,
  type EgressRules,
  putConnection,
  shownCredential,
} from '#usecases/put-connection.ts'
import { mustSee } from '#usecases/rights.ts'
import { pageInScope } from '#usecases/written.ts'
import { type Route, route } from '../route.ts'
import { listOf, nameParams, nullable, strict } from '../schemas.ts'
import {
  deletedBody,
  deletedSchema,
  mustBeNamed,
  putBody,
  shownLabels,
  shownCheck,
  shownObject,
  timesOf,
  ownedTimes,
} from './resource.ts'

export interface ConnectionRoutesDeps {
  readonly providers: ReadonlyMap<string, Provider>
  readonly sessions: Sessions
  readonly credentials: CredentialRules
  readonly egress: EgressRules
  readonly clock: Clock
}

const connectionSchema = strict(
  {
    name: nameSchema,
    provider: Type.String(),
    settings: shownObject,
    credential: Type.Record(Type.String(), Type.String(), {
      description: 'a stored value is shown as {from: "value"}',
    }),
    grants: Type.Array(strict({ matchLabels: shownLabels, refs: Type.Array(Type.String()) })),
    labels: shownLabels,
    status: strict({
      ...ownedTimes,
      externalId: Type.String({
        format: 'uuid',
        description:
          'made by Rekey: what a role that this connection assumes must ask for, so that no other connection can',
      }),
    }),
  },
  { $id: 'Connection' },
)

const present = (connection: Connection) => ({
  name: connection.name,
  provider: connection.provider,
  settings: connection.settings,
  credential: shownCredential(connection.credential),
  grants: connection.grants,
  labels: connection.labels,
  status: {
    ...timesOf(connection),
    owner: connection.managedBy,
    externalId: connection.externalId,
  },
})

const foundSchema = strict({
  type: Type.String(),
  ref: shownObject,
  objectId: Type.String(),
  state: Type.Enum([...foundStates]),
  key: nullable(Type.String()),
  facts: shownObject,
})

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const

export const connectionRoutes = (deps: ConnectionRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/connections',
    operationId: 'listConnections',
    tag: 'connections',
    summary: 'List connections',
    access: [...readers],
    list: true,
    replies: { 200: listOf(connectionSchema) },
    handler: async ({ ledger, actor, page, pageReply }) => ({
      status: 200,
      body: pageReply(
        await ledger.read((db) =>
          pageInScope(
            actor,
            page,
            (next) => db.connections.list(next),
            (item) => ({ labels: item.labels, connection: item.name }),
          ),
        ),
        present,
      ),
    }),
  }),
  route({
    method: 'GET',
    path: '/v1/connections/{name}',
    operationId: 'getConnection',
    tag: 'connections',
    summary: 'One connection',
    access: [...readers],
    params: nameParams,
    replies: { 200: connectionSchema },
    handler: async ({ ledger, actor, params: { name } }) => {
      const found = await ledger.read((db) => db.connections.get(name))
      const connection = mustSee(actor, found && { ...found, connection: name }, 'connection', name)
      return { status: 200, body: present(connection), revision: connection.revision }
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/connections/{name}',
    operationId: 'putConnection',
    tag: 'connections',
    summary: 'Create or replace a connection',
    description:
      'A credential `{from: "value", value}` is sealed on arrival. `{from: "value"}` alone keeps it, as long as provider and settings stay the same.',
    access: ['admin'],
    params: nameParams,
    body: putBody(connectionFields),
    replies: { 200: connectionSchema, 201: connectionSchema },
    errors: ['connection.inUse', 'connection.unusable', 'request.impossible'],
    examples: [
      {
        body: {
          provider: 'local',
          grants: [{ matchLabels: { team: 'shop' }, refs: ['local:*'] }],
          labels: { tier: 'gold' },
        },
      },
    ],
    handler: async ({ ledger, actor, params: { name }, body, precondition }) => {
      mustBeNamed(name, body)
      const { value, receipts } = await putConnection({ ...deps, ledger })(actor, {
        name,
        body,
        precondition,
      })
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
    path: '/v1/connections/{name}',
    operationId: 'deleteConnection',
    tag: 'connections',
    summary: 'Delete a connection that nothing uses',
    access: ['admin'],
    params: nameParams,
    replies: { 200: deletedSchema },
    errors: ['connection.inUse'],
    handler: async ({ ledger, actor, params: { name }, precondition }) => {
      const { receipts } = await deleteConnection({ ...deps, ledger })(actor, {
        name,
        precondition,
      })
      return { status: 200, body: deletedBody(name), receipts }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/connections/{name}/checks',
    operationId: 'checkConnection',
    tag: 'connections',
    summary: 'Ask the provider, right by right, what the connection may do',
    access: ['operator'],
    params: nameParams,
    replies: { 200: strict({ ok: Type.Boolean(), items: Type.Array(shownCheck) }) },
    handler: async ({ ledger, actor, params: { name } }) => {
      const { ok, items, receipt } = await checkConnection({ ...deps, ledger })(actor, name)
      return { status: 200, body: { ok, items }, receipts: [receipt] }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/connections/{name}/inventory',
    operationId: 'listInventory',
    tag: 'connections',
    summary: 'What is at the provider: managed, unmanaged, gone',
    description:
      'Keys that Rekey manages are asked about one by one; what it does not manage is listed page by page, as the provider lists it. A page may hold fewer than its limit, and not be the last.',
    access: ['operator', 'auditor'],
    params: nameParams,
    query: strict({
      type: Type.Optional(typeNameSchema),
      state: Type.Optional(Type.Enum([...foundStates])),
    }),
    list: true,
    replies: { 200: listOf(foundSchema) },
    errors: [
      'connection.unusable',
      'provider.unauthorized',
      'provider.unavailable',
      'provider.rejected',
      'request.impossible',
    ],
    examples: [{ query: { type: 'local.secret', state: 'managed' } }],
    handler: async ({ ledger, actor, params: { name }, query, page, pageReply }) => {
      const found = await inventoryConnection({ ...deps, ledger })(actor, { name, ...query }, page)
      return { status: 200, body: pageReply(found, (item) => item) }
    },
  }),
]
