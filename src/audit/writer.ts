// Each process signs what it writes, so that a row forged in SQL is found out: it has no signature of a known writer.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto'
import { revealBytes, type Secret } from '#domain/secret.ts'

export interface Writer {
  /** First four bytes of SHA-256("rekey-writer" ‖ 0x0A ‖ 0x01 ‖ public key), as C2SP signed-note names its keys. */
  readonly kid: Uint8Array
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes, Ed25519 over "rekey-audit-row-v1\n" ‖ body. */
  readonly sign: (body: string) => Uint8Array
}

/** `seed`: the 32 bytes of RFC 8032. */
export const makeWriter = (seed: Secret<Uint8Array>): Writer => {
  const privateKey = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, revealBytes(seed)]),
    format: 'der',
    type: 'pkcs8',
  })
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const publicKey = new Uint8Array(spki.subarray(spki.length - 32))
  return {
    kid: writerKid(publicKey),
    publicKey,
    sign: (body) => new Uint8Array(sign(null, message(body), privateKey)),
  }
}

export interface TurningWriter extends Writer {
  /** Another key signs from now on. */
  turn(next: Writer): void
}

/** Id and signature of one record are to be taken without a pause between them. */
export const makeTurningWriter = (first: Writer): TurningWriter => {
  let present = first
  return {
    get kid() {
      return present.kid
    },
    get publicKey() {
      return present.publicKey
    },
    sign: (body) => present.sign(body),
    turn: (next) => {
      present = next
    },
  }
}

export const kidText = (kid: Uint8Array): string => Buffer.from(kid).toString('hex')

export const writerKid = (publicKey: Uint8Array): Uint8Array =>
  new Uint8Array(
    createHash('sha256')
      .update('rekey-writer\n')
      .update(Buffer.of(1))
      .update(publicKey)
      .digest()
      .subarray(0, 4),
  )

export const verifyRow = (publicKey: Uint8Array, body: string, signature: Uint8Array): boolean =>
  verify(null, message(body), publicKeyOf(publicKey), signature)

const message = (body: string): Buffer => Buffer.from(`rekey-audit-row-v1\n${body}`, 'utf8')

const publicKeyOf = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: 'der', type: 'spki' })

// RFC 8410: the DER that stands before the 32 bytes.
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex')
