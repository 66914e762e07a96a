// A key is used for real, for what it is made for. What was signed is also verified here, with the public key: that catches an
// answer of another key.

import { constants, verify } from 'node:crypto'
import { ProviderError, type Call, type Verdict } from '#domain/provider.ts'
import { readKmsKey, type KmsKey } from './kms-read.ts'
import { kmsKeyArn } from './kms-ref.ts'
import { refusalOf } from './kms-symmetric-use.ts'
import type { Aws } from './session.ts'
import { sameBytes } from '../digest.ts'
import { unsupported } from './values.ts'

type Bytes = (count: number) => Uint8Array
interface At {
  readonly aws: Aws
  readonly random: Bytes
  readonly id: string
}

export const uses = async ({ aws, random, id }: At, call: Call): Promise<Verdict> => {
  const arn = kmsKeyArn(aws.settings, id)
  const tried = await refusalOf(async () => {
    const key = await readKmsKey(aws, { id, arn }, call)
    if (key === null) throw new ProviderError('notFound', 'none', 'there is no such key in KMS')
    return useOf(key)(aws, key, random(32), call)
  })
  if ('did' in tried) return tried.did
  const { kind, status, requestId, message } = tried.refused
  return { ok: false, detail: message, facts: { refusal: kind, status, requestId } }
}

/** Tried, and refused by KMS for the state of the key; a key that works is not. */
export const isRefused = async (at: At, call: Call): Promise<Verdict> => {
  const verdict = await uses(at, call)
  if (verdict.ok) return { ok: false, detail: 'the key is used still', facts: verdict.facts }
  return verdict.facts['refusal'] === undefined ? verdict : { ok: true, facts: verdict.facts }
}

type Use = (aws: Aws, key: KmsKey, message: Uint8Array, call: Call) => Promise<Verdict>

const useOf = ({ usage }: KmsKey): Use => {
  switch (usage) {
    case 'SIGN_VERIFY':
      return signs
    case 'GENERATE_VERIFY_MAC':
      return macs
    case 'ENCRYPT_DECRYPT':
      return encrypts
    default:
      throw unsupported(`using a key for ${usage}`)
  }
}

const verdictOf = (ok: boolean, operation: string, algorithm: string): Verdict =>
  ok
    ? { ok, facts: { operation, algorithm } }
    : { ok, detail: `${operation}: KMS gave something else`, facts: { operation, algorithm } }

const signs: Use = async (aws, key, Message, call) => {
  const SigningAlgorithm = (key.signs[0] ?? '') as never
  const of = { KeyId: key.id, MessageType: 'RAW' as const, Message, SigningAlgorithm }
  const { Signature = new Uint8Array() } = await aws.read(
    'kms',
    key.arn,
    (kms, options) => kms.sign(of, options),
    call,
  )
  const { PublicKey = new Uint8Array() } = await aws.read(
    'kms',
    key.arn,
    (kms, options) => kms.getPublicKey({ KeyId: key.id }, options),
    call,
  )
  const here = verifiesHere(SigningAlgorithm, { PublicKey, Message, Signature })
  const told =
    here ??
    (
      await aws.read(
        'kms',
        key.arn,
        (kms, options) => kms.verify({ ...of, Signature }, options),
        call,
      )
    ).SignatureValid === true
  return verdictOf(told, here === null ? 'Sign, Verify' : 'Sign, GetPublicKey', SigningAlgorithm)
}

/** Null: an algorithm that Node does not have; KMS must verify itself then. */
const verifiesHere = (
  algorithm: string,
  of: {
    readonly PublicKey: Uint8Array
    readonly Message: Uint8Array
    readonly Signature: Uint8Array
  },
): boolean | null => {
  const [, scheme, bits] =
    /^(RSASSA_PSS|RSASSA_PKCS1_V1_5|ECDSA)_SHA_(256|384|512)$/.exec(algorithm) ?? []
  if (scheme === undefined) return null
  const key = { key: Buffer.from(of.PublicKey), format: 'der', type: 'spki' } as const
  const padding =
    scheme === 'RSASSA_PSS'
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
      : {}
  try {
    return verify(`sha${bits}`, of.Message, { ...key, ...padding }, of.Signature)
  } catch {
    return false
  }
}

const macs: Use = async (aws, key, Message, call) => {
  const MacAlgorithm = (key.macs[0] ?? key.spec.replace('HMAC_', 'HMAC_SHA_')) as never
  const of = { KeyId: key.id, Message, MacAlgorithm }
  const { Mac } = await aws.read(
    'kms',
    key.arn,
    (kms, options) => kms.generateMac(of, options),
    call,
  )
  const { MacValid } = await aws.read(
    'kms',
    key.arn,
    (kms, options) => kms.verifyMac({ ...of, Mac }, options),
    call,
  )
  return verdictOf(MacValid === true, 'GenerateMac, VerifyMac', MacAlgorithm)
}

const encrypts: Use = async (aws, key, Plaintext, call) => {
  const EncryptionAlgorithm = (key.encrypts[0] ?? 'SYMMETRIC_DEFAULT') as never
  const of = { KeyId: key.id, EncryptionAlgorithm }
  const { CiphertextBlob } = await aws.read(
    'kms',
    key.arn,
    (kms, options) => kms.encrypt({ ...of, Plaintext }, options),
    call,
  )
  const opened = await aws.read(
    'kms',
    key.arn,
    (kms, options) => kms.decrypt({ ...of, CiphertextBlob }, options),
    call,
  )
  const same = sameBytes(opened.Plaintext ?? new Uint8Array(), Plaintext)
  return verdictOf(same, 'Encrypt, Decrypt', EncryptionAlgorithm)
}
