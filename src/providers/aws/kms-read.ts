// A KMS key as AWS tells it. KMS is eventually consistent: two answers in a row may contradict each other.

import type { KeyMetadata } from '@aws-sdk/client-kms'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Aws } from './session.ts'

export interface KmsKey {
  readonly id: string
  readonly arn: string
  /** Enabled, Disabled, PendingDeletion, … */
  readonly state: string
  /** SYMMETRIC_DEFAULT, RSA_2048, ECC_NIST_P256, HMAC_256, … */
  readonly spec: string
  /** ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC, KEY_AGREEMENT */
  readonly usage: string
  /** AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE */
  readonly origin: string
  readonly ofAws: boolean
  readonly description: string
  /** Of a symmetric key: what it encrypts with now. */
  readonly material: string | null
  readonly createdAt: Date | null
  readonly deletionAt: Date | null
  /** Of a multi-Region key. */
  readonly region: 'PRIMARY' | 'REPLICA' | null
  readonly signs: readonly string[]
  readonly encrypts: readonly string[]
  readonly macs: readonly string[]
}

/** By id, ARN or alias. Null: no such key. */
export const readKmsKey = async (
  aws: Aws,
  at: { readonly id: string; readonly arn: string },
  call: Call,
): Promise<KmsKey | null> => {
  try {
    const { KeyMetadata: told } = await aws.read(
      'kms',
      at.arn,
      (kms, options) => kms.describeKey({ KeyId: at.id }, options),
      call,
    )
    return told === undefined ? null : keyIn(told)
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound') return null
    throw error
  }
}

const keyIn = (told: KeyMetadata): KmsKey => ({
  id: told.KeyId ?? '',
  arn: told.Arn ?? '',
  state: told.KeyState ?? '',
  spec: told.KeySpec ?? '',
  usage: told.KeyUsage ?? '',
  origin: told.Origin ?? '',
  ofAws: told.KeyManager === 'AWS',
  description: told.Description ?? '',
  material: told.CurrentKeyMaterialId ?? null,
  createdAt: told.CreationDate ?? null,
  deletionAt: told.DeletionDate ?? null,
  region: told.MultiRegionConfiguration?.MultiRegionKeyType ?? null,
  signs: told.SigningAlgorithms ?? [],
  encrypts: told.EncryptionAlgorithms ?? [],
  macs: told.MacAlgorithms ?? [],
})

export interface KmsRotation {
  /** KMS's own rotation, every so many days; null: off. */
  readonly everyDays: number | null
  /** An on-demand rotation that KMS has begun and not ended. */
  readonly begunAt: Date | null
}

export const readRotation = async (
  aws: Aws,
  { id, arn }: Pick<KmsKey, 'id' | 'arn'>,
  call: Call,
): Promise<KmsRotation> => {
  const told = await aws.read(
    'kms',
    arn,
    (kms, options) => kms.getKeyRotationStatus({ KeyId: id }, options),
    call,
  )
  return {
    everyDays: told.KeyRotationEnabled === true ? (told.RotationPeriodInDays ?? 365) : null,
    begunAt: told.OnDemandRotationStartDate ?? null,
  }
}

export interface MaterialRow {
  readonly id: string
  readonly current: boolean
  readonly onDemand: boolean
  /** The first one was never rotated to. */
  readonly rotatedAt: Date | null
}

/** All that the key has had; KMS keeps them for what they have encrypted. */
export const readMaterials = async (
  aws: Aws,
  { id, arn }: Pick<KmsKey, 'id' | 'arn'>,
  call: Call,
): Promise<readonly MaterialRow[]> => {
  const rows: MaterialRow[] = []
  let next: string | undefined
  do {
    const marker = next
    // oxlint-disable-next-line no-await-in-loop -- a page names the next
    const page = await aws.read(
      'kms',
      arn,
      (kms, options) =>
        kms.listKeyRotations(
          {
            KeyId: id,
            IncludeKeyMaterial: 'ALL_KEY_MATERIAL',
            ...(marker === undefined ? {} : { Marker: marker }),
          },
          options,
        ),
      call,
    )
    for (const row of page.Rotations ?? [])
      if (row.KeyMaterialId !== undefined)
        rows.push({
          id: row.KeyMaterialId,
          current: row.KeyMaterialState === 'CURRENT',
          onDemand: row.RotationType === 'ON_DEMAND',
          rotatedAt: row.RotationDate ?? null,
        })
    next = page.Truncated === true ? page.NextMarker : undefined
  } while (next !== undefined)
  return rows
}
