// From a token to who acts. The checksum turns away what was never a token before the database is asked; after that every
// request reads the row, so a deleted key is dead at once, in every process. What is told to the caller does not say why.

import type { Actor } from '#domain/actor.ts'
import type { ApiKey, ApiKeyType } from '#domain/connection.ts'
import type { Clock, Ledger } from '#domain/ports.ts'
import { tokenType } from '#domain/token.ts'

export interface AuthenticateDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly clock: Pick<Clock, 'now'>
  readonly sha256: Sha256
  /** Whether the source is one of the addresses or in one of the networks. */
  readonly comesFrom: (allowed: readonly string[], source: string) => boolean
}

export type Sha256 = (text: string) => Uint8Array

export interface Credentials {
  /** The bearer token, or null where none was sent. */
  readonly token: string | null
  /** The address that the request came from. */
  readonly source: string
}

export type Entry =
  | { readonly actor: Actor }
  | {
      readonly actor: null
      readonly code: 'auth.missing' | 'auth.invalid'
      /** For the audit log alone. A known key that is used from elsewhere has probably leaked. */
      readonly why: 'missing' | 'malformed' | 'unknown' | 'deleted' | 'expired' | 'address'
      readonly apiKey: string | null
    }

export const authenticate =
  ({ ledger, clock, sha256, comesFrom }: AuthenticateDeps) =>
  async ({ token, source }: Credentials): Promise<Entry> => {
    if (token === null) return { actor: null, code: 'auth.missing', why: 'missing', apiKey: null }
    if (tokenType(token) === null) return invalid('malformed', null)
    const key = await ledger.read((db) => db.apiKeys.byHash(sha256(token)))
    if (key === null) return invalid('unknown', null)
    if (key.deletedAt !== null) return invalid('deleted', key.id)
    if (key.expiresAt !== null && key.expiresAt <= clock.now()) return invalid('expired', key.id)
    if (key.addresses !== null && !comesFrom(key.addresses, source))
      return invalid('address', key.id)
    return { actor: actorOf(key) }
  }

const invalid = (
  why: 'malformed' | 'unknown' | 'deleted' | 'expired' | 'address',
  apiKey: string | null,
): Entry => ({ actor: null, code: 'auth.invalid', why, apiKey })

const actorTypes = {
  pat: 'user',
  svc: 'service',
  ack: 'consumer',
  brk: 'breakGlass',
} as const satisfies Record<ApiKeyType, Actor['type']>

export const actorOf = (key: ApiKey): Actor => ({
  type: actorTypes[key.type],
  id: key.id,
  name: key.name,
  roles: key.roles,
  scope: key.scope,
  consumer: key.consumer,
  keys: key.keys,
})
