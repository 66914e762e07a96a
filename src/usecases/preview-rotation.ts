// What a rotation would do, told before anybody starts it: the frozen plan call by call, what would hold it now, and what the
// provider says when it is asked. Reads only: `prepare`, `check` and `describe` write nothing (domain/provider.ts).

import { formatDuration } from '#domain/duration.ts'
import type { ErrorCode } from '#domain/errors.ts'
import { type Fire, nextFires } from '#domain/fires.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Clock, Ledger, Reads, Sessions, Timers } from '#domain/ports.ts'
import {
  type Check,
  type KeyType,
  ProviderError,
  type Session,
  type TypeTraits,
} from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { machine, type Phase, undoSteps, type UndoStepName } from '#domain/rotation-machine.ts'
import { asCheck } from './provider-failures.ts'
import { refusalToPublish } from './publish-effects.ts'
import { targetAddress } from './publish-place.ts'
import { addressOf } from './registration.ts'
import { type Hold, holdsOf } from './rotation-holds.ts'

export interface PreviewDeps {
  readonly ledger: Ledger
  readonly sessions: Pick<Sessions, 'open'>
  readonly types: ReadonlyMap<string, KeyType>
  readonly timers: Timers
  readonly clock: Pick<Clock, 'deadline'>
}

export interface RotationPreview {
  /** Every call that writes at a provider, in order. */
  readonly calls: readonly PlannedCall[]
  /** Times that pass between them. */
  readonly waits: readonly { readonly phase: Phase; readonly text: string }[]
  readonly approvals: { readonly required: number; readonly roles: readonly string[] }
  /** How the type holds versions. */
  readonly slot: TypeTraits['slot']
  /** Whether readers are without a working version for a moment. */
  readonly gap: boolean
  /** What would keep it from writing now; null: nothing. */
  readonly hold: Hold | null
  readonly consumers: readonly {
    readonly name: string
    /** When it acknowledged the version that is replaced; null: it did not. */
    readonly acknowledged: Date | null
  }[]
  readonly provider: ProviderAnswers
  /** The next occurrences of its policy, in the policy's own zone. */
  readonly next: readonly Fire[]
}

export interface PlannedCall {
  readonly phase: Phase
  readonly call: 'mint' | 'publish' | 'promote' | 'suspend' | 'retire'
  readonly object: string
  readonly connection: string
  /** What undo would do from here; `cancel`, `impossible` and `late` as the machine says. */
  readonly undo: readonly UndoStepName[] | 'cancel' | 'impossible' | 'late'
}

export interface ProviderAnswers {
  /** The rights that it needs, one by one: on its object, and as `TARGET: …` on each place that gets the new value. */
  readonly checks: readonly Check[]
  /** Sentences: what is risky here. */
  readonly risks: readonly string[]
  /** What the provider tells of the object: limits left, rotation by itself, … */
  readonly facts: JsonObject
  /** Versions that are not destroyed there, and how many the type allows (null: as many as one likes). Null where the provider
   *  did not say. */
  readonly versions: { readonly living: number; readonly most: number | null } | null
}

const nothing: ProviderAnswers = { checks: [], risks: [], facts: {}, versions: null }

const deadlineMs = 20_000
const occurrences = 5

export const previewRotation = async (
  deps: PreviewDeps,
  rotation: Rotation,
): Promise<RotationPreview> => {
  const { policy, traits, phases } = rotation.plan
  const found = await deps.ledger.read((db) => look(db, rotation))
  const now = await deps.timers.now()
  return {
    calls: callsOf(rotation),
    waits: waitsOf(rotation),
    approvals: phases.includes('awaitingApproval')
      ? policy.approval
      : { required: 0, roles: policy.approval.roles },
    slot: traits.slot,
    gap: traits.slot === 'single',
    hold: await holdsOf(deps, rotation),
    consumers: found.consumers,
    provider: await ask(deps, rotation, found),
    next: nextFires(policy, rotation.keyId, now, occurrences),
  }
}

interface Found {
  readonly key: Key | null
  readonly current: string | null
  readonly consumers: RotationPreview['consumers']
}

const look = async (
  db: Pick<Reads, 'keys' | 'versions' | 'acknowledgements'>,
  { keyId, fromVersion, plan }: Rotation,
): Promise<Found> => {
  const from = fromVersion === null ? null : await db.versions.get(keyId, fromVersion)
  const told = fromVersion === null ? [] : await db.acknowledgements.of(keyId, fromVersion)
  return {
    key: await db.keys.byId(keyId),
    current: from?.providerVersions.at(-1) ?? null,
    consumers: plan.consumers.map((name) => ({
      name,
      acknowledged: told.find(({ consumer }) => consumer === name)?.at ?? null,
    })),
  }
}

const callsOf = ({ plan }: Rotation): readonly PlannedCall[] => {
  const { key, objectId, traits, publish, phases } = plan
  const at = (phase: Phase, call: PlannedCall['call'], minted = true): PlannedCall => ({
    phase,
    call,
    object: objectId,
    connection: key.connection,
    undo: undoSteps(phase, traits, minted),
  })
  return phases
    .filter((phase) => machine[phase].writes)
    .flatMap((phase): readonly PlannedCall[] => {
      switch (phase) {
        case 'minting':
          return [at(phase, 'mint')]
        case 'distributing':
          return publish.map(({ name, connection }) => ({
            ...at(phase, 'publish'),
            object: name,
            connection,
          }))
        case 'promoting':
          // Elsewhere promoting is a transaction of our own.
          return traits.staging === 'native' ? [at(phase, 'promote')] : []
        case 'suspending':
          return [at(phase, 'suspend')]
        case 'retiring':
          return plan.policy.retire === 'keep' ? [] : [at(phase, 'retire')]
        default:
          return []
      }
    })
}

const waitsOf = ({ plan }: Rotation): RotationPreview['waits'] => {
  const { policy, phases, traits, consumers } = plan
  const { overlap, soakMs } = policy
  const { acknowledgement } = policy.consumers
  const waits: { readonly phase: Phase; readonly text: string; readonly there: boolean }[] = [
    {
      phase: 'verifying',
      text: `the new version is used ${traits.consistency.confirmations} times over ${formatDuration(traits.consistency.delayMs)}`,
      there: traits.consistency.delayMs > 0,
    },
    {
      phase: 'overlapping',
      text: `both versions stay valid for ${formatDuration(overlap.minMs)}`,
      there: overlap.minMs > 0,
    },
    {
      phase: 'overlapping',
      text: `the old version must be seen unused for ${formatDuration(overlap.unusedForMs)}`,
      there: overlap.unusedForMs > 0,
    },
    {
      phase: 'overlapping',
      text: `${acknowledgement?.required === 'any' ? 'one' : 'each'} of its consumers must acknowledge`,
      there: acknowledgement !== null && consumers.length > 0,
    },
    {
      phase: 'soaking',
      text: `the old version stays off for ${formatDuration(soakMs)} before it is retired`,
      there: soakMs > 0,
    },
  ]
  return waits
    .filter(({ phase, there }) => there && phases.includes(phase))
    .map(({ phase, text }) => ({ phase, text }))
}

/** Of the key's own object, and of every place that gets the new value. */
const ask = async (
  deps: PreviewDeps,
  rotation: Rotation,
  { key, current }: Found,
): Promise<ProviderAnswers> => {
  if (key === null) return nothing
  const signal = deps.clock.deadline(deadlineMs)
  const own = await answered(async () => {
    const session = await sessionOf(deps, rotation.plan.key.connection)
    const object = addressOf(key)
    const checks = await session.check({ signal }, [object])
    const { facts, versions } = await session.describe(object, { signal })
    const { risks } = await session.prepare(object, current, { signal })
    const living = versions.filter(({ state }) => state !== 'destroyed').length
    const most = rotation.plan.traits.limits.maxLiveVersions ?? null
    return { checks, risks, facts, versions: { living, most } }
  })
  const targets = await Promise.all(
    rotation.plan.publish.map((target) =>
      answered(async () => {
        const refusal = await deps.ledger.read((db) =>
          refusalToPublish(db, deps.types, rotation, target),
        )
        if (refusal) throw refusal
        const session = await sessionOf(deps, target.connection)
        const checks = await session.check({ signal }, [targetAddress(target, key.id)])
        return { ...nothing, checks }
      }).then(({ checks }) =>
        checks.map((check) => ({ ...check, name: `${target.name}: ${check.name}` })),
      ),
    ),
  )
  return { ...own, checks: [...own.checks, ...targets.flat()] }
}

const sessionOf = async (deps: PreviewDeps, name: string): Promise<Session> => {
  const connection = await deps.ledger.read((db) => db.connections.get(name))
  if (connection === null)
    throw new ProviderError('precondition', 'none', `the connection ${name} does not exist`)
  return deps.sessions.open(connection)
}

/** That the provider refuses, or does not answer, is an answer here: it is what was asked. */
const answered = async (work: () => Promise<ProviderAnswers>): Promise<ProviderAnswers> => {
  try {
    return await work()
  } catch (error) {
    const check = asCheck(error, (code) => named[code] ?? 'reachable')
    return { ...nothing, checks: [check] }
  }
}
const named: Partial<Record<ErrorCode, string>> = {
  'provider.unauthorized': 'allowed',
  'provider.rejected': 'accepted',
  'key.noObject': 'exists',
  'key.versionUnusable': 'usable',
}
