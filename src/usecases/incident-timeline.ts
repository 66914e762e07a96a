// What happened, in order: made from the audit stream of the incident, with the texts of notes where they were written.

import type { Actor } from '#domain/actor.ts'
import { type AuditAction, auditActions } from '#domain/audit.ts'
import type { IncidentNote } from '#domain/incident.ts'
import type { Ledger, Page, Paged, Reads, StoredEvent } from '#domain/ports.ts'
import { visibleIncident } from './see-incident.ts'

export interface Moment {
  readonly event: StoredEvent
  /** Of `incident.noted`. */
  readonly note: ShownNote | null
}

export interface ShownNote extends IncidentNote {
  /** The id of the note that took its place. */
  readonly correctedBy: string | null
}

/** `milestones`: without what was done key by key. */
export type Detail = 'milestones' | 'all'

export const getTimeline =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  (actor: Actor, id: string, detail: Detail, page: Page): Promise<Paged<Moment>> =>
    ledger.read(async (db) => {
      await visibleIncident(db, actor, id)
      return momentsOf(db, id, detail, page)
    })

export const shownNotes = (notes: readonly IncidentNote[]): readonly ShownNote[] =>
  notes.map((note) => ({
    ...note,
    correctedBy: notes.findLast(({ corrects }) => corrects === note.id)?.id ?? null,
  }))

const milestones = (Object.keys(auditActions) as readonly AuditAction[]).filter(
  (action) => auditActions[action] === 'incident',
)

export const momentsOf = async (
  db: Pick<Reads, 'audit' | 'incidents'>,
  id: string,
  detail: Detail,
  { limit, after }: Page,
): Promise<Paged<Moment>> => {
  const notes = new Map(shownNotes(await db.incidents.notes(id)).map((note) => [note.id, note]))
  const actions = detail === 'all' ? undefined : milestones
  const found = await db.audit.after(id, after, limit + 1, actions)
  const items = found.slice(0, limit).map((event) => ({ event, note: noteOf(notes, event) }))
  return {
    items,
    next: found.length > limit ? (items.at(-1)?.event.body.id ?? null) : null,
  }
}

const noteOf = (notes: ReadonlyMap<string, ShownNote>, { body }: StoredEvent): ShownNote | null => {
  if (body.action !== 'incident.noted') return null
  const { after } = body
  const id = typeof after === 'object' && after !== null && 'note' in after ? after['note'] : null
  return typeof id === 'string' ? (notes.get(id) ?? null) : null
}
