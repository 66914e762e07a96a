import { test, type TestFunction } from 'vitest'
import type { KeyType, Provider, Session } from '#domain/provider.ts'
import type { ContractPeer } from './peer.ts'

/** What a peer may not have. Leaving one out is said where the suite is called: it never happens by accident. `unborn`: a place
 *  where nothing is. `http`: faults that are answers of HTTP, for peers that are spoken to by another protocol. */
export type Part =
  | 'create'
  | 'unborn'
  | 'inventory'
  | 'foreign'
  | 'faults'
  | 'http'
  | 'rights'
  | 'names'

/** What the parts of the suite share; `peer` and `session` are there once the tests run. */
export interface Bench {
  readonly provider: Provider
  readonly type: KeyType
  readonly peer: ContractPeer
  readonly session: Session
  readonly has: (part: Part) => boolean
}

/** A test that is there only for types that promise it: what is not promised is not counted as skipped. */
export const when =
  (promised: boolean) =>
  (title: string, body: TestFunction): void => {
    if (promised) test(title, body)
  }

export const missing = (part: Part): never => {
  throw new Error(
    `the peer has no \`${part}\`: add it, or call the suite with without: ['${part}']`,
  )
}
