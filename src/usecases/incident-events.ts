// What incidents have in common when they are written.

import type { AuditAction } from '#domain/audit.ts'
import { RekeyError } from '#domain/errors.ts'
import { type Incident, type IncidentState, incidentStates } from '#domain/incident.ts'
import type { Json } from '#domain/json.ts'
import type { LedgerEvent, Tx } from '#domain/ports.ts'

export const incidentEvent = (
  action: AuditAction & `incident.${string}`,
  { id, title }: Pick<Incident, 'id' | 'title'>,
  after: Readonly<Record<string, Json>>,
  reason?: string,
): LedgerEvent => ({
  action,
  target: { id, name: title },
  outcome: 'succeeded',
  correlationId: id,
  ...(reason === undefined ? {} : { reason }),
  after,
})

/** Of all that people do to one incident at once, one after the other. Taken before it is read. */
export const lockIncident = (tx: Tx, id: string): Promise<void> => tx.lock(`incident:${id}`)

export const notClosed: readonly IncidentState[] = incidentStates.filter(
  (state) => state !== 'closed',
)

export const mustBeIn = (
  { id, state }: Incident,
  states: readonly IncidentState[],
  participle: string,
): void => {
  if (states.includes(state)) return
  throw new RekeyError('incident.wrongState', {
    detail: `An incident that is ${state} is not ${participle}.`,
    hint: `rekey describe incident/${id}`,
    extra: { state },
  })
}

/** A change of the row; under the lock nobody else has written it, but workers that bring it to rest. */
export const rewrite = async (
  tx: Tx,
  before: Incident,
  patch: Partial<Incident>,
): Promise<Incident> => {
  const after = { ...before, ...patch, revision: before.revision + 1, updatedAt: await tx.now() }
  const { state, revision } = before
  if (await tx.writeIncident.update(after, { state, revision })) return after
  throw new RekeyError('incident.wrongState', {
    detail: 'The incident went on meanwhile.',
    hint: 'Look at it and try again.',
  })
}
