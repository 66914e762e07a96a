// What must be true of a walk, kept apart from the engine and from its checker: what people did, what time has passed, and
// what each key may look like by it.

import type { RotationPlan } from '#domain/rotation.ts'
import { isOpen, type Phase } from '#domain/rotation-machine.ts'

export interface ModelKey {
  readonly name: string
  id: string
  /** At the shelf; null: it is in the built-in vault. */
  readonly path: string | null
  readonly type: string
  deleted: boolean
  /** Somebody who is not Rekey touched its versions: what is served and what is at the provider is then their doing. */
  tampered: boolean
  /** A person gave one of its rotations up: what it left stays. */
  abandoned: boolean
}

/** A rotation as it was last seen. */
export interface Seen {
  readonly id: string
  readonly key: string
  readonly phase: Phase
  readonly epoch: number
  readonly group: string
  readonly max: number
  readonly from: number | null
  readonly to: number | null
  readonly planHash: string
  readonly due: Date | null
  readonly lease: Date | null
}

export interface Override {
  readonly rotation: string
  readonly by: string
  readonly gate: string | null
}

export interface Model {
  readonly name: string
  readonly keys: readonly ModelKey[]
  rotations: readonly Seen[]
  /** Since when, on the database's clock, nothing may begin to be written at the provider; null: it may. */
  frozenSince: Date | null
  pausedSince: Date | null
  policy: boolean
  /** `key version consumer` */
  readonly acknowledged: Set<string>
  readonly overrides: Override[]
  /** Processes that are stopped in the middle of something. */
  stopped: number
  /** Jumps of the clocks: when, and by how much. Nobody lived through that time. */
  readonly jumps: { readonly at: Date; readonly ms: number }[]
  /** Versions that somebody else made, as they made them. */
  readonly foreign: { readonly path: string; readonly id: string; readonly value: string }[]
}

export const openOnes = (model: Model): readonly Seen[] =>
  model.rotations.filter(({ phase }) => isOpen(phase))

export const openOf = (model: Model, key: string): Seen | undefined =>
  openOnes(model).find((seen) => seen.key === key)

/** The observed clock cannot tell a jump from a time in which nobody looked: it counts a minute of it. */
const stepMs = 60_000

/** Time that was lived through between two moments of the database's clock, with what a jump adds to it at most. */
export const livedBetween = (model: Model, from: Date, to: Date): number =>
  model.jumps
    .filter(({ at }) => at > from && at <= to)
    .reduce((ms, jump) => ms - Math.max(0, jump.ms - stepMs), to.getTime() - from.getTime())

export interface SwitchOff {
  readonly rotation: Pick<Seen, 'id' | 'key' | 'to'>
  readonly plan: RotationPlan
  readonly now: Date
  /** When both versions became valid; null: they never were. */
  readonly overlapSince: Date | null
  /** When the old one was used last, where somebody knows. */
  readonly lastUsed: Date | null
}

/** Why an old version may not be switched off yet (I10), by what people did and by the time that was lived through. */
export const tooEarly = (
  model: Model,
  { rotation, plan, now, overlapSince, lastUsed }: SwitchOff,
): readonly string[] => {
  const { overlap, consumers } = plan.policy
  const found: string[] = []
  const overridden = (gate: string): boolean =>
    new Set(
      model.overrides
        .filter((one) => one.rotation === rotation.id && one.gate === gate)
        .map(({ by }) => by),
    ).size >= 2
  const lived = overlapSince ? livedBetween(model, overlapSince, now) : 0
  if (lived < overlap.minMs && !overridden('overlap'))
    found.push(`switched off after ${lived} ms of an overlap of ${overlap.minMs} ms`)
  const silent = plan.consumers.filter(
    (consumer) => !model.acknowledged.has(`${rotation.key} ${rotation.to} ${consumer}`),
  )
  if (consumers.acknowledgement && silent.length > 0 && !overridden('acknowledgement'))
    found.push(`switched off without the acknowledgement of ${silent.join(', ')}`)
  const quiet = lastUsed ? livedBetween(model, latest(lastUsed, overlapSince), now) : Infinity
  if (plan.traits.usage && quiet < overlap.unusedForMs && !overridden('usage'))
    found.push(`switched off ${quiet} ms after its last use`)
  return found
}

const latest = (a: Date, b: Date | null): Date => (b && b > a ? b : a)

/** Of what the last look tells: I4 and I17, by counting. */
export const broken = (before: readonly Seen[], after: readonly Seen[]): readonly string[] => {
  const found: string[] = []
  const open = after.filter(({ phase }) => isOpen(phase))
  for (const key of new Set(open.map((seen) => seen.key))) {
    const n = open.filter((seen) => seen.key === key).length
    if (n > 1) found.push(`I4: ${key} has ${n} open rotations`)
  }
  const placed = open.filter(({ phase }) => phase !== 'planned' && phase !== 'awaitingApproval')
  for (const group of new Set(placed.map((seen) => seen.group))) {
    const members = placed.filter((seen) => seen.group === group)
    const max = Math.max(...members.map((seen) => seen.max))
    if (members.length > max)
      found.push(`I17: ${members.length} rotations of ${group} are under way, and ${max} may be`)
  }
  for (const seen of after) {
    const was = before.find(({ id }) => id === seen.id)
    if (!was) continue
    if (seen.epoch < was.epoch)
      found.push(`I4: epoch ${seen.epoch} of ${seen.id} after ${was.epoch}`)
    if (!isOpen(was.phase) && seen.phase !== was.phase)
      found.push(`rotation ${seen.id} was ${was.phase}, and is ${seen.phase}`)
  }
  return found
}
