// Policies are authority, so nobody weakens alone what guards a key (9-security.md 4). Asked of every write that gives keys
// another policy, by whatever way: the policy's own text, its selector or priority, a policy above it, its deletion, a key's
// labels, a key's deletion. What guarded each key before is compared with what guards it after.
//
// The change needs the approvals that it takes away: as many as the policy before asked for, by its roles, and at least one
// unless an admin makes it (docs/adr/, "weakening"). They are given on a plan; a direct write is refused.

import { hasRole, type Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Json } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import {
  type ApprovalRole,
  defaultPolicy,
  type ResolvedPolicy,
  resolveStored,
} from '#domain/policy.ts'
import { approvalsRemoved, type Weakening, weakenings } from '#domain/policy-strength.ts'
import type { Reads } from '#domain/ports.ts'
import type { Move } from './moves.ts'
import { asJson } from './written.ts'

/** A weakening, and whose approval it needs. */
export interface Demand {
  /** The policy that guarded the keys before. */
  readonly policy: string
  /** The one that does after; the same where its text changes. */
  readonly to: string | null
  readonly weakens: readonly Weakening[]
  readonly keys: number
  readonly example: string
  /** 0: nobody has to approve, and it is told all the same. */
  readonly required: number
  readonly roles: readonly ApprovalRole[]
}

export const demandsOf = (actor: Actor, moves: readonly Move[]): readonly Demand[] =>
  moves.flatMap(({ from, to, keys, example }) => {
    const weaker = weakenings(from.resolved, to?.resolved ?? unguarded)
    if (weaker.length === 0) return []
    return [
      {
        policy: from.policy,
        to: to?.policy ?? null,
        weakens: weaker,
        keys,
        example,
        required: Math.max(approvalsRemoved(from.resolved, weaker), hasRole(actor) ? 0 : 1),
        roles: from.resolved.approval.roles,
      },
    ]
  })

/** A key without a policy rotates by hand, under the defaults. */
const unguarded: ResolvedPolicy = defaultPolicy

/** Of a key that is deleted, as it was: nothing guards it, and what is taken away is the approvals that its policy asks for. */
export const demandsOfLeaving = async (db: Reads, key: Key): Promise<readonly Demand[]> => {
  const policy = key.policy === null ? null : await db.policies.get(key.policy)
  if (!policy) return []
  const { required, roles } = resolveStored(policy).approval
  if (required === 0) return []
  const weakens = [{ pointer: '/approval/required', from: String(required), to: 'not managed' }]
  return [{ policy: policy.name, to: null, weakens, keys: 1, example: key.name, required, roles }]
}

/** For a write that is no plan. `at` leads from what was sent to the fields of `written`, the policy that it writes. */
export const mustNeedNoApproval = (
  demands: readonly Demand[],
  { at, written }: { readonly at: string; readonly written: string | null },
): void => {
  const open = demands.filter(({ required }) => required > 0)
  const [first] = open.toSorted((a, b) => b.required - a.required)
  if (!first) return
  const whose = `${first.required === 1 ? 'an approval' : `${first.required} approvals`} by ${first.roles.join(' or ')}`
  throw new RekeyError('policy.weakening', {
    detail: `${sayDemand(first)} It needs ${whose}, of somebody else.`,
    hint: 'Send it as a plan (POST /v1/plans) and have that approved: POST /v1/plans/{id}/approvals.',
    errors: open.flatMap(({ to, weakens }) =>
      weakens.map((weakening) => ({
        // A field can be shown only in the text that was sent.
        pointer: to !== null && to === written ? `${at}${weakening.pointer}` : at,
        detail: sayWeakening(weakening),
      })),
    ),
    extra: { weakens: open.map(toldDemand) },
  })
}

const sayWeakening = ({ pointer, from, to }: Weakening): string =>
  `${pointer.slice(1).replaceAll('/', '.')}: ${from} → ${to}`

export const sayDemand = ({ policy, to, weakens, keys, example }: Demand): string => {
  const whom = keys === 1 ? `the key "${example}"` : `${keys} keys, "${example}" among them`
  const how =
    to === policy ? `the policy "${policy}"` : `"${policy}" → ${to === null ? 'none' : `"${to}"`}`
  return `What guards ${whom} becomes weaker (${how}): ${weakens.map(sayWeakening).join('; ')}.`
}

/** For problems and the audit log. */
export const toldDemand = ({ policy, to, weakens, keys, required, roles }: Demand): Json =>
  asJson({ policy, to, keys, required, roles, fields: weakens })
