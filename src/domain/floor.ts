// Floors: what no policy may undercut, by the labels of the keys (9-security.md 4). A floor is written like a policy, and
// each field that it names is a bound: the field of every policy that selects such keys is at least as strict.
//
// A policy text that undercuts a floor is refused when it is written. One that is there when a floor is raised stays, is
// shown, and is *not* obeyed where it undercuts: each rotation's plan takes the stricter of both (docs/adr/0009-floors-hold-at-planning.md).

import { Type, type Static } from 'typebox'
import { durationSchema } from './duration.ts'
import { pointerOf } from './issue.ts'
import { type DeepReadonly, type Labels, matchesLabels, matchLabelsSchema } from './names.ts'
import { type ApprovalRole, type ResolvedPolicy, resolvePolicy } from './policy.ts'
import { approvalRoles } from './policy-schema.ts'
import { boundFields, type StrengthField, type Weakening } from './policy-strength.ts'

const strict = { additionalProperties: false } as const
const some = { ...strict, minProperties: 1 } as const
const optional = Type.Optional

/** Only what can bind: `retire: destroy` or `acceptGap: true` would forbid nothing. */
export const floorSpecSchema = Type.Object(
  {
    approval: optional(
      Type.Object(
        {
          required: optional(Type.Integer({ minimum: 1, maximum: 10 })),
          roles: optional(
            Type.Array(Type.Enum([...approvalRoles]), {
              minItems: 1,
              maxItems: approvalRoles.length,
              uniqueItems: true,
              description: 'no other roles may approve',
            }),
          ),
        },
        some,
      ),
    ),
    overlap: optional(
      Type.Object({ min: optional(durationSchema), unusedFor: optional(durationSchema) }, some),
    ),
    soak: optional(durationSchema),
    retire: optional(Type.Enum(['keep', 'disable'])),
    acceptGap: optional(Type.Literal(false)),
    consumers: optional(
      Type.Object(
        { acknowledgement: Type.Object({ required: Type.Enum(['any', 'all']) }, strict) },
        strict,
      ),
    ),
    emergency: optional(
      Type.Object(
        {
          approvals: optional(Type.Integer({ minimum: 1, maximum: 10 })),
          ignoreBlackouts: optional(Type.Literal(false)),
          onLeak: optional(Type.Literal('ask')),
        },
        some,
      ),
    ),
  },
  some,
)

export const floorSchema = Type.Object(
  { matchLabels: matchLabelsSchema, spec: floorSpecSchema },
  strict,
)
export type Floor = DeepReadonly<Static<typeof floorSchema>>

/** The one list of floors, as a whole. */
export interface Floors {
  readonly items: readonly Floor[]
  readonly revision: number
  /** Null until somebody has written it. */
  readonly setBy: string | null
  readonly updatedAt: Date
}

export interface Undercut extends Weakening {
  readonly floor: Floor
}

export const floorsFor = (floors: readonly Floor[], labels: Labels): readonly Floor[] =>
  floors.filter(({ matchLabels }) => matchesLabels(matchLabels, labels))

export const sayFloor = ({ matchLabels }: Floor): string =>
  `the floor for ${Object.entries(matchLabels)
    .map(([label, value]) => `${label}=${value}`)
    .join(', ')}`

/** Where the policy is less strict than the floor: `from` is the bound, `to` what the policy says. */
export const undercuts = (policy: ResolvedPolicy, floor: Floor): readonly Undercut[] => {
  const least = resolvePolicy({ selector: {}, ...floor.spec })
  const foreign = foreignRoles(policy, floor)
  return [
    ...named(floor)
      .filter(({ rank }) => rank(policy) < rank(least))
      .map(({ path, say }) => ({
        floor,
        pointer: pointerOf(path),
        from: say(least),
        to: say(policy),
      })),
    ...(foreign.length === 0
      ? []
      : [
          {
            floor,
            pointer: '/approval/roles',
            from: rolesOf(floor).join(', '),
            to: policy.approval.roles.join(', '),
          },
        ]),
  ]
}

/** The stricter of both, field by field: it undercuts none of the floors. */
export const tighten = (policy: ResolvedPolicy, floors: readonly Floor[]): ResolvedPolicy =>
  floors.reduce((tightened, floor) => {
    const least = resolvePolicy({ selector: {}, ...floor.spec })
    const stricter = named(floor)
      .filter(({ rank }) => rank(tightened) < rank(least))
      .reduce((next, { take }) => take(next, least), tightened)
    return foreignRoles(stricter, floor).length === 0 ? stricter : withoutForeign(stricter, floor)
  }, policy)

const named = ({ spec }: Floor): readonly StrengthField[] =>
  boundFields.filter(({ path }) => says(spec, path))

const says = (spec: unknown, path: readonly string[]): boolean => {
  const [head, ...rest] = path
  if (head === undefined) return spec !== undefined
  return typeof spec === 'object' && spec !== null && says(Reflect.get(spec, head), rest)
}

const rolesOf = ({ spec }: Floor): readonly ApprovalRole[] => spec.approval?.roles ?? []

/** An admin may approve whatever the list says. */
const foreignRoles = ({ approval }: ResolvedPolicy, floor: Floor): readonly ApprovalRole[] => {
  const allowed = rolesOf(floor)
  if (allowed.length === 0) return []
  return approval.roles.filter((role) => role !== 'admin' && !allowed.includes(role))
}

/** Where floors leave nobody in common, only an admin may approve. */
const withoutForeign = (policy: ResolvedPolicy, floor: Floor): ResolvedPolicy => {
  const foreign = foreignRoles(policy, floor)
  const roles = policy.approval.roles.filter((role) => !foreign.includes(role))
  return {
    ...policy,
    approval: { ...policy.approval, roles: roles.length > 0 ? roles : ['admin'] },
  }
}
