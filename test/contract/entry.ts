// What authors of providers import (`rekey/contract`): docs/how-to/write-a-provider.md.

import type { Provider } from '#domain/provider.ts'
import { rekey, type MakeProvider } from '#providers/outside.ts'

export { providerContract, type ContractArgs } from './suite.ts'
export { plainPorts, type ContractPeer, type Faults, type Fixture, type Rights } from './peer.ts'
export type { Part } from './parts.ts'
export {
  startFaultProxy,
  type Fault,
  type FaultProxy,
  type Match,
} from '#test/support/fault-proxy.ts'
export { Secret } from '#domain/secret.ts'
export type { ObjectAddress } from '#domain/provider.ts'

/** The provider as Rekey makes it at its start. */
export const withRekey = (makeProvider: MakeProvider): Provider => makeProvider(rekey)
