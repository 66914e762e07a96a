// What people write down while it goes on. What was wrong is not changed but corrected, by a note that says so, with its own date:
// at the end it can be read who believed what when.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { IncidentNote } from '#domain/incident.ts'
import type { Committed, Ids, Ledger } from '#domain/ports.ts'
import { incidentEvent } from './incident-events.ts'
import { visibleIncident } from './see-incident.ts'

export interface NoteIncident {
  readonly kind: IncidentNote['kind']
  readonly text: string
  /** The id of the note that this one takes the place of. */
  readonly corrects?: string
}

export const noteIncident =
  ({ ledger, ids }: { readonly ledger: Ledger; readonly ids: Ids }) =>
  (
    actor: Actor,
    id: string,
    { kind, text, corrects }: NoteIncident,
  ): Promise<Committed<IncidentNote>> =>
    ledger.commit(actor, async (tx) => {
      const incident = await visibleIncident(tx, actor, id)
      if (
        corrects !== undefined &&
        !(await tx.incidents.notes(id)).some((note) => note.id === corrects)
      )
        throw new RekeyError('request.impossible', {
          detail: 'This incident has no note with that id.',
          errors: [{ pointer: '/corrects', detail: 'no note of this incident' }],
        })
      const note: IncidentNote = {
        id: ids.next(),
        incidentId: id,
        kind,
        text,
        corrects: corrects ?? null,
        principalId: actor.id,
        principalName: actor.name,
        at: await tx.now(),
      }
      await tx.writeIncident.note(note)
      return {
        value: note,
        audit: [
          incidentEvent('incident.noted', incident, {
            note: note.id,
            kind,
            corrects: note.corrects,
          }),
        ],
      }
    })
