// Emergencies: opened, previewed, approved, executed, restored, told. What is done is done by workers: a reply says what is
// wanted, not what happened. Their requests are counted in a bucket of their own: nothing else that goes on may stop them.

import { Type } from 'typebox'
import {
  incidentSelectorSchema,
  modeSchema,
  mostKeys,
  severitySchema,
} from '#domain/incident-schema.ts'
import {
  type Incident,
  incidentKeyEdges,
  type IncidentKeyState,
  type IncidentState,
  incidentStates,
  noteKinds,
} from '#domain/incident.ts'
import { freeTextSchema, nameSchema, oneLinePattern } from '#domain/names.ts'
import type { Clock, Committed, HashJson, Ids, Ledger } from '#domain/ports.ts'
import { tickOutcomes } from '#domain/playbook.ts'
import type { KeyType } from '#domain/provider.ts'
import { approveIncident } from '#usecases/approve-incident.ts'
import { changeIncident } from '#usecases/change-incident.ts'
import { closeIncident, reviewIncident } from '#usecases/close-incident.ts'
import { confirmContainment } from '#usecases/confirm-containment.ts'
import { makeExecuteIncident } from '#usecases/execute-incident.ts'
import { approvingRoles, mustBeApproved } from '#usecases/incident-approvals.ts'
import { getTimeline } from '#usecases/incident-timeline.ts'
import { keepPreview } from '#usecases/keep-preview.ts'
import { noteIncident } from '#usecases/note-incident.ts'
import { openIncident } from '#usecases/open-incident.ts'
import { makeDrawPreview } from '#usecases/preview-incident.ts'
import { makeRestoreIncident } from '#usecases/restore-incident.ts'
import { reportIncident, withEvidence } from '#usecases/report-incident.ts'
import { getIncident, listIncidents, seen, visibleIncident } from '#usecases/see-incident.ts'
import { seenPreview } from '#usecases/seen-preview.ts'
import { notFound } from '#usecases/rights.ts'
import { tickStep } from '#usecases/tick-step.ts'
import { eventRoute, type Route, route } from '../route.ts'
import { idParams, idSchema, listOf, nullable, strict } from '../schemas.ts'
import { markdownMediaType, markdownOf, wantsMarkdown } from './incident-markdown.ts'
import {
  differsSchema,
  hashSchema,
  incidentKeySchema,
  incidentSchema,
  momentOfSchema,
  noteSchema,
  presentIncident,
  presentKey,
  presentMoment,
  presentNote,
  presentPreview,
  presentReport,
  previewFields,
  reportSchema,
} from './incident-shapes.ts'
import { followStream, toldEventSchema } from './told-event.ts'

export interface IncidentRoutesDeps {
  readonly types: ReadonlyMap<string, KeyType>
  readonly hashJson: HashJson
  readonly clock: Clock
  readonly ids: Ids
}

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
const responders = ['responder'] as const
const common = { tag: 'incidents', bucket: 'incidents' } as const
const keyStates = Object.keys(incidentKeyEdges) as readonly IncidentKeyState[]

const line = (maxLength: number) =>
  Type.String({ minLength: 1, maxLength, pattern: oneLinePattern, description: 'one line of text' })
const reasonSchema = Type.String({ ...freeTextSchema(500), minLength: 1 })
const titleSchema = line(200)
const commanderSchema = line(200)
const playbookName = Type.String({
  ...nameSchema,
  description: 'the playbook that it is worked on by: its steps are taken as they are now',
})

export const incidentRoutes = (deps: IncidentRoutesDeps): readonly Route[] => {
  const draw = makeDrawPreview(deps)
  return [
    route({
      ...common,
      method: 'GET',
      path: '/v1/incidents',
      operationId: 'listIncidents',
      summary: 'List incidents, newest first',
      access: [...readers],
      list: true,
      query: strict({
        state: Type.Optional(
          Type.Array(Type.Enum([...incidentStates]), { maxItems: incidentStates.length }),
        ),
      }),
      replies: { 200: listOf(incidentSchema) },
      handler: async ({ ledger, actor, query, page, pageReply }) => {
        const states = (query.state ?? null) as readonly IncidentState[] | null
        const found = await listIncidents({ ledger })(actor, states, page)
        return {
          status: 200,
          body: pageReply(found, (one) => presentIncident(one, deps.clock.now())),
        }
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/v1/incidents',
      operationId: 'openIncident',
      summary: 'Open an incident: what is meant, and what is to be done',
      description:
        'Touches nothing. All that the selector says must hold; a list holds if one of it does. The scope of the token becomes a part of it. `digests` are SHA-256 of pasted secrets, made where they were pasted: they become the versions that have that value, and are not kept.',
      access: [...responders],
      body: strict({
        title: titleSchema,
        severity: severitySchema,
        mode: modeSchema,
        reason: reasonSchema,
        commander: Type.Optional(commanderSchema),
        playbook: Type.Optional(playbookName),
        selector: incidentSelectorSchema,
      }),
      replies: { 201: incidentSchema },
      errors: ['incident.empty', 'request.impossible'],
      examples: [
        {
          body: {
            title: 'A laptop with the tokens of the shop was stolen',
            severity: 'critical',
            mode: 'revokeFirst',
            reason: 'a laptop was lost',
            selector: { matchLabels: { team: 'shop' } },
          },
        },
      ],
      handler: async ({ ledger, actor, body }) => {
        const { value, receipts } = await openIncident({ ...deps, ledger })(actor, body)
        return {
          status: 201,
          body: presentIncident(
            { incident: value, counts: {}, waiting: [], approvals: [], ticks: [] },
            deps.clock.now(),
          ),
          location: `/v1/incidents/${value.id}`,
          revision: value.revision,
          receipts,
        }
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: '/v1/incidents/{id}',
      operationId: 'getIncident',
      summary: 'One incident, and how far it came',
      access: [...readers],
      params: idParams,
      replies: { 200: incidentSchema },
      errors: ['resource.notFound'],
      handler: async ({ ledger, actor, params }) => {
        const found = await getIncident({ ledger })(actor, params.id)
        return {
          status: 200,
          body: presentIncident(found, deps.clock.now()),
          revision: found.incident.revision,
        }
      },
    }),
    route({
      ...common,
      method: 'PATCH',
      path: '/v1/incidents/{id}',
      operationId: 'changeIncident',
      summary: 'Change title, severity, commander or playbook',
      description:
        'What it means and what is done does not change: open another one. A playbook is taken as it is now; once a step was ticked off, it stays.',
      access: [...responders],
      params: idParams,
      body: Type.Object(
        {
          title: Type.Optional(titleSchema),
          severity: Type.Optional(severitySchema),
          commander: Type.Optional(nullable(commanderSchema)),
          playbook: Type.Optional(nullable(playbookName)),
        },
        { additionalProperties: false, minProperties: 1 },
      ),
      replies: { 200: incidentSchema },
      errors: ['resource.notFound', 'request.impossible', 'incident.wrongState'],
      examples: [{ body: { severity: 'high', commander: 'ada' } }],
      handler: async ({ ledger, actor, params, body, precondition }) => {
        const { value, receipts } = await changeIncident({ ledger })(
          actor,
          params.id,
          body,
          precondition,
        )
        const shown = await ledger.read((db) => seen(db, value))
        return {
          status: 200,
          body: presentIncident(shown, deps.clock.now()),
          revision: value.revision,
          receipts,
        }
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/v1/incidents/{id}/preview',
      operationId: 'previewIncident',
      summary: 'Draw what would be done, exactly, under a hash',
      description:
        'Asks no provider and changes nothing but what the incident shows. The hash stands for the set and the actions: the same set again has the same hash, and keeps its approvals. It holds for an hour.',
      access: [...responders],
      params: idParams,
      replies: {
        200: strict(
          {
            ...previewFields,
            differs: nullable(differsSchema),
            playbooks: Type.Array(Type.String({ examples: ['leaked-key'] }), {
              description: 'meant for such an incident; empty where it has taken one',
            }),
          },
          { $id: 'IncidentPreview' },
        ),
      },
      errors: ['resource.notFound', 'incident.empty', 'incident.tooLarge', 'incident.wrongState'],
      examples: [{}],
      handler: async ({ ledger, actor, params }) => {
        const { value, receipts } = await keepPreview({ ...deps, ledger, draw })(actor, params.id)
        const { differs, playbooks } = value
        const preview = await ledger.read((db) => seenPreview(db, actor, value.preview))
        return {
          status: 200,
          body: { ...presentPreview(preview), differs, playbooks: [...playbooks] },
          receipts,
        }
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: '/v1/incidents/{id}/preview',
      operationId: 'getIncidentPreview',
      summary: 'The last preview, as it was drawn',
      description: 'What whoever approves must have seen.',
      access: [...readers],
      params: idParams,
      replies: { 200: strict(previewFields) },
      errors: ['resource.notFound'],
      handler: async ({ ledger, actor, params }) => {
        const preview = await ledger.read(async (db) => {
          await visibleIncident(db, actor, params.id)
          const kept = await db.incidents.preview(params.id)
          return kept && seenPreview(db, actor, kept)
        })
        if (preview === null) throw notFound('preview of incident', params.id)
        return { status: 200, body: presentPreview(preview) }
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/v1/incidents/{id}/approvals',
      operationId: 'approveIncident',
      summary: 'Approve exactly this preview, by its hash',
      description:
        'By somebody who neither opened the incident nor made the preview. How many are needed is the most that the policies and floors of its keys ask for (`emergency.approvals`, one where they do not say).',
      access: [...approvingRoles],
      params: idParams,
      body: strict({ previewHash: hashSchema }),
      replies: {
        201: strict({
          incident: idSchema,
          previewHash: hashSchema,
          state: Type.Enum([...incidentStates], { examples: ['previewed'] }),
        }),
      },
      errors: [
        'resource.notFound',
        'resource.exists',
        'incident.previewStale',
        'incident.previewExpired',
        'incident.selfApproval',
        'incident.wrongState',
      ],
      examples: [
        {
          body: { previewHash: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08' },
        },
      ],
      handler: async ({ ledger, actor, params, body }) => {
        const { value, receipts } = await approveIncident({ ledger })(
          actor,
          params.id,
          body.previewHash,
        )
        return {
          status: 201,
          body: { incident: params.id, previewHash: body.previewHash, state: value.state },
          location: `/v1/incidents/${params.id}`,
          receipts,
        }
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/v1/incidents/{id}/executions',
      operationId: 'executeIncident',
      summary: 'Do exactly what the preview showed, or nothing',
      description:
        'The preview is drawn once more in the same transaction: where it says anything else, nothing is done, and `added`, `removed` and `changed` name the keys that differ. `confirm` is the id of the incident, typed. Sent again with the same hash when it is at rest, what failed or could not be proven is tried once more.',
      access: [...responders],
      idempotency: 'required',
      params: idParams,
      body: strict({
        previewHash: hashSchema,
        confirm: Type.String({ maxLength: 100, description: 'the id of the incident' }),
      }),
      replies: { 202: incidentSchema },
      errors: [
        'resource.notFound',
        'recovery.active',
        'incident.confirmationWrong',
        'incident.previewStale',
        'incident.previewExpired',
        'incident.approvalMissing',
        'incident.reviewMissing',
        'incident.empty',
        'incident.tooLarge',
        'key.busy',
        'incident.wrongState',
      ],
      examples: [
        {
          body: {
            previewHash: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
            confirm: '01a214c2-32c0-7051-b212-1106795cc6da',
          },
        },
      ],
      handler: async ({ ledger, actor, params, body }) => {
        const execute = makeExecuteIncident({
          ...deps,
          ledger,
          visible: visibleIncident,
          preview: draw,
          mustBeApproved: (db, by, incident) => mustBeApproved(db, by, incident, deps.clock),
        })
        return asItIs({ ...deps, ledger }, 202, await execute(actor, params.id, body))
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/v1/incidents/{id}/restorations',
      operationId: 'restoreIncident',
      summary: 'Switch on again what the mode disable switched off, or some keys of it',
      access: [...responders],
      idempotency: 'required',
      params: idParams,
      body: strict({
        keys: Type.Optional(
          Type.Array(nameSchema, { minItems: 1, maxItems: mostKeys, uniqueItems: true }),
        ),
        reason: reasonSchema,
      }),
      replies: { 202: incidentSchema },
      errors: [
        'resource.notFound',
        'recovery.active',
        'incident.previewStale',
        'incident.wrongMode',
        'incident.wrongState',
      ],
      examples: [{ body: { reason: 'the laptop was found, and was never opened' } }],
      handler: async ({ ledger, actor, params, body }) => {
        const { keys = null, reason } = body
        const restore = makeRestoreIncident({ ...deps, ledger, visible: visibleIncident })
        return asItIs({ ...deps, ledger }, 202, await restore(actor, params.id, { keys, reason }))
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/v1/incidents/{id}/notes',
      operationId: 'noteIncident',
      summary: 'Write down a fact, a hypothesis or a note',
      description:
        'A note is never changed: another one corrects it, with its own date. Put no secrets into it.',
      access: [...approvingRoles],
      params: idParams,
      body: strict({
        kind: Type.Enum([...noteKinds]),
        text: Type.String({ ...freeTextSchema(4_000), minLength: 1 }),
        corrects: Type.Optional(idSchema),
      }),
      replies: { 201: noteSchema },
      errors: ['resource.notFound', 'request.impossible'],
      examples: [{ body: { kind: 'fact', text: 'The laptop was taken at 02:10.' } }],
      handler: async ({ ledger, actor, params, body }) => {
        const { value, receipts } = await noteIncident({ ...deps, ledger })(actor, params.id, body)
        return {
          status: 201,
          body: presentNote({ ...value, correctedBy: null }),
          location: `/v1/incidents/${params.id}/timeline`,
          receipts,
        }
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/v1/incidents/{id}/confirmations',
      operationId: 'confirmContainment',
      summary: 'Say that a version which only a person can switch off is off, or that it is not',
      description:
        'Of versions whose containment is `byHand`. It proves nothing: the version stays `unproven`, with who said what. `step: on` says that one which the mode `disable` had switched off is on again; ask for the restoration before and after.',
      access: [...responders],
      params: idParams,
      body: strict({
        key: nameSchema,
        version: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }),
        step: Type.Optional(
          Type.Enum(['off', 'on'], { default: 'off', description: 'off, where it is not said' }),
        ),
        outcome: Type.Enum(['done', 'notDone']),
        evidence: Type.String({
          ...freeTextSchema(1_000),
          minLength: 1,
          description: 'how it was seen that it is refused now; of what is not done: why',
        }),
      }),
      replies: { 201: incidentKeySchema },
      errors: [
        'resource.notFound',
        'resource.exists',
        'request.impossible',
        'recovery.active',
        'incident.wrongState',
      ],
      examples: [
        {
          body: {
            key: 'partner-token',
            version: 1,
            outcome: 'done',
            evidence: 'deleted in the portal at 02:40; a call with it got 401',
          },
        },
      ],
      handler: async ({ ledger, actor, params, body }) => {
        const { value, receipts } = await confirmContainment({ ...deps, ledger })(
          actor,
          params.id,
          { ...body, step: body.step ?? 'off' },
        )
        return {
          status: 201,
          body: presentKey(value),
          location: `/v1/incidents/${params.id}/keys`,
          receipts,
        }
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: '/v1/incidents/{id}/steps',
      operationId: 'tickIncidentStep',
      summary: 'Say that a step of the playbook is done, or that it is not',
      description:
        'The last word on a step counts; the others stay in the timeline. Nothing is carried out by it.',
      access: [...approvingRoles],
      params: idParams,
      body: strict({
        step: Type.Integer({ minimum: 1, maximum: 50, description: 'its number, from 1 on' }),
        outcome: Type.Enum([...tickOutcomes]),
        note: Type.Optional(
          Type.String({
            ...freeTextSchema(2_000),
            minLength: 1,
            description: 'how it is known; of what is not done: why',
          }),
        ),
      }),
      replies: { 201: incidentSchema },
      errors: ['resource.notFound', 'resource.exists', 'request.impossible', 'incident.wrongState'],
      examples: [{ body: { step: 1, outcome: 'done', note: 'The partner was told at 02:40.' } }],
      handler: async ({ ledger, actor, params, body }) =>
        asItIs(
          { ...deps, ledger },
          201,
          await tickStep({ ...deps, ledger })(actor, params.id, body),
        ),
    }),
    route({
      ...common,
      method: 'GET',
      path: '/v1/incidents/{id}/keys',
      operationId: 'listIncidentKeys',
      summary: 'Each key of the execution, with the evidence of its versions',
      access: [...readers],
      params: idParams,
      list: true,
      query: strict({
        state: Type.Optional(Type.Array(Type.Enum([...keyStates]), { maxItems: keyStates.length })),
      }),
      replies: { 200: listOf(incidentKeySchema) },
      errors: ['resource.notFound'],
      handler: async ({ ledger, actor, params, query, page, pageReply }) => {
        const states = (query.state ?? null) as readonly IncidentKeyState[] | null
        const found = await ledger.read(async (db) => {
          await visibleIncident(db, actor, params.id)
          const { items, next } = await db.incidents.keys(params.id, states, page)
          return { items: await withEvidence(db, params.id, items), next }
        })
        return { status: 200, body: pageReply(found, presentKey) }
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: '/v1/incidents/{id}/timeline',
      operationId: 'getIncidentTimeline',
      summary: 'What happened, in order',
      description:
        'Made from the audit log, with the texts of notes. `detail=all` adds what was done key by key.',
      access: [...readers],
      params: idParams,
      list: true,
      query: strict({ detail: Type.Optional(Type.Enum(['milestones', 'all'])) }),
      replies: { 200: listOf(momentOfSchema) },
      errors: ['resource.notFound'],
      handler: async ({ ledger, actor, params, query, page, pageReply }) => {
        const detail = query.detail ?? 'milestones'
        const found = await getTimeline({ ledger })(actor, params.id, detail, page)
        return { status: 200, body: pageReply(found, presentMoment) }
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: '/v1/incidents/{id}/report',
      operationId: 'getIncidentReport',
      summary: 'The report to hand over, as it stands',
      description: 'With `Accept: text/markdown` as Markdown.',
      access: [...readers],
      params: idParams,
      replies: { 200: reportSchema },
      mediaTypes: [markdownMediaType],
      errors: ['resource.notFound'],
      handler: async ({ ledger, actor, params, header }) => {
        const report = await reportIncident({ ...deps, ledger })(actor, params.id)
        if (!wantsMarkdown(header('accept'))) return { status: 200, body: presentReport(report) }
        return {
          status: 200,
          // The declaration's `mediaTypes` let the body be text.
          body: markdownOf(report) as never,
          mediaType: `${markdownMediaType}; charset=utf-8`,
        }
      },
    }),
    ...endings.map(({ path, operationId, summary, description, field, errors, example, end }) =>
      route({
        ...common,
        method: 'POST',
        path: `/v1/incidents/{id}/${path}`,
        operationId,
        summary,
        description,
        access: [...approvingRoles],
        params: idParams,
        body: strict({
          [field]:
            field === 'text'
              ? Type.String({ ...freeTextSchema(4_000), minLength: 1 })
              : reasonSchema,
        }),
        replies: { 201: incidentSchema },
        errors: ['resource.notFound', 'incident.wrongState', ...errors],
        examples: [{ body: { [field]: example } }],
        handler: async ({ ledger, actor, params, body }) =>
          asItIs(
            { ...deps, ledger },
            201,
            await end({ ledger })(actor, params.id, body[field] ?? ''),
          ),
      }),
    ),
    eventRoute({
      ...common,
      method: 'GET',
      path: '/v1/incidents/{id}/events',
      operationId: 'followIncident',
      summary: 'What happens in an incident, as it happens',
      description: 'Ends when it is at rest (contained, partly, closed) and all was sent.',
      access: [...readers],
      params: idParams,
      event: toldEventSchema,
      errors: ['resource.notFound'],
      events: (ctx) =>
        followStream(deps, ctx, async () => {
          const incident = await ctx.ledger.read((db) =>
            visibleIncident(db, ctx.actor, ctx.params.id),
          )
          return atRest.includes(incident.state)
        }),
    }),
  ]
}

const endings = [
  {
    path: 'closures',
    operationId: 'closeIncident',
    summary: 'End it, with a reason',
    description:
      'Keys that failed stay as they are. One that was executed by breaking glass is reviewed first.',
    field: 'reason',
    errors: ['incident.reviewMissing'],
    example: 'everything is replaced',
    end: closeIncident,
  },
  {
    path: 'reviews',
    operationId: 'reviewIncident',
    summary: 'Sign what was executed by breaking glass, as somebody else',
    description: 'By somebody who did not open, preview or execute it. Without it there is no end.',
    field: 'text',
    errors: ['incident.selfApproval', 'resource.exists'],
    example: 'I have read the report: it was right, and nothing else was touched.',
    end: reviewIncident,
  },
] as const

const atRest: readonly IncidentState[] = ['contained', 'partly', 'closed']

/** The reply to whoever changed it. */
const asItIs = async <Status extends 201 | 202>(
  { ledger, clock }: { readonly ledger: Pick<Ledger, 'read'>; readonly clock: Clock },
  status: Status,
  { value, receipts }: Committed<Incident>,
) => ({
  status,
  body: presentIncident(await ledger.read((db) => seen(db, value)), clock.now()),
  location: `/v1/incidents/${value.id}`,
  receipts,
})
