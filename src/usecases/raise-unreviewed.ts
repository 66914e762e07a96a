// Playbooks whose review is overdue: told once, until somebody has reviewed them. Every worker looks; the row that it marks under
// the playbook's lock is what keeps a second one from telling it again.

import type { Actor } from '#domain/actor.ts'
import type { Playbook } from '#domain/playbook.ts'
import type { Ledger, LedgerEvent } from '#domain/ports.ts'
import { lockPlaybook } from './put-playbook.ts'
import { mustHold } from './written.ts'

/** Another was faster, or somebody has reviewed it meanwhile. */
class NotOverdue extends Error {}

const mostAtOnce = 20

export const raiseUnreviewed = async (ledger: Ledger, actor: Actor, now: Date): Promise<void> => {
  const found = await ledger.read((db) => db.playbooks.unreviewed(now, mostAtOnce))
  for (const { name } of found) {
    await raise(ledger, actor, name) // oxlint-disable-line no-await-in-loop -- hardly ever more than one
  }
}

const raise = async (ledger: Ledger, actor: Actor, name: string): Promise<void> => {
  try {
    await ledger.commit(actor, async (tx) => {
      await lockPlaybook(tx, name)
      const playbook = await tx.playbooks.get(name)
      if (!playbook || playbook.overdueSince || playbook.reviewDueAt > (await tx.now()))
        throw new NotOverdue()
      const overdueSince = playbook.reviewDueAt
      mustHold(await tx.writePlaybook.put({ ...playbook, overdueSince }, playbook.revision))
      return { value: null, audit: [overdue(playbook)] }
    })
  } catch (error) {
    if (!(error instanceof NotOverdue)) throw error
  }
}

const overdue = ({ name, spec, review, reviewDueAt }: Playbook): LedgerEvent => ({
  action: 'playbook.reviewOverdue',
  target: { id: name, name },
  outcome: 'failed',
  reason: `${review === null ? 'nobody has reviewed it yet' : `${review.by.name} reviewed it last, at ${review.at.toISOString()}`}; it was to be reviewed by ${reviewDueAt.toISOString()}`,
  after: { owner: spec.owner, reviewDueAt: reviewDueAt.toISOString() },
})
