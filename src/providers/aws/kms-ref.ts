import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { readSettings, type AwsSettings } from './settings.ts'
import { textIn } from './values.ts'

const uuid = '[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}'
const id = `(?:${uuid}|mrk-[0-9a-f]{32})`
const arn = `arn:aws[a-z-]*:kms:[a-z0-9-]+:\\d{12}:key/${id}`

export const kmsKeyRefSchema = Type.Object(
  {
    keyId: Type.String({
      description:
        'The id of the KMS key, or its ARN; no alias, since an alias may lead to another key tomorrow.',
      pattern: `^(${id}|${arn})$`,
      examples: ['1234abcd-12ab-34cd-56ef-1234567890ab'],
    }),
  },
  { additionalProperties: false },
)

export interface KmsKeyRef {
  readonly id: string
  readonly arn: string
}

const asId = new RegExp(`^${id}$`)
const parts = new RegExp(`^arn:(aws[a-z-]*):kms:([a-z0-9-]+):(\\d{12}):key/(${id})$`)

/** Throws `permanent` on what is no key of the connection's region and account: rotating works in no other. */
export const readKmsKeyRef = (ref: JsonObject, settings: AwsSettings): KmsKeyRef => {
  const given = textIn(ref, 'keyId')
  if (asId.test(given)) return { id: given, arn: kmsKeyArn(settings, given) }
  const [, partition, region, account, key] = parts.exec(given) ?? []
  if (key === undefined)
    throw new ProviderError('permanent', 'none', 'the key’s id cannot be one', {
      hint: 'the id of a KMS key, or its ARN; not an alias',
    })
  const { partition: ours, region: here, account: us } = settings
  if (partition !== ours || region !== here || account !== us)
    throw new ProviderError('permanent', 'none', 'the key is of another region or account', {
      hint: `the connection is for ${here} and ${us}`,
    })
  return { id: key, arn: given }
}

export const kmsKeyObjectId = (given: JsonObject, ref: JsonObject): string =>
  readKmsKeyRef(ref, readSettings(given)).arn

export const kmsKeyArn = (settings: AwsSettings, key: string): string =>
  `arn:${settings.partition}:kms:${settings.region}:${settings.account}:key/${key}`
