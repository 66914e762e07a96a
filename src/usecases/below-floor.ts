// Floors where policies and keys are written (9-security.md 4): what a policy's text says is at least as strict as every floor
// of the keys that it selects. Planning takes the stricter of both whatever the text says (plan-rotation.ts); a text that
// would mislead is refused by whichever write brings it together with such keys.

import { RekeyError } from '#domain/errors.ts'
import { type Floor, floorsFor, sayFloor, type Undercut, undercuts } from '#domain/floor.ts'
import type { Selectable } from '#domain/names.ts'
import { type ResolvedPolicy, resolvePolicy } from '#domain/policy.ts'
import type { PolicySpec } from '#domain/policy-schema.ts'

/** A policy that comes to guard a key for which a floor asks for more. */
export interface BelowFloor {
  readonly policy: string
  readonly undercuts: readonly Undercut[]
  /** The name of such a key; null where there is none yet. */
  readonly example: string | null
}

/** Where in what was sent a field of a policy stands; in its spec where not said. */
export type Place = (policy: string, pointer: string) => string
const inSpec: Place = (_policy, pointer) => pointer

/** 422 with each floor, field, bound and value. */
export const mustObeyFloors = (below: readonly BelowFloor[], place: Place = inSpec): void => {
  const [first] = below.filter((one) => one.undercuts.length > 0)
  const [worst] = first?.undercuts ?? []
  if (!first || !worst) return
  const whom = first.example === null ? '' : `, which holds for the key "${first.example}"`
  throw new RekeyError('policy.belowFloor', {
    detail: `The policy "${first.policy}" is less strict than ${sayFloor(worst.floor)}${whom}: ${first.undercuts.map(sayUndercut).join('; ')}.`,
    hint: 'Raise these fields to the bound. An admin changes floors: PUT /v1/floors.',
    errors: below.flatMap(({ policy, undercuts: found }) =>
      found.map((undercut) => ({
        pointer: place(policy, undercut.pointer),
        detail: `${sayFloor(undercut.floor)} asks for ${undercut.from}, this says ${undercut.to}`,
      })),
    ),
    extra: {
      floors: below.flatMap(({ policy, undercuts: found }) =>
        found.map(({ floor, pointer, from, to }) => ({
          policy,
          matchLabels: floor.matchLabels,
          pointer,
          bound: from,
          value: to,
        })),
      ),
    },
  })
}

export const sayUndercut = ({ pointer, from, to }: Undercut): string =>
  `${pointer.slice(1).replaceAll('/', '.')} is ${to}, the floor ${from}`

/** Of all keys that the selector could ever choose, the labels that it demands are sure. */
export const belowAnyway = (
  name: string,
  spec: PolicySpec,
  floors: readonly Floor[],
): BelowFloor => {
  const resolved = resolvePolicy(spec)
  const found = floorsFor(floors, spec.selector.matchLabels ?? {})
  return {
    policy: name,
    undercuts: found.flatMap((floor) => undercuts(resolved, floor)),
    example: null,
  }
}

/** For a new key: the policy that will hold for it. */
export const newKeyMustObeyFloors = (
  floors: readonly Floor[],
  key: Selectable & { readonly name: string },
  guard: {
    readonly policy: { readonly name: string } | null
    readonly resolved: ResolvedPolicy | null
  },
): void => {
  const { policy, resolved } = guard
  if (!policy || !resolved) return
  const found = floorsFor(floors, key.labels).flatMap((floor) => undercuts(resolved, floor))
  mustObeyFloors([{ policy: policy.name, undercuts: found, example: key.name }], () => '/labels')
}
