// How what was done to each key and version looks in replies.

import { Type } from 'typebox'
import {
  containmentEdges,
  incidentKeyEdges,
  type IncidentKeyState,
  type VersionEvidence,
} from '#domain/incident.ts'
import { halfOfVersion } from '#domain/pair-halves.ts'
import type { ReportedKey } from '#usecases/report-incident.ts'
import { idSchema, momentSchema, nullable, strict } from '../../schemas.ts'
import { containmentSchema } from './preview-shape.ts'
import { sentence } from './sentence.ts'

const keyStates = Object.keys(incidentKeyEdges) as readonly IncidentKeyState[]
const evidenceStates = Object.keys(containmentEdges) as readonly (keyof typeof containmentEdges)[]

const evidenceSchema = strict({
  version: Type.Integer(),
  half: nullable(Type.String({ description: 'of a pair: which half' }), { examples: [null] }),
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
  restoration: nullable(Type.Enum(['asked', 'done', 'failed']), { examples: [null] }),
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
