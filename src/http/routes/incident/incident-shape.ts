// How an incident looks in replies.

import { Type } from 'typebox'
import { type Incident, incidentModes, incidentStates, severities } from '#domain/incident.ts'
import { keptSelectorSchema } from '#domain/incident-schema.ts'
import {
  type StepTick,
  type TakenPlaybook,
  type TakenStep,
  takenSteps,
  tickOutcomes,
} from '#domain/playbook.ts'
import type { SeenIncident } from '#usecases/see-incident.ts'
import { idSchema, momentSchema, nullable, strict } from '../../schemas.ts'
import { sentence, someone } from './sentence.ts'

export const hashSchema = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'stands for what is done; approve and execute by it',
  examples: ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
})

const stepSchema = strict({
  step: Type.Integer({ examples: [1] }),
  title: sentence('Tell the partner'),
  text: nullable(sentence('The number is in the safe.')),
  owner: sentence('team-shop'),
  command: nullable(sentence('rekey describe key/orders-token')),
  state: Type.Enum(['open', ...tickOutcomes], { examples: ['done'] }),
  dueAt: nullable(momentSchema),
  late: Type.Boolean({
    description: 'done after its time, or not done and its time is over',
    examples: [false],
  }),
  by: nullable(sentence('ada')),
  at: nullable(momentSchema),
  note: nullable(sentence('called at 02:40')),
})

const takenSchema = strict(
  {
    name: sentence('leaked-key'),
    revision: Type.Integer({ examples: [3] }),
    title: sentence('A key has leaked'),
    owner: sentence('team-security'),
    at: momentSchema,
    by: someone,
    reviewOverdue: Type.Boolean({
      description: 'nobody had reviewed it in time when it was taken',
      examples: [false],
    }),
    revisionReviewed: Type.Boolean({
      description:
        'another than its author had read this very revision; false: it has changed since its review, or had none',
      examples: [true],
    }),
    steps: Type.Array(stepSchema),
  },
  { description: 'its steps as they were when the incident took it' },
)

export const incidentSchema = strict(
  {
    id: idSchema,
    title: sentence('A laptop with the tokens of the shop was stolen'),
    severity: Type.Enum([...severities], { examples: ['critical'] }),
    mode: Type.Enum([...incidentModes], { examples: ['revokeFirst'] }),
    reason: sentence('a laptop was lost'),
    selector: keptSelectorSchema,
    state: Type.Enum([...incidentStates], { examples: ['executing'] }),
    openedBy: someone,
    commander: nullable(sentence('ada')),
    breakGlass: Type.Boolean({
      description:
        'it is worked on with a token to break glass with: nobody agrees before, somebody reviews after',
      examples: [false],
    }),
    playbook: nullable(takenSchema),
    preview: nullable(
      strict(
        {
          hash: hashSchema,
          at: momentSchema,
          expiresAt: momentSchema,
          by: someone,
          approvalsNeeded: Type.Integer({ examples: [1] }),
          keys: Type.Integer({ examples: [3] }),
        },
        { description: 'the last one; the whole of it is at …/preview' },
      ),
    ),
    approvals: Type.Array(strict({ principal: sentence('bob'), at: momentSchema }), {
      description: 'of that preview',
    }),
    execution: nullable(strict({ hash: hashSchema, at: momentSchema, by: someone })),
    counts: Type.Record(Type.String(), Type.Integer(), {
      description: 'of an execution: how many keys are in each state',
      examples: [{ refused: 2, revoking: 1 }],
    }),
    waiting: Type.Array(
      strict({
        connection: sentence('vault'),
        keys: Type.Integer({ examples: [1] }),
        since: nullable(
          Type.String({
            format: 'date-time',
            description: 'since when nothing was heard of the key that waits longest',
          }),
        ),
      }),
      {
        description:
          'while it executes: the connections with the most keys that are not at rest yet',
      },
    ),
    settledAt: nullable(momentSchema),
    closed: nullable(
      strict({ at: momentSchema, by: sentence('ada'), reason: sentence('all is replaced') }),
    ),
    review: nullable(strict({ at: momentSchema, by: someone, text: sentence('It was right.') })),
    revision: Type.Integer({ examples: [4] }),
    createdAt: momentSchema,
    updatedAt: momentSchema,
  },
  { $id: 'Incident' },
)

export const presentIncident = (
  { incident, counts, waiting, approvals, ticks }: SeenIncident,
  now: Date,
) => ({
  ...fieldsOf(incident),
  playbook: incident.playbook && presentTaken(incident.playbook, ticks, now),
  approvals: approvals.map(({ principalName, at }) => ({
    principal: principalName,
    at: at.toISOString(),
  })),
  counts,
  waiting: waiting.map(({ since, ...at }) => ({ ...at, since: since?.toISOString() ?? null })),
})

const presentTaken = (taken: TakenPlaybook, ticks: readonly StepTick[], now: Date) => ({
  ...taken,
  // One that was taken before this was kept says nothing of it.
  revisionReviewed: taken.revisionReviewed ?? false,
  steps: takenSteps(taken, ticks, now).map((step) => presentStep(step, taken.owner)),
})

const presentStep = (
  { step, title, text, owner, command, state, ...of }: TakenStep,
  usual: string,
) => ({
  step,
  title,
  text: text ?? null,
  owner: owner ?? usual,
  command: command ?? null,
  state,
  dueAt: of.dueAt?.toISOString() ?? null,
  late: of.late,
  by: of.tick?.principalName ?? null,
  at: of.tick?.at.toISOString() ?? null,
  note: of.tick?.note ?? null,
})

const fieldsOf = ({ breakGlass, preview, ...incident }: Incident) => ({
  id: incident.id,
  title: incident.title,
  severity: incident.severity,
  mode: incident.mode,
  reason: incident.reason,
  // As it was checked when the incident was opened.
  selector: incident.selector as never,
  state: incident.state,
  openedBy: incident.openedBy,
  commander: incident.commander,
  breakGlass: breakGlass !== null,
  preview,
  execution: incident.execution && {
    ...incident.execution,
    at: incident.execution.at.toISOString(),
  },
  settledAt: incident.settledAt?.toISOString() ?? null,
  closed: incident.closed && { ...incident.closed, at: incident.closed.at.toISOString() },
  review: incident.review && { ...incident.review, at: incident.review.at.toISOString() },
  revision: incident.revision,
  createdAt: incident.createdAt.toISOString(),
  updatedAt: incident.updatedAt.toISOString(),
})
