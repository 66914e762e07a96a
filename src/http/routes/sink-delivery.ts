// Whether a sink hears us, and what it did not hear.

import { Type } from 'typebox'
import type { DeadLetter } from '#domain/ports.ts'
import {
  makeListDeadLetters,
  makeReplayDeadLetters,
  type DeadLetterDeps,
} from '#usecases/dead-letters.ts'
import { makeTestSink, type TestSinkDeps } from '#usecases/test-sink.ts'
import { route, type Route } from '../route.ts'
import { idSchema, listOf, momentSchema, nameParams, nullable, strict } from '../schemas.ts'

export type SinkDeliveryDeps = Omit<DeadLetterDeps & TestSinkDeps, 'ledger'>

const testSchema = strict(
  {
    id: idSchema,
    delivered: nullable(Type.Boolean({ description: 'null on a dry run: nothing was sent' })),
    status: nullable(Type.Integer({ description: 'the HTTP status of the answer' })),
    detail: Type.String({ description: 'the beginning of the answer, or why there was none' }),
  },
  { description: 'what the receiver said to a test event' },
)

const deadLetterSchema = strict({
  eventId: idSchema,
  attempts: Type.Integer({ minimum: 0 }),
  lastStatus: nullable(Type.Integer()),
  lastError: nullable(Type.String()),
  createdAt: momentSchema,
  failedAt: momentSchema,
})

const replaySchema = strict({
  eventIds: Type.Optional(
    Type.Array(idSchema, {
      minItems: 1,
      maxItems: 1000,
      uniqueItems: true,
      description: 'all dead letters where not said',
    }),
  ),
})

export const sinkDeliveryRoutes = (deps: SinkDeliveryDeps): readonly Route[] => [
  route({
    method: 'POST',
    path: '/v1/sinks/{name}/tests',
    operationId: 'testSink',
    tag: 'sinks',
    summary: 'Send a test event',
    description: 'Sends a real, signed event of type `rekey.test` once and reports the answer.',
    access: ['admin'],
    unscoped: true,
    params: nameParams,
    replies: { 200: testSchema },
    errors: ['resource.notFound', 'request.impossible'],
    handler: async ({ ledger, actor, params, dryRun }) => {
      const { test, receipts } = await makeTestSink({ ...deps, ledger })(actor, params.name, dryRun)
      return { status: 200, body: test, receipts }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/sinks/{name}/deadLetters',
    operationId: 'listDeadLetters',
    tag: 'sinks',
    summary: 'List what a sink was not told',
    access: ['admin'],
    unscoped: true,
    params: nameParams,
    list: true,
    replies: { 200: listOf(deadLetterSchema) },
    errors: ['resource.notFound'],
    handler: async ({ ledger, params, page, pageReply }) => {
      const found = await makeListDeadLetters({ ...deps, ledger })(params.name, page)
      return { status: 200, body: pageReply(found, presentDeadLetter) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sinks/{name}/deadLetters',
    operationId: 'replayDeadLetters',
    tag: 'sinks',
    summary: 'Send dead letters again',
    access: ['admin'],
    unscoped: true,
    params: nameParams,
    body: replaySchema,
    replies: {
      200: strict({ replayed: nullable(Type.Integer({ description: 'null on a dry run' })) }),
    },
    errors: ['resource.notFound', 'request.impossible'],
    examples: [{ body: {} }],
    handler: async ({ ledger, actor, params, body, dryRun }) => {
      const { replayed, receipts } = await makeReplayDeadLetters({ ...deps, ledger })(
        actor,
        params.name,
        body.eventIds ?? null,
        dryRun,
      )
      return { status: 200, body: { replayed }, receipts }
    },
  }),
]

const presentDeadLetter = ({ createdAt, failedAt, ...letter }: DeadLetter) => ({
  ...letter,
  createdAt: createdAt.toISOString(),
  failedAt: failedAt.toISOString(),
})
