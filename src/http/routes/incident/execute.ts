// What is done: exactly what was previewed, or nothing; switched on again; said by a person of what only people can switch off.
// Workers do it: a reply says what is wanted, not what happened.

import { Type } from 'typebox'
import { mostKeys } from '#domain/incident-schema.ts'
import { incidentKeyEdges, type IncidentKeyState } from '#domain/incident.ts'
import { freeTextSchema, nameSchema } from '#domain/names.ts'
import { confirmContainment } from '#usecases/confirm-containment.ts'
import { makeExecuteIncident } from '#usecases/execute-incident.ts'
import { mustBeApproved } from '#usecases/incident-approvals.ts'
import type { DrawPreview } from '#usecases/preview-incident.ts'
import { withEvidence } from '#usecases/report-incident.ts'
import { makeRestoreIncident } from '#usecases/restore-incident.ts'
import { visibleIncident } from '#usecases/see-incident.ts'
import { type Route, route } from '../../route.ts'
import { idParams, listOf, strict } from '../../schemas.ts'
import {
  asItIs,
  common,
  type IncidentRoutesDeps,
  readers,
  reasonSchema,
  responders,
} from './common.ts'
import { incidentKeySchema, presentKey } from './evidence-shape.ts'
import { hashSchema, incidentSchema } from './incident-shape.ts'

const keyStates = Object.keys(incidentKeyEdges) as readonly IncidentKeyState[]

export const executionRoutes = (deps: IncidentRoutesDeps, draw: DrawPreview): readonly Route[] => [
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
        mustBeApproved,
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
      const { value, receipts } = await confirmContainment({ ...deps, ledger })(actor, params.id, {
        ...body,
        step: body.step ?? 'off',
      })
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
]
