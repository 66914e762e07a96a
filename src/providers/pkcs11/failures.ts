// What a library's return value means. The same code means the same for a read and a write but for what it may have left: a
// token that says no has done nothing; one that breaks may have done it.

import { ProviderError, type ProviderErrorKind } from '#domain/provider.ts'
import { type CallName, ckr, type Fault } from './protocol.ts'

interface Meaning {
  readonly kind: ProviderErrorKind
  readonly text: string
  readonly hint?: string
  /** Whether a write may have had its effect. */
  readonly unknown?: true
  /** The process is of no more use. */
  readonly fatal?: true
}

const pin = (text: string): Meaning => ({
  kind: 'auth',
  text,
  hint: 'it is not tried again: mend the credential of the connection (or, if the token was changed to this PIN, put the connection again)',
})
const broken = (text: string): Meaning => ({
  kind: 'transient',
  text,
  unknown: true,
  fatal: true,
})

const codes: Readonly<Record<number, Meaning>> = {
  [ckr.pinIncorrect]: pin('the token refused the PIN'),
  [ckr.pinInvalid]: pin('the token refused the PIN'),
  [ckr.pinLenRange]: pin('the PIN has a length that the token does not take'),
  [ckr.pinExpired]: {
    kind: 'auth',
    text: 'the PIN has expired',
    hint: 'set a new one at the token, then mend the credential of the connection',
  },
  [ckr.pinLocked]: {
    kind: 'auth',
    text: 'the PIN is locked',
    hint: "the token's security officer unlocks it",
  },
  [ckr.userPinNotInitialized]: {
    kind: 'auth',
    text: 'the token has no user PIN yet',
    hint: "the token's security officer sets it",
  },
  [ckr.userNotLoggedIn]: { kind: 'transient', text: 'the login is gone', fatal: true },
  [ckr.attributeReadOnly]: {
    kind: 'unsupported',
    text: 'the token does not change this key',
    hint: 'its objects must be modifiable (CKA_MODIFIABLE); a key that cannot be switched off is registered with suspend: false',
  },
  [ckr.actionProhibited]: {
    kind: 'forbidden',
    text: 'the token forbids this for the key',
  },
  [ckr.keyFunctionNotPermitted]: { kind: 'disabled', text: 'the key may not be used for this' },
  [ckr.mechanismInvalid]: { kind: 'unsupported', text: 'the token does not have the mechanism' },
  [ckr.templateInconsistent]: {
    kind: 'unsupported',
    text: 'the token does not make such a key',
  },
  [ckr.objectHandleInvalid]: { kind: 'notFound', text: 'the key is not on the token any more' },
  [ckr.keyHandleInvalid]: { kind: 'notFound', text: 'the key is not on the token any more' },
  [ckr.tokenWriteProtected]: { kind: 'forbidden', text: 'the token is write protected' },
  [ckr.deviceMemory]: { kind: 'quota', text: 'the token is full' },
  [ckr.sessionCount]: { kind: 'throttled', text: 'the token has no session left', fatal: true },
  [ckr.hostMemory]: broken('the library has no memory left'),
  [ckr.generalError]: broken('the library failed'),
  [ckr.functionFailed]: broken('the token failed'),
  [ckr.deviceError]: broken('the token reports an error'),
  [ckr.deviceRemoved]: broken('the token was removed'),
  [ckr.tokenNotPresent]: broken('the token is not there'),
  [ckr.tokenNotRecognized]: broken('the token is not recognised'),
  [ckr.slotIdInvalid]: broken('the slot is gone'),
  [ckr.sessionClosed]: broken('the token closed the session'),
  [ckr.sessionHandleInvalid]: broken('the token closed the session'),
}

const findings: Readonly<Record<Exclude<Fault['kind'], 'ckr'>, Meaning>> = {
  noModule: {
    kind: 'precondition',
    text: 'the native module for PKCS#11 is not built here',
    hint: 'npm run pkcs11 builds it (a C++ compiler and Python are needed)',
    fatal: true,
  },
  noLibrary: {
    kind: 'precondition',
    text: 'the library cannot be loaded',
    hint: 'settings.library is the path of the PKCS#11 module, for this machine and its architecture',
    fatal: true,
  },
  // So does a library say it whose HSM cannot be reached: it may come back.
  noToken: {
    kind: 'transient',
    text: 'no token has the label of the connection',
    hint: 'look whether the token is reachable, at the labels with its own tools (pkcs11-tool --list-slots), and at the configuration of its library',
    fatal: true,
  },
  twoTokens: {
    kind: 'precondition',
    text: 'several tokens have the label of the connection',
    hint: 'give them different labels: it must be known which one is meant',
    fatal: true,
  },
  notOpen: { kind: 'transient', text: 'the token is opened anew' },
  noObject: { kind: 'notFound', text: 'the token has no such key' },
  twoObjects: {
    kind: 'precondition',
    text: 'the token has several keys with one id, and using the wrong one is worse than using none',
    hint: 'remove the one that is not meant, by its handle, or give it another CKA_ID',
  },
  unsupported: { kind: 'unsupported', text: 'Rekey does not use keys of this kind' },
  fault: { kind: 'transient', text: 'the process of the token failed', unknown: true, fatal: true },
}

export const meaningOf = (fault: Fault): Meaning =>
  fault.kind === 'ckr'
    ? (codes[fault.code] ?? {
        kind: 'permanent',
        text: `the library answered ${nameOf(fault.code)}`,
      })
    : findings[fault.kind]

const nameOf = (code: number): string => `CKR 0x${code.toString(16).padStart(8, '0')}`

const writes: ReadonlySet<CallName> = new Set(['generate', 'relabel', 'use', 'destroy'])

export const failureOf = (fault: Fault, call: CallName): ProviderError => {
  const { kind, text, hint, unknown } = meaningOf(fault)
  const detail = 'id' in fault ? `${text} (${fault.id})` : text
  const effect = unknown && writes.has(call) ? 'unknown' : 'none'
  return new ProviderError(kind, effect, detail, {
    ...(hint === undefined ? {} : { hint }),
    ...(fault.kind === 'ckr' ? { status: fault.code } : {}),
  })
}

export const isWrite = (call: CallName): boolean => writes.has(call)

/** Of a call that has no effect nothing is unknown: it may be asked again. */
export const unanswered = (call: CallName, error: unknown): never => {
  if (!(error instanceof ProviderError) || error.effect === 'none' || isWrite(call)) throw error
  const kind = error.kind === 'timeout' ? 'timeout' : 'transient'
  throw new ProviderError(kind, 'none', error.message)
}

export const isRefusedPin = (fault: Fault): boolean =>
  fault.kind === 'ckr' &&
  (
    [ckr.pinIncorrect, ckr.pinInvalid, ckr.pinLenRange, ckr.pinExpired, ckr.pinLocked] as number[]
  ).includes(fault.code)
