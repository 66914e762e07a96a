// Configured accounts and the other records that are not keys or rotations.

import type { Role, Scope } from './actor.ts'
import type { JsonObject } from './json.ts'
import type { Selector } from './names.ts'
import type { PolicySpec } from './policy.ts'

/** Where a connection's credential comes from. A value that was sent in is sealed on arrival and never returned. */
export type CredentialRef =
  | { readonly from: 'none' }
  | { readonly from: 'default' }
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'key'; readonly key: string }
  | { readonly from: 'value'; readonly sealedId: string }

/** Keys with these labels may use objects whose id matches one of the globs. */
export interface Grant {
  readonly matchLabels: Readonly<Record<string, string>>
  readonly refs: readonly string[]
}

/** The owner of the files that a resource came from (`status.owner` in the API): only plans of that owner change or prune it.
 *  Null for what was written by hand. */
export type ManagedBy = string | null

export interface Connection {
  readonly name: string
  readonly provider: string
  readonly settings: JsonObject
  readonly credential: CredentialRef
  readonly grants: readonly Grant[]
  readonly labels: Readonly<Record<string, string>>
  readonly managedBy: ManagedBy
  /** Made by Rekey when the connection is, and never by a caller: what a role to be assumed asks for, so that nobody makes
   *  Rekey assume a role that trusts another connection (the confused deputy). */
  readonly externalId: string
  readonly revision: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface Policy {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: PolicySpec
  readonly revision: number
  /** The principal who wrote this revision: the requester of the rotations that it schedules. */
  readonly author: { readonly id: string; readonly name: string }
  readonly managedBy: ManagedBy
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface Consumer {
  readonly name: string
  readonly owner: string
  readonly labels: Readonly<Record<string, string>>
  /** Names of the keys that it uses beside those that its labels give it. */
  readonly keys: readonly string[]
  readonly reload: { readonly webhook: string; readonly sealedId: string } | null
  readonly managedBy: ManagedBy
  readonly revision: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface Sink {
  readonly name: string
  readonly type: 'webhook'
  readonly url: string
  /** The sealed signing secret (`whsec_…`). */
  readonly sealedId: string
  /** Null: all that sinks may tell. */
  readonly events: readonly string[] | null
  /** Set when the receiver answered 410 or a person switched it off. */
  readonly disabledReason: string | null
  readonly revision: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** The one freeze switch, or none. */
export interface Freeze {
  readonly until: Date
  readonly reason: string
  readonly selector: Selector | null
  readonly setBy: string
  readonly revision: number
  readonly updatedAt: Date
}

export const apiKeyTypes = ['pat', 'svc', 'ack', 'brk'] as const
export type ApiKeyType = (typeof apiKeyTypes)[number]

export interface ApiKey {
  readonly id: string
  readonly name: string
  readonly type: ApiKeyType
  readonly roles: readonly Role[]
  readonly scope: Scope | null
  readonly consumer: string | null
  readonly keys: readonly string[] | null
  readonly addresses: readonly string[] | null
  /** SHA-256 of the token. */
  readonly hash: Uint8Array
  readonly expiresAt: Date | null
  readonly createdBy: string
  readonly createdAt: Date
  readonly deletedAt: Date | null
}
