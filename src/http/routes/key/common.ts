// What the routes of keys have in common.

import type { Clock, HashJson, Ids, Sessions } from '#domain/ports.ts'
import type { KeyType, Provider } from '#domain/provider.ts'
import type { Tally } from '#usecases/tally.ts'

export interface KeyRoutesDeps {
  readonly providers: ReadonlyMap<string, Provider>
  readonly types: ReadonlyMap<string, KeyType>
  readonly sessions: Sessions
  readonly clock: Clock
  readonly ids: Ids
  readonly hashJson: HashJson
  /** Of uses: one event a minute. */
  readonly tally: Tally
}

export const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
export const atProvider = [
  'connection.unusable',
  'provider.unauthorized',
  'provider.unavailable',
  'provider.rejected',
  'key.noObject',
  'key.versionUnusable',
  'recovery.active',
] as const
