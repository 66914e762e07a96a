// A token to break glass with in use: its hour begins with the first request, whatever that is, and its one incident with the
// first write. What it may do at the door is in http/access.ts, and that it destroys nothing in domain/plan-containment.ts.

import type { Actor } from '#domain/actor.ts'
import { type AuditEvent, auditActions } from '#domain/audit.ts'
import { endOfUse } from '#domain/break-glass.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Ledger, LedgerEvent, Outcome, Tx } from '#domain/ports.ts'

/** The hour of an approved token begins with whatever it is used for first. Returns when it began. */
export const beginUse =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'commit'> }) =>
  async (actor: Actor, from: string): Promise<Date> => {
    const { value } = await ledger.commit(actor, async (tx) => {
      await tx.lock(`apiKey:${actor.id}`)
      const at = await tx.now()
      const fresh = await tx.writeBreakGlass.use(actor.id, { at, from })
      const usedAt = (await tx.breakGlass.get(actor.id))?.usedAt ?? at
      return {
        value: usedAt,
        audit: [
          {
            action: 'breakGlass.used',
            target: { id: actor.id, name: actor.name },
            outcome: 'succeeded',
            reason: `a token to break glass with is used from ${from}`,
            after: { from, again: !fresh, endsAt: endOfUse(usedAt).toISOString() },
          },
        ],
      }
    })
    return value
  }

/** What its holder commits is about one incident, or is not committed: the first one binds it, and is told with that. No use case
 *  has to remember it. */
export const holdToOneIncident = (ledger: Ledger, actor: Actor): Ledger => {
  if (actor.type !== 'breakGlass') return ledger
  const held =
    <T>(work: (tx: Tx) => Promise<Outcome<T>>) =>
    async (tx: Tx): Promise<Outcome<T>> => {
      const outcome = await work(tx)
      const [first, ...rest] = outcome.audit
      const bound = await bind(tx, actor, incidentOf(outcome.audit))
      return { ...outcome, audit: [first, ...rest, ...bound] }
    }
  return {
    ...ledger,
    commit: (by, work) => ledger.commit(by, held(work)),
    rehearse: (by, work) => ledger.rehearse(by, held(work)),
  }
}

const denied = (detail: string): RekeyError => new RekeyError('auth.denied', { detail })

const incidentOf = (events: readonly AuditEvent[]): string => {
  const ids = new Set(
    events
      .filter(({ action }) => auditActions[action] === 'incident')
      .map(({ target }) => target.id),
  )
  const [id, ...others] = ids
  if (id === undefined || others.length > 0)
    throw denied('A token to break glass with writes to one incident, and to nothing else.')
  return id
}

const bind = async (tx: Tx, actor: Actor, incidentId: string): Promise<readonly LedgerEvent[]> => {
  await tx.lock(`apiKey:${actor.id}`)
  const glass = await tx.breakGlass.get(actor.id)
  if (glass?.incidentId === incidentId) return []
  if (!(await tx.writeBreakGlass.bind(actor.id, incidentId)))
    throw denied(
      `A token to break glass with works on one incident${glass?.incidentId ? `, and this one on ${glass.incidentId}` : ''}.`,
    )
  return [
    {
      action: 'breakGlass.bound',
      target: { id: actor.id, name: actor.name },
      outcome: 'succeeded',
      reason: `a token to break glass with works on the incident ${incidentId}`,
      correlationId: incidentId,
      after: { incident: incidentId },
    },
  ]
}
