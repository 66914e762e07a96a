// Title, severity, commander and playbook change while people learn what it is. What it means and what is done do not: that is another
// incident.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Incident, Severity } from '#domain/incident.ts'
import type { TakenPlaybook } from '#domain/playbook.ts'
import type { Committed, Ledger, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { incidentEvent, lockIncident, mustBeIn, notClosed, rewrite } from './incident-events.ts'
import { visibleIncident } from './see-incident.ts'
import { takePlaybook } from './take-playbook.ts'

export interface ChangeIncident {
  readonly title?: string
  readonly severity?: Severity
  readonly commander?: string | null
  /** The name of one, whose steps it takes as they are now; null: none. */
  readonly playbook?: string | null
}

export const changeIncident =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (
    actor: Actor,
    id: string,
    { playbook, ...change }: ChangeIncident,
    precondition: Precondition,
  ): Promise<Committed<Incident>> =>
    ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const before = await visibleIncident(tx, actor, id)
      checkPrecondition(precondition, before.revision)
      const after = await rewrite(tx, before, {
        ...change,
        ...(playbook === undefined ? {} : { playbook: await taken(tx, actor, before, playbook) }),
      })
      const told = ({ title, severity, commander, playbook: taken }: Incident) => ({
        title,
        severity,
        commander,
        playbook: taken && { name: taken.name, revision: taken.revision },
      })
      return {
        value: after,
        audit: [{ ...incidentEvent('incident.changed', after, told(after)), before: told(before) }],
      }
    })

/** The one that it has stays as it was taken when it is named again, and once somebody has spoken of a step. */
const taken = async (
  tx: Tx,
  actor: Actor,
  before: Incident,
  name: string | null,
): Promise<TakenPlaybook | null> => {
  if (name === (before.playbook?.name ?? null)) return before.playbook
  mustBeIn(before, notClosed, 'given a playbook')
  const ticks = await tx.incidents.ticks(before.id)
  if (ticks.length > 0)
    throw new RekeyError('incident.wrongState', {
      detail: `Steps of its playbook ${before.playbook?.name} were ticked off already: it keeps that one.`,
      hint: `rekey describe incident/${before.id}`,
      errors: [{ pointer: '/playbook', detail: 'cannot be another one any more' }],
    })
  return name === null ? null : takePlaybook(tx, actor, name, '/playbook')
}
