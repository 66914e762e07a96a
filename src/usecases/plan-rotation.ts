// Opening a rotation: the plan is frozen here, under a hash, from the key, its policy and its type's declaration.
// Two people, or a person and a timer, may try at once: the database allows one open rotation a key.

import type { Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import { floorsFor, tighten } from '#domain/floor.ts'
import type { Json, JsonObject } from '#domain/json.ts'
import type { Key, Version } from '#domain/key.ts'
import { formatDuration } from '#domain/duration.ts'
import { defaultPolicy, type ResolvedPolicy, resolveStored } from '#domain/policy.ts'
import type { PolicySpec } from '#domain/policy-schema.ts'
import { weakenings } from '#domain/policy-strength.ts'
import { checkPolicyAgainstType } from '#domain/policy-type-rules.ts'
import type { HashJson, LedgerEvent, Reads, Tx } from '#domain/ports.ts'
import { type KeyType, typeFor } from '#domain/provider.ts'
import type { PublishTarget, Rotation, RotationPlan, Trigger } from '#domain/rotation.ts'
import { phasesOf } from '#domain/rotation-machine.ts'
import { isConsumerOf } from './consumers-of-key.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import { mustBeFree } from './standby.ts'

export interface PlanDeps {
  readonly types: ReadonlyMap<string, KeyType>
  readonly hashJson: HashJson
}

/** The part of the database that a plan is drawn from beside what is handed in. */
export interface PlanReads {
  readonly consumers: Pick<Reads['consumers'], 'all'>
  readonly floors: Pick<Reads['floors'], 'get'>
  readonly versions: Pick<Reads['versions'], 'of'>
}

export interface PlanRequest {
  readonly key: Key
  readonly policy: Policy | null
  readonly from: Version | null
  readonly trigger: Trigger
  readonly reason: string
  readonly requester: { readonly id: string; readonly name: string }
  readonly occurrence: string | null
  readonly nominal: Date | null
  /** Only retires `from`, an adopted version. */
  readonly retireOnly?: boolean
}

/** The rotation as it would be opened; nothing is written. Throws `request.impossible`, or a code of policies, where the type or
 *  the policy forbids it. */
export const planRotation = async (
  deps: PlanDeps,
  db: PlanReads,
  request: PlanRequest,
  id: string,
  now: Date,
): Promise<Rotation> => {
  const { key, policy, from } = request
  const declared = deps.types.get(key.type)
  if (!declared)
    throw new RekeyError('request.impossible', { detail: `no provider has the type ${key.type}` })
  const type = typeFor(declared, key.ref)
  const obeyed = await obeyFloors(db, key, policy)
  const urgent = request.trigger === 'incident'
  const raised = urgent ? [] : obeyed.raised
  const resolved = urgent ? inEmergency(obeyed.resolved) : obeyed.resolved
  checkPossible(key, type, policy, { resolved, raised, from })
  if (type.traits.slot === 'pair' && !request.retireOnly) mustBeFree(await db.versions.of(key.id))
  const publish = publishTargets(resolved)
  const shape = {
    traits: type.traits,
    retire: resolved.retire,
    approvals: resolved.approval.required,
    publishes: publish.length > 0,
    // In an emergency the incident itself ends what is replaced.
    hasOld: from !== null && !urgent,
    retireOnly: request.retireOnly ?? false,
  }
  const plan: RotationPlan = {
    key: { id: key.id, name: key.name, connection: key.connection, type: key.type, ref: key.ref },
    traits: type.traits,
    policy: resolved,
    raised,
    nominal: request.nominal?.toISOString() ?? null,
    objectId: key.objectId,
    phases: phasesOf(shape),
    publish,
    consumers: await requiredConsumers(db, key, resolved),
    // What the policy says wins over what the key was registered with.
    generate: { ...key.generate, ...(resolved.generate as JsonObject) },
    requester: request.requester,
    group: groupOf(key, urgent ? null : policy, resolved),
    retireOnly: shape.retireOnly,
  }
  return {
    id,
    keyId: key.id,
    keyName: key.name,
    policy: policy?.name ?? null,
    policyRevision: policy?.revision ?? null,
    plan,
    planHash: deps.hashJson(plan as unknown as Json),
    phase: 'planned',
    epoch: 1,
    trigger: request.trigger,
    reason: request.reason,
    occurrence: request.occurrence,
    fromVersion: from?.version ?? null,
    toVersion: null,
    preImage: {},
    stalledIn: null,
    stalledReason: null,
    undo: null,
    phaseObservedMs: 0,
    phaseEnteredAt: now,
    passageAt: now,
    promotedAt: null,
    createdAt: now,
    endedAt: null,
  }
}

/** Writes a planned rotation; it is rung for after the commit. */
export const openRotation = async (tx: Tx, rotation: Rotation): Promise<LedgerEvent> => {
  await mustWriteProviders(tx)
  await tx.writeRotation.insert(rotation)
  // What a person starts does not queue behind a fleet.
  const byTime = rotation.trigger === 'schedule' || rotation.trigger === 'maxAge'
  const lane = byTime ? (rotation.policy ?? '') : rotation.trigger === 'incident' ? ' incident' : ''
  await tx.writeTimer.set(rotation.id, { dueNow: true, progress: null, waitingFor: null, lane })
  return {
    action: 'rotation.planned',
    target: { id: rotation.id, name: rotation.keyName },
    outcome: 'succeeded',
    correlationId: rotation.id,
    reason: rotation.reason,
    after: {
      key: rotation.keyName,
      keyId: rotation.keyId,
      policy: rotation.policy,
      policyRevision: rotation.policyRevision,
      trigger: rotation.trigger,
      occurrence: rotation.occurrence,
      planHash: rotation.planHash,
      fromVersion: rotation.fromVersion,
      phases: rotation.plan.phases,
      raised: rotation.plan.raised.map(({ pointer, from, to }) => ({ pointer, from, to })),
    },
  }
}

/** Nothing is waited for, and nobody asked once more: the incident was approved. */
const inEmergency = (policy: ResolvedPolicy): ResolvedPolicy => ({
  ...policy,
  overlap: { ...policy.overlap, minMs: 0, unusedForMs: 0 },
  soakMs: 0,
  retire: 'keep',
  acceptGap: true,
  approval: { ...policy.approval, required: 0 },
  consumers: { ...policy.consumers, acknowledgement: null },
})

/** The stricter of what the policy says and what the floors of the key ask for now. */
const obeyFloors = async (db: PlanReads, key: Key, policy: Policy | null) => {
  const said = policy ? resolveStored(policy) : defaultPolicy
  const resolved = tighten(said, floorsFor((await db.floors.get()).items, key.labels))
  return {
    resolved,
    raised: weakenings(resolved, said).map(({ from, to, pointer }) => ({
      pointer,
      from: to,
      to: from,
    })),
  }
}

const checkPossible = (
  key: Key,
  type: KeyType,
  policy: Policy | null,
  {
    resolved,
    raised,
    from,
  }: {
    readonly resolved: ResolvedPolicy
    readonly raised: RotationPlan['raised']
    readonly from: Version | null
  },
): void => {
  if (policy && resolved.unusable !== undefined) {
    throw new RekeyError('policy.impossible', {
      detail: `the policy ${policy.name} cannot be followed: ${resolved.unusable}`,
      hint: 'put the policy again',
    })
  }
  if (key.observe === 'native') {
    throw new RekeyError('key.observed', {
      detail: 'the provider rotates this key by itself; Rekey only watches',
      hint: 'remove observe: native to let Rekey rotate it',
    })
  }
  const [issue] = checkPolicyAgainstType(asRaised(policy?.spec ?? byHand, resolved), type).issues
  if (issue) {
    const floor = raised.find(({ pointer }) => pointer === issue.pointer)
    const hint = floor ? `a floor asks for ${floor.to}: GET /v1/floors` : issue.hint
    throw new RekeyError(issue.code, {
      detail: issue.detail,
      ...(hint === undefined ? {} : { hint }),
    })
  }
  // What its ref says cannot be switched off cannot be left switched off. People end a credential otherwise.
  if (type.suspends && !type.traits.suspend && !type.byHand && resolved.retire === 'disable') {
    throw new RekeyError('policy.impossible', {
      detail: `${key.name} cannot be switched off: there is no retire: disable for it`,
      hint: 'write retire: keep, or retire: destroy with approval.required of at least 1',
    })
  }
  const { slot, undo } = type.traits
  // Where nothing is ever undone, nobody would set it again.
  if (slot === 'single' && undo !== 'none' && from && !from.materialKnown) {
    throw new RekeyError('request.impossible', {
      detail: 'the present value is not known, so that it could not be set again',
      hint: 'adopt the key with its value first',
    })
  }
}

/** The text as the floors make it, in the fields that a type may not be able to follow. */
const asRaised = (spec: PolicySpec, { overlap, retire, acceptGap, approval }: ResolvedPolicy) => ({
  ...spec,
  retire,
  acceptGap,
  approval,
  overlap: {
    min: formatDuration(overlap.minMs),
    unusedFor: formatDuration(overlap.unusedForMs),
  },
})

/** A key without a policy rotates under the defaults, when a person says so. */
const byHand: PolicySpec = { selector: {}, manual: true }

const publishTargets = (policy: ResolvedPolicy): readonly PublishTarget[] =>
  policy.publish.map(({ name, connection, type, ref }) => {
    if (connection === undefined) {
      throw new RekeyError('request.impossible', {
        detail: `publish target ${name} of type ${type} cannot be written yet`,
        hint: 'publish to an object at a connection',
      })
    }
    return { name, connection, type, ref: ref as JsonObject }
  })

/** Those that the policy selects, those that the key names, and those that name the key. Empty where no acknowledgement is asked. */
const requiredConsumers = async (
  db: PlanReads,
  key: Key,
  policy: ResolvedPolicy,
): Promise<readonly string[]> => {
  if (!policy.consumers.acknowledgement) return []
  const selected = (await db.consumers.all()).filter((consumer) =>
    isConsumerOf(consumer, key, policy),
  )
  return [...new Set([...selected.map(({ name }) => name), ...key.consumers])].toSorted()
}

const groupOf = (
  key: Key,
  policy: Policy | null,
  resolved: ResolvedPolicy,
): RotationPlan['group'] => {
  const { max, groupBy, minimumSpacingMs } = resolved.concurrency
  if (!policy) return { id: `key:${key.id}`, max: 1, spacingMs: 0 }
  const member = groupBy === null ? '' : `/${groupBy}=${key.labels[groupBy] ?? ''}`
  return { id: `policy:${policy.name}${member}`, max, spacingMs: minimumSpacingMs }
}
