// Somebody else than its author has read a playbook, and signs for that very revision. The next review counts from then on.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import { type Playbook, reviewDueAt } from '#domain/playbook.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { mustBeAnother } from './another-person.ts'
import { lockPlaybook } from './put-playbook.ts'
import { mustSee } from './rights.ts'
import { mustHold } from './written.ts'

export interface ReviewPlaybook {
  /** The revision that was read. */
  readonly revision: number
  readonly text: string
}

export const reviewPlaybook =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, name: string, { revision, text }: ReviewPlaybook): Promise<Committed<Playbook>> =>
    ledger.commit(actor, async (tx) => {
      await lockPlaybook(tx, name)
      const before = mustSee(actor, await tx.playbooks.get(name), 'playbook', name)
      if (before.revision !== revision)
        throw new RekeyError('precondition.failed', {
          detail: `What was read is revision ${revision}, and it is revision ${before.revision} now.`,
          hint: `rekey describe playbook/${name}`,
          errors: [{ pointer: '/revision', detail: 'not the present revision' }],
        })
      await mustBeAnother(tx, actor, {
        asking: [{ id: before.author.id, did: 'wrote this revision' }],
        code: 'playbook.selfApproval',
      })
      const at = await tx.now()
      const reviewed = {
        ...before,
        review: { at, by: { id: actor.id, name: actor.name }, revision, text },
      }
      const after = { ...reviewed, reviewDueAt: reviewDueAt(reviewed), overdueSince: null }
      mustHold(await tx.writePlaybook.put(after, revision))
      return {
        value: after,
        audit: [
          {
            action: 'playbook.reviewed',
            target: { id: name, name },
            outcome: 'succeeded',
            reason: text,
            after: {
              revision,
              owner: after.spec.owner,
              reviewDueAt: after.reviewDueAt.toISOString(),
            },
          },
        ],
      }
    })
