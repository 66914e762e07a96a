// How the report looks as JSON.

import { Type } from 'typebox'
import type { IncidentReport } from '#usecases/report-incident.ts'
import { momentSchema, nullable, strict } from '../../schemas.ts'
import { incidentKeySchema, presentKey } from './evidence-shape.ts'
import { hashSchema, incidentSchema, presentIncident } from './incident-shape.ts'
import { previewFields } from './preview-shape.ts'
import { sentence } from './sentence.ts'
import { momentOfSchema, noteSchema, presentMoment, presentNote } from './telling-shape.ts'

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
