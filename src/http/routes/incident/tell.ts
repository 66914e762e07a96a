// What people write down and see: notes, steps of the playbook, the timeline, and what happens as it happens.

import { Type } from 'typebox'
import { type IncidentState, noteKinds } from '#domain/incident.ts'
import { freeTextSchema } from '#domain/names.ts'
import { tickOutcomes } from '#domain/playbook.ts'
import { approvingRoles } from '#usecases/incident-approvals.ts'
import { getTimeline } from '#usecases/incident-timeline.ts'
import { noteIncident } from '#usecases/note-incident.ts'
import { visibleIncident } from '#usecases/see-incident.ts'
import { tickStep } from '#usecases/tick-step.ts'
import { eventRoute, type Route, route } from '../../route.ts'
import { idParams, idSchema, listOf, strict } from '../../schemas.ts'
import { followStream, toldEventSchema } from '../told-event.ts'
import { asItIs, common, type IncidentRoutesDeps, readers } from './common.ts'
import { incidentSchema } from './incident-shape.ts'
import { momentOfSchema, noteSchema, presentMoment, presentNote } from './telling-shape.ts'

const atRest: readonly IncidentState[] = ['contained', 'partly', 'closed']

export const tellingRoutes = (deps: IncidentRoutesDeps): readonly Route[] => [
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
      asItIs({ ...deps, ledger }, 201, await tickStep({ ...deps, ledger })(actor, params.id, body)),
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
