// What the log says of a key in an emergency. All of it is in the stream of the incident.

import type { IncidentKey, VersionEvidence } from '#domain/incident.ts'
import type { JsonObject } from '#domain/json.ts'
import type { LedgerEvent } from '#domain/ports.ts'
import { effects, type Intent } from '#domain/rotation.ts'
import type { Case } from './contained-cases.ts'

export const effectEvent = (
  { incident, key }: Pick<Case, 'incident' | 'key'>,
  intent: Intent,
  outcome: LedgerEvent['outcome'],
  more: { readonly id?: string; readonly after?: JsonObject; readonly detail?: string | null },
): LedgerEvent => ({
  ...(more.id ? { id: more.id } : {}),
  action: effects[intent.effect],
  target: { id: key.plan.objectId, name: key.key },
  outcome,
  correlationId: incident.id,
  ...(outcome === 'intent' ? {} : { causationId: intent.eventId }),
  ...(more.detail ? { reason: more.detail } : {}),
  after: {
    key: key.key,
    keyId: key.keyId,
    incident: incident.id,
    version: intent.preImage['version'] ?? null,
    target: intent.target,
    attempt: intent.attempt,
    ...(more.after ? { result: more.after } : {}),
  },
  provider: { operationId: intent.operationId },
})

/** What the evidence is now, or what serves; `id` is the receipt of those versions. */
export const keyEvent = (
  key: IncidentKey,
  versions: readonly VersionEvidence[],
  id?: string,
): LedgerEvent => ({
  ...(id === undefined ? {} : { id }),
  action: 'incident.keyAdvanced',
  target: { id: key.keyId, name: key.key },
  outcome: versions.some(({ state }) => state === 'failed') ? 'failed' : 'succeeded',
  correlationId: key.incidentId,
  ...(key.detail ? { reason: key.detail } : {}),
  after: {
    key: key.key,
    keyId: key.keyId,
    incident: key.incidentId,
    state: key.state,
    replacement: key.replacement,
    rotation: key.rotationId,
    versions: versions.map((one) => ({
      version: one.version,
      state: one.state,
      requestedAt: one.requestedAt?.toISOString() ?? null,
      effectiveAt: one.effectiveAt?.toISOString() ?? null,
      provenAt: one.provenAt?.toISOString() ?? null,
      refusedAfter: one.refusedAfter?.toISOString() ?? null,
      operation: one.operation,
      code: one.code,
      detail: one.detail,
    })),
  },
})
