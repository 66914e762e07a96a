// The end of an incident, with a reason; and the look of somebody else at one that was executed by breaking glass, without which
// there is no end.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Incident } from '#domain/incident.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { mustBeAnother } from './another-person.ts'
import { askedBy } from './incident-approvals.ts'
import { incidentEvent, lockIncident, mustBeIn, rewrite } from './incident-events.ts'
import { visibleIncident } from './see-incident.ts'

export const needsReview = ({ breakGlass, execution, review }: Incident): boolean =>
  breakGlass !== null && execution !== null && review === null

/** Nobody agreed before it was executed; somebody does before anybody else goes on with it, or ends it. */
export const mustBeReviewed = (incident: Incident): void => {
  if (!needsReview(incident)) return
  throw new RekeyError('incident.reviewMissing', {
    detail: 'It was executed by breaking glass, and nobody has reviewed it.',
    hint: `Somebody else: rekey incident review incident/${incident.id} --text "…"`,
  })
}

export const closeIncident =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, id: string, reason: string): Promise<Committed<Incident>> =>
    ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const before = await visibleIncident(tx, actor, id)
      mustBeIn(before, ['draft', 'previewed', 'awaitingApproval', 'contained', 'partly'], 'closed')
      mustBeReviewed(before)
      const closed = { at: await tx.now(), by: actor.name, reason }
      const after = await rewrite(tx, before, { state: 'closed', closed })
      return {
        value: after,
        audit: [incidentEvent('incident.closed', after, { from: before.state }, reason)],
      }
    })

export const reviewIncident =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, id: string, text: string): Promise<Committed<Incident>> =>
    ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const before = await visibleIncident(tx, actor, id)
      if (before.breakGlass === null || before.execution === null)
        throw new RekeyError('incident.wrongState', {
          detail: 'Only what was executed by breaking glass is reviewed.',
        })
      if (before.review !== null)
        throw new RekeyError('resource.exists', {
          detail: `${before.review.by.name} has reviewed it already.`,
        })
      if (actor.type === 'breakGlass')
        throw new RekeyError('incident.selfApproval', {
          detail: 'A token to break glass with reviews nothing.',
          hint: 'Ask somebody who did not open, preview or execute it.',
        })
      await mustBeAnother(tx, actor, {
        asking: [...askedBy(before), { id: before.execution.by.id, did: 'executed it' }],
        code: 'incident.selfApproval',
      })
      const review = { at: await tx.now(), by: { id: actor.id, name: actor.name }, text }
      const after = await rewrite(tx, before, { review })
      return { value: after, audit: [incidentEvent('incident.reviewed', after, {})] }
    })
