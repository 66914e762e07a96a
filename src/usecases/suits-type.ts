// Whether keys of a type can rotate as a policy says. Asked on whichever write brings the two together: the policy's, or the
// key's registration or labels. A policy that outranks it does not count: it may be deleted, and then this one applies.

import type { Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import { matches, type Selectable } from '#domain/names.ts'
import type { PolicySpec } from '#domain/policy-schema.ts'
import { checkPolicyAgainstType } from '#domain/policy-type-rules.ts'
import type { KeyType } from '#domain/provider.ts'
import { shapeFaults } from './check-shape.ts'
import { throwIssues } from './policy-body.ts'

/** Throws with pointers into the policy, whose spec stands at `at`; returns warnings. */
export const policyMustSuit = (spec: PolicySpec, type: KeyType, at: string): readonly string[] => {
  const { issues, warnings } = checkPolicyAgainstType(spec, type)
  throwIssues(`The policy does not suit ${type.type}.`, issues, at)
  const faults = spec.generate
    ? shapeFaults(type.generateSchema, spec.generate, `${at}/generate`)
    : []
  if (faults.length > 0) {
    throw new RekeyError('policy.impossible', {
      detail: `The policy's generate does not suit ${type.type}.`,
      errors: faults,
    })
  }
  return warnings
}

/** For a key that is written: of all policies that select it, none asks for what its type cannot do. */
export const keyMustSuit = (policies: readonly Policy[], key: Selectable, type: KeyType): void => {
  for (const { name, spec } of policies) {
    if (!matches(spec.selector, key)) continue
    const [issue] = checkPolicyAgainstType(spec, type).issues
    const faults = spec.generate ? shapeFaults(type.generateSchema, spec.generate, '') : []
    const what = issue?.detail ?? (faults[0] && `its generate does not suit a ${type.type}`)
    if (what === undefined) continue
    throw new RekeyError(issue?.code ?? 'policy.impossible', {
      detail: `The policy "${name}" would apply to the key, and it could never rotate: ${what}.`,
      hint: `Change the policy "${name}", or give the key labels that it does not select.`,
      errors: [{ pointer: '/labels', detail: `selected by the policy "${name}"` }],
    })
  }
}
