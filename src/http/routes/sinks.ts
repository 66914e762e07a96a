// Sinks: the admin's. Tests and dead letters are in sink-delivery.ts.

import { Type } from 'typebox'
import type { Sink } from '#domain/connection.ts'
import { nameSchema } from '#domain/names.ts'
import { deleteSink } from '#usecases/delete-sink.ts'
import type { EgressRules } from '#usecases/put-connection.ts'
import { putSink, sinkFields } from '#usecases/put-sink.ts'
import { notFound } from '#usecases/rights.ts'
import { type Route, route } from '../route.ts'
import { listOf, nameParams, nullable, strict } from '../schemas.ts'
import {
  deletedBody,
  deletedSchema,
  mustBeNamed,
  putBody,
  timesOf,
  writtenTimes,
} from './resource.ts'

export interface SinkRoutesDeps {
  readonly egress: EgressRules
}

const sinkSchema = strict(
  {
    name: nameSchema,
    type: Type.Literal('webhook'),
    url: Type.String(),
    events: nullable(Type.Array(Type.String(), { description: 'null: all' })),
    status: strict({
      disabledReason: nullable(
        Type.String({ description: 'why it is told nothing; a PUT tells it again' }),
      ),
      ...writtenTimes,
    }),
  },
  { $id: 'Sink' },
)

const present = (sink: Sink) => ({
  name: sink.name,
  type: sink.type,
  url: sink.url,
  events: sink.events,
  status: { disabledReason: sink.disabledReason, ...timesOf(sink) },
})

export const sinkRoutes = (deps: SinkRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/sinks',
    operationId: 'listSinks',
    tag: 'sinks',
    summary: 'List sinks',
    access: ['admin'],
    unscoped: true,
    list: true,
    replies: { 200: listOf(sinkSchema) },
    handler: async ({ ledger, page, pageReply }) => ({
      status: 200,
      body: pageReply(await ledger.read((db) => db.sinks.list(page)), present),
    }),
  }),
  route({
    method: 'GET',
    path: '/v1/sinks/{name}',
    operationId: 'getSink',
    tag: 'sinks',
    summary: 'One sink',
    access: ['admin'],
    unscoped: true,
    params: nameParams,
    replies: { 200: sinkSchema },
    handler: async ({ ledger, params: { name } }) => {
      const sink = await ledger.read((db) => db.sinks.get(name))
      if (!sink) throw notFound('sink', name)
      return { status: 200, body: present(sink), revision: sink.revision }
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/sinks/{name}',
    operationId: 'putSink',
    tag: 'sinks',
    summary: 'Create or replace a sink',
    description:
      'The secret is sealed on arrival and never returned; left out, the stored one stays as long as the url does.',
    access: ['admin'],
    unscoped: true,
    params: nameParams,
    body: putBody(sinkFields),
    replies: { 200: sinkSchema, 201: sinkSchema },
    errors: ['connection.unusable', 'request.impossible'],
    examples: [
      {
        body: {
          type: 'webhook',
          url: 'https://hooks.example.com/rekey',
          secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
          events: ['stalled', 'overdue'],
        },
      },
    ],
    handler: async ({ ledger, actor, params: { name }, body, precondition }) => {
      mustBeNamed(name, body)
      const { value, receipts } = await putSink({ ...deps, ledger })(actor, {
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
    path: '/v1/sinks/{name}',
    operationId: 'deleteSink',
    tag: 'sinks',
    summary: 'Delete a sink',
    access: ['admin'],
    unscoped: true,
    params: nameParams,
    replies: { 200: deletedSchema },
    handler: async ({ ledger, actor, params: { name }, precondition }) => {
      const { receipts } = await deleteSink({ ledger })(actor, { name, precondition })
      return { status: 200, body: deletedBody(name), receipts }
    },
  }),
]
