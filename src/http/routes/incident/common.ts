// What the routes of incidents have in common: who may call them, and how a change is answered.

import { Type } from 'typebox'
import type { Incident } from '#domain/incident.ts'
import { freeTextSchema } from '#domain/names.ts'
import type { Clock, Committed, HashJson, Ids, Ledger } from '#domain/ports.ts'
import type { KeyType } from '#domain/provider.ts'
import { seen } from '#usecases/see-incident.ts'
import { presentIncident } from './incident-shape.ts'

export interface IncidentRoutesDeps {
  readonly types: ReadonlyMap<string, KeyType>
  readonly hashJson: HashJson
  readonly clock: Clock
  readonly ids: Ids
}

export const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
export const responders = ['responder'] as const
/** Counted in a bucket of their own: nothing else that goes on may stop them. */
export const common = { tag: 'incidents', bucket: 'incidents' } as const
export const reasonSchema = Type.String({ ...freeTextSchema(500), minLength: 1 })

/** The reply to whoever changed it. */
export const asItIs = async <Status extends 201 | 202>(
  { ledger, clock }: { readonly ledger: Pick<Ledger, 'read'>; readonly clock: Clock },
  status: Status,
  { value, receipts }: Committed<Incident>,
) => ({
  status,
  body: presentIncident(await ledger.read((db) => seen(db, value)), clock.now()),
  location: `/v1/incidents/${value.id}`,
  receipts,
})
