// Writes a policy and, in the same transaction, which keys it now applies to and when they are due. Enabling never rotates
// at once, unless `rotateOnEnable` says so: then each of its keys gets one occurrence of its own, due now.

import { type Actor, inScope } from '#domain/actor.ts'
import type { ManagedBy, Policy } from '#domain/connection.ts'
import { isRekeyError, RekeyError } from '#domain/errors.ts'
import { checkPolicy } from '#domain/policy-rules.ts'
import { type ResolvedPolicy, resolvePolicy, resolveStored } from '#domain/policy.ts'
import { slowRounds } from '#domain/round-time.ts'
import type { Clock, Committed, Ledger, LedgerEvent, Reads, Tx } from '#domain/ports.ts'
import { checkPrecondition, noPrecondition, type Precondition } from '#domain/precondition.ts'
import { lockPolicies } from './assign-policies.ts'
import { belowAnyway, mustObeyFloors, type Place } from './below-floor.ts'
import { type PolicyInput, readPolicyBody, throwIssues } from './policy-body.ts'
import { mustBeAllowed, scopedPolicy } from './policy-rights.ts'
import { type PolicyChange, type Reassignment, reassign } from './reassign.ts'
import type { Reassigned } from './tally-reassignment.ts'
import type { EgressRules } from './put-connection.ts'
import type { Providers } from './registration.ts'
import { checkLabels, notFound } from './rights.ts'
import { policyMustSuit } from './suits-type.ts'
import { type Demand, demandsOf, mustNeedNoApproval, sayDemand, toldDemand } from './weakening.ts'
import { asJson, mustHold, sameJson, type Written } from './written.ts'

export interface PutPolicyDeps {
  readonly ledger: Ledger
  readonly providers: Providers
  readonly egress: EgressRules
  readonly clock: Clock
}

export interface PutPolicy {
  /** The path's; null for POST, where the body names it. */
  readonly name: string | null
  /** In any of the forms of policy-body.ts. */
  readonly body: unknown
  readonly precondition: Precondition
  /** The owner set of a file apply; where not said, it stays. */
  readonly managedBy?: ManagedBy
}

export interface WrittenPolicy extends Written<Policy> {
  /** Keys that it applies to. */
  readonly selected: number
  readonly warnings: readonly string[]
}

export const putPolicy =
  (deps: PutPolicyDeps) =>
  async (actor: Actor, put: PutPolicy): Promise<Committed<WrittenPolicy>> => {
    const draft = draftPolicy(deps, put)
    return deps.ledger.commit(actor, async (tx) => {
      await lockPolicies(tx)
      const write = await writePolicy(tx, deps.providers, actor, draft)
      const { change } = write
      const place: Place = (policy, pointer) =>
        policy === write.resource.name
          ? `${draft.input.at}${pointer}`
          : `${draft.input.at}/selector`
      const done = change && (await reassign(tx, { policies: [change] }, await tx.now()))
      mustObeyFloors(done?.below ?? [], place)
      const { name } = write.resource
      const assigned = done?.policies.get(name) ?? null
      const demands = demandsOf(actor, done?.moves ?? [])
      mustNeedNoApproval(demands, { at: draft.input.at, written: name })
      const warnings = [
        ...write.warnings,
        ...demands.map(sayDemand),
        ...(assigned ? mustSuitTypes(deps.providers, draft.input, assigned) : []),
      ]
      const selected = assigned?.selected ?? (await countSelected(tx, name))
      warnings.push(...slowRounds(resolvePolicy(draft.input.spec), selected))
      if (selected > 1 && (draft.input.spec.publish ?? []).length > 0) {
        warnings.push(
          `it publishes ${selected} keys to the same place: each rotation replaces what the one before wrote there`,
        )
      }
      return {
        value: {
          resource: write.resource,
          created: !write.before,
          changed: change !== null,
          selected,
          warnings,
        },
        audit: [
          policyPut(write, { selected, assigned, demands }),
          ...policyChanges(done?.changed ?? []),
        ],
      }
    })
  }

/** What was sent, with all that can be said about it without the database. */
export interface PolicyDraft {
  readonly name: string
  readonly input: PolicyInput
  readonly warnings: readonly string[]
  readonly put: PutPolicy
}

export const draftPolicy = (
  { clock, egress }: Pick<PutPolicyDeps, 'clock' | 'egress'>,
  put: PutPolicy,
): PolicyDraft => {
  const input = readPolicyBody(put.body)
  const name = nameOf(put.name, input)
  const { issues, warnings } = checkPolicy(input.spec, clock.now())
  throwIssues('The policy is not usable.', issues, input.at)
  mustBeDialled(egress, input)
  return { name, input, warnings, put }
}

/** A webhook that no worker would ever dial would fail every rotation. */
const mustBeDialled = (egress: EgressRules, { spec, at }: PolicyInput): void =>
  (spec.verify ?? []).forEach(({ url }, i) => {
    if (url === undefined) return
    try {
      egress.checkUrl(url, 'webhook', { insecure: false })
    } catch (error) {
      if (!isRekeyError(error)) throw error
      throw new RekeyError(error.code, {
        detail: error.message,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
        errors: [{ pointer: `${at}/verify/${i}/url`, detail: 'may not be dialled' }],
      })
    }
  })

export interface PolicyWrite {
  readonly before: Policy | null
  /** As it is now: unchanged where the same was put again. */
  readonly resource: Policy
  /** Null: nothing changed. */
  readonly change: PolicyChange | null
  readonly warnings: readonly string[]
}

/** Rights, and the row. Which keys it applies to is not written: `reassign` is to follow, under the same lock. */
export const writePolicy = async (
  tx: Tx,
  providers: Providers,
  actor: Actor,
  { name, input, warnings, put }: PolicyDraft,
): Promise<PolicyWrite> => {
  const before = await tx.policies.get(name)
  if (put.name === null && before) {
    throw new RekeyError('resource.exists', { detail: `There is a policy "${name}" already.` })
  }
  if (before) mustSeePolicy(actor, before, name)
  checkPrecondition(put.name === null ? noPrecondition : put.precondition, before?.revision ?? null)
  // The scope is asked of the state before and after.
  if (before) await mustBeAllowed(tx, providers, actor, { ...before, at: input.at }, before)
  await mustBeAllowed(tx, providers, actor, input, before)
  await checkLabels(tx, actor, before?.labels ?? null, input.labels)
  const now = await tx.now()
  const wanted: Policy = {
    name,
    labels: input.labels,
    annotations: input.annotations,
    spec: input.spec,
    revision: (before?.revision ?? 0) + 1,
    author: { id: actor.id, name: actor.name },
    managedBy: put.managedBy === undefined ? (before?.managedBy ?? null) : put.managedBy,
    createdAt: before?.createdAt ?? now,
    updatedAt: now,
  }
  const told = [...warnings, ...(await strangers(tx, input))]
  if (before && sameJson(fieldsOf(before), fieldsOf(wanted))) {
    return { before, resource: before, change: null, warnings: told }
  }
  const { items } = await tx.floors.get()
  mustObeyFloors([belowAnyway(name, input.spec, items)], (_, pointer) => `${input.at}${pointer}`)
  mustHold(await tx.writePolicy.put(wanted, before?.revision ?? null))
  const change = { name, before, after: wanted, ...effectOf(before, wanted) }
  return { before, resource: wanted, change, warnings: told }
}

/** A policy out of scope is not there. */
export const mustSeePolicy = (actor: Actor, policy: Policy | null, name: string): Policy => {
  if (!policy || !inScope(actor, scopedPolicy(policy))) throw notFound('policy', name)
  return policy
}

const nameOf = (path: string | null, { name, at }: PolicyInput): string => {
  if (path !== null && name !== null && name !== path) {
    throw new RekeyError('request.invalid', {
      detail: `The body names "${name}", the path "${path}".`,
      errors: [
        { pointer: at === '/spec' ? '/metadata/name' : '/name', detail: "must be the path's" },
      ],
    })
  }
  const found = path ?? name
  if (found !== null) return found
  throw new RekeyError('request.invalid', {
    detail: 'The policy has no name.',
    errors: [{ pointer: '/name', detail: 'is required' }],
  })
}

export const policyPut = (
  { before, resource }: PolicyWrite,
  {
    selected,
    assigned,
    demands,
  }: {
    readonly selected: number
    readonly assigned: Reassigned | null
    readonly demands: readonly Demand[]
  },
): LedgerEvent => ({
  action: 'policy.put',
  target: { id: resource.name, name: resource.name },
  outcome: 'succeeded',
  before: before && asJson(fieldsOf(before)),
  after: asJson({
    ...fieldsOf(resource),
    revision: resource.revision,
    keys: { selected, gained: assigned?.gained.count ?? 0, lost: assigned?.lost.count ?? 0 },
    weakens: demands.map(toldDemand),
  }),
})

/** The keys that changed hands, one event each for the first hundred; the policy's own event counts them all. */
export const policyChanges = (changed: Reassignment['changed']): readonly LedgerEvent[] =>
  changed.map(({ id, name, from, to }) => ({
    action: 'key.policyChanged',
    target: { id, name },
    outcome: 'succeeded',
    before: { policy: from },
    after: { policy: to },
  }))

const effectOf = (before: Policy | null, after: Policy) => {
  const [old, now] = [before && resolveStored(before), resolvePolicy(after.spec)]
  const enabled = now.enabled && !old?.enabled
  const moved =
    old !== null && (!sameJson(old.schedule, now.schedule) || old.maxAgeMs !== now.maxAgeMs)
  return {
    restarts: enabled || moved,
    // One that could not be read was not switched off by anybody.
    rotates: enabled && now.rotateOnEnable && old?.unusable === undefined,
    onlyWords: old !== null && sameJson(decisive(before, old), decisive(after, now)),
  }
}

/** What decides which keys a policy applies to, and when they are due. */
const decisive = (policy: Policy | null, resolved: ResolvedPolicy) => ({
  selector: policy?.spec.selector,
  priority: resolved.priority,
  enabled: resolved.enabled,
  schedule: resolved.schedule,
  maxAgeMs: resolved.maxAgeMs,
  rotateOnEnable: resolved.rotateOnEnable,
})

const fieldsOf = ({ labels, annotations, spec, managedBy }: Policy) => ({
  labels,
  annotations,
  spec,
  managedBy,
})

/** What the types of the selected keys, and the type that the selector names, cannot do. */
export const mustSuitTypes = (
  providers: Providers,
  { spec, at }: Pick<PolicyInput, 'spec' | 'at'>,
  { types }: Reassigned,
): readonly string[] => {
  const wanted = new Set([
    ...types.keys(),
    ...(spec.selector.type === undefined ? [] : [spec.selector.type]),
  ])
  const found = [...providers.values()].flatMap((provider) =>
    provider.types.filter(({ type }) => wanted.has(type)),
  )
  return found.flatMap((type) => policyMustSuit(spec, type, at))
}

/** Names that mean nothing yet: legal, since files come in any order, and probably not meant. */
const strangers = async (db: Reads, { spec }: PolicyInput): Promise<readonly string[]> => {
  const warnings: string[] = []
  const { connection } = spec.selector
  if (connection !== undefined && !(await db.connections.get(connection))) {
    warnings.push(`there is no connection ${connection}, so the selector matches nothing`)
  }
  for (const { sink } of spec.notify ?? []) {
    // oxlint-disable-next-line no-await-in-loop -- few, one connection
    if (!(await db.sinks.get(sink))) warnings.push(`there is no sink ${sink}, so nobody is told`)
  }
  return warnings
}

const mostCounted = 200

/** Exact up to a page; the audit event of the last change has the exact number. */
export const countSelected = async (db: Reads, policy: string): Promise<number> => {
  let count = 0
  let after: string | null = null
  do {
    // oxlint-disable-next-line no-await-in-loop -- a page names the next one
    const page: Awaited<ReturnType<Reads['keys']['list']>> = await db.keys.list(
      { policy },
      { limit: mostCounted, after },
    )
    count += page.items.length
    after = page.next
  } while (after !== null)
  return count
}
