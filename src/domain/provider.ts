// What a provider is: data plus a session. Shared code never asks *which* provider; it plans from the data.
//
// The contract of every session method that writes:
// - It sends its write exactly once (the SDK's own retries are off) and returns when the effect is durable at the provider.
// - It throws ProviderError and nothing else. `effect` says what is left: `none` (nothing happened, known), `unknown`
//   (the request may have had its effect, or still may), `partial`.
// - Nothing that it throws carries material, a token or a body: not the message, not a property, not a cause.
// - It obeys `call.signal`: within 250 ms of the abort it throws with kind `timeout` and effect `unknown` (or `none`, if nothing was sent).
// Reads may be retried inside the session; they throw with effect `none`.

import type { Socket } from 'node:net'
import type { TSchema } from 'typebox'
import type { ByHand, Confirmation } from './by-hand.ts'
import type { Fingerprint } from './fingerprint.ts'
import type { Json, JsonObject } from './json.ts'
import type { Secret } from './secret.ts'

export type Material = Secret<string> | Secret<Uint8Array>

/** What a key type declares; each word is explained in 3-domain.md. The engine plans from this and nothing else. */
export interface TypeTraits {
  /** `pair`: the standby's password is set over what it was, and each password of a user is a provider version of its own. */
  readonly slot: 'multi' | 'pair' | 'single' | 'internal'
  readonly staging: 'native' | 'overlap' | 'none'
  readonly undo: 'pointer' | 'rollForward' | 'reactivate' | 'none'
  readonly authority: 'self' | 'store'
  readonly revokes: 'version' | 'key' | 'none'
  readonly suspend: boolean
  readonly exactlyOnce: 'token' | 'cas' | 'chosenId' | 'probe'
  readonly attribution: 'exact' | 'goalMet'
  readonly usage: { readonly source: string; readonly lagMs: number } | null
  /** How long after its deadline a request may still take effect, unless the connection's settings say (`lateEffectIn`). */
  readonly lateEffectMs: number
  /** A new version is proven by `confirmations` uses in a row, spread over `delayMs`. */
  readonly consistency: { readonly delayMs: number; readonly confirmations: number }
  readonly limits: { readonly requestsPerSecond?: number; readonly maxLiveVersions?: number }
  /** Whether an authorised consumer may read the value through Rekey. */
  readonly deliver: boolean
  /** Who makes new material: `ours` is generated and sealed by Rekey before it is sent, `provider` never leaves it. */
  readonly material: 'ours' | 'provider'
  /** Whether a policy may `publish` to an object of this type. */
  readonly publishTarget: boolean
  /** Whether a policy may `publish` its value elsewhere: Rekey holds it sealed, or may read it. */
  readonly publishable: boolean
  /** The checks of a new version that a policy may ask for. */
  readonly verifies: readonly PolicyCheck[]
  /** What `POST /keys/{name}/signatures` and its siblings may ask for. */
  readonly operations: readonly CryptoOperation[]
}

export type PolicyCheck = Exclude<VerifyHow, 'refused'>

export type CryptoOperation = 'sign' | 'encrypt' | 'decrypt'

export interface KeyType {
  /** For instance `vault.kv2.secret`. */
  readonly type: string
  readonly title: string
  readonly traits: TypeTraits
  /** Strict (no additional properties). */
  readonly refSchema: TSchema
  /** Parameters of new material. Strict. */
  readonly generateSchema: TSchema
  /** Names the object over the whole installation: ARN, vault URI, mount and path; two spellings of one object give one id. */
  readonly objectId: (at: {
    readonly settings: JsonObject
    readonly ref: JsonObject
    readonly keyName: string
  }) => string
  /** Whether this object can be switched off and on again, where the ref says so; else `traits.suspend`. */
  readonly suspends?: (ref: JsonObject) => boolean
  /** `traits.lateEffectMs` of a connection with these settings, where they decide it. */
  readonly lateEffectIn?: (settings: JsonObject) => number
  /** The least rights for each thing that Rekey does with this type, as the provider's own policy document. */
  readonly leastPrivilege: (ref: JsonObject) => Readonly<Record<string, Json>>
  /** What consumers and publish targets get in place of the bare material, where that alone is of no use to them: a password
   *  without the user that it is of. */
  readonly handedOut?: (
    at: { readonly settings: JsonObject; readonly providerVersion: string },
    material: Material,
  ) => Material
  /** There where people carry the effects out. Rekey then sends nothing: it commits the intent, asks for the step, and the
   *  probe finds the effect once somebody has confirmed it (docs/adr/0017). */
  readonly byHand?: ByHand
  /** What an incident must know of it beside the traits; left out where they say it all. */
  readonly incident?: InIncident
  /** There iff `slot` is `pair`. */
  readonly halves?: Halves
  /** Makes new material from `generate` parameters; there iff `traits.material` is `ours`. `random(n)` gives n random bytes. */
  readonly generate?: (params: JsonObject, random: (bytes: number) => Uint8Array) => Material
}

/** The two that take turns. */
export interface Halves {
  /** Their names. The first one gets the new password where neither is in use. */
  readonly of: (ref: JsonObject) => readonly [string, string]
  /** Which of them a provider version is of; null: of neither. */
  readonly holding: (ref: JsonObject, providerVersion: string) => string | null
}

export interface InIncident {
  /** What ends a version where neither `suspend` nor `retire` does it: `key`, `suspend` in an incident switches the whole key off
   *  and `reinstate` on again; `mint`, the next value does and nothing else; `nobody` can. */
  readonly endedBy?: 'key' | 'mint' | 'nobody'
  /** Requests under way at one connection, where it takes more than the usual few dozen. What a connection declares holds too. */
  readonly requestsAtOnce?: number
  /** What readers get now is ended by the next value only; older ones as the traits say. */
  readonly currentStays?: true
  /** How long those who keep a copy go on accepting what was made with it. */
  readonly cachedForMs?: (settings: JsonObject) => number
  /** `material`: it is tried with the value itself, and where Rekey does not know that, it is not. `asked`: never tried, since wrong
   *  tries lock good ones out. Left out: the system is told to use the version, whoever knows its value. */
  readonly proof?: 'material' | 'asked'
  /** Sentences for whoever is about to contain it: what goes on all the same, and what else stops. */
  readonly truth?: readonly string[]
}

/** How long after its deadline a request to an object of the type, over a connection with these settings, may have its effect. */
export const lateEffectOf = (
  type: Pick<KeyType, 'traits' | 'lateEffectIn'>,
  { settings }: { readonly settings: JsonObject },
): number => type.lateEffectIn?.(settings) ?? type.traits.lateEffectMs

/** The type as this object of it is. */
export const typeFor = (type: KeyType, ref: JsonObject): KeyType =>
  type.suspends ? { ...type, traits: { ...type.traits, suspend: type.suspends(ref) } } : type

export interface Provider {
  readonly id: string
  readonly title: string
  readonly settingsSchema: TSchema
  /** The credential's value once it is resolved; null where the provider needs none. */
  readonly credentialSchema: TSchema | null
  readonly types: readonly KeyType[]
  /** What it stores is in Rekey's own database, and goes back in time with it when that is restored. */
  readonly sharesDatabase?: true
  /** Its sessions have `publicKeys`. */
  readonly publishesKeys?: true
  /** Hosts that the settings would dial, as URLs (`https:`, `http:`, and `tls:`, `tcp:` where it is not HTTP); egress rules are checked on them before anything connects. */
  readonly endpoints: (settings: JsonObject) => readonly string[]
  /** Never dials: authentication is lazy. */
  readonly connect: (at: ConnectArgs) => Session
}

export interface ConnectArgs {
  readonly connection: string
  readonly settings: JsonObject
  /** Of the connection: what it sends where it assumes a role. */
  readonly externalId: string
  /** The resolved credential as JSON text, or the string itself; null where there is none. */
  readonly credential: Secret<string> | null
  /** The connection says `{from: default}`: without a credential the provider's own chain on this host may be used. Never else:
   *  whoever may write a connection would have the host's rights. */
  readonly fromHost?: boolean
  readonly ports: ProviderPorts
}

/** The small part of the house that a provider may use. */
export interface ProviderPorts {
  readonly now: () => Date
  readonly random: (bytes: number) => Uint8Array
  /** HTTP that dials only the checked address, follows no redirect, caps size and time. */
  readonly fetch: typeof globalThis.fetch
  /** For what is not HTTP: a socket that, told to connect to a host, dials only its checked address. `tls:` is for protocols
   *  that encrypt before anything of worth is said; `tcp:` goes to loopback only, unless the record says `insecure: true`.
   *  Whoever takes it ends it. */
  readonly socket: (scheme: 'tcp:' | 'tls:') => Socket
  /** A name for a value of an object, where the system numbers no versions: in one call the same for the same value as it is
   *  known by, today and in a year, and nothing of the value to be had from it without this installation's pepper. Asked anew
   *  in each call, never kept: a name may have become another one, of another pepper, by the next. */
  readonly nameOf: (object: string, value: Material) => string
  /** The directory below which values are published to files; null: there is none. */
  readonly publishDir: string | null
  /** Storage of the built-in vault; only `local` and `jwks` use it. */
  readonly vault: VaultStore
  readonly logins: Logins
  /** Absolute paths of somebody else's native code that may be loaded; the environment names them, no record does. */
  readonly nativeModules: readonly string[]
  /** Runs `main`, which answers each `{number, request}` by `{number, reply}` on its channel. Started by the first request. */
  readonly nativeProcess: (main: URL) => NativeProcess
  /** What people said of the steps of a key that they carried out, in that order; only `manual` asks. */
  readonly confirmations: (keyId: string) => Promise<readonly Confirmation[]>
}

/** Logins at a system that locks itself after a few wrong ones, over all processes of the installation: one that was refused
 *  is not tried again, until the credential or the connection is another. */
export interface Logins {
  /** The right to try it now, once no other process does. `tryAfterDeath`: one that was trying has not said how it went. */
  claim(
    credential: Secret<string>,
    signal: AbortSignal,
  ): Promise<'try' | 'tryAfterDeath' | 'refused'>
  ended(credential: Secret<string>, how: 'accepted' | 'refused'): Promise<void>
}

/** A process of its own for somebody else's native code. It answers one request at a time, and is killed at the deadline of the
 *  one that is under way. */
export interface NativeProcess {
  /** Runs `work` once it is alone with the process: whatever it sends goes to one and the same. Throws ProviderError, effect
   *  `none`, where the time is over before that. */
  turn<T>(work: (send: SendNative) => Promise<T>, signal: AbortSignal): Promise<T>
  /** The number of the process that lives; null: the next request starts another. It knows nothing of what an earlier one was told. */
  lives(): number | null
  /** Ends it; the next request starts another one. */
  drop(): void
  close(): void
}

/** What the process answers. Throws ProviderError where it does not: effect `none` where nothing was sent, else `unknown`. */
export type SendNative = (request: unknown) => Promise<unknown>

/** Bounds of one call. `operationId` goes wherever the API has a slot for it. */
export interface Call {
  readonly signal: AbortSignal
  readonly operationId?: string
  /** Asked by an incident: `suspend` and `retire` may then switch off even what readers get now. */
  readonly incident?: boolean
  /** Undo of a publish into a place that held nothing: `retire` with `destroy` may take the value away from readers too, and
   *  leaves whatever else is there as it is. */
  readonly takeBack?: boolean
  /** A mint with these parameters is to follow: `prepare` throws `quota` where they, or what is left of a lifetime, forbid it. */
  readonly generate?: JsonObject
  /** A consumer reads the value through Rekey: the provider that knows of no other readers counts it as a use. */
  readonly delivery?: boolean
}

export interface ObjectAddress {
  readonly type: string
  readonly ref: JsonObject
  readonly keyId: string
  readonly keyName: string
}

export interface ProviderVersion {
  readonly id: string
  readonly state: 'enabled' | 'disabled' | 'destroyed'
  /** What a reader gets who names no version. */
  readonly current: boolean
  readonly createdAt?: Date
  /** When the provider itself ends it. */
  readonly expiresAt?: Date
}

export interface Described {
  readonly versions: readonly ProviderVersion[]
  /** Plain facts for people: rotation by the provider itself, limits left, … */
  readonly facts: JsonObject
  /** The objects whose values were named in the call (`ports.nameOf`). The house writes it, no adapter does. */
  readonly namedBy?: readonly string[]
}

/** The pre-image holds all that a probe needs to tell our effect from another's. It is stored: no material in it. Four names
 *  in it are read by the engine:
 *  - `carriers`: newer provider versions that hold the very material of `current` (somebody wrote beside it), oldest first.
 *    They become its own, so that they are switched off with it.
 *  - `promoteAfterMs`: how long a new version is there before it is handed out, because caches may not know it yet.
 *  - `keepOldForMs`: the shortest overlap: how long what the old version made may still be presented.
 *  - `destroyOldAfterMs`: the shortest soak of a version that is destroyed then: how long what it made needs it to be checked. */
export interface Prepared {
  readonly preImage: JsonObject
  /** Sentences for the plan: what is risky here. */
  readonly risks: readonly string[]
}

export interface MintOrder {
  readonly object: ObjectAddress
  readonly operationId: string
  readonly preImage: JsonObject
  readonly generate: JsonObject
  /** There iff the type's material is `ours`, or what is written is a known value (publish, roll forward). */
  readonly material: Material | null
  /** A publish: readers get it with this very call, also where a rotation of the type would stage it first. */
  readonly served?: boolean
}

export interface Minted {
  readonly providerVersion: string
  /** There where the provider makes material that is shown once (an access key's secret): sealed before anything else happens. */
  readonly material?: Material
  /** As the ledger makes it (`Tx.fingerprint`), where that is all that is known of the material. */
  readonly fingerprint?: Fingerprint
  readonly facts: JsonObject
}

export type Probe<T> =
  | { readonly answer: 'ours'; readonly value: T; readonly secretLost?: boolean }
  | { readonly answer: 'goalMet'; readonly value: T }
  | { readonly answer: 'inProgress'; readonly pollAfterMs: number }
  | { readonly answer: 'absent' }
  | { readonly answer: 'partial'; readonly detail: string }
  | { readonly answer: 'foreign'; readonly detail: string }

export type VerifyHow = 'roundTrip' | 'login' | 'oldDataReadable' | 'refused'

export interface VerifyOrder {
  readonly object: ObjectAddress
  /** The provider's version under test. */
  readonly providerVersion: string
  /** What it should hold, where Rekey knows it. */
  readonly material: Material | null
  readonly how: VerifyHow
  /** The pre-image that preflight stored: probe ciphertexts and the like. */
  readonly preImage: JsonObject
}

/** Of the facts of a refusal `acceptedUntil` (ISO 8601) is read: until when those who keep a copy may go on accepting it.
 *  `ok: false` is a verdict (the version does not work, or still works when it should be refused), not a fault of transport. */
export type Verdict =
  | { readonly ok: true; readonly facts: JsonObject }
  | { readonly ok: false; readonly detail: string; readonly facts: JsonObject }

export interface PromoteOrder {
  readonly object: ObjectAddress
  readonly operationId: string
  /** Compare-and-swap: refused with kind `conflict` when the pointer is elsewhere. Null: nothing was current. */
  readonly from: string | null
  readonly to: string
}

export interface Check {
  /** A right or a fact: `transit.rotate`, `reachable`, `token.ttl`, … */
  readonly name: string
  readonly outcome: 'ok' | 'missing' | 'beyondLeast' | 'unknown'
  readonly detail: string
  readonly hint?: string
}

export interface InventoryItem {
  readonly type: string
  readonly ref: JsonObject
  readonly objectId: string
  readonly facts: JsonObject
}

/** One connection, lazily authenticated and renewing by itself. Every method: see the top of this file. */
export interface Session {
  /** With objects: also the rights on each of them. */
  check(call: Call, objects?: readonly ObjectAddress[]): Promise<readonly Check[]>
  /** What a rotation of the object needs and the connection may not do, each a sentence (`needs update on …`); empty where
   *  the provider does not tell. Reads only. */
  missingRights(object: ObjectAddress, call: Call): Promise<readonly string[]>
  inventory(
    type: string,
    cursor: string | null,
    call: Call,
  ): Promise<{ readonly items: readonly InventoryItem[]; readonly next: string | null }>
  /** Throws kind `notFound` where the object does not exist. */
  describe(object: ObjectAddress, call: Call): Promise<Described>
  /** Makes the object with its first version (`create: true`); repeating with one operation id makes one. Throws `unsupported` where the provider cannot. */
  create(order: MintOrder, call: Call): Promise<Minted>
  /** Reads only. `current` is the provider version that Rekey holds as primary. */
  prepare(object: ObjectAddress, current: string | null, call: Call): Promise<Prepared>
  mint(order: MintOrder, call: Call): Promise<Minted>
  /** Tells the truth about an earlier `mint` (or `create`) with the same order. Reads only. */
  probeMint(order: MintOrder, call: Call): Promise<Probe<Minted>>
  /** A real use of the version, once; the engine repeats it over the consistency delay. */
  verify(order: VerifyOrder, call: Call): Promise<Verdict>
  /** Moves the provider's pointer; `unsupported` (never called) where `staging` is not `native`. */
  promote(order: PromoteOrder, call: Call): Promise<JsonObject>
  probePromote(order: PromoteOrder, call: Call): Promise<Probe<null>>
  /** Set semantics: doing it again changes nothing. */
  suspend(object: ObjectAddress, providerVersion: string, call: Call): Promise<JsonObject>
  reinstate(object: ObjectAddress, providerVersion: string, call: Call): Promise<JsonObject>
  retire(
    object: ObjectAddress,
    providerVersion: string,
    how: 'disable' | 'destroy',
    call: Call,
  ): Promise<JsonObject>
  /** The probe of the three above. `absent`: never existed, or every trace is gone. */
  stateOf(
    object: ObjectAddress,
    providerVersion: string,
    call: Call,
  ): Promise<'enabled' | 'disabled' | 'destroyed' | 'absent'>
  /** Null where the type has no usage source or it does not know; Rekey's own calls do not count. */
  lastUsed(object: ObjectAddress, providerVersion: string, call: Call): Promise<Date | null>
  /** For distribution, undo and delivery only. Throws `unsupported` where material cannot leave. */
  readMaterial(object: ObjectAddress, providerVersion: string, call: Call): Promise<Material>
  /** Uses the key on behalf of a consumer; throws `unsupported` unless `traits.operations` lists it. Counts as a use. */
  operate(
    object: ObjectAddress,
    providerVersion: string,
    operation: CryptoOperation,
    input: Uint8Array,
    call: Call,
  ): Promise<Uint8Array>
  /** What others were promised of a version, where they keep copies; there where the pre-image has `promoteAfterMs`. Beside the
   *  times of the pre-image, which were the settings' when it was drawn, this is what was really told and made since. */
  promised?(object: ObjectAddress, providerVersion: string): Promise<Promised>
  /** Of all keys of the connection, for `/jwks/{connection}`; there where the provider publishes keys. */
  publicKeys?(objects: readonly ObjectAddress[]): Promise<PublicKeySet>
  /** Idempotent. Stops timers, closes sockets. */
  close(): Promise<void>
}

export interface Promised {
  /** Everybody knows it from then on: it is not handed out before. */
  readonly knownAt: Date | null
  /** Until when what it made may be presented: it is not switched off before. */
  readonly honouredUntil: Date | null
}

/** What verifiers may trust now: JSON Web Keys (RFC 7517), and how long they may keep them. */
export interface PublicKeySet {
  readonly keys: readonly JsonObject[]
  readonly maxAgeMs: number
}

export const providerErrorKinds = [
  'throttled',
  'transient',
  'timeout',
  'auth',
  'forbidden',
  'notFound',
  'conflict',
  'disabled',
  'precondition',
  'quota',
  'unsupported',
  'verifyFailed',
  'permanent',
  'outcomeUnknown',
] as const
export type ProviderErrorKind = (typeof providerErrorKinds)[number]

/** Which kinds may succeed by themselves later; the others need a person or another input. */
const transientKinds: ReadonlySet<ProviderErrorKind> = new Set([
  'throttled',
  'transient',
  'timeout',
  'outcomeUnknown',
])

export class ProviderError extends Error {
  readonly kind: ProviderErrorKind
  readonly effect: 'none' | 'unknown' | 'partial'
  readonly retryAfterMs: number | null
  /** The missing right or the next step, where the provider can tell. */
  readonly hint: string | null
  readonly status: number | null
  readonly requestId: string | null

  /** `detail` is our own sentence: never a provider's text, which may carry what we sent. */
  constructor(
    kind: ProviderErrorKind,
    effect: 'none' | 'unknown' | 'partial',
    detail: string,
    more: {
      readonly retryAfterMs?: number
      readonly hint?: string
      readonly status?: number
      readonly requestId?: string
    } = {},
  ) {
    super(detail)
    this.name = 'ProviderError'
    this.kind = kind
    this.effect = effect
    this.retryAfterMs = more.retryAfterMs ?? null
    this.hint = more.hint ?? null
    this.status = more.status ?? null
    this.requestId = more.requestId ?? null
  }

  get retryable(): boolean {
    return transientKinds.has(this.kind)
  }
}

/** A request that Rekey itself did not send, since its connection is at its limit: the provider was not asked, so it is no try. */
export class AtLimit extends ProviderError {
  constructor(kind: 'throttled' | 'timeout', detail: string, afterMs?: number) {
    super(kind, 'none', detail, afterMs === undefined ? {} : { retryAfterMs: afterMs })
    this.name = 'AtLimit'
  }
}

/** Storage of the built-in vault, in a schema of its own. `object` is the key's id; every method is one transaction. */
export interface VaultStore {
  /** Inserts version n + 1, or finds the one that this operation id made before. Material is sealed with a data key of its own. */
  insert(row: {
    readonly object: string
    readonly operationId: string
    readonly algorithm: string
    readonly material: Secret<Uint8Array>
    readonly publicKey: string | null
    /** When it ends by itself. */
    readonly notAfter?: Date
  }): Promise<{ readonly version: number; readonly created: boolean }>
  find(object: string, operationId: string): Promise<number | null>
  list(object: string): Promise<readonly VaultRow[]>
  /** One version, with its material where it is enabled (or disabled, for old data when `disabledToo`). */
  look(
    object: string,
    version: number,
    disabledToo?: boolean,
  ): Promise<(VaultRow & { readonly material: Secret<Uint8Array> | null }) | null>
  /** The pointer to the current version. */
  current(object: string): Promise<number | null>
  /** Compare-and-swap of the pointer; false when it is elsewhere. */
  move(object: string, from: number | null, to: number): Promise<boolean>
  /** `destroyed` shreds the wrapped data key. Enabled ↔ disabled → destroyed; anything else changes nothing and is false. */
  setState(
    object: string,
    version: number,
    state: 'enabled' | 'disabled' | 'destroyed',
  ): Promise<boolean>
  /** Material of an enabled version (or of a disabled one, for old data when `disabledToo`); null otherwise. */
  open(object: string, version: number, disabledToo?: boolean): Promise<Secret<Uint8Array> | null>
  /** `honouredUntil`: until when what was made with it then may be presented; the latest one counts. */
  used(object: string, version: number, at: Date, honouredUntil?: Date): Promise<void>
  /** Before anybody is told to keep a copy of what is enabled for so long. From then on `knownAt` and `forgottenAt` of what
   *  changes count by it, and by what was told before for as long as that lasts. */
  tellKept(objects: readonly string[], keptForMs: number): Promise<void>
  remove(object: string): Promise<void>
}

export interface VaultRow {
  readonly version: number
  readonly state: 'enabled' | 'disabled' | 'destroyed'
  readonly algorithm: string
  readonly publicKey: string | null
  /** The pointer is at it. */
  readonly current: boolean
  readonly createdAt: Date
  readonly lastUsedAt: Date | null
  readonly notAfter: Date | null
  readonly honouredUntil: Date | null
  /** From when on no copy is left that does not show it; null: none was kept when it was enabled. */
  readonly knownAt: Date | null
  /** From when on no copy is left that shows it; null: it is enabled, or none was kept when it was switched off. */
  readonly forgottenAt: Date | null
  /** What was told of the object's copies; null: nobody was told to keep one. */
  readonly copies: {
    readonly keptForMs: number
    /** Those that were told otherwise before are over then. */
    readonly othersUntil: Date | null
  } | null
}
