// A deleted policy lets go of its keys; another one that selects them takes over. Rotations that are open go on under the
// revision that they were planned with.

import type { Actor } from '#domain/actor.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { lockPolicies, reassign } from './assign-policies.ts'
import { mustSeePolicy, policyChanges } from './put-policy.ts'
import { liesWithin } from './rights.ts'
import { mustHold } from './written.ts'
import { RekeyError } from '#domain/errors.ts'

export const deletePolicy =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (
    actor: Actor,
    { name, precondition }: { readonly name: string; readonly precondition: Precondition },
  ): Promise<Committed<null>> =>
    ledger.commit(actor, async (tx) => {
      await lockPolicies(tx)
      const policy = mustSeePolicy(actor, await tx.policies.get(name), name)
      if (!liesWithin(policy.spec.selector, actor.scope)) {
        throw new RekeyError('auth.denied', {
          detail: 'The policy selects keys beyond the scope of the token.',
        })
      }
      checkPrecondition(precondition, policy.revision)
      mustHold(await tx.writePolicy.delete(name, policy.revision))
      const change = { name, before: policy, after: null, restarts: false, rotates: false }
      const assigned = await reassign(tx, change, await tx.now())
      return {
        value: null,
        audit: [
          {
            action: 'policy.deleted',
            target: { id: name, name },
            outcome: 'succeeded',
            before: { revision: policy.revision },
            after: { keys: { lost: assigned.lost } },
          },
          ...policyChanges(assigned),
        ],
      }
    })
