// Real uses of a transit key: encrypt and decrypt, sign and verify, or MAC and verify, by what the key can do. A proof is
// something that one version made; it holds while that version still opens it.

import { ProviderError, type Call, type Verdict } from '#domain/provider.ts'
import type { TransitRef } from './refs.ts'
import type { Reply } from './client.ts'
import type { Ask } from './session.ts'
import { sameBytes, sha256 } from '../digest.ts'
import { textOf, type Fields } from '../untyped-json.ts'

export type TransitUse = 'encryption' | 'signing' | 'mac'

/** Stored in the pre-image: no material of the key, and of the random input only what telling needs. */
export interface Proof {
  readonly use: TransitUse
  readonly version: number
  /** `vault:vN:…`: ciphertext, signature or MAC. */
  readonly made: string
  /** Encryption: SHA-256 of the plaintext, base64. Otherwise the input itself, base64: it is random and secret to nobody. */
  readonly input: string
  /** Derived keys need it again. */
  readonly context: string | null
}

export const useOf = (key: Fields): TransitUse => {
  if (key['supports_encryption'] === true) return 'encryption'
  if (key['supports_signing'] === true) return 'signing'
  if (key['type'] === 'hmac') return 'mac'
  throw new ProviderError('unsupported', 'none', 'Rekey cannot prove a transit key of this type', {
    hint: 'it rotates keys that encrypt, sign or make HMACs',
  })
}

interface RoundTrip {
  readonly verdict: Verdict
  /** The status by which Vault refused the version; null when it used it. */
  readonly refused: number | null
}

export interface TransitUses {
  readonly make: (ref: TransitRef, key: Fields, version: number, call: Call) => Promise<Proof>
  readonly roundTrip: (
    ref: TransitRef,
    key: Fields,
    version: number,
    call: Call,
  ) => Promise<RoundTrip>
  readonly holds: (ref: TransitRef, proof: Proof, call: Call) => Promise<Verdict>
}

export const makeTransitUse = (ask: Ask, random: (bytes: number) => Uint8Array): TransitUses => {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

  const apply = (
    ref: TransitRef,
    key: Fields,
    version: number,
    input: string,
    context: string | null,
    call: Call,
  ): Promise<Reply> => {
    const use = useOf(key)
    const at = { key_version: version, ...(context === null ? {} : { context }) }
    const operation = use === 'encryption' ? 'encrypt' : use === 'signing' ? 'sign' : 'hmac'
    return ask(
      {
        verb: 'write',
        path: ref.use(operation),
        body: { ...at, [use === 'encryption' ? 'plaintext' : 'input']: input },
        accept: [400],
        // For most keys a 400; for elliptic curves Vault 1.21 makes a 500 of it.
        acceptSaying: /requested version for \w+ is/,
      },
      call,
    )
  }

  const attempt = async (
    ref: TransitRef,
    key: Fields,
    version: number,
    call: Call,
  ): Promise<Proof | number> => {
    const use = useOf(key)
    const bytes = random(32)
    const input = base64(bytes)
    const context = key['derived'] === true ? base64(random(32)) : null
    const reply = await apply(ref, key, version, input, context, call)
    if (reply.status >= 400) return reply.status
    const made = textOf(
      reply.data[use === 'encryption' ? 'ciphertext' : use === 'signing' ? 'signature' : 'hmac'],
    )
    return {
      use,
      version,
      made,
      context,
      input: use === 'encryption' ? sha256(bytes).toString('base64') : input,
    }
  }

  const holds = async (ref: TransitRef, proof: Proof, call: Call): Promise<Verdict> => {
    const { use, made, version } = proof
    const context = proof.context === null ? {} : { context: proof.context }
    const operation = use === 'encryption' ? 'decrypt' : 'verify'
    const facts = { operation, version }
    const body =
      use === 'encryption'
        ? { ...context, ciphertext: made }
        : {
            ...context,
            input: proof.input,
            ...(use === 'signing' ? { signature: made } : { hmac: made }),
          }
    const reply = await ask({ verb: 'write', path: ref.use(operation), body, accept: [400] }, call)
    if (reply.status === 400)
      return {
        ok: false,
        detail: `Vault refuses what version ${version} made`,
        facts: { ...facts, status: 400 },
      }
    const ok =
      use === 'encryption'
        ? sameBytes(
            sha256(Buffer.from(textOf(reply.data['plaintext']), 'base64')).toString('base64'),
            proof.input,
          )
        : reply.data['valid'] === true
    return ok
      ? { ok, facts }
      : { ok, detail: `what version ${version} made does not come back as it was`, facts }
  }

  return {
    make: async (ref, key, version, call) => {
      const proof = await attempt(ref, key, version, call)
      if (typeof proof !== 'number') return proof
      throw new ProviderError('precondition', 'none', 'the key’s current version cannot be used', {
        hint: `check min_encryption_version and the type of ${ref.keyPath}`,
      })
    },
    roundTrip: async (ref, key, version, call) => {
      const proof = await attempt(ref, key, version, call)
      if (typeof proof === 'number')
        return {
          verdict: {
            ok: false,
            detail: `Vault refuses to use version ${version}`,
            facts: { version, status: proof },
          },
          refused: proof,
        }
      // The prefix says which version Vault really used.
      if (!proof.made.startsWith(`vault:v${version}:`))
        return {
          verdict: {
            ok: false,
            detail: `Vault used another version than ${version}`,
            facts: { version },
          },
          refused: null,
        }
      return { verdict: await holds(ref, proof, call), refused: null }
    },
    holds,
  }
}
