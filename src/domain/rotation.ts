// One run that replaces a key's primary version: the record, the frozen plan, and what belongs to it.

import type { AuditAction } from './audit.ts'
import type { Json, JsonObject } from './json.ts'
import type { TypeTraits } from './provider.ts'
import type { ResolvedPolicy } from './policy.ts'
import type { Weakening } from './policy-strength.ts'
import type { Phase, UndoStepName } from './rotation-machine.ts'

export const triggers = ['schedule', 'maxAge', 'manual', 'incident', 'finding'] as const
export type Trigger = (typeof triggers)[number]

/** A place that gets the new value, frozen with the object that it names. */
export interface PublishTarget {
  readonly name: string
  readonly connection: string
  readonly type: string
  readonly ref: JsonObject
}

/** Frozen when the rotation is planned, under `planHash`. What is not in it is read live: pause, blackouts, notify, enabled, freeze. */
export interface RotationPlan {
  readonly key: {
    readonly id: string
    readonly name: string
    readonly connection: string
    readonly type: string
    readonly ref: JsonObject
  }
  readonly traits: TypeTraits
  /** With every floor of the key obeyed. */
  readonly policy: ResolvedPolicy
  /** What the floors made of the policy's text, when the rotation was planned. */
  readonly raised: readonly Weakening[]
  /** The object that `key.ref` names, for records. */
  readonly objectId: string
  /** The phases that this rotation goes through, in order, `planned` first and `completed` last. */
  readonly phases: readonly Phase[]
  readonly publish: readonly PublishTarget[]
  /** Consumers whose acknowledgement counts; removing one later does not shorten this list. */
  readonly consumers: readonly string[]
  readonly generate: JsonObject
  /** Approvers must not be this principal: who asked, or the policy's last author for a scheduled one. */
  readonly requester: { readonly id: string; readonly name: string }
  /** The group of `concurrency.groupBy`, and how many of it may be open. */
  readonly group: { readonly id: string; readonly max: number; readonly spacingMs: number }
  /** When the occurrence was meant to be (RFC 3339); its window counts from there. Null for manual ones. */
  readonly nominal: string | null
  /** Adopts nothing new: begins at overlapping to retire an adopted old version. */
  readonly retireOnly: boolean
}

/** Undo is a list made when it begins; `at` is the step under way. */
export interface UndoState {
  readonly from: Phase
  readonly steps: readonly UndoStep[]
  readonly at: number
  readonly reason: string
  /** On the observed clock, when the step began; absent: with the phase. */
  readonly sinceMs?: number
}
export type UndoStep = UndoStepName

export interface Rotation {
  readonly id: string
  readonly keyId: string
  readonly keyName: string
  readonly policy: string | null
  readonly policyRevision: number | null
  readonly plan: RotationPlan
  readonly planHash: string
  readonly phase: Phase
  /** Grows with every takeover; every write is guarded by it. */
  readonly epoch: number
  readonly trigger: Trigger
  readonly reason: string
  /** The nominal occurrence that this run answers; null for manual ones. Unique per key. */
  readonly occurrence: string | null
  readonly fromVersion: number | null
  readonly toVersion: number | null
  /** Pre-image of preflight: probe ciphertexts and the like. */
  readonly preImage: JsonObject
  /** Where a stalled rotation goes on, and why it stopped. */
  readonly stalledIn: Phase | null
  readonly stalledReason: string | null
  readonly undo: UndoState | null
  /** The value of the observed clock (ms) when the present phase began. */
  readonly phaseObservedMs: number
  readonly phaseEnteredAt: Date
  /** When the present passage through the gates began: with every phase that is entered, but not with the step from
   *  `overlapping` to the switching off that follows it. What people overrode counts for the passage in which they said it. */
  readonly passageAt: Date
  readonly promotedAt: Date | null
  readonly createdAt: Date
  readonly endedAt: Date | null
}

/** The part that changes without an audit event: it lives in a table of its own. */
export interface RotationTimer {
  readonly rotationId: string
  readonly dueAt: Date | null
  readonly leaseOwner: string | null
  readonly leaseUntil: Date | null
  readonly progress: Progress | null
  readonly waitingFor: WaitingFor | null
}

/** What the present visit of a phase has come to. It says when something is done next and when to give up, never what:
 *  losing it repeats reads. Void once the phase is left. */
export interface Progress {
  /** When the phase was entered (RFC 3339): progress of another visit does not count. */
  readonly visit: string
  /** Failed tries in a row, and of what. */
  readonly tries?: { readonly of: string; readonly count: number }
  /** Uses in a row that the new version has passed. */
  readonly confirmed?: number
  /** Looks in a row that found no trace of an effect, each late enough to count. */
  readonly absent?: { readonly operationId: string; readonly seen: number }
  /** Alerts about missing acknowledgements. */
  readonly alerts?: number
}

export const gates = [
  'recovery',
  'approval',
  'window',
  'blackout',
  'freeze',
  'pause',
  'group',
  'limit',
  'propagation',
  'overlap',
  'acknowledgement',
  'usage',
  'soak',
  'retry',
  'probe',
  'person',
] as const
export type Gate = (typeof gates)[number]

export interface WaitingFor {
  readonly gate: Gate
  readonly since: string
  readonly until?: string
  /** What is missing: names of consumers, roles, … */
  readonly missing: readonly string[]
  readonly text: string
}

export const intentOutcomes = ['succeeded', 'failed', 'unknown'] as const
/** `null`: no outcome is recorded, the request may be under way or its sender may be dead. */
export type IntentOutcome = (typeof intentOutcomes)[number] | null

/** The effects that touch a provider. Each has its audit action. */
export const effects = {
  create: 'effect.create',
  mint: 'effect.mint',
  distribute: 'effect.distribute',
  promote: 'effect.promote',
  suspend: 'effect.suspend',
  reinstate: 'effect.reinstate',
  retire: 'effect.retire',
  removeNew: 'effect.removeNew',
  restoreTarget: 'effect.restoreTarget',
  swapBack: 'effect.swapBack',
  notify: 'effect.notify',
} as const satisfies Record<string, AuditAction>
export type Effect = keyof typeof effects

/** One effect on the outside, committed before it is sent. */
export interface Intent {
  /** `<rotation>:<phase>[:<target>]:<attempt>`; for the creation of an object `<key>:create:<attempt>`; of an incident
   *  `<incident>:<key>:<contain or restore>:<target>:<attempt>`. */
  readonly operationId: string
  readonly rotationId: string | null
  readonly incidentId: string | null
  readonly keyId: string
  readonly phase: string
  readonly target: string | null
  readonly attempt: number
  readonly effect: Effect
  readonly preImage: JsonObject
  readonly sealedId: string | null
  /** The request cannot take effect after this moment of the database's clock. */
  readonly sentNotAfter: Date
  readonly outcome: IntentOutcome
  /** True once the outcome is final; `unknown` ones stay open until a probe decides. */
  readonly closed: boolean
  readonly result: Json
  readonly detail: string | null
  /** The audit event of the intent: the outcome names it as its cause. */
  readonly eventId: string
  readonly startedAt: Date
  readonly endedAt: Date | null
}

export interface Approval {
  readonly rotationId: string
  readonly kind: 'approval' | 'override'
  /** For an override, the gate that it passes and the phase in which it was said. */
  readonly gate: Gate | null
  readonly phase: Phase
  /** The rotation's passage when it was said. */
  readonly passageAt: Date
  readonly principalId: string
  readonly principalName: string
  readonly approver: boolean
  readonly reason: string
  readonly at: Date
}

export interface Acknowledgement {
  readonly keyId: string
  readonly consumer: string
  readonly version: number
  readonly rotationId: string
  readonly evidence: string | null
  readonly principalId: string
  readonly at: Date
}
