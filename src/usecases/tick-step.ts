// A person says that a step of the incident's playbook is done, or that it is not. Said again it takes the place of what was said
// before, which stays in the timeline.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Incident } from '#domain/incident.ts'
import type { StepTick } from '#domain/playbook.ts'
import type { Committed, Ids, Ledger } from '#domain/ports.ts'
import { incidentEvent, lockIncident, mustBeIn, notClosed } from './incident-events.ts'
import { visibleIncident } from './see-incident.ts'

export interface TickStep {
  readonly step: number
  readonly outcome: StepTick['outcome']
  readonly note?: string
}

export const tickStep =
  ({ ledger, ids }: { readonly ledger: Ledger; readonly ids: Ids }) =>
  (actor: Actor, id: string, said: TickStep): Promise<Committed<Incident>> =>
    ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const incident = await visibleIncident(tx, actor, id)
      mustBeIn(incident, notClosed, 'worked on')
      const { step, outcome, note } = said
      const { title } = stepOf(incident, step)
      if (outcome === 'notDone' && note === undefined)
        throw impossible('/note', 'say why it is not done')
      const before = (await tx.incidents.ticks(id)).findLast((tick) => tick.step === step)
      if (before?.outcome === outcome)
        throw new RekeyError('resource.exists', {
          detail: `${before.principalName} has said so at ${before.at.toISOString()}.`,
          hint: 'What is to be added is a note: rekey incident note.',
        })
      await tx.writeIncident.tick({
        id: ids.next(),
        incidentId: id,
        step,
        outcome,
        note: note ?? null,
        principalId: actor.id,
        principalName: actor.name,
        at: await tx.now(),
      })
      const told = outcome === 'done' ? 'done' : 'not done'
      return {
        value: incident,
        audit: [
          incidentEvent(
            'incident.stepTicked',
            incident,
            { playbook: incident.playbook?.name ?? null, step, title, outcome },
            `step ${step}, ${title}: ${told}${note === undefined ? '' : `; ${note}`}`,
          ),
        ],
      }
    })

const stepOf = ({ id, playbook }: Incident, step: number) => {
  if (playbook === null)
    throw new RekeyError('incident.wrongState', {
      detail: 'It has no playbook.',
      hint: `Give it one: rekey incident change incident/${id} --playbook NAME`,
    })
  const found = playbook.steps[step - 1]
  if (found) return found
  throw impossible('/step', `the playbook ${playbook.name} has ${playbook.steps.length} steps`)
}

const impossible = (pointer: string, detail: string): RekeyError =>
  new RekeyError('request.impossible', { detail, errors: [{ pointer, detail }] })
