// A preview is drawn and kept: it is what others approve and what is executed, by its hash. One that says the same as before keeps
// its approvals; one that says something else has none.

import type { Actor } from '#domain/actor.ts'
import type { Incident, IncidentPreview } from '#domain/incident.ts'
import type { Committed, HashJson, Ledger } from '#domain/ports.ts'
import { countedApprovals } from './incident-approvals.ts'
import { incidentEvent, lockIncident, mustBeIn, rewrite } from './incident-events.ts'
import { differences, type Differences, type DrawPreview } from './preview-incident.ts'
import { visibleIncident } from './see-incident.ts'
import { suggestedPlaybooks } from './take-playbook.ts'

export interface KeptPreview {
  readonly incident: Incident
  readonly preview: IncidentPreview
  /** From the one before; null: there was none. */
  readonly differs: Differences | null
  /** Playbooks that are meant for such an incident, where it has taken none. */
  readonly playbooks: readonly string[]
}

export interface KeepPreviewDeps {
  readonly ledger: Ledger
  readonly draw: DrawPreview
  readonly hashJson: HashJson
}

export const keepPreview =
  ({ ledger, draw, hashJson }: KeepPreviewDeps) =>
  (actor: Actor, id: string): Promise<Committed<KeptPreview>> =>
    ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const found = await visibleIncident(tx, actor, id)
      mustBeIn(found, ['draft', 'previewed', 'awaitingApproval'], 'previewed')
      // Whose preview it is decides what may be done, and whether somebody must agree.
      const before = { ...found, breakGlass: actor.type === 'breakGlass' ? actor.id : null }
      const preview = await draw(tx, actor, before)
      const { hash, at, expiresAt, approvalsNeeded } = preview
      const mark = {
        hash,
        at: at.toISOString(),
        expiresAt: expiresAt.toISOString(),
        by: { id: actor.id, name: actor.name },
        approvalsNeeded,
        keys: preview.keys.length,
      }
      const marked = { ...before, preview: mark }
      const given = await countedApprovals(tx, marked)
      const state = given.length >= approvalsNeeded ? 'previewed' : 'awaitingApproval'
      // The whole of the one before is read only where it says something else: it may be megabytes.
      const last = found.preview?.hash === hash ? preview : await tx.incidents.preview(id)
      const differs = last && differences(hashJson, last, preview)
      await tx.writeIncident.putPreview(id, preview)
      const after = await rewrite(tx, found, {
        breakGlass: before.breakGlass,
        preview: mark,
        state,
      })
      const versions = preview.keys.reduce((sum, key) => sum + key.versions.length, 0)
      return {
        value: {
          incident: after,
          preview,
          differs,
          playbooks:
            found.playbook === null
              ? await suggestedPlaybooks(tx, actor, after.mode, preview.keys)
              : [],
        },
        audit: [
          incidentEvent('incident.previewed', after, {
            hash,
            mode: after.mode,
            keys: mark.keys,
            versions,
            approvalsNeeded,
            approvals: given.length,
            breakGlass: after.breakGlass !== null,
          }),
        ],
      }
    })
