// What is said between Rekey and the process that owns a token. Every request is answered once, in order.

/** What a key may be used for now (CKA_SIGN and its kin). */
export interface Usage {
  readonly sign: boolean
  readonly verify: boolean
  readonly encrypt: boolean
  readonly decrypt: boolean
  readonly wrap: boolean
  readonly unwrap: boolean
}

/** A private or secret key object. */
export interface KeyObject {
  /** CKA_ID, hex; empty where it has none. */
  readonly id: string
  readonly kind: 'private' | 'secret'
  /** CKK_…: 0 RSA, 3 EC, 0x1f AES. */
  readonly keyType: number
  readonly label: string
  readonly modifiable: boolean
  readonly usage: Usage
}

export interface TokenFacts {
  readonly serial: string
  readonly manufacturer: string
  readonly model: string
  /** CKF_… of the token. */
  readonly flags: number
  /** CKM_…, as numbers. */
  readonly mechanisms: readonly number[]
}

export const algorithms = ['aes256', 'ecP256', 'ecP384', 'rsa2048', 'rsa3072', 'rsa4096'] as const
export type Algorithm = (typeof algorithms)[number]

/** What a key is made as. */
export interface Order {
  readonly id: string
  readonly label: string
  readonly algorithm: Algorithm
  /** Beside what each key of its kind may do: what the one before it could. */
  readonly alsoFor: readonly Extra[]
  /** Ids of earlier attempts: what is left of them is half of a pair. */
  readonly earlier: readonly string[]
}
/** Both directions of it, each in the half that does it. */
export const extras = ['sign', 'encrypt', 'wrap'] as const
export type Extra = (typeof extras)[number]

/** The calls, with what they take and give. Bytes travel as such: the channel is Node's structured clone. */
export interface Calls {
  open: { in: { library: string; tokenLabel: string }; out: TokenFacts }
  /** The only call that carries the PIN. */
  login: { in: { pin: string }; out: null }
  facts: { in: Record<never, never>; out: TokenFacts }
  /** Those whose label is this, or this and a `#`; all of the token's where there is none. */
  objects: { in: { label: string | null }; out: readonly KeyObject[] }
  /** Makes the key, or finds the one of this id. */
  generate: { in: Order; out: { made: boolean } }
  /** Whether it has the public half of a pair whose private one is not there. */
  half: { in: { id: string }; out: boolean }
  find: { in: { id: string }; out: KeyObject | null }
  relabel: { in: { id: string; label: string }; out: null }
  /** Off: makes nothing new; with `all`, old data is not read either. On: as its counterpart says. */
  use: { in: { id: string; on: boolean; all: boolean }; out: null }
  destroy: { in: { id: string }; out: null }
  sign: { in: { id: string; data: Uint8Array }; out: Uint8Array }
  encrypt: { in: { id: string; iv: Uint8Array; data: Uint8Array }; out: Uint8Array }
  decrypt: { in: { id: string; iv: Uint8Array; data: Uint8Array }; out: Uint8Array }
  /** As a JSON Web Key; null: the token does not tell. */
  publicKey: { in: { id: string }; out: PublicKey | null }
}
export type CallName = keyof Calls

export type PublicKey =
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }
  | { readonly kty: 'EC'; readonly crv: 'P-256' | 'P-384'; readonly x: string; readonly y: string }

export interface Request<N extends CallName = CallName> {
  readonly name: N
  readonly args: Calls[N]['in']
}

/** A return value of the library (CKR_…), or a finding of ours. No text of the library's is passed on. */
export type Fault =
  | { readonly kind: 'ckr'; readonly code: number; readonly call: string }
  | { readonly kind: 'noModule' | 'noLibrary' | 'noToken' | 'twoTokens' | 'notOpen' | 'fault' }
  | { readonly kind: 'noObject' | 'twoObjects' | 'unsupported'; readonly id: string }

export type Reply = { readonly value: unknown } | { readonly fault: Fault }

/** The CKR_… that are told apart. */
export const ckr = {
  deviceMemory: 0x31,
  hostMemory: 0x02,
  slotIdInvalid: 0x03,
  generalError: 0x05,
  functionFailed: 0x06,
  attributeReadOnly: 0x10,
  actionProhibited: 0x1b,
  deviceError: 0x30,
  deviceRemoved: 0x32,
  keyFunctionNotPermitted: 0x68,
  keyHandleInvalid: 0x60,
  mechanismInvalid: 0x70,
  objectHandleInvalid: 0x82,
  pinIncorrect: 0xa0,
  pinInvalid: 0xa1,
  pinLenRange: 0xa2,
  pinExpired: 0xa3,
  pinLocked: 0xa4,
  sessionClosed: 0xb0,
  sessionCount: 0xb1,
  sessionHandleInvalid: 0xb3,
  signatureInvalid: 0xc0,
  templateInconsistent: 0xd1,
  tokenNotPresent: 0xe0,
  tokenNotRecognized: 0xe1,
  tokenWriteProtected: 0xe2,
  userAlreadyLoggedIn: 0x100,
  userNotLoggedIn: 0x101,
  userPinNotInitialized: 0x102,
  cryptokiAlreadyInitialized: 0x191,
} as const

export const tokenFlags = {
  userPinInitialized: 0x8,
  userPinCountLow: 0x10000,
  userPinFinalTry: 0x20000,
  userPinLocked: 0x40000,
} as const

export const ckm = { rsaKeyGen: 0x0, ecKeyGen: 0x1040, aesKeyGen: 0x1080 } as const
export const ckk = { rsa: 0x0, ec: 0x3, aes: 0x1f } as const
