// An execution of which nothing is due any more has come to rest. Whether all is well is counted from the record, under a lock,
// so that of any number of workers one says it.

// Who is paged about it is told of each key that is not as it was meant, by its name, with what its provider said and what helps:
// of the most dangerous ones each, of the others how many there are.

import type { Actor } from '#domain/actor.ts'
import type { Incident, IncidentKey, IncidentKeyState, VersionEvidence } from '#domain/incident.ts'
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
      const pages = bad === null ? { events: [], count: 0 } : await pagesOf(tx, id)
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
        ...(bad === null ? {} : { reason: bad + untold(pages.count) }),
        after: { mode: incident.mode, keys: { ...counts } },
      }
      return { value: null, audit: [event, ...pages.events] }
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

/** Told one by one; nobody reads a thousand pages at night. */
const mostPages = 20

const untold = (count: number): string =>
  count > mostPages
    ? `; of ${count} keys the ${mostPages} most dangerous ones are told one by one`
    : ''

const pagesOf = async (
  db: Reads,
  id: string,
): Promise<{ readonly events: readonly LedgerEvent[]; readonly count: number }> => {
  const { keys, count } = await db.incidents.troubled(id, mostPages)
  const ids = keys.map(({ keyId }) => keyId)
  const evidence = Map.groupBy(await db.incidents.versionsOf(id, ids), ({ keyId }) => keyId)
  const managed = new Map((await db.keys.byIds(ids)).map((key) => [key.id, key]))
  const events = keys.map((key): LedgerEvent => {
    const bad = (evidence.get(key.keyId) ?? []).filter(
      ({ state }) => state === 'failed' || state === 'unproven',
    )
    return {
      action: 'incident.keyFailed',
      target: { id: key.keyId, name: key.key },
      outcome: 'failed',
      correlationId: id,
      reason: whatOf(key, bad),
      after: {
        key: key.key,
        keyId: key.keyId,
        incident: id,
        policy: managed.get(key.keyId)?.policy ?? null,
        owner: managed.get(key.keyId)?.owner ?? null,
        state: key.state,
        replacement: key.replacement,
        restoration: key.restoration,
        codes: bad.flatMap(({ code }) => code ?? []),
      },
    }
  })
  return { events, count }
}

/** Sentences: the versions with the provider's code and what helps, then what became of the key. */
const whatOf = (key: IncidentKey, bad: readonly VersionEvidence[]): string => {
  const versions = bad.map(
    ({ version, state, code, detail }) =>
      `version ${version} is ${state === 'failed' ? 'not contained' : 'contained and not proven'}` +
      `${code === null ? '' : ` (${code})`}: ${detail ?? 'nothing more is known'}`,
  )
  return [...versions, ...(key.detail === null ? [] : [key.detail])].join('; ') || 'it failed'
}
