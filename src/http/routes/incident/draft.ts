// What is meant and what is to be done: an incident is opened, listed, read and changed. Nothing is touched.

import { Type } from 'typebox'
import { incidentSelectorSchema, modeSchema, severitySchema } from '#domain/incident-schema.ts'
import { type IncidentState, incidentStates } from '#domain/incident.ts'
import { nameSchema, oneLinePattern } from '#domain/names.ts'
import { changeIncident } from '#usecases/change-incident.ts'
import { openIncident } from '#usecases/open-incident.ts'
import { getIncident, listIncidents, seen } from '#usecases/see-incident.ts'
import { type Route, route } from '../../route.ts'
import { idParams, listOf, nullable, strict } from '../../schemas.ts'
import { common, type IncidentRoutesDeps, readers, reasonSchema, responders } from './common.ts'
import { incidentSchema, presentIncident } from './incident-shape.ts'

const line = (maxLength: number) =>
  Type.String({ minLength: 1, maxLength, pattern: oneLinePattern, description: 'one line of text' })
const titleSchema = line(200)
const commanderSchema = line(200)
const playbookName = Type.String({
  ...nameSchema,
  description: 'the playbook that it is worked on by: its steps are taken as they are now',
})

export const draftRoutes = (deps: IncidentRoutesDeps): readonly Route[] => [
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
]
