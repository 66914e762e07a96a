// Who sees an incident: those whose scope holds all that it means. Whoever opened it has put their own scope into it, and sees no
// more of it than others once that is narrower.

import type { Actor } from '#domain/actor.ts'
import { scopeOf } from '#domain/incident-schema.ts'
import type { Incident, IncidentKeyState, IncidentState } from '#domain/incident.ts'
import type { StepTick } from '#domain/playbook.ts'
import type { Ledger, Page, Paged, Reads } from '#domain/ports.ts'
import { scopeWithin } from './create-api-key.ts'
import { notFound } from './rights.ts'
import { pageOf } from './written.ts'

type IncidentReads = Pick<Reads, 'incidents'>

export const maySeeIncident = (actor: Actor, { selector }: Incident): boolean =>
  scopeWithin(scopeOf(selector), actor.scope)

/** Throws `resource.notFound`. */
export const visibleIncident = async (
  db: IncidentReads,
  actor: Actor,
  id: string,
): Promise<Incident> => {
  const incident = await db.incidents.get(id)
  if (!incident || !maySeeIncident(actor, incident)) throw notFound('incident', id)
  return incident
}

/** Another incident, as it is told to somebody who may not see it. */
export const namedTo = async (
  db: IncidentReads,
  actor: Actor,
  id: string,
): Promise<{ readonly text: string; readonly incident: string | null }> => {
  const other = await db.incidents.get(id)
  return other && maySeeIncident(actor, other)
    ? { text: `the incident ${id}`, incident: id }
    : { text: 'an incident that you may not see', incident: null }
}

export interface SeenIncident {
  readonly incident: Incident
  readonly counts: Readonly<Partial<Record<IncidentKeyState, number>>>
  /** While it executes: where most keys are not at rest yet. */
  readonly waiting: Awaited<ReturnType<Reads['incidents']['waiting']>>
  /** What was said of the steps of its playbook. */
  readonly ticks: readonly StepTick[]
  /** Of the present preview. */
  readonly approvals: readonly { readonly principalName: string; readonly at: Date }[]
}

export const seen = async (db: IncidentReads, incident: Incident): Promise<SeenIncident> => ({
  incident,
  counts: incident.execution === null ? {} : await db.incidents.counts(incident.id),
  waiting: incident.state === 'executing' ? await db.incidents.waiting(incident.id, 5) : [],
  ticks: incident.playbook === null ? [] : await db.incidents.ticks(incident.id),
  approvals: (await db.incidents.approvals(incident.id)).filter(
    ({ previewHash }) => previewHash === incident.preview?.hash,
  ),
})

export const getIncident =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  (actor: Actor, id: string): Promise<SeenIncident> =>
    ledger.read(async (db) => seen(db, await visibleIncident(db, actor, id)))

/** As far as the scope sees them. */
export const listIncidents =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  (
    actor: Actor,
    states: readonly IncidentState[] | null,
    page: Page,
  ): Promise<Paged<SeenIncident>> =>
    ledger.read(async (db) => {
      const found = await pageOf(actor, page, (next) => db.incidents.list(states, next), {
        sees: (incident) => maySeeIncident(actor, incident),
        keyOf: ({ id }) => id,
      })
      const items: SeenIncident[] = []
      for (const incident of found.items) items.push(await seen(db, incident)) // oxlint-disable-line no-await-in-loop -- one connection
      return { items, next: found.next }
    })
