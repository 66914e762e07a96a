// Consumers: applications that use keys and acknowledge versions.

import { Type } from 'typebox'
import type { Consumer } from '#domain/connection.ts'
import { consumerFields } from '#domain/consumer-schema.ts'
import { nameSchema } from '#domain/names.ts'
import { deleteConsumer } from '#usecases/delete-consumer.ts'
import type { EgressRules } from '#usecases/put-connection.ts'
import { putConsumer } from '#usecases/put-consumer.ts'
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
  timesOf,
  ownedTimes,
} from './resource.ts'

export interface ConsumerRoutesDeps {
  readonly egress: EgressRules
}

const consumerSchema = strict(
  {
    name: nameSchema,
    owner: Type.String(),
    labels: shownLabels,
    keys: Type.Array(Type.String()),
    reload: nullable(strict({ webhook: Type.String() })),
    status: strict(ownedTimes),
  },
  { $id: 'Consumer' },
)

const present = (consumer: Consumer) => ({
  name: consumer.name,
  owner: consumer.owner,
  labels: consumer.labels,
  keys: consumer.keys,
  reload: consumer.reload && { webhook: consumer.reload.webhook },
  status: { ...timesOf(consumer), owner: consumer.managedBy },
})

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const

export const consumerRoutes = (deps: ConsumerRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/consumers',
    operationId: 'listConsumers',
    tag: 'consumers',
    summary: 'List consumers',
    access: [...readers],
    list: true,
    replies: { 200: listOf(consumerSchema) },
    handler: async ({ ledger, actor, page, pageReply }) => ({
      status: 200,
      body: pageReply(
        await ledger.read((db) => pageInScope(actor, page, (next) => db.consumers.list(next))),
        present,
      ),
    }),
  }),
  route({
    method: 'GET',
    path: '/v1/consumers/{name}',
    operationId: 'getConsumer',
    tag: 'consumers',
    summary: 'One consumer',
    access: [...readers],
    params: nameParams,
    replies: { 200: consumerSchema },
    handler: async ({ ledger, actor, params: { name } }) => {
      const consumer = mustSee(
        actor,
        await ledger.read((db) => db.consumers.get(name)),
        'consumer',
        name,
      )
      return { status: 200, body: present(consumer), revision: consumer.revision }
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/consumers/{name}',
    operationId: 'putConsumer',
    tag: 'consumers',
    summary: 'Create or replace a consumer',
    access: ['operator'],
    params: nameParams,
    body: putBody(consumerFields),
    replies: { 200: consumerSchema, 201: consumerSchema },
    errors: ['connection.unusable', 'request.impossible'],
    examples: [{ body: { owner: 'team-shop', labels: { team: 'shop' } } }],
    handler: async ({ ledger, actor, params: { name }, body, precondition }) => {
      mustBeNamed(name, body)
      const { value, receipts } = await putConsumer({ ...deps, ledger })(actor, {
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
    path: '/v1/consumers/{name}',
    operationId: 'deleteConsumer',
    tag: 'consumers',
    summary: 'Delete a consumer',
    access: ['operator'],
    params: nameParams,
    replies: { 200: deletedSchema },
    handler: async ({ ledger, actor, params: { name }, precondition }) => {
      const { receipts } = await deleteConsumer({ ledger })(actor, { name, precondition })
      return { status: 200, body: deletedBody(name), receipts }
    },
  }),
]
