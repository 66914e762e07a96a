// What was carried out, as it is shown: one item a document or deletion, with what it leads to; what must be allowed or
// approved; and the hash that stands for all of it.

import type { DocumentKind } from '#domain/document-kinds.ts'
import type { ErrorCode } from '#domain/errors.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Json } from '#domain/json.ts'
import {
  type Allowance,
  type ApprovalNeed,
  type Effect,
  massRotation,
  type Need,
  type PlanItem,
} from '#domain/plan.ts'
import {
  dueAtOnce,
  keptObject,
  keysGained,
  keysLost,
  keysWord,
  lasting,
  loosened,
  newObject,
  nextRun,
  overdue,
  ownerChanged,
  policyOfKey,
  tightened,
  warning,
} from '#domain/plan-effects.ts'
import { resolveStored } from '#domain/policy.ts'
import type { PolicySpec } from '#domain/policy-schema.ts'
import { weakenings } from '#domain/policy-strength.ts'
import { slowRounds } from '#domain/round-time.ts'
import type { HashJson } from '#domain/ports.ts'
import type { CarriedOut } from './carry-out-plan.ts'
import { referenceOf } from './plan-faults.ts'
import { baseOf, type Look, type Order } from './plan-looks.ts'
import { type Demand, sayDemand } from './weakening.ts'

export const itemsOf = (done: CarriedOut): readonly PlanItem[] =>
  done.looks.map((look) => ({
    action: look.action,
    kind: look.subject.kind,
    name: look.subject.name,
    diff: look.diff,
    effects: look.action === 'unchanged' ? unfinishedOnly(look, done) : effectsOf(look, done),
  }))

const unfinishedOnly = ({ subject }: Look, { newKeys }: CarriedOut): readonly Effect[] =>
  subject.kind === 'Key' && newKeys.get(subject.name)?.unfinished ? [newObject(true, true)] : []

const effectsOf = (look: Look, done: CarriedOut): readonly Effect[] => [
  ...byKind[look.subject.kind](look, done),
  ...(look.live && look.document ? ownerChanged(look.live.managedBy, look.managedBy) : []),
]

const byKind: Readonly<Record<DocumentKind, (look: Look, done: CarriedOut) => readonly Effect[]>> =
  {
    Connection: () => [],
    Consumer: () => [],
    Playbook: () => [],
    Key: (look, done) => effectsOnKey(look, done),
    RotationPolicy: (look, done) => effectsOfPolicy(look, done),
  }

const effectsOnKey = (look: Look, { newKeys, reassigned, demands }: CarriedOut) => {
  const { name } = look.subject
  const fresh = newKeys.get(name)
  if (fresh) {
    const spec = (look.document?.['spec'] ?? {}) as { readonly create?: boolean }
    return [newObject(spec.create === true, fresh.unfinished), ...policyOfKey(null, fresh.policy)]
  }
  const weaker = demands.filter(({ example, keys }) => example === name && keys === 1)
  if (look.action === 'delete') return [keptObject, ...weaker.map(asEffect)]
  const before = look.live?.key
  const moved = before && reassigned.moved.get(before.id)
  if (!moved) return []
  const changed = before.policy !== moved.key.policy
  return [
    ...policyOfKey(before.policy, moved.key.policy),
    ...nextRun(moved.next),
    ...(changed ? weaker.map(asEffect) : []),
  ]
}

const effectsOfPolicy = (look: Look, { reassigned, newKeys, warnings, demands }: CarriedOut) => {
  const { name } = look.subject
  const assigned = reassigned.policies.get(name)
  if (!assigned) return (warnings.get(name) ?? []).map(warning)
  const fresh = [...newKeys].flatMap(([key, { policy, unfinished }]) =>
    policy === name && !unfinished ? [key] : [],
  )
  const { gained, lost, next } = assigned
  const [before, after] = [specIn(look.live?.document), specIn(look.document)]
  const strength =
    before && after
      ? [...loosened(weakenings(before, after)), ...tightened(weakenings(after, before))]
      : []
  // Said field by field above where it is the text of this policy that changed.
  const elsewhere = demands.filter(({ policy, to }) => policy === name && to !== name)
  return [
    ...keysGained({ count: gained.count + fresh.length, names: [...gained.names, ...fresh] }),
    ...keysLost(lost),
    ...overdue(assigned.overdue),
    ...dueAtOnce(assigned.dueAtOnce),
    ...nextRun(next),
    ...strength,
    ...elsewhere.map(asEffect),
    ...(warnings.get(name) ?? []).map(warning),
    ...(after === null ? [] : slowRounds(after, assigned.selected + fresh.length).map(warning)),
  ]
}

const specIn = (document: Look['document'] | undefined) =>
  // The document has passed its kind's schema, now or when it was written.
  document ? resolveStored({ spec: document['spec'] as unknown as PolicySpec }) : null

const asEffect = (demand: Demand): Effect => ({
  type: 'loosened',
  text: sayDemand(demand),
  count: demand.keys,
  from: demand.policy,
  to: demand.to,
})

/** What the plan may do only where it says so. */
export const needsOf = (done: CarriedOut): readonly Need[] => {
  const { dueAtOnce: due } = done.reassigned
  const limit = massRotation.share * done.keys
  const mass: readonly Need[] =
    due > massRotation.keys || due > limit
      ? [
          {
            allowance: 'massRotation',
            text: `${due} of ${keysWord(done.keys)} become${due === 1 ? 's' : ''} due at once: more than ${due > massRotation.keys ? massRotation.keys : `${massRotation.share * 100} %`}.`,
          },
        ]
      : []
  const deleted = done.looks.flatMap((look): readonly Need[] => {
    const lost = done.reassigned.policies.get(look.subject.name)?.lost.count ?? 0
    if (look.action !== 'delete' || look.subject.kind !== 'RotationPolicy' || lost === 0) return []
    const text = `${referenceOf(look.subject)} is deleted, and applies to ${keysWord(lost)}.`
    return [{ allowance: 'policyDeletion', text }]
  })
  const taken = done.looks.flatMap((look): readonly Need[] => {
    const { live, managedBy, action } = look
    if (action === 'delete' || !live || live.managedBy === null) return []
    if (live.managedBy === managedBy) return []
    const text = `${referenceOf(look.subject)} goes from the owner ${live.managedBy} to ${managedBy}.`
    return [{ allowance: 'ownerChange', text }]
  })
  return [...mass, ...deleted, ...taken]
}

const codes: Readonly<Record<Allowance, ErrorCode>> = {
  massRotation: 'plan.massRotation',
  policyDeletion: 'plan.policyDeletion',
  ownerChange: 'plan.ownerConflict',
}

export const mustBeAllowed = (needs: readonly Need[], allow: readonly Allowance[]): void => {
  const open = needs.filter(({ allowance }) => !allow.includes(allowance))
  const [first] = open
  if (!first) return
  const names = [...new Set(open.map(({ allowance }) => allowance))]
  throw new RekeyError(codes[first.allowance], {
    detail: open.map(({ text }) => text).join(' '),
    hint: `If that is meant, send ${names.join(' and ')} in allow.`,
    extra: { needs: open },
  })
}

export const approvalsOf = (demands: readonly Demand[]): readonly ApprovalNeed[] =>
  demands.flatMap((demand) =>
    demand.required === 0
      ? []
      : [{ required: demand.required, roles: demand.roles, text: sayDemand(demand) }],
  )

/** The same plan over the same world has the same hash, whoever makes it and whenever. */
export const hashOf = (
  hashJson: HashJson,
  order: Order,
  done: CarriedOut,
  items: readonly PlanItem[],
): string =>
  hashJson({
    owner: order.owner,
    prune: order.prune,
    allow: order.allow.toSorted(),
    items: digestsOf(done, items),
  })

/** Of each item what must be the same when it is applied; effects that depend on the hour are not. */
const digestsOf = (done: CarriedOut, items: readonly PlanItem[]): readonly Json[] =>
  done.looks.map((look, i) => {
    const item = items[i]
    const assigned = done.reassigned.policies.get(look.subject.name)
    const policy = look.subject.kind === 'RotationPolicy' && assigned
    return {
      item: { ...item, effects: lasting(item?.effects ?? []) },
      base: baseOf(look),
      keys: policy ? [assigned.gained.digest, assigned.lost.digest] : null,
    } as unknown as Json
  })
