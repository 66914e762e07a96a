// Versions are tried for real: a signature is made in the token and checked outside of it, a text encrypted and decrypted
// there. What was made before a rotation is kept as a probe, and must still be readable by its version afterwards.

import { createHash, createPublicKey, verify } from 'node:crypto'
import type { JsonObject } from '#domain/json.ts'
import { type Call, ProviderError, type Verdict } from '#domain/provider.ts'
import type { Ask } from './login.ts'
import { ckr, type KeyObject, type PublicKey } from './protocol.ts'
import { kindOf } from './versions.ts'

const text = Buffer.from('rekey-canary: this text is tried, and nothing else', 'utf8')

/** A use of a version: what it made, for later. */
export interface Sample {
  readonly id: string
  readonly made: string
  readonly iv: string
}

export const makeTrial = (ask: Ask, random: (bytes: number) => Uint8Array) => {
  const make = async (object: KeyObject, call: Call): Promise<Sample> => {
    const { id } = object
    const iv = random(16)
    const made =
      kindOf(object) === 'AES'
        ? await ask('encrypt', { id, iv, data: text }, call)
        : await ask('sign', { id, data: signed(object) }, call)
    return { id, made: base64(made), iv: base64(iv) }
  }

  /** Why it does not hold; null: it does. */
  const holds = async (object: KeyObject, sample: Sample, call: Call): Promise<string | null> => {
    const { id } = object
    const made = Buffer.from(sample.made, 'base64')
    if (kindOf(object) === 'AES') {
      const iv = Buffer.from(sample.iv, 'base64')
      const clear = await ask('decrypt', { id, iv, data: made }, call)
      return text.equals(Buffer.from(clear)) ? null : 'what it encrypted reads otherwise'
    }
    const key = await ask('publicKey', { id }, call)
    if (!key) {
      throw new ProviderError('unsupported', 'none', 'the token does not tell the public key', {
        hint: 'keep the public key object beside the private one, with the same CKA_ID',
      })
    }
    return verifies(key, made) ? null : 'its signature is not that of its public key'
  }

  return {
    make,
    roundTrip: async (object: KeyObject, call: Call): Promise<Verdict> => {
      const facts = await factsOf(ask, object, call)
      try {
        const why = await holds(object, await make(object, call), call)
        return why === null ? { ok: true, facts } : { ok: false, detail: why, facts }
      } catch (error) {
        if (!isDisabled(error)) throw error
        return { ok: false, detail: `version ${object.id} is switched off`, facts }
      }
    },
    /** Tries it as an application would: it must be told that it may not. */
    refused: async (object: KeyObject, call: Call): Promise<Verdict> => {
      const operation = kindOf(object) === 'AES' ? 'C_EncryptInit' : 'C_SignInit'
      try {
        await make(object, call)
        const detail = `version ${object.id} is still of use`
        return { ok: false, detail, facts: { operation } }
      } catch (error) {
        if (!isDisabled(error)) throw error
        return { ok: true, facts: { operation, code: codeText(ckr.keyFunctionNotPermitted) } }
      }
    },
    oldDataReadable: async (object: KeyObject, sample: Sample, call: Call): Promise<Verdict> => {
      const facts = { operation: kindOf(object) === 'AES' ? 'C_Decrypt' : 'verify' }
      const why = await holds(object, sample, call)
      return why === null ? { ok: true, facts } : { ok: false, detail: why, facts }
    },
  }
}

export const sampleIn = (preImage: JsonObject): Sample | null => {
  const sample = preImage['sample']
  return typeof sample === 'object' && sample !== null && 'made' in sample
    ? (sample as unknown as Sample)
    : null
}

/** What people and auditors know a key by: the SHA-256 of its public key (SPKI, DER). */
export const factsOf = async (ask: Ask, object: KeyObject, call: Call): Promise<JsonObject> => {
  const kind = kindOf(object)
  if (kind === 'AES') return { kind }
  const key = await ask('publicKey', { id: object.id }, call)
  if (!key) return { kind }
  const der = asKey(key).export({ type: 'spki', format: 'der' })
  return { kind, publicKeySha256: createHash('sha256').update(der).digest('hex') }
}

const isDisabled = (error: unknown): boolean =>
  error instanceof ProviderError && error.kind === 'disabled'

const codeText = (code: number): string => `CKR 0x${code.toString(16).padStart(8, '0')}`

const asKey = (key: PublicKey) => createPublicKey({ key: { ...key }, format: 'jwk' })

const signed = (object: KeyObject): Uint8Array =>
  kindOf(object) === 'EC' ? createHash('sha256').update(text).digest() : text

const verifies = (key: PublicKey, signature: Uint8Array): boolean =>
  verify(
    'sha256',
    text,
    key.kty === 'EC' ? { key: asKey(key), dsaEncoding: 'ieee-p1363' } : { key: asKey(key) },
    signature,
  )

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
