// What is handed over when it is over, and how it ends.

import { Type } from 'typebox'
import { freeTextSchema } from '#domain/names.ts'
import { closeIncident, reviewIncident } from '#usecases/close-incident.ts'
import { approvingRoles } from '#usecases/incident-approvals.ts'
import { reportIncident } from '#usecases/report-incident.ts'
import { type Route, route } from '../../route.ts'
import { idParams, strict } from '../../schemas.ts'
import { asItIs, common, type IncidentRoutesDeps, readers, reasonSchema } from './common.ts'
import { incidentSchema } from './incident-shape.ts'
import { markdownMediaType, markdownOf, wantsMarkdown } from './markdown.ts'
import { presentReport, reportSchema } from './report-shape.ts'

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

export const endRoutes = (deps: IncidentRoutesDeps): readonly Route[] => [
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
          field === 'text' ? Type.String({ ...freeTextSchema(4_000), minLength: 1 }) : reasonSchema,
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
]
