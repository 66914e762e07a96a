// A deleted policy lets go of its keys; another one that selects them takes over. Rotations that are open go on under the
// revision that they were planned with.

import type { Actor } from '#domain/actor.ts'
import type { Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { lockPolicies } from './assign-policies.ts'
import { mustObeyFloors } from './below-floor.ts'
import { mustSeePolicy, policyChanges } from './put-policy.ts'
import { type PolicyChange, reassign } from './reassign.ts'
import { liesWithin } from './rights.ts'
import { type Demand, demandsOf, mustNeedNoApproval, toldDemand } from './weakening.ts'
import { mustHold } from './written.ts'

export const deletePolicy =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, named: NamedPolicy): Promise<Committed<null>> =>
    ledger.commit(actor, async (tx) => {
      await lockPolicies(tx)
      const change = await removePolicy(tx, actor, named)
      const done = await reassign(tx, { policies: [change] }, await tx.now())
      mustObeyFloors(done.below, () => '')
      const demands = demandsOf(actor, done.moves)
      mustNeedNoApproval(demands, { at: '', written: null })
      return {
        value: null,
        audit: [
          policyDeleted(change.before, done.policies.get(named.name)?.lost.count ?? 0, demands),
          ...policyChanges(done.changed),
        ],
      }
    })

interface NamedPolicy {
  readonly name: string
  readonly precondition: Precondition
}

/** The row. Its keys still name it: `reassign` is to follow, under the same lock. */
export const removePolicy = async (
  tx: Tx,
  actor: Actor,
  { name, precondition }: NamedPolicy,
): Promise<PolicyChange & { readonly before: Policy }> => {
  const policy = mustSeePolicy(actor, await tx.policies.get(name), name)
  if (!liesWithin(policy.spec.selector, actor.scope)) {
    throw new RekeyError('auth.denied', {
      detail: 'The policy selects keys beyond the scope of the token.',
    })
  }
  checkPrecondition(precondition, policy.revision)
  mustHold(await tx.writePolicy.delete(name, policy.revision))
  return { name, before: policy, after: null, restarts: false, rotates: false }
}

export const policyDeleted = (
  { name, revision }: Policy,
  lost: number,
  demands: readonly Demand[],
): LedgerEvent => ({
  action: 'policy.deleted',
  target: { id: name, name },
  outcome: 'succeeded',
  before: { revision },
  after: { keys: { lost }, weakens: demands.map(toldDemand) },
})
