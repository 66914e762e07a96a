// Somebody else agrees to exactly this plan, by its hash. What an approval is needed for, and whose counts, stands in
// weakening.ts; it is asked when the plan is applied.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { hasSaid, mustBeAnother } from './another-person.ts'
import { mustSeePlan, pendingOf, type SeenPlan } from './see-plan.ts'

export interface NamedPlan {
  readonly id: string
  readonly hash: string
}

export const approvePlan =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, { id, hash }: NamedPlan): Promise<Committed<SeenPlan>> =>
    ledger.commit(actor, async (tx) => {
      await tx.lock(`plan:${id}`)
      const plan = mustSeePlan(actor, await tx.plans.get(id), id)
      mustBeThis(plan, hash)
      if (plan.appliedAt) {
        throw new RekeyError('plan.stale', { detail: 'The plan was applied already.' })
      }
      await mustBeAnother(tx, actor, {
        asking: [{ id: plan.author.id, did: 'made this plan' }],
        code: 'rotation.selfApproval',
      })
      const at = await tx.now()
      const { id: principalId, name: principalName, roles } = actor
      const again = await hasSaid(tx, actor, await tx.plans.approvals(id))
      if (!again) await tx.writePlan.approve({ planId: id, principalId, principalName, roles, at })
      return {
        value: { plan, given: await tx.plans.approvals(id), pending: await pendingOf(tx, plan) },
        audit: [
          {
            action: 'plan.approved',
            target: { id, name: plan.owner ?? '' },
            outcome: 'succeeded',
            after: { hash, again },
          },
        ],
      }
    })

export const mustBeThis = (plan: { readonly hash: string }, hash: string): void => {
  if (plan.hash === hash) return
  throw new RekeyError('plan.stale', {
    detail: 'The hash is not that of this plan.',
    hint: 'Read the plan again, look at what it does, and send its hash.',
    errors: [{ pointer: '/hash', detail: 'of another plan' }],
  })
}
