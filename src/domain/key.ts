// Keys and their versions. States and edges: 3-domain.md "Version states" (NIST SP 800-57 names).
// The database holds the same edges in a trigger; a test keeps this table and that trigger equal.

import type { ManagedBy } from './connection.ts'
import type { Fingerprint } from './fingerprint.ts'
import type { JsonObject } from './json.ts'

export const versionEdges = {
  preActivation: ['active', 'compromised', 'destroyed'],
  active: ['suspended', 'deactivated', 'compromised'],
  suspended: ['active', 'deactivated', 'compromised'],
  deactivated: ['compromised', 'destroyed'],
  compromised: ['destroyed'],
  destroyed: [],
} as const satisfies Record<string, readonly string[]>

export type VersionState = keyof typeof versionEdges

export const versionStates = Object.keys(versionEdges) as readonly VersionState[]

export const mayBecome = (from: VersionState, to: VersionState): boolean =>
  (versionEdges[from] as readonly VersionState[]).includes(to)

export interface Version {
  readonly keyId: string
  readonly version: number
  readonly state: VersionState
  /** Handed out. At most one a key, and only while active. */
  readonly primary: boolean
  /** The provider's own versions that carry this one's material, oldest first; the last is the one in use. */
  readonly providerVersions: readonly string[]
  /** Whether Rekey can still get at the material (sealed here, or readable at the provider). */
  readonly materialKnown: boolean
  /** HMAC(pepper, SHA-256(material)), null where the material was never seen. */
  readonly fingerprint: Fingerprint | null
  /** Sealed material held by Rekey while it is needed; null otherwise. */
  readonly sealedId: string | null
  /** The rotation that made it; null for an adopted one. */
  readonly rotationId: string | null
  readonly verifiedAt: Date | null
  readonly createdAt: Date
  readonly activatedAt: Date | null
  readonly suspendedAt: Date | null
  readonly deactivatedAt: Date | null
  readonly compromisedAt: Date | null
  readonly destroyedAt: Date | null
}

export interface Key {
  readonly id: string
  readonly name: string
  readonly connection: string
  readonly type: string
  readonly ref: JsonObject
  /** Unique over the installation among keys that are not deleted. */
  readonly objectId: string
  readonly purpose: string
  readonly owner: string
  readonly environment: string
  readonly labels: Readonly<Record<string, string>>
  /** Consumers named on the key itself; a policy's selector may add others. */
  readonly consumers: readonly string[]
  /** Connections that may use this key as their credential. */
  readonly usableBy: readonly string[]
  readonly observe: 'native' | null
  readonly generate: JsonObject | null
  /** The policy that applies now, when it first selected the key, and null where none or several do. */
  readonly policy: string | null
  readonly policySelectedAt: Date | null
  readonly managedBy: ManagedBy
  readonly revision: number
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly deletedAt: Date | null
}
