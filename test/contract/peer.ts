// What a suite needs from a provider's peer. A third party writes one of these for their own adapter and calls
// `providerContract`.

import { randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import type { Json, JsonObject } from '#domain/json.ts'
import type {
  ObjectAddress,
  ProviderErrorKind,
  ProviderPorts,
  VaultStore,
} from '#domain/provider.ts'
import type { Secret } from '#domain/secret.ts'
import { makeKeyring } from '#runtime/keyring.ts'
import { namesOfValue } from '#domain/value-name.ts'
import { makeNativeProcess } from '#runtime/native-process.ts'
import { libraryEnvironment } from '#src/config.ts'
import type { FaultProxy, Match } from '#test/support/fault-proxy.ts'

export interface ContractPeer {
  readonly settings: JsonObject
  readonly credential: Secret<string> | null
  readonly ports: ProviderPorts
  /** A fresh object with one version, made without the adapter where that is possible. */
  readonly newObject: () => Promise<ObjectAddress>
  /** Nothing is there. */
  readonly unborn: () => ObjectAddress
  /** How many objects make more than one page of the inventory. */
  readonly beyondOnePage?: number
  /** How many live versions the object has, asked of the peer itself; where one place is written over, how many it has had. */
  readonly versions: (object: ObjectAddress) => Promise<number>
  /** How many writes of this object the peer has done, from its own log. */
  readonly writes?: (object: ObjectAddress) => Promise<number>
  /** Somebody else makes a version. */
  readonly foreign?: (object: ObjectAddress) => Promise<void>
  readonly faults?: Faults
  readonly rights?: Rights
  readonly names?: {
    /** Refs that must work; nothing is there yet (they are created). */
    readonly good: readonly ObjectAddress[]
    /** Makes what is there, where the adapter creates nothing. */
    readonly put?: (object: ObjectAddress) => Promise<void>
    /** Refs that mean another place than they say: refused before anything is sent. */
    readonly bad: readonly ObjectAddress[]
  }
  readonly stop: () => Promise<void>
}

/** Where there is a network between the adapter and the peer. */
export interface Faults {
  readonly proxy: FaultProxy
  /** The same peer, through the proxy. */
  readonly settings: JsonObject
  /** Settings that lead to where nobody listens; the proxy's address in `settings` is put out of the way unless told. */
  readonly nobody?: JsonObject
  /** The one request of a mint that has the effect. */
  readonly mint: (object: ObjectAddress) => Match
  /** What a request looks like, where not every message is one; each is unless told. */
  readonly requests?: Match
  /** Answers that the provider documents, and what they mean for a write. */
  readonly fixtures: readonly Fixture[]
}

export interface Fixture {
  readonly name: string
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly kind: ProviderErrorKind
  readonly effect: 'none' | 'unknown'
}

export interface Rights {
  /** A credential with exactly these documents of `leastPrivilege`. */
  readonly grant: (documents: readonly Json[]) => Promise<Secret<string>>
  /** Names of documents without which the life of a version fails, and what the hint must then name. */
  readonly needed: Readonly<Record<string, RegExp>>
  /** Those of them without which no rotation begins; describe, rotate and verify unless told. */
  readonly rotates?: readonly string[]
  /** Those of which the provider says nothing before they are used. */
  readonly untold?: readonly string[]
  /** Others that are granted all the time. */
  readonly always: readonly string[]
}

/** As an installation has one for all its processes. */
const pepper = makeKeyring(randomBytes(32), randomBytes(32))

const refuse = async (): Promise<never> => {
  throw new Error('this provider has no business in the built-in vault')
}

/** For providers that keep nothing in Rekey. */
export const noVault: VaultStore = {
  insert: refuse,
  find: refuse,
  list: refuse,
  look: refuse,
  current: refuse,
  move: refuse,
  setState: refuse,
  open: refuse,
  used: refuse,
  tellKept: refuse,
  remove: refuse,
}

export const plainPorts = (vault: VaultStore = noVault): ProviderPorts => ({
  now: () => new Date(),
  random: (bytes) => randomBytes(bytes),
  fetch: globalThis.fetch,
  socket: () => new Socket(),
  publishDir: null,
  nameOf: (object, value) => namesOfValue(pepper, object, value)[0],
  vault,
  confirmations: async () => [],
  nativeModules: [],
  nativeProcess: (main) =>
    makeNativeProcess(main, { now: () => new Date(), env: () => libraryEnvironment() }),
  logins: { claim: async () => 'try', ended: async () => undefined },
})
