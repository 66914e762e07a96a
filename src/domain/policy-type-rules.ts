// What a policy asks of a key type that the type cannot do. Asked when a policy is written (for the types that it selects or
// names), when a key comes under it, and again when a rotation is planned.

import { parseDuration } from './duration.ts'
import type { Checked, Issue } from './issue.ts'
import type { PolicySpec } from './policy-schema.ts'
import type { TypeTraits } from './provider.ts'

/** The part of a type that the rules look at. */
export interface PolicedType {
  readonly type: string
  readonly traits: Pick<
    TypeTraits,
    'slot' | 'staging' | 'usage' | 'suspend' | 'undo' | 'limits' | 'publishable' | 'verifies'
  >
}

/** Pointers are relative to the spec. */
export const checkPolicyAgainstType = (spec: PolicySpec, type: PolicedType): Checked => ({
  issues: rules.flatMap((rule) => rule(spec, type)),
  warnings: [...noWayBack(type), ...noPlaceNextTime(spec, type)],
})

const noWayBack = ({ type, traits }: PolicedType): readonly string[] =>
  traits.undo === 'none' ? [`${type} cannot be rolled back once its new version is handed out`] : []

/** Where the provider takes two and a rotation makes one beside the old one, an old one that stays takes the last place. */
const noPlaceNextTime = (
  { retire = 'disable' }: PolicySpec,
  { type, traits }: PolicedType,
): readonly string[] =>
  traits.limits.maxLiveVersions === 2 && traits.staging !== 'none' && retire !== 'destroy'
    ? [
        `of ${type} there are two at most: with retire: ${retire} the old version keeps its place, and the next rotation stalls for want of one; write retire: destroy`,
      ]
    : []

type Rule = (spec: PolicySpec, type: PolicedType) => readonly Issue[]

const impossible = (pointer: string, detail: string, hint: string): Issue => ({
  code: 'policy.impossible',
  pointer,
  detail,
  hint,
})

const gapIsAccepted: Rule = (spec, { type, traits }) =>
  traits.slot === 'single' && spec.acceptGap !== true
    ? [
        {
          code: 'policy.gapNotAccepted',
          pointer: spec.acceptGap === undefined ? '' : '/acceptGap',
          detail: `${type} has one slot: the old version stops working before the new one does`,
          hint: 'write acceptGap: true if the keys may have this gap; it is planned, measured and recorded',
        },
      ]
    : []

const usageIsKnown: Rule = (spec, { type, traits }) =>
  traits.usage === null && parseDuration(spec.overlap?.unusedFor ?? '0s') > 0
    ? [
        impossible(
          '/overlap/unusedFor',
          `nobody can tell when a version of ${type} was last used`,
          'leave unusedFor out, and ask consumers for acknowledgement instead',
        ),
      ]
    : []

/** An internal slot has no old version that Rekey could remove. */
const destructionIsProven: Rule = (spec, { type, traits }) =>
  spec.retire === 'destroy' &&
  !traits.suspend &&
  traits.slot !== 'internal' &&
  (spec.approval?.required ?? 0) < 1
    ? [
        impossible(
          '/retire',
          `${type} cannot be switched off for a while before it is destroyed, so nothing would prove that it is unused`,
          'ask for approval.required of at least 1, or write retire: disable or retire: keep',
        ),
      ]
    : []

const valueCanLeave: Rule = (spec, { type, traits }) =>
  (spec.publish ?? []).length > 0 && !traits.publishable
    ? [
        impossible(
          '/publish',
          `the value of a ${type} does not leave its provider`,
          'leave publish out, or select other keys',
        ),
      ]
    : []

const checksAreKnown: Rule = (spec, { type, traits }) =>
  (spec.verify ?? []).flatMap((check, i) =>
    check.type === 'webhook' || traits.verifies.includes(check.type)
      ? []
      : [
          impossible(
            `/verify/${i}`,
            `a ${type} cannot be verified by ${check.type}`,
            `it can by ${[...traits.verifies, 'webhook'].join(', ')}`,
          ),
        ],
  )

const rules: readonly Rule[] = [
  gapIsAccepted,
  usageIsKnown,
  destructionIsProven,
  valueCanLeave,
  checksAreKnown,
]
