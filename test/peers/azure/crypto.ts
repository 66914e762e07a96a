// Keys that are used for real: RSA and elliptic curves, with the algorithms of RFC 7518 that Key Vault has for them. It signs
// digests, as Key Vault does; Node signs messages, so that PSS (RFC 8017, 9.1) and ECDSA are done here and by @noble/curves.

import { p256, p384, p521 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  privateDecrypt,
  privateEncrypt,
  publicDecrypt,
  publicEncrypt,
  randomBytes,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto'
import type { JsonObject } from '#domain/json.ts'
import { badParameter } from './wire.ts'

export interface Pair {
  readonly kty: string
  readonly crv: string | null
  readonly privateKey: KeyObject
}

const curves = {
  'P-256': { node: 'P-256', alg: 'ES256', of: p256 },
  'P-384': { node: 'P-384', alg: 'ES384', of: p384 },
  'P-521': { node: 'P-521', alg: 'ES512', of: p521 },
  'P-256K': { node: 'secp256k1', alg: 'ES256K', of: secp256k1 },
} as const

const curveOf = (crv: string | null) => {
  const found = Object.entries(curves).find(([name]) => name === crv)?.[1]
  if (found === undefined) throw badParameter(`crv ${crv} is not known`)
  return found
}

export const newPair = (kty: string, size: number, crv: string): Pair => {
  if (/^RSA(-HSM)?$/.test(kty)) {
    if (![2048, 3072, 4096].includes(size)) throw badParameter('key_size is not one of RSA')
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: size })
    return { kty, crv: null, privateKey }
  }
  if (!/^EC(-HSM)?$/.test(kty)) throw badParameter(`kty ${kty} is not known`)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: curveOf(crv).node })
  return { kty, crv, privateKey }
}

const isRsa = ({ kty }: Pair): boolean => kty.startsWith('RSA')
const jwkOf = (key: KeyObject): JsonWebKey => key.export({ format: 'jwk' })

/** As in an answer: the public half, by Key Vault's names. */
export const publicJwk = (pair: Pair): JsonObject => {
  const { n = '', e = '', x = '', y = '' } = jwkOf(createPublicKey(pair.privateKey))
  return isRsa(pair) ? { kty: pair.kty, n, e } : { kty: pair.kty, crv: pair.crv, x, y }
}

const hashes: Readonly<Record<string, string>> = {
  '256': 'sha256',
  '384': 'sha384',
  '512': 'sha512',
}
const hashOf = (alg: string): string => hashes[alg.replace(/\D/g, '').slice(0, 3)] ?? 'sha256'
const hash = (name: string, ...parts: readonly Uint8Array[]): Buffer =>
  parts
    .reduce<ReturnType<typeof createHash>>((h, part) => h.update(part), createHash(name))
    .digest()

export const signDigest = (pair: Pair, alg: string, digest: Buffer): Buffer => {
  if (!isRsa(pair)) return signEc(pair, alg, digest)
  mustBe(alg, /^[RP]S(256|384|512)$/)
  mustBeLong(alg, digest)
  return alg.startsWith('RS')
    ? privateEncrypt(
        { key: pair.privateKey, padding: constants.RSA_PKCS1_PADDING },
        digestInfo(alg, digest),
      )
    : privateEncrypt(
        { key: pair.privateKey, padding: constants.RSA_NO_PADDING },
        pssEncode(hashOf(alg), digest, bitsOf(pair)),
      )
}

export const verifyDigest = (
  pair: Pair,
  alg: string,
  digest: Buffer,
  signature: Buffer,
): boolean => {
  if (!isRsa(pair)) {
    const { of } = curveOf(pair.crv)
    const { x = '', y = '' } = jwkOf(createPublicKey(pair.privateKey))
    const point = Buffer.concat([
      Buffer.from([4]),
      Buffer.from(x, 'base64url'),
      Buffer.from(y, 'base64url'),
    ])
    return of.verify(signature, digest, point, { prehash: false, lowS: false })
  }
  mustBe(alg, /^[RP]S(256|384|512)$/)
  try {
    const key = createPublicKey(pair.privateKey)
    return alg.startsWith('RS')
      ? publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature).equals(
          digestInfo(alg, digest),
        )
      : pssHolds(
          hashOf(alg),
          digest,
          publicDecrypt({ key, padding: constants.RSA_NO_PADDING }, signature),
          bitsOf(pair),
        )
  } catch {
    return false
  }
}

const oaep = (alg: string) => {
  mustBe(alg, /^RSA-OAEP(-256)?$/)
  const oaepHash = alg === 'RSA-OAEP' ? 'sha1' : 'sha256'
  return { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }
}

export const encryptWith = (pair: Pair, alg: string, bytes: Buffer): Buffer => {
  if (!isRsa(pair)) throw badParameter('an elliptic curve key does not encrypt')
  return publicEncrypt({ key: createPublicKey(pair.privateKey), ...oaep(alg) }, bytes)
}

export const decryptWith = (pair: Pair, alg: string, bytes: Buffer): Buffer => {
  if (!isRsa(pair)) throw badParameter('an elliptic curve key does not decrypt')
  try {
    return privateDecrypt({ key: pair.privateKey, ...oaep(alg) }, bytes)
  } catch {
    throw badParameter('the value cannot be decrypted')
  }
}

const signEc = ({ privateKey, crv }: Pair, alg: string, digest: Buffer): Buffer => {
  const curve = curveOf(crv)
  if (alg !== curve.alg) throw badParameter(`alg ${alg} is not of this key`)
  mustBeLong(alg, digest)
  const { d = '' } = jwkOf(privateKey)
  return Buffer.from(
    curve.of.sign(digest, Buffer.from(d, 'base64url'), { prehash: false, lowS: false }),
  )
}

const mustBe = (alg: string, form: RegExp): void => {
  if (!form.test(alg)) throw badParameter(`alg ${alg} is not of this key`)
}

const mustBeLong = (alg: string, digest: Buffer): void => {
  if (digest.length !== hash(hashOf(alg)).length)
    throw badParameter('the digest is not of this alg')
}

// RFC 8017, 9.2, note 1.
const prefixes: Readonly<Record<string, string>> = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
}
const digestInfo = (alg: string, digest: Buffer): Buffer =>
  Buffer.concat([Buffer.from(prefixes[hashOf(alg)] ?? '', 'hex'), digest])

const bitsOf = ({ privateKey }: Pair): number =>
  Buffer.from(jwkOf(privateKey).n ?? '', 'base64url').length * 8

const mask = (name: string, seed: Buffer, length: number): Buffer => {
  const blocks: Buffer[] = []
  for (let i = 0; Buffer.concat(blocks).length < length; i++) {
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(i)
    blocks.push(hash(name, seed, counter))
  }
  return Buffer.concat(blocks).subarray(0, length)
}
const xor = (a: Buffer, b: Buffer): Buffer => Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)))

const pssEncode = (name: string, digest: Buffer, bits: number): Buffer => {
  const salt = randomBytes(digest.length)
  const h = hash(name, Buffer.alloc(8), digest, salt)
  const length = bits / 8 - h.length - 1
  const db = Buffer.concat([Buffer.alloc(length - salt.length - 1), Buffer.from([1]), salt])
  const masked = xor(db, mask(name, h, length))
  masked[0] = (masked[0] ?? 0) & 127
  return Buffer.concat([masked, h, Buffer.from([0xbc])])
}

const pssHolds = (name: string, digest: Buffer, encoded: Buffer, bits: number): boolean => {
  const length = bits / 8 - digest.length - 1
  const h = encoded.subarray(length, -1)
  const db = xor(encoded.subarray(0, length), mask(name, h, length))
  const salt = db.subarray(-digest.length)
  return encoded.at(-1) === 0xbc && hash(name, Buffer.alloc(8), digest, salt).equals(h)
}
