// What is read and set of a key object. An attribute that a library does not know is read as what it is without it.

import type Pkcs11 from 'pkcs11js'
import { ckk, type Fault, type KeyObject, type Usage } from './protocol.ts'

export interface Module {
  readonly p: typeof Pkcs11
}

/** A fault that is answered as such. */
export class Fail extends Error {
  readonly fault: Fault

  private constructor(fault: Fault) {
    super(fault.kind)
    this.fault = fault
  }

  static throw(fault: Fault): never {
    throw new Fail(fault)
  }

  /** CKR_… of what the library threw; null for anything else. */
  static codeOf(error: unknown): number | null {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : null
    return typeof code === 'number' ? code : null
  }
}

/** One attribute; null where the library does not have it, or keeps it to itself. */
export const attribute = (
  lib: Pkcs11.PKCS11,
  session: Buffer,
  handle: Buffer,
  type: number,
): Buffer | null => {
  try {
    const [found] = lib.C_GetAttributeValue(session, handle, [{ type }])
    return Buffer.isBuffer(found?.value) ? found.value : null
  } catch (error) {
    const code = Fail.codeOf(error)
    // CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID
    if (code === 0x11 || code === 0x12) return null
    throw error
  }
}

const isSet = (value: Buffer | null): boolean => value?.[0] === 1

/** CK_ULONG, in the machine's own order. */
const numberIn = (value: Buffer | null): number =>
  value === null || value.length < 4 ? -1 : value.readUInt32LE(0)

export const readKey = (
  { p }: Module,
  lib: Pkcs11.PKCS11,
  session: Buffer,
  handle: Buffer,
): KeyObject => {
  const read = (type: number): Buffer | null => attribute(lib, session, handle, type)
  const flag = (type: number): boolean => isSet(read(type))
  const modifiable = read(p.CKA_MODIFIABLE)
  return {
    id: (read(p.CKA_ID) ?? Buffer.alloc(0)).toString('hex'),
    kind: numberIn(read(p.CKA_CLASS)) === p.CKO_SECRET_KEY ? 'secret' : 'private',
    keyType: numberIn(read(p.CKA_KEY_TYPE)),
    label: (read(p.CKA_LABEL) ?? Buffer.alloc(0)).toString('utf8'),
    modifiable: modifiable === null || isSet(modifiable),
    usage: {
      sign: flag(p.CKA_SIGN),
      verify: flag(p.CKA_VERIFY),
      encrypt: flag(p.CKA_ENCRYPT),
      decrypt: flag(p.CKA_DECRYPT),
      wrap: flag(p.CKA_WRAP),
      unwrap: flag(p.CKA_UNWRAP),
    },
  }
}

/** What is set to switch a key off or on. Off, it makes nothing new; what it made can be read on, unless all is asked for.
 *  On again it may do what its counterpart tells that it could: the public half of a pair, and in a secret key the direction
 *  that was left on. */
export const usageAttributes = (
  { p }: Module,
  { kind, keyType, usage }: KeyObject,
  half: Usage | null,
  { on, all }: { readonly on: boolean; readonly all: boolean },
): Pkcs11.Template => {
  const wanted: Partial<Record<keyof Usage, boolean>> =
    kind === 'private' ? privateUsage(usage, half, on, all) : secretUsage(keyType, usage, on, all)
  const types = {
    sign: p.CKA_SIGN,
    verify: p.CKA_VERIFY,
    encrypt: p.CKA_ENCRYPT,
    decrypt: p.CKA_DECRYPT,
    wrap: p.CKA_WRAP,
    unwrap: p.CKA_UNWRAP,
  }
  return (Object.keys(wanted) as (keyof Usage)[])
    .filter((name) => usage[name] !== wanted[name])
    .map((name) => ({ type: types[name], value: wanted[name] === true }))
}

const privateUsage = (usage: Usage, half: Usage | null, on: boolean, all: boolean) => {
  if (!on) return { sign: false, ...(all ? { decrypt: false, unwrap: false } : {}) }
  // Without its public half a private key is taken to sign.
  return {
    sign: half?.verify ?? true,
    decrypt: usage.decrypt || (half?.encrypt ?? false),
    unwrap: usage.unwrap || (half?.wrap ?? false),
  }
}

const secretUsage = (keyType: number, usage: Usage, on: boolean, all: boolean) => {
  if (!on) {
    const off = { encrypt: false, sign: false, wrap: false }
    return all ? { ...off, decrypt: false, verify: false, unwrap: false } : off
  }
  const known = usage.decrypt || usage.verify || usage.unwrap
  const decrypt = known ? usage.decrypt : keyType === ckk.aes
  const verify = known ? usage.verify : keyType !== ckk.aes
  return {
    encrypt: decrypt,
    decrypt,
    sign: verify,
    verify,
    wrap: usage.unwrap,
    unwrap: usage.unwrap,
  }
}
