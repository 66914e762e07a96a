// Rotations. The work itself is done by workers: a reply says what is wanted, not what happened.

import { Type } from 'typebox'
import { nameSchema } from '#domain/names.ts'
import { isOpen, type Phase, phases } from '#domain/rotation-machine.ts'
import { triggers } from '#domain/rotation.ts'
import { makeGetRotation, makeListRotations } from '#usecases/find-rotations.ts'
import { previewRotation } from '#usecases/preview-rotation.ts'
import { makeStartRotation } from '#usecases/start-rotation.ts'
import { eventRoute, type Route, route } from '../route.ts'
import { idParams, listOf, strict } from '../schemas.ts'
import { reasonBody, type RotationRoutesDeps } from './rotation/common.ts'
import {
  present,
  presentPreview,
  previewSchema,
  rotationFields,
  rotationSchema,
} from './rotation/rotation-shape.ts'
import { sayingRoutes } from './rotation/say.ts'
import { followStream, toldEventSchema } from './told-event.ts'

export const rotationRoutes = (deps: RotationRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/rotations',
    operationId: 'listRotations',
    tag: 'rotations',
    summary: 'List rotations, newest first',
    access: ['viewer', 'operator', 'approver', 'responder', 'auditor'],
    list: true,
    query: strict({
      key: Type.Optional(nameSchema),
      policy: Type.Optional(nameSchema),
      phase: Type.Optional(Type.Array(Type.Enum([...phases]), { maxItems: phases.length })),
      trigger: Type.Optional(Type.Enum([...triggers])),
    }),
    replies: { 200: listOf(rotationSchema) },
    handler: async ({ ledger, actor, query, page, pageReply }) => ({
      status: 200,
      body: pageReply(
        await makeListRotations(ledger)(actor, query as { phase?: readonly Phase[] }, page),
        present,
      ),
    }),
  }),
  route({
    method: 'POST',
    path: '/v1/rotations',
    operationId: 'startRotation',
    tag: 'rotations',
    summary: 'Rotate a key now',
    description:
      'A dry run also tells what the rotation would do, call by call, and asks the provider for its rights and risks.',
    access: ['operator'],
    idempotency: 'required',
    body: strict({ key: nameSchema, reason: reasonBody.properties.reason }),
    replies: { 202: strict({ ...rotationFields, preview: Type.Optional(previewSchema) }) },
    errors: [
      'rotation.inProgress',
      'key.busy',
      'key.observed',
      'recovery.active',
      'request.impossible',
      'resource.notFound',
    ],
    examples: [{ body: { key: 'orders-token', reason: 'a laptop was lost' } }],
    handler: async ({ ledger, actor, body, dryRun }) => {
      const { value, receipts } = await makeStartRotation({ ...deps, ledger })(actor, body)
      const preview = dryRun
        ? { preview: presentPreview(await previewRotation({ ...deps, ledger }, value)) }
        : {}
      return {
        status: 202,
        body: { ...present({ rotation: value, timer: null, intents: [] }), ...preview },
        location: `/v1/rotations/${value.id}`,
        receipts,
      }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/rotations/{id}',
    operationId: 'getRotation',
    tag: 'rotations',
    summary: 'One rotation, with its steps',
    access: ['viewer', 'operator', 'approver', 'responder', 'auditor'],
    params: idParams,
    replies: { 200: rotationSchema },
    errors: ['resource.notFound'],
    handler: async ({ ledger, actor, params }) => ({
      status: 200,
      body: present(await makeGetRotation(ledger)(actor, params.id)),
    }),
  }),
  ...sayingRoutes(deps),
  eventRoute({
    method: 'GET',
    path: '/v1/rotations/{id}/events',
    operationId: 'followRotation',
    tag: 'rotations',
    summary: 'What happens to a rotation, as it happens',
    access: ['viewer', 'operator', 'approver', 'responder', 'auditor'],
    params: idParams,
    event: toldEventSchema,
    errors: ['resource.notFound'],
    events: (ctx) =>
      followStream(deps, ctx, async () => {
        const { rotation } = await makeGetRotation(ctx.ledger)(ctx.actor, ctx.params.id)
        return !isOpen(rotation.phase)
      }),
  }),
]
