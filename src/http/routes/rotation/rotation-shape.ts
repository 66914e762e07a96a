// How rotations look in replies, and what one would do.

import { Type } from 'typebox'
import { isOpen, phases } from '#domain/rotation-machine.ts'
import { triggers } from '#domain/rotation.ts'
import type { RotationStory } from '#usecases/find-rotations.ts'
import type { RotationPreview } from '#usecases/preview-rotation.ts'
import { momentSchema, nullable, strict } from '../../schemas.ts'
import { shownCheck, shownObject } from '../resource.ts'

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

export const rotationFields = {
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
export const rotationSchema = strict(rotationFields, { $id: 'Rotation' })

export const previewSchema = strict(
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

export const presentPreview = ({
  calls,
  provider,
  consumers,
  hold,
  next,
  ...rest
}: RotationPreview) => ({
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

export const present = ({ rotation, timer, intents }: RotationStory) => ({
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
