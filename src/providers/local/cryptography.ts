// Key material of `local.key`: made, used and proven here with node:crypto. Private keys are PKCS #8 DER, AES keys raw.
//
// A ciphertext names the version that made it, so that a reader needs no version number:
//   0x01 ‖ version (uint32, big-endian) ‖ nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16), header authenticated
//   0x02 ‖ version (uint32, big-endian) ‖ RSA-OAEP(SHA-256) ciphertext

import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify,
} from 'node:crypto'
import { ProviderError } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import type { Algorithm } from './types.ts'

const headerBytes = 5
const nonceBytes = 12
const tagBytes = 16

export const generateKey = (
  algorithm: Algorithm,
  random: (bytes: number) => Uint8Array,
): { readonly material: Secret<Uint8Array>; readonly publicKey: string | null } => {
  if (algorithm === 'aes256') return { material: new Secret(random(32)), publicKey: null }
  const pair =
    algorithm === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : algorithm === 'ecP256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('rsa', { modulusLength: 3072 })
  return {
    material: new Secret(new Uint8Array(pair.privateKey.export({ type: 'pkcs8', format: 'der' }))),
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

/** Ed25519 as RFC 8032; EC as ECDSA with SHA-256, DER; RSA as PSS with SHA-256 and a salt of 32 bytes. */
export const signWith = (
  algorithm: Algorithm,
  material: Secret<Uint8Array>,
  input: Uint8Array,
): Uint8Array => {
  if (algorithm === 'aes256') throw unsupported(algorithm, 'sign')
  return sign(digestOf(algorithm), input, signing(algorithm, privateKey(material)))
}

export const verifyWith = (
  algorithm: Algorithm,
  publicKey: string,
  input: Uint8Array,
  signature: Uint8Array,
): boolean =>
  verify(digestOf(algorithm), input, signing(algorithm, createPublicKey(publicKey)), signature)

export const encryptWith = (
  algorithm: Algorithm,
  material: Secret<Uint8Array>,
  version: number,
  input: Uint8Array,
  random: (bytes: number) => Uint8Array,
): Uint8Array => {
  const header = Buffer.alloc(headerBytes)
  header.writeUInt32BE(version, 1)
  if (algorithm === 'aes256') {
    header.writeUInt8(1, 0)
    const nonce = random(nonceBytes)
    const cipher = createCipheriv('aes-256-gcm', material.reveal(), nonce)
    cipher.setAAD(header)
    return Buffer.concat([header, nonce, cipher.update(input), cipher.final(), cipher.getAuthTag()])
  }
  if (algorithm !== 'rsa3072') throw unsupported(algorithm, 'encrypt')
  if (input.length > maxRsaInput) {
    throw new ProviderError('permanent', 'none', `RSA takes at most ${maxRsaInput} bytes`)
  }
  header.writeUInt8(2, 0)
  const key = createPublicKey(privateKey(material))
  return Buffer.concat([header, publicEncrypt(oaep(key), input)])
}

/** The version that a ciphertext names; null when it is not one of ours. */
export const versionOf = (ciphertext: Uint8Array): number | null => {
  const form = ciphertext[0]
  if (ciphertext.length < headerBytes || (form !== 1 && form !== 2)) return null
  return Buffer.from(ciphertext).readUInt32BE(1)
}

export const decryptWith = (
  algorithm: Algorithm,
  material: Secret<Uint8Array>,
  ciphertext: Uint8Array,
): Uint8Array => {
  const bytes = Buffer.from(ciphertext)
  try {
    if (algorithm === 'aes256' && bytes[0] === 1) {
      const nonce = bytes.subarray(headerBytes, headerBytes + nonceBytes)
      const decipher = createDecipheriv('aes-256-gcm', material.reveal(), nonce)
      decipher.setAAD(bytes.subarray(0, headerBytes))
      decipher.setAuthTag(bytes.subarray(-tagBytes))
      const body = bytes.subarray(headerBytes + nonceBytes, -tagBytes)
      return Buffer.concat([decipher.update(body), decipher.final()])
    }
    if (algorithm === 'rsa3072' && bytes[0] === 2) {
      return privateDecrypt(oaep(privateKey(material)), bytes.subarray(headerBytes))
    }
  } catch {
    // The reason is kept back: telling padding from tag failures apart is an oracle.
  }
  throw new ProviderError('permanent', 'none', 'the ciphertext does not open with this key')
}

const maxRsaInput = 3072 / 8 - 2 * 32 - 2

const unsupported = (algorithm: string, what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `a key of algorithm ${algorithm} does not ${what}`)

const privateKey = (material: Secret<Uint8Array>): KeyObject =>
  createPrivateKey({ key: Buffer.from(material.reveal()), format: 'der', type: 'pkcs8' })

const digestOf = (algorithm: Algorithm): string | null =>
  algorithm === 'ed25519' ? null : 'sha256'

const signing = (algorithm: Algorithm, key: KeyObject) =>
  algorithm === 'rsa3072'
    ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    : { key }

const oaep = (key: KeyObject) => ({
  key,
  padding: constants.RSA_PKCS1_OAEP_PADDING,
  oaepHash: 'sha256',
})
