// Rotations and what people say to them. The work itself is done by workers: a reply says what is wanted, not what happened.

import { Type } from 'typebox'
import { freeTextSchema, nameSchema } from '#domain/names.ts'
import type { Clock, Sessions, Timers } from '#domain/ports.ts'
import { isOpen, type Phase, phases } from '#domain/rotation-machine.ts'
import { triggers } from '#domain/rotation.ts'
import { makeConfirmStep } from '#usecases/confirm-step.ts'
import { makeGetRotation, makeListRotations, type RotationStory } from '#usecases/find-rotations.ts'
import { previewRotation, type RotationPreview } from '#usecases/preview-rotation.ts'
import { makeStartRotation, type StartDeps } from '#usecases/start-rotation.ts'
import {
  makeAbandon,
  makeAcknowledge,
  makeApprove,
  makeCancel,
  makeOverride,
  makeResume,
  makeRollback,
} from '#usecases/steer-rotation.ts'
import { eventRoute, type Route, route } from '../route.ts'
import {
  idParams,
  listOf,
  momentSchema,
  nullable,
  strict,
  versionNumberSchema,
} from '../schemas.ts'
import { shownCheck, shownObject } from './resource.ts'
import { followStream, toldEventSchema } from './told-event.ts'

export interface RotationRoutesDeps extends Omit<StartDeps, 'ledger'> {
  readonly timers: Timers
  readonly clock: Clock
  readonly sessions: Sessions
}

const waitingForSchema = strict({
  gate: Type.String(),
  since: momentSchema,
  until: Type.Optional(momentSchema),
  missing: Type.Array(Type.String()),
  text: Type.String(),
})

const stepSchema = strict({
  phase: Type.String(),
  target: Type.Optional(Type.String()),
  attempt: Type.Integer(),
  operationId: Type.String(),
  startedAt: momentSchema,
  endedAt: nullable(momentSchema),
  outcome: nullable(Type.Enum(['succeeded', 'failed', 'unknown'])),
  detail: nullable(Type.String()),
})

const rotationFields = {
  id: Type.String(),
  key: Type.String(),
  policy: nullable(Type.String()),
  phase: Type.Enum([...phases]),
  epoch: Type.Integer(),
  trigger: Type.Enum([...triggers]),
  reason: Type.String(),
  fromVersion: nullable(Type.Integer()),
  toVersion: nullable(Type.Integer()),
  planHash: Type.String(),
  phases: Type.Array(Type.Enum([...phases]), {
    description: 'Those that its plan goes through, in order.',
  }),
  dueAt: nullable(momentSchema),
  waitingFor: nullable(waitingForSchema),
  steps: Type.Array(stepSchema),
  createdAt: momentSchema,
  endedAt: nullable(momentSchema),
}
const rotationSchema = strict(rotationFields, { $id: 'Rotation' })

const previewSchema = strict(
  {
    calls: Type.Array(
      strict({
        phase: Type.Enum([...phases]),
        call: Type.Enum(['mint', 'publish', 'promote', 'suspend', 'retire']),
        object: Type.String({ examples: ['local:orders-token'] }),
        connection: Type.String(),
        undo: Type.Array(Type.String({ examples: ['removeNew'] }), {
          description:
            'What undo would do from here; one of cancel, impossible and late where it does nothing.',
        }),
      }),
      { description: 'Every call that writes at a provider, in order.' },
    ),
    waits: Type.Array(
      strict({
        phase: Type.Enum([...phases]),
        text: Type.String({ examples: ['both versions stay valid for 1d'] }),
      }),
    ),
    approvals: strict({
      required: Type.Integer(),
      roles: Type.Array(Type.String({ examples: ['approver'] })),
    }),
    slot: Type.Enum(['multi', 'pair', 'single', 'internal'], {
      description: 'How the type holds versions: several, two in turns, one place, or by itself.',
    }),
    gap: Type.Boolean({
      description: 'Whether readers are without a working version for a moment.',
    }),
    hold: nullable(
      strict({
        gate: Type.String(),
        text: Type.String({ examples: ['frozen: an audit'] }),
        until: nullable(momentSchema),
      }),
    ),
    consumers: Type.Array(
      strict({
        name: Type.String(),
        acknowledged: nullable(momentSchema),
      }),
      {
        description:
          'Who has to acknowledge, and when each acknowledged the version that is replaced.',
      },
    ),
    checks: Type.Array(shownCheck),
    risks: Type.Array(Type.String({ examples: ['the provider rotates it by itself too'] })),
    facts: shownObject,
    versions: nullable(
      strict(
        {
          living: Type.Integer(),
          most: nullable(Type.Integer()),
        },
        {
          description:
            'Versions that are not destroyed at the provider, and how many the type allows; null where the provider did not say.',
        },
      ),
    ),
    next: Type.Array(Type.String({ examples: ['Tue 2026-12-01 03:00 +01:00 Europe/Paris'] })),
  },
  {
    $id: 'RotationPreview',
    description: 'What it would do, and what the provider says. Nothing was written anywhere.',
  },
)

const presentPreview = ({ calls, provider, consumers, hold, next, ...rest }: RotationPreview) => ({
  ...rest,
  waits: [...rest.waits],
  approvals: { required: rest.approvals.required, roles: [...rest.approvals.roles] },
  calls: calls.map(({ undo, ...call }) => ({
    ...call,
    undo: typeof undo === 'string' ? [undo] : [...undo],
  })),
  hold: hold && { ...hold, until: hold.until?.toISOString() ?? null },
  consumers: consumers.map(({ name, acknowledged }) => ({
    name,
    acknowledged: acknowledged?.toISOString() ?? null,
  })),
  checks: [...provider.checks],
  risks: [...provider.risks],
  facts: provider.facts,
  versions: provider.versions,
  next: next.map(({ text }) => text),
})

const present = ({ rotation, timer, intents }: RotationStory) => ({
  id: rotation.id,
  key: rotation.keyName,
  policy: rotation.policy,
  phase: rotation.phase,
  epoch: rotation.epoch,
  trigger: rotation.trigger,
  reason: rotation.reason,
  fromVersion: rotation.fromVersion,
  toVersion: rotation.toVersion,
  planHash: rotation.planHash,
  phases: rotation.plan.phases,
  dueAt: timer?.dueAt?.toISOString() ?? null,
  waitingFor: isOpen(rotation.phase) ? (timer?.waitingFor ?? null) : null,
  steps: intents.map((intent) => ({
    phase: intent.phase,
    ...(intent.target === null ? {} : { target: intent.target }),
    attempt: intent.attempt,
    operationId: intent.operationId,
    startedAt: intent.startedAt.toISOString(),
    endedAt: intent.endedAt?.toISOString() ?? null,
    outcome: intent.outcome,
    detail: intent.detail,
  })),
  createdAt: rotation.createdAt.toISOString(),
  endedAt: rotation.endedAt?.toISOString() ?? null,
})

const reasonSchema = freeTextSchema(500)
const reasonBody = strict({ reason: Type.String({ ...reasonSchema, minLength: 1 }) })

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
