// A token to break glass with in use: its hour begins with the first request, whatever that is, and its one incident with the
// first write. What it may do at the door is in http/access.ts, and that it destroys nothing in domain/plan-containment.ts.

import type { Actor } from '#domain/actor.ts'
import type { AuditEvent } from '#domain/audit.ts'
import { endOfUse } from '#domain/break-glass.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Ledger, Tx } from '#domain/ports.ts'

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

/** For every write to an incident, in its transaction: the first one binds such a token to that incident, and what it returns is
 *  told with it. Nothing for other actors. */
export const useBreakGlass = async (
  tx: Tx,
  actor: Actor,
  incidentId: string,
): Promise<readonly AuditEvent[]> => {
  if (actor.type !== 'breakGlass') return []
  await tx.lock(`apiKey:${actor.id}`)
  const glass = await tx.breakGlass.get(actor.id)
  if (glass?.incidentId === incidentId) return []
  if (
    glass === null ||
    glass.incidentId !== null ||
    !(await tx.writeBreakGlass.bind(actor.id, incidentId))
  ) {
    throw new RekeyError('auth.denied', {
      detail: `A token to break glass with works on one incident${glass?.incidentId ? `, and this one on ${glass.incidentId}` : ''}.`,
    })
  }
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
