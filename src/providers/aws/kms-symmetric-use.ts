// A symmetric key is used for real: a data key is made and opened again. KMS says which material it used for each.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type Verdict } from '#domain/provider.ts'
import { readMaterials, type KmsKey } from './kms-read.ts'
import type { Aws } from './session.ts'
import { sameBytes, sha256 } from '../digest.ts'

type At = Pick<KmsKey, 'id' | 'arn'>

/** Stored in the pre-image: something that the old material has made. The hash is of random bytes. */
export interface Proof {
  readonly made: string
  readonly sha256: string
  readonly material: string
}

const operation = 'GenerateDataKey, Decrypt'

export const makeProof = async (aws: Aws, at: At, call: Call): Promise<Proof> => {
  const { blob, plaintext, material } = await dataKey(aws, at, call)
  return {
    made: Buffer.from(blob).toString('base64'),
    sha256: sha256(plaintext).toString('hex'),
    material,
  }
}

export const proofIn = (preImage: JsonObject): Proof | null => {
  const { made, sha256: hash, material } = Object(preImage['proof']) as Partial<Proof>
  return typeof made === 'string' && typeof hash === 'string' && typeof material === 'string'
    ? { made, sha256: hash, material }
    : null
}

const dataKey = async (aws: Aws, { id, arn }: At, call: Call) => {
  const made = await aws.read(
    'kms',
    arn,
    (kms, options) => kms.generateDataKey({ KeyId: id, KeySpec: 'AES_256' }, options),
    call,
  )
  const { CiphertextBlob: blob, Plaintext: plaintext, KeyMaterialId: material = '' } = made
  if (blob === undefined || plaintext === undefined)
    throw new ProviderError('transient', 'none', 'KMS’s answer has no data key in it')
  return { blob, plaintext, material }
}

const open = async (aws: Aws, { id, arn }: At, blob: Uint8Array, call: Call) => {
  const told = await aws.read(
    'kms',
    arn,
    (kms, options) => kms.decrypt({ KeyId: id, CiphertextBlob: blob }, options),
    call,
  )
  return { plaintext: told.Plaintext ?? new Uint8Array(), material: told.KeyMaterialId ?? '' }
}

/** KMS makes data keys with its current material only: older ones are there for what they have made. */
export const roundTrip = async (
  aws: Aws,
  at: At,
  material: string,
  call: Call,
): Promise<Verdict> => {
  const made = await dataKey(aws, at, call)
  const opened = await open(aws, at, made.blob, call)
  const facts = { operation, material: made.material }
  if (!sameBytes(made.plaintext, opened.plaintext) || opened.material !== made.material)
    return { ok: false, detail: 'KMS opened something else than it made', facts }
  if (made.material === material) return { ok: true, facts }
  const older = (await readMaterials(aws, at, call)).some(
    ({ id, current }) => id === material && !current,
  )
  return older
    ? { ok: true, facts: { ...facts, opensOnly: true } }
    : { ok: false, detail: `KMS encrypts with the material ${made.material}`, facts }
}

export const stillOpens = async (aws: Aws, at: At, proof: Proof, call: Call): Promise<Verdict> => {
  const opened = await open(aws, at, Buffer.from(proof.made, 'base64'), call)
  const facts = { operation: 'Decrypt', material: opened.material }
  if (!sameBytes(sha256(opened.plaintext).toString('hex'), proof.sha256))
    return { ok: false, detail: 'what the old material made opens as something else', facts }
  return opened.material === proof.material
    ? { ok: true, facts }
    : { ok: false, detail: `KMS opened it with the material ${opened.material}`, facts }
}

/** What KMS alone says, and of a key that may not be used: other failures may come of the way there. */
const refusals: ReadonlySet<string> = new Set(['disabled', 'notFound'])

/** The error by which KMS refused, or what it did instead. */
export const refusalOf = async <T>(
  work: () => Promise<T>,
): Promise<{ readonly refused: ProviderError } | { readonly did: T }> => {
  try {
    return { did: await work() }
  } catch (error) {
    if (error instanceof ProviderError && refusals.has(error.kind)) return { refused: error }
    throw error
  }
}

/** The whole key: no single material can be switched off. */
export const isRefused = async (
  aws: Aws,
  at: At,
  proof: Proof | null,
  call: Call,
): Promise<Verdict> => {
  const made = await refusalOf(() => dataKey(aws, at, call))
  if ('did' in made)
    return { ok: false, detail: 'the key still encrypts', facts: { operation: 'GenerateDataKey' } }
  const facts = {
    operation: 'GenerateDataKey',
    refusal: made.refused.kind,
    status: made.refused.status,
    requestId: made.refused.requestId,
  }
  if (proof === null) return { ok: true, facts }
  const opened = await refusalOf(() => stillOpens(aws, at, proof, call))
  return 'did' in opened
    ? { ok: false, detail: 'what the key made before still opens', facts }
    : { ok: true, facts: { ...facts, operation } }
}
