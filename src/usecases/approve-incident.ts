// Somebody else agrees to exactly this preview, by its hash.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Incident } from '#domain/incident.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { hasSaid, mustBeAnother } from './another-person.ts'
import { askedBy, countedApprovals } from './incident-approvals.ts'
import { incidentEvent, lockIncident, mustBeIn, rewrite } from './incident-events.ts'
import { visibleIncident } from './see-incident.ts'

export const approveIncident =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, id: string, previewHash: string): Promise<Committed<Incident>> =>
    ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const incident = await visibleIncident(tx, actor, id)
      mustBeIn(incident, ['previewed', 'awaitingApproval'], 'approved')
      const at = await tx.now()
      mustBeThis(incident, previewHash, at)
      mustNotBreakGlass(actor)
      await mustBeAnother(tx, actor, {
        asking: askedBy(incident),
        said: await countedApprovals(tx, incident),
        code: 'incident.selfApproval',
      })
      const ofThis = (await tx.incidents.approvals(id)).filter(
        (one) => one.previewHash === previewHash,
      )
      if (await hasSaid(tx, actor, ofThis))
        throw new RekeyError('resource.exists', {
          detail: 'You have approved this preview already.',
          hint: 'Another person is needed.',
        })
      const { id: principalId, name: principalName, roles } = actor
      await tx.writeIncident.approve({
        incidentId: id,
        previewHash,
        principalId,
        principalName,
        roles,
        at,
      })
      const given = await countedApprovals(tx, incident)
      const needed = incident.preview?.approvalsNeeded ?? 0
      const after =
        given.length >= needed && incident.state === 'awaitingApproval'
          ? await rewrite(tx, incident, { state: 'previewed' })
          : incident
      return {
        value: after,
        audit: [
          incidentEvent('incident.approved', after, {
            hash: previewHash,
            given: given.length,
            needed,
          }),
        ],
      }
    })

/** Throws where the hash is not that of the preview as it is kept, or that is too old. */
export const mustBeThis = ({ id, preview }: Incident, hash: string, now: Date): void => {
  const hint = `rekey incident preview incident/${id}`
  if (preview?.hash !== hash)
    throw new RekeyError('incident.previewStale', {
      detail: 'The hash is not that of the last preview of this incident.',
      hint,
      errors: [{ pointer: '/previewHash', detail: 'not the hash of the last preview' }],
    })
  if (new Date(preview.expiresAt) <= now)
    throw new RekeyError('incident.previewExpired', {
      detail: `The preview is from ${preview.at}; it held until ${preview.expiresAt}.`,
      hint,
    })
}

const mustNotBreakGlass = (actor: Actor): void => {
  if (actor.type === 'breakGlass')
    throw new RekeyError('incident.selfApproval', {
      detail: 'A token to break glass with approves nothing.',
      hint: 'Ask another approver or responder.',
    })
}
