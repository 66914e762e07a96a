// What people say to a rotation: that they agree, that they have moved, that a step by hand is done; and how it is steered.

import { Type } from 'typebox'
import { freeTextSchema, nameSchema } from '#domain/names.ts'
import { makeConfirmStep } from '#usecases/confirm-step.ts'
import { makeGetRotation } from '#usecases/find-rotations.ts'
import {
  makeAbandon,
  makeAcknowledge,
  makeApprove,
  makeCancel,
  makeOverride,
  makeResume,
  makeRollback,
} from '#usecases/steer-rotation.ts'
import { type Route, route } from '../../route.ts'
import { idParams, momentSchema, nullable, strict, versionNumberSchema } from '../../schemas.ts'
import { reasonBody, reasonSchema, type RotationRoutesDeps } from './common.ts'
import { present, rotationSchema } from './rotation-shape.ts'

const verbs = [
  {
    path: 'cancel',
    operationId: 'cancelRotation',
    summary: 'Stop before anything was made',
    make: makeCancel,
    errors: [],
  },
  {
    path: 'rollback',
    operationId: 'rollBackRotation',
    summary: 'Make the old version serve again, then remove the new one',
    make: makeRollback,
    errors: ['recovery.active', 'rotation.undoImpossible', 'rotation.pastPointOfNoReturn'],
  },
  {
    path: 'resume',
    operationId: 'resumeRotation',
    summary: 'Go on where it stalled',
    make: makeResume,
    errors: ['recovery.active'],
  },
  {
    path: 'abandon',
    operationId: 'abandonRotation',
    summary: 'Give up and leave everything as it is',
    make: makeAbandon,
    errors: [],
  },
  {
    path: 'overrides',
    operationId: 'overrideRotation',
    summary: 'Pass the gate that it waits for; counts when two people said so',
    make: makeOverride,
    errors: ['resource.exists'],
  },
] as const

export const sayingRoutes = (deps: RotationRoutesDeps): readonly Route[] => [
  route({
    method: 'POST',
    path: '/v1/rotations/{id}/approvals',
    operationId: 'approveRotation',
    tag: 'rotations',
    summary: 'Approve the plan of a rotation, by its hash',
    access: ['approver', 'responder', 'operator'],
    params: idParams,
    body: strict({
      planHash: Type.String({ maxLength: 128 }),
      reason: Type.Optional(reasonSchema),
    }),
    replies: {
      201: strict({
        rotation: Type.String(),
        principal: Type.String(),
        planHash: Type.String(),
        at: momentSchema,
      }),
    },
    errors: [
      'resource.notFound',
      'rotation.wrongPhase',
      'rotation.planChanged',
      'rotation.selfApproval',
      'auth.denied',
      'resource.exists',
    ],
    examples: [
      {
        body: {
          planHash: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
          reason: 'agreed with the payment team',
        },
      },
    ],
    handler: async ({ ledger, actor, params, body }) => {
      const { value, receipts } = await makeApprove({ ledger })(actor, params.id, body)
      return {
        status: 201,
        body: {
          rotation: params.id,
          principal: value.principalName,
          planHash: body.planHash,
          at: value.at.toISOString(),
        },
        location: `/v1/rotations/${params.id}`,
        receipts,
      }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/rotations/{id}/acknowledgements',
    operationId: 'acknowledgeRotation',
    tag: 'rotations',
    summary: 'Say that a consumer uses the new version',
    access: ['consumer', 'operator'],
    params: idParams,
    body: strict({
      consumer: nameSchema,
      version: versionNumberSchema,
      evidence: Type.Optional(freeTextSchema(1000)),
    }),
    replies: {
      201: strict({
        rotation: Type.String(),
        consumer: Type.String(),
        version: Type.Integer(),
        evidence: nullable(Type.String()),
        at: momentSchema,
      }),
    },
    errors: ['resource.notFound', 'rotation.wrongPhase', 'request.impossible', 'auth.denied'],
    examples: [
      {
        body: { consumer: 'shop', version: 2, evidence: 'deployed with build 4711' },
      },
    ],
    handler: async ({ ledger, actor, params, body }) => {
      const { value, receipts } = await makeAcknowledge({ ledger })(actor, params.id, body)
      const { consumer, version, evidence } = value
      return {
        status: 201,
        body: { rotation: params.id, consumer, version, evidence, at: value.at.toISOString() },
        location: `/v1/rotations/${params.id}`,
        receipts,
      }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/rotations/{id}/confirmations',
    operationId: 'confirmStep',
    tag: 'rotations',
    summary: 'Say that a step which a person does by hand is done, or that it was not',
    description:
      '`waitingFor` says what is asked for, and the last of `steps` its `operationId`. Of a new value send the SHA-256, made where the value is; never the value. A step that switches something off or ends it asks for `evidence`: how it was seen that it is refused.',
    access: ['operator', 'responder'],
    params: idParams,
    body: strict({
      operationId: Type.String({ minLength: 1, maxLength: 500 }),
      outcome: Type.Enum(['done', 'notDone']),
      fingerprint: Type.Optional(
        Type.String({
          pattern: '^sha256:[0-9a-f]{64}$',
          description: '`sha256:` and the hex digest of the new value',
        }),
      ),
      evidence: Type.Optional(Type.String({ ...freeTextSchema(1000), minLength: 1 })),
    }),
    replies: {
      201: strict({
        rotation: Type.String(),
        operationId: Type.String(),
        outcome: Type.Enum(['done', 'notDone']),
        evidence: nullable(Type.String()),
        principal: Type.String(),
        at: momentSchema,
      }),
    },
    errors: [
      'resource.notFound',
      'rotation.wrongPhase',
      'request.impossible',
      'resource.exists',
      'recovery.active',
    ],
    examples: [
      {
        body: {
          operationId: '0193a0e2-7c1f-7000-8000-000000000001:minting:1',
          outcome: 'done',
          fingerprint: 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
          evidence: 'made by Ada, ticket OPS-4711',
        },
      },
    ],
    handler: async ({ ledger, actor, params, body }) => {
      const { value, receipts } = await makeConfirmStep({ ledger, types: deps.types })(
        actor,
        params.id,
        body,
      )
      return {
        status: 201,
        body: {
          rotation: params.id,
          operationId: value.operationId,
          outcome: body.outcome,
          evidence: value.evidence,
          principal: value.principalName,
          at: value.at.toISOString(),
        },
        location: `/v1/rotations/${params.id}`,
        receipts,
      }
    },
  }),
  ...verbs.map(({ path, operationId, summary, make, errors }) =>
    route({
      method: 'POST',
      path: `/v1/rotations/{id}/${path}`,
      operationId,
      tag: 'rotations',
      summary,
      access: path === 'overrides' ? ['operator', 'approver'] : ['operator', 'responder'],
      params: idParams,
      body: reasonBody,
      idempotency: 'required',
      replies: { 202: rotationSchema },
      examples: [{ body: { reason: 'the payment team asked for it' } }],
      errors: ['resource.notFound', 'rotation.wrongPhase', ...errors],
      handler: async ({ ledger, actor, params, body }) => {
        const { receipts } = await make({ ledger })(actor, params.id, body)
        return {
          status: 202,
          body: present(await makeGetRotation(ledger)(actor, params.id)),
          receipts,
        }
      },
    }),
  ),
]
