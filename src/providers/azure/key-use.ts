// Real uses of a key, by Key Vault: sign, encrypt or wrap, by what the key is for; and what they made opened again, signatures
// with the public key and not by Key Vault's word. A proof is something that one version made.

import { constants, createPublicKey, verify, type JsonWebKey } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { CryptographyClient, SignatureAlgorithm } from '@azure/keyvault-keys'
import { ProviderError, type Call, type Verdict } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { readKey, type HeldKey } from './key-read.ts'
import { sameBytes } from '../digest.ts'

export type Use = 'sign' | 'encrypt' | 'wrap'

/** Stored in the pre-image: no material of the key. What was encrypted is stored as its SHA-256. */
export interface Proof {
  readonly use: Use
  readonly version: string
  readonly algorithm: string
  /** Base64. */
  readonly made: string
  readonly input: string
}

interface At {
  readonly azure: Azure
  readonly name: string
  readonly random: (bytes: number) => Uint8Array
}

export const useOf = ({ operations }: HeldKey): Use | null => {
  const has = (...names: readonly string[]): boolean => names.every((of) => operations.includes(of))
  if (has('sign')) return 'sign'
  if (has('encrypt', 'decrypt')) return 'encrypt'
  return has('wrapKey', 'unwrapKey') ? 'wrap' : null
}

const curves: Readonly<
  Record<
    string,
    { readonly algorithm: SignatureAlgorithm; readonly hash: string; readonly node: string }
  >
> = {
  'P-256': { algorithm: 'ES256', hash: 'sha256', node: 'P-256' },
  'P-384': { algorithm: 'ES384', hash: 'sha384', node: 'P-384' },
  'P-521': { algorithm: 'ES512', hash: 'sha512', node: 'P-521' },
  'P-256K': { algorithm: 'ES256K', hash: 'sha256', node: 'secp256k1' },
}

const isRsa = ({ kty }: HeldKey): boolean => kty.startsWith('RSA')

const signing = (
  key: HeldKey,
): { readonly algorithm: SignatureAlgorithm; readonly hash: string } => {
  if (isRsa(key)) return { algorithm: 'PS256', hash: 'sha256' }
  const curve = curves[key.jwk.crv ?? '']
  if (curve !== undefined) return curve
  throw new ProviderError('unsupported', 'none', 'Rekey cannot prove a key of this kind', {
    hint: 'it rotates RSA and elliptic curve keys',
  })
}

const encryption = 'RSA-OAEP-256'

const digest = (hash: string, bytes: Uint8Array): Buffer => createHash(hash).update(bytes).digest()
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

const rightOf = {
  sign: 'keys/sign/action',
  encrypt: 'keys/encrypt/action',
  decrypt: 'keys/decrypt/action',
  wrap: 'keys/wrap/action',
  unwrap: 'keys/unwrap/action',
} as const

const ask = <T>(
  { azure, name }: At,
  what: keyof typeof rightOf,
  version: string,
  send: (client: CryptographyClient, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  call: Call,
): Promise<T> =>
  azure.read(
    {
      client: 'keys',
      remoteOnly: true,
      action: rightOf[what],
      scope: `/keys/${name}`,
      send: (keys, options) =>
        send(keys.getCryptographyClient(name, { keyVersion: version }), options),
    },
    call,
  )

/** Throws `disabled` where Key Vault refuses the version. */
export const makeProof = async (at: At, key: HeldKey, use: Use, call: Call): Promise<Proof> => {
  const bytes = at.random(32)
  const { id: version } = key
  if (use === 'sign') {
    const { algorithm, hash } = signing(key)
    const { result } = await ask(
      at,
      'sign',
      version,
      (client, options) => client.sign(algorithm, digest(hash, bytes), options),
      call,
    )
    return { use, version, algorithm, made: base64(result), input: base64(bytes) }
  }
  if (!isRsa(key))
    throw new ProviderError('unsupported', 'none', 'Rekey cannot prove a key of this kind', {
      hint: 'it rotates RSA and elliptic curve keys',
    })
  const { result } = await ask(
    at,
    use,
    version,
    (client, options) =>
      use === 'encrypt'
        ? client.encrypt({ algorithm: encryption, plaintext: bytes }, options)
        : client.wrapKey(encryption, bytes, options),
    call,
  )
  const input = digest('sha256', bytes).toString('base64')
  return { use, version, algorithm: encryption, made: base64(result), input }
}

/** Whether what a version made is still good. Of a signature that is seen by anybody who has the public key. */
export const proofHolds = async (at: At, proof: Proof, call: Call): Promise<Verdict> => {
  const { use, version } = proof
  const operation = use === 'sign' ? 'verify' : use === 'encrypt' ? 'decrypt' : 'unwrapKey'
  const facts = { operation, version, algorithm: proof.algorithm }
  const ok = use === 'sign' ? await isSignature(at, proof, call) : await opens(at, proof, call)
  if (ok === null)
    return { ok: false, detail: `Key Vault refuses what version ${version} made`, facts }
  return ok
    ? { ok, facts }
    : { ok, detail: `what version ${version} made does not come back as it was`, facts }
}

const isSignature = async (
  { azure, name }: At,
  { version, made, input }: Proof,
  call: Call,
): Promise<boolean | null> => {
  const key = await readKey(azure, name, version, call)
  if (key === null) return null
  const { hash } = signing(key)
  const { n, e, x, y, crv = '' } = key.jwk
  const url = (bytes: Uint8Array | undefined): string =>
    Buffer.from(bytes ?? []).toString('base64url')
  const jwk: JsonWebKey = isRsa(key)
    ? { kty: 'RSA', n: url(n), e: url(e) }
    : { kty: 'EC', crv: curves[crv]?.node ?? crv, x: url(x), y: url(y) }
  const padding = isRsa(key)
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : { dsaEncoding: 'ieee-p1363' as const }
  return verify(
    hash,
    Buffer.from(input, 'base64'),
    { key: createPublicKey({ key: jwk, format: 'jwk' }), ...padding },
    Buffer.from(made, 'base64'),
  )
}

const opens = async (
  at: At,
  { use, version, made, input }: Proof,
  call: Call,
): Promise<boolean | null> => {
  const bytes = Buffer.from(made, 'base64')
  try {
    const { result } = await ask(
      at,
      use === 'encrypt' ? 'decrypt' : 'unwrap',
      version,
      (client, options) =>
        use === 'encrypt'
          ? client.decrypt({ algorithm: encryption, ciphertext: bytes }, options)
          : client.unwrapKey(encryption, bytes, options),
      call,
    )
    return sameBytes(digest('sha256', result).toString('base64'), input)
  } catch (error) {
    if (error instanceof ProviderError && ['disabled', 'notFound'].includes(error.kind)) return null
    throw error
  }
}

/** It makes nothing new. What it made may open still, where it is suspended and not disabled: that is told. */
export const isKeyRefused = async (
  at: At,
  version: string,
  proof: Proof | null,
  call: Call,
): Promise<Verdict> => {
  const key = await readKey(at.azure, at.name, version, call)
  if (key === null) {
    const tried = proof?.version === version ? await proofHolds(at, proof, call) : null
    const oldData = tried === null ? 'untried' : 'refused'
    const facts = { operation: 'get', version, status: 403, oldData }
    return tried?.ok === true
      ? { ok: false, detail: `what version ${version} made is still accepted`, facts }
      : { ok: true, facts }
  }
  // What it was for it no longer says; whichever it is, Key Vault must refuse it.
  const uses: readonly Use[] = isRsa(key) ? ['sign', 'encrypt', 'wrap'] : ['sign']
  for (const use of uses) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- three of them
      await makeProof(at, key, use, call)
      const detail = `version ${version} is still used to ${use}`
      return { ok: false, detail, facts: { operation: use, version } }
    } catch (error) {
      if (!(error instanceof ProviderError) || error.kind !== 'disabled') throw error
    }
  }
  const facts = { operation: uses.join(), version, status: 403, oldData: 'readable' }
  return { ok: true, facts }
}
