// How incidents look in replies.

import { Type } from 'typebox'
import {
  type ContainedKey,
  containmentEdges,
  containments,
  halfEffects,
  type Incident,
  incidentKeyEdges,
  type IncidentKeyState,
  incidentModes,
  type IncidentPreview,
  incidentStates,
  noteKinds,
  severities,
  type VersionEvidence,
} from '#domain/incident.ts'
import { halfOfVersion } from '#domain/pair-halves.ts'
import { keptSelectorSchema } from '#domain/incident-schema.ts'
import { versionStates } from '#domain/key.ts'
import {
  type StepTick,
  type TakenPlaybook,
  type TakenStep,
  takenSteps,
  tickOutcomes,
} from '#domain/playbook.ts'
import type { Moment, ShownNote } from '#usecases/incident-timeline.ts'
import type { IncidentReport, ReportedKey } from '#usecases/report-incident.ts'
import type { SeenIncident } from '#usecases/see-incident.ts'
import { idSchema, momentSchema, nullable, receiptSchema, strict } from '../schemas.ts'

const keyStates = Object.keys(incidentKeyEdges) as readonly IncidentKeyState[]
const evidenceStates = Object.keys(containmentEdges) as readonly (keyof typeof containmentEdges)[]

const sentence = (...examples: readonly string[]) => Type.String({ examples: [...examples] })
const someone = strict({ id: Type.String({ examples: ['user:ada'] }), name: sentence('ada') })
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

const containmentSchema = Type.Enum([...containments], {
  examples: ['suspend'],
  description:
    'suspend: switched off, one call brings it back; destroy: only where nothing less helps; switchOffKey: the whole key; replace: its replacement ends it; byHand: a person does it; none: see why',
})

const containedKeySchema = strict({
  key: sentence('orders-token'),
  type: sentence('local.secret'),
  connection: sentence('vault'),
  objectId: sentence('local:orders-token'),
  versions: Type.Array(
    strict({
      version: Type.Integer(),
      state: Type.Enum([...versionStates]),
      primary: Type.Boolean(),
      providerVersions: Type.Array(Type.String()),
      containment: containmentSchema,
      reversible: Type.Boolean({
        description:
          'whether its provider can switch it on again; the mode `disable` alone ever does',
      }),
      expect: Type.Enum(['refused', 'refusedAfter', 'unproven'], {
        description: 'the proof that can be had',
      }),
      why: nullable(Type.String({ examples: [null] })),
    }),
  ),
  replacement: Type.Enum(['none', 'existing', 'openRotation', 'new'], {
    description: 'what serves afterwards',
    examples: ['new'],
  }),
  replacementVersion: nullable(Type.Integer({ examples: [null] })),
  openRotation: nullable(Type.String()),
  halves: nullable(
    Type.Array(
      strict({
        half: sentence('app_b'),
        does: Type.Enum([...halfEffects], {
          examples: ['contain'],
          description:
            'contain: its versions are switched off and tried; replace: it gets the new password; serve: it has what is handed out from then on; nothing',
        }),
        step: nullable(
          Type.Integer({ examples: [1], description: 'those of one number at the same time' }),
        ),
        versions: Type.Array(Type.Integer({ examples: [2] })),
      }),
      { description: 'of a pair: what is done to each of its halves, in this order' },
    ),
  ),
  losesAccess: Type.Array(sentence('pays'), { description: 'connections that log in with it' }),
  approvals: Type.Integer({ examples: [1] }),
  basis: strict(
    {
      key: Type.Integer({ examples: [1] }),
      connection: Type.Integer({ examples: [1] }),
      policy: nullable(
        strict({ name: sentence('monthly'), revision: Type.Integer({ examples: [3] }) }),
      ),
    },
    { description: 'revisions that must be the same when it is executed' },
  ),
  warnings: Type.Array(
    sentence(
      'An outage: from the revocation on until its replacement is handed out, nothing serves.',
    ),
  ),
})

export const previewFields = {
  hash: hashSchema,
  at: momentSchema,
  expiresAt: momentSchema,
  keys: Type.Array(containedKeySchema, { description: 'the most dangerous first' }),
  consumers: Type.Array(sentence('shop')),
  warnings: Type.Array(sentence('An outage of orders-token.')),
  approvalsNeeded: Type.Integer({ examples: [1] }),
}

const someKeys = Type.Array(sentence('orders-token'))
export const differsSchema = strict(
  { added: someKeys, removed: someKeys, changed: someKeys },
  {
    description:
      'from the preview before: names of keys, at most a hundred each; null: there was none',
  },
)

export const presentPreview = ({ at, expiresAt, keys, ...preview }: IncidentPreview) => ({
  ...preview,
  at: at.toISOString(),
  expiresAt: expiresAt.toISOString(),
  keys: keys.map(({ keyId: _keyId, basis, ...key }: ContainedKey) => {
    const { address: _address, ...shown } = basis
    return { ...key, halves: key.halves?.map((half) => ({ ...half })) ?? null, basis: shown }
  }),
})

const evidenceSchema = strict({
  version: Type.Integer(),
  half: nullable(Type.String({ description: 'of a pair: which half', examples: [null] })),
  containment: containmentSchema,
  state: Type.Enum([...evidenceStates], { examples: ['refused'] }),
  requestedAt: nullable(momentSchema),
  effectiveAt: nullable(momentSchema),
  provenAt: nullable(momentSchema),
  operation: nullable(sentence('read')),
  code: nullable(sentence('disabled')),
  refusedAfter: nullable(momentSchema),
  detail: nullable(Type.String()),
  operationId: nullable(Type.String()),
  auditEventId: nullable(idSchema),
})

export const incidentKeySchema = strict({
  key: sentence('orders-token'),
  connection: sentence('vault'),
  state: Type.Enum([...keyStates], { examples: ['replaced'] }),
  replacement: nullable(
    Type.Enum(['pending', 'running', 'done', 'failed'], {
      description: 'null: the mode replaces nothing',
      examples: ['done'],
    }),
  ),
  rotation: nullable(Type.String()),
  restoration: nullable(Type.Enum(['asked', 'done', 'failed'], { examples: [null] })),
  detail: nullable(Type.String()),
  updatedAt: momentSchema,
  versions: Type.Array(evidenceSchema),
})

export const presentKey = ({ key, connection, state, replacement, ...rest }: ReportedKey) => ({
  key,
  connection,
  state,
  replacement,
  rotation: rest.rotationId,
  restoration: rest.restoration,
  detail: rest.detail,
  updatedAt: rest.updatedAt.toISOString(),
  versions: rest.versions.map((one) => presentEvidence(one, halfOfVersion(rest.plan, one.version))),
})

const presentEvidence = (evidence: VersionEvidence, half: string | null) => ({
  version: evidence.version,
  half,
  containment: evidence.containment,
  state: evidence.state,
  requestedAt: evidence.requestedAt?.toISOString() ?? null,
  effectiveAt: evidence.effectiveAt?.toISOString() ?? null,
  provenAt: evidence.provenAt?.toISOString() ?? null,
  operation: evidence.operation,
  code: evidence.code,
  refusedAfter: evidence.refusedAfter?.toISOString() ?? null,
  detail: evidence.detail,
  operationId: evidence.operationId,
  auditEventId: evidence.auditEventId,
})

export const noteSchema = strict({
  id: idSchema,
  kind: Type.Enum([...noteKinds], { examples: ['fact'] }),
  text: sentence('The laptop was taken at 02:10.'),
  corrects: nullable(
    Type.String({ examples: [null], description: 'the note that it takes the place of' }),
  ),
  correctedBy: nullable(Type.String({ examples: [null] })),
  by: sentence('ada'),
  at: momentSchema,
})

export const presentNote = (note: ShownNote) => ({
  id: note.id,
  kind: note.kind,
  text: note.text,
  corrects: note.corrects,
  correctedBy: note.correctedBy,
  by: note.principalName,
  at: note.at.toISOString(),
})

export const momentOfSchema = strict({
  id: idSchema,
  at: momentSchema,
  actor: sentence('ada'),
  action: sentence('incident.executed'),
  target: strict({
    kind: sentence('incident'),
    id: idSchema,
    name: sentence('A laptop was stolen'),
  }),
  outcome: sentence('succeeded'),
  reason: nullable(Type.String()),
  after: Type.Unknown({ examples: [{ keys: 3 }] }),
  note: nullable(noteSchema),
  receipt: receiptSchema,
})

export const presentMoment = ({ event: { body, receipt }, note }: Moment) => ({
  id: body.id,
  at: body.at,
  actor: body.actor.name,
  action: body.action,
  target: { ...body.target },
  outcome: body.outcome,
  reason: body.reason,
  after: body.after,
  note: note && presentNote(note),
  receipt,
})

export const reportSchema = strict(
  {
    at: momentSchema,
    incident: incidentSchema,
    preview: nullable(
      strict({
        hash: hashSchema,
        at: momentSchema,
        expiresAt: momentSchema,
        consumers: previewFields.consumers,
        warnings: previewFields.warnings,
        approvalsNeeded: previewFields.approvalsNeeded,
      }),
    ),
    keys: Type.Array(incidentKeySchema),
    notes: Type.Array(noteSchema),
    timeline: Type.Array(momentOfSchema, {
      description: 'the first thousand, without what was done key by key',
    }),
    open: Type.Array(sentence('Under way: orders-token.'), { description: 'what is left to do' }),
  },
  { $id: 'IncidentReport' },
)

export const presentReport = (report: IncidentReport) => ({
  at: report.at.toISOString(),
  incident: presentIncident(report, report.at),
  preview: report.preview && {
    ...report.preview,
    at: report.preview.at.toISOString(),
    expiresAt: report.preview.expiresAt.toISOString(),
  },
  keys: report.keys.map(presentKey),
  notes: report.notes.map(presentNote),
  timeline: report.timeline.map(presentMoment),
  open: report.open,
})
