// An execution of which nothing is due any more has come to rest. Whether all is well is counted from the record, under a lock,
// so that of any number of workers one says it.

import type { Actor } from '#domain/actor.ts'
import type { Incident, IncidentKeyState } from '#domain/incident.ts'
import type { Ledger, LedgerEvent, Reads } from '#domain/ports.ts'
import { lockIncident } from './incident-events.ts'

export const settleIncidents = async (ledger: Ledger, actor: Actor): Promise<void> => {
  for (const { id } of await ledger.read((db) => db.incidents.atRest())) {
    await settle(ledger, actor, id) // oxlint-disable-line no-await-in-loop -- hardly ever more than one
  }
}

/** Another was faster, or somebody asked for more meanwhile. */
class NotAtRest extends Error {}

const settle = async (ledger: Ledger, actor: Actor, id: string): Promise<void> => {
  try {
    await ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const incident = (await tx.incidents.atRest()).find((one) => one.id === id)
      if (!incident) throw new NotAtRest()
      const { counts, bad } = await told(tx, id)
      const now = await tx.now()
      const next: Incident = {
        ...incident,
        state: bad === null ? 'contained' : 'partly',
        revision: incident.revision + 1,
        settledAt: now,
        updatedAt: now,
      }
      if (!(await tx.writeIncident.update(next, incident))) throw new NotAtRest()
      const event: LedgerEvent = {
        action: bad === null ? 'incident.contained' : 'incident.partly',
        target: { id, name: incident.title },
        outcome: bad === null ? 'succeeded' : 'failed',
        correlationId: id,
        ...(bad === null ? {} : { reason: bad }),
        after: { mode: incident.mode, keys: { ...counts } },
      }
      return { value: null, audit: [event] }
    })
  } catch (error) {
    if (!(error instanceof NotAtRest)) throw error
  }
}

/** How many keys are in each state, and what is not as it was meant. */
const told = async (
  db: Reads,
  id: string,
): Promise<{
  readonly counts: Readonly<Partial<Record<IncidentKeyState, number>>>
  readonly bad: string | null
}> => {
  const counts = await db.incidents.counts(id)
  const { failed = 0, unproven = 0 } = counts
  const { replacements, restorations } = await db.incidents.failures(id)
  const all = [
    [failed, 'not contained'],
    [unproven, 'contained and not proven'],
    [replacements, 'without a replacement'],
    [restorations, 'not restored'],
  ] as const
  const bad = all.filter(([count]) => count > 0)
  const of = (count: number): string => `${count} ${count === 1 ? 'key is' : 'keys are'}`
  return {
    counts,
    bad: bad.length === 0 ? null : bad.map(([count, what]) => `${of(count)} ${what}`).join(', '),
  }
}
