// What a policy asks of a key type that the type cannot do. Asked when a policy is written (for the types that it selects or
// names) and again when a rotation is planned.

import { parseDuration } from './duration.ts'
import type { Checked, Issue } from './issue.ts'
import type { PolicySpec } from './policy-schema.ts'
import type { TypeTraits } from './provider.ts'

/** Pointers are relative to the spec. */
export const checkPolicyAgainstType = (
  spec: PolicySpec,
  type: {
    readonly type: string
    readonly traits: Pick<TypeTraits, 'slot' | 'usage' | 'suspend' | 'undo'>
  },
): Checked => {
  const { slot, usage, suspend, undo } = type.traits
  const issues: (Issue | null)[] = [
    slot === 'single' && spec.acceptGap !== true
      ? {
          code: 'policy.gapNotAccepted',
          pointer: spec.acceptGap === undefined ? '' : '/acceptGap',
          detail: `${type.type} has one slot: the old version stops working before the new one does`,
          hint: 'write acceptGap: true if the keys may have this gap; it is planned, measured and recorded',
        }
      : null,
    usage === null && parseDuration(spec.overlap?.unusedFor ?? '0s') > 0
      ? {
          code: 'policy.impossible',
          pointer: '/overlap/unusedFor',
          detail: `nobody can tell when a version of ${type.type} was last used`,
          hint: 'leave unusedFor out, and ask consumers for acknowledgement instead',
        }
      : null,
    // An internal slot has no old version that Rekey could remove.
    spec.retire === 'destroy' &&
    !suspend &&
    slot !== 'internal' &&
    (spec.approval?.required ?? 0) < 1
      ? {
          code: 'policy.impossible',
          pointer: '/retire',
          detail: `${type.type} cannot be switched off for a while before it is destroyed, so nothing would prove that it is unused`,
          hint: 'ask for approval.required of at least 1, or write retire: disable or retire: keep',
        }
      : null,
  ]
  return {
    issues: issues.filter((issue) => issue !== null),
    warnings:
      undo === 'none'
        ? [`${type.type} cannot be rolled back once its new version is handed out`]
        : [],
  }
}
