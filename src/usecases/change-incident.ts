// Title, severity and commander change while people learn what it is. What it means and what is done do not: that is another
// incident.

import type { Actor } from '#domain/actor.ts'
import type { Incident, Severity } from '#domain/incident.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { incidentEvent, lockIncident, rewrite } from './incident-events.ts'
import { visibleIncident } from './see-incident.ts'

export interface ChangeIncident {
  readonly title?: string
  readonly severity?: Severity
  readonly commander?: string | null
}

export const changeIncident =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (
    actor: Actor,
    id: string,
    change: ChangeIncident,
    precondition: Precondition,
  ): Promise<Committed<Incident>> =>
    ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const before = await visibleIncident(tx, actor, id)
      checkPrecondition(precondition, before.revision)
      const after = await rewrite(tx, before, change)
      const told = ({ title, severity, commander }: Incident) => ({ title, severity, commander })
      return {
        value: after,
        audit: [{ ...incidentEvent('incident.changed', after, told(after)), before: told(before) }],
      }
    })
