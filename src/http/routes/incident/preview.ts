// What would be done, under a hash, and who agrees to that.

import { Type } from 'typebox'
import { incidentStates } from '#domain/incident.ts'
import { approveIncident } from '#usecases/approve-incident.ts'
import { approvingRoles } from '#usecases/incident-approvals.ts'
import { keepPreview } from '#usecases/keep-preview.ts'
import type { DrawPreview } from '#usecases/preview-incident.ts'
import { notFound } from '#usecases/rights.ts'
import { visibleIncident } from '#usecases/see-incident.ts'
import { seenPreview } from '#usecases/seen-preview.ts'
import { type Route, route } from '../../route.ts'
import { idParams, idSchema, nullable, strict } from '../../schemas.ts'
import { common, type IncidentRoutesDeps, readers, responders } from './common.ts'
import { hashSchema } from './incident-shape.ts'
import { differsSchema, presentPreview, previewFields } from './preview-shape.ts'

export const previewRoutes = (deps: IncidentRoutesDeps, draw: DrawPreview): readonly Route[] => [
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
]
