// An emergency: a set of key versions, what is done with each, and how far that came. The record, not the doing.

import type { Role } from './actor.ts'
import type { VersionState } from './key.ts'
import type { TakenPlaybook } from './playbook.ts'

export const severities = ['low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof severities)[number]

/**
 * disable      switched off and proven; one call brings it back
 * rotateFast   a new version is made and handed out first, then the old one is revoked
 * revokeFirst  revoked and proven, then a new version: an outage, as the preview says
 * revokeOnly   revoked and proven
 */
export const incidentModes = ['disable', 'rotateFast', 'revokeFirst', 'revokeOnly'] as const
export type IncidentMode = (typeof incidentModes)[number]

/**
 * draft             nothing is frozen yet
 * previewed         set and actions are frozen under a hash, and nobody's word is missing
 * awaitingApproval  the same, and somebody else has to agree
 * executing         something is pending: of the execution, a retry or a restoration
 * contained         at rest: every version is refused and, where the mode replaces, replaced
 * partly            at rest, and something failed or could not be proven
 * closed            for ever
 */
export const incidentEdges = {
  draft: ['previewed', 'awaitingApproval', 'closed'],
  previewed: ['awaitingApproval', 'executing', 'closed'],
  awaitingApproval: ['previewed', 'executing', 'closed'],
  executing: ['contained', 'partly'],
  contained: ['executing', 'partly', 'closed'],
  partly: ['executing', 'contained', 'closed'],
  closed: [],
} as const satisfies Record<string, readonly string[]>
export type IncidentState = keyof typeof incidentEdges
export const incidentStates = Object.keys(incidentEdges) as readonly IncidentState[]

/**
 * Of one version. `refused`: tried with the old credential and refused. `refusedAfter`: caches may know it until then, and it
 * is tried again at that time. `unproven`: nothing can be tried. `failed`: it could not be sent, or is accepted still.
 * What failed or is unproven becomes pending again by another execution; what was refused, where something that was under way
 * has switched it on since.
 */
export const containmentEdges = {
  pending: ['revoking', 'refused', 'refusedAfter', 'unproven', 'failed'],
  revoking: ['refused', 'refusedAfter', 'unproven', 'failed'],
  refused: ['pending', 'unproven', 'restored'],
  refusedAfter: ['pending', 'refused', 'unproven', 'failed', 'restored'],
  unproven: ['pending', 'restored'],
  failed: ['pending', 'restored'],
  restored: [],
} as const satisfies Record<string, readonly string[]>
export type ContainmentState = keyof typeof containmentEdges

/** Of a key: the worst of its versions, then the replacement. */
export const incidentKeyEdges = {
  pending: ['revoking', 'replacing', 'refused', 'refusedAfter', 'unproven', 'failed', 'replaced'],
  revoking: ['replacing', 'refused', 'refusedAfter', 'unproven', 'failed', 'replaced'],
  replacing: ['pending', 'revoking', 'refused', 'refusedAfter', 'unproven', 'failed', 'replaced'],
  refused: ['pending', 'unproven', 'replacing', 'replaced', 'restored'],
  refusedAfter: ['pending', 'refused', 'unproven', 'failed', 'replacing', 'replaced', 'restored'],
  unproven: ['pending', 'revoking', 'replacing', 'replaced', 'restored'],
  failed: ['pending', 'revoking', 'replacing', 'replaced', 'restored'],
  replaced: ['pending', 'revoking', 'refused', 'unproven', 'failed'],
  restored: [],
} as const satisfies Record<string, readonly string[]>
export type IncidentKeyState = keyof typeof incidentKeyEdges

/** What is asked for. All that is given must hold; a list holds if one of it does. At least one field. */
export interface IncidentSelector {
  readonly keys?: readonly string[]
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly connections?: readonly string[]
  readonly providers?: readonly string[]
  readonly owner?: string
  readonly environment?: string
  readonly consumer?: string
  readonly policy?: string
  /** Exactly these. A pasted secret becomes these: its digest is looked up when the incident is opened, and never stored. */
  readonly versions?: readonly { readonly key: string; readonly version: number }[]
  /** Of the versions. */
  readonly createdAfter?: string
  readonly createdBefore?: string
  /** Of a key that is a pair: both halves, though one is meant; or only what is meant. Left out: both. */
  readonly pairs?: (typeof pairChoices)[number]
}

/** Whoever was where one half is used has seen both: in turn they are in the same place. */
export const pairChoices = ['both', 'meant'] as const

/**
 * What is sent for one version; frozen in the preview.
 * suspend       one call brings it back
 * destroy       only where nothing less makes the provider refuse it
 * switchOffKey  the whole key: its provider knows nothing smaller
 * replace       nothing is sent beforehand: its replacement takes its place, and nothing else ends it
 * byHand        a person does it, and confirms
 * none          nothing would help, or nothing is left to do
 */
export const containments = [
  'suspend',
  'destroy',
  'switchOffKey',
  'replace',
  'byHand',
  'none',
] as const
export type Containment = (typeof containments)[number]

export interface ContainedVersion {
  readonly version: number
  /** When it was previewed. */
  readonly state: VersionState
  readonly primary: boolean
  readonly providerVersions: readonly string[]
  readonly containment: Containment
  readonly reversible: boolean
  /** The proof that can be had. */
  readonly expect: 'refused' | 'refusedAfter' | 'unproven'
  /** A sentence where it is not the plain case. */
  readonly why: string | null
}

/**
 * contain   the versions that it has are ended, and tried
 * replace   it gets the new password, which is handed out
 * serve     it has what is handed out from then on
 * nothing   it has none that is meant
 */
export const halfEffects = ['contain', 'replace', 'serve', 'nothing'] as const

export interface HalfStep {
  readonly half: string
  readonly does: (typeof halfEffects)[number]
  /** Those of one number are done at the same time; null: nothing is done. */
  readonly step: number | null
  readonly versions: readonly number[]
}

export interface ContainedKey {
  readonly keyId: string
  readonly key: string
  readonly type: string
  readonly connection: string
  readonly objectId: string
  readonly versions: readonly ContainedVersion[]
  /** What serves afterwards. */
  readonly replacement: 'none' | 'existing' | 'openRotation' | 'new'
  readonly replacementVersion: number | null
  readonly openRotation: string | null
  /** `slot: pair`: what is done to its halves, in this order; left out for all others. */
  readonly halves?: readonly HalfStep[]
  /** The connections that log in with it. */
  readonly losesAccess: readonly string[]
  readonly approvals: number
  /** Revisions that must be the same when it is executed: what was written since makes another preview. */
  readonly basis: {
    readonly key: number
    readonly connection: number
    /** Where the connection's requests go: while it is the same, what was executed may be tried again, or restored. */
    readonly address: string
    readonly policy: { readonly name: string; readonly revision: number } | null
  }
  readonly warnings: readonly string[]
}

export interface IncidentPreview {
  /** SHA-256 over mode and `keys`: not over times. */
  readonly hash: string
  readonly at: Date
  readonly expiresAt: Date
  /** The most dangerous first. */
  readonly keys: readonly ContainedKey[]
  readonly consumers: readonly string[]
  readonly warnings: readonly string[]
  readonly approvalsNeeded: number
}

interface Principal {
  readonly id: string
  readonly name: string
}

export interface Incident {
  readonly id: string
  readonly title: string
  readonly severity: Severity
  readonly mode: IncidentMode
  readonly reason: string
  readonly selector: IncidentSelector
  readonly state: IncidentState
  readonly revision: number
  readonly openedBy: Principal
  readonly commander: string | null
  /** The token by which it is worked on, where that is one to break glass with. */
  readonly breakGlass: string | null
  /** What people do beside it, step by step. */
  readonly playbook: TakenPlaybook | null
  /** The last one, without its keys. */
  readonly preview: PreviewMark | null
  readonly execution: { readonly hash: string; readonly at: Date; readonly by: Principal } | null
  /** When it came to rest, the last time. */
  readonly settledAt: Date | null
  readonly closed: { readonly at: Date; readonly by: string; readonly reason: string } | null
  readonly review: { readonly at: Date; readonly by: Principal; readonly text: string } | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface PreviewMark {
  readonly hash: string
  /** RFC 3339. */
  readonly at: string
  readonly expiresAt: string
  readonly by: Principal
  readonly approvalsNeeded: number
  readonly keys: number
}

export interface IncidentKey {
  readonly incidentId: string
  readonly keyId: string
  readonly key: string
  readonly connection: string
  /** The most dangerous one is 0. */
  readonly position: number
  readonly plan: ContainedKey
  readonly state: IncidentKeyState
  /** Null: the mode replaces nothing. `failed`: its rotation ended without a new version in use. */
  readonly replacement: 'pending' | 'running' | 'done' | 'failed' | null
  readonly rotationId: string | null
  readonly restoration: 'asked' | 'done' | 'failed' | null
  /** What was under way when it was contained, and may switch a version of it on again, has landed by then or never does: the
   *  key is looked at once more. Null: nothing was, or that was done. */
  readonly lateUntil: Date | null
  /** A sentence. */
  readonly detail: string | null
  readonly updatedAt: Date
}

/** What happened to one version: the evidence. */
export interface VersionEvidence {
  readonly incidentId: string
  readonly keyId: string
  readonly version: number
  readonly containment: Containment
  readonly state: ContainmentState
  /** When the containment was sent. */
  readonly requestedAt: Date | null
  /** When the provider had said that it is done. */
  readonly effectiveAt: Date | null
  /** When the old credential was tried and refused. */
  readonly provenAt: Date | null
  /** What was tried. */
  readonly operation: string | null
  /** The error that the refusal came with. */
  readonly code: string | null
  readonly refusedAfter: Date | null
  /** A sentence of ours. */
  readonly detail: string | null
  readonly operationId: string | null
  /** The receipt. */
  readonly auditEventId: string | null
}

export interface IncidentApproval {
  readonly incidentId: string
  readonly previewHash: string
  readonly principalId: string
  readonly principalName: string
  readonly roles: readonly Role[]
  readonly at: Date
}

export const noteKinds = ['fact', 'hypothesis', 'note'] as const

export interface IncidentNote {
  readonly id: string
  readonly incidentId: string
  readonly kind: (typeof noteKinds)[number]
  readonly text: string
  /** The note that this one takes the place of. */
  readonly corrects: string | null
  readonly principalId: string
  readonly principalName: string
  readonly at: Date
}
