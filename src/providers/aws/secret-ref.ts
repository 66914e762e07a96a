import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { readSettings, type AwsSettings } from './settings.ts'
import { textIn } from './values.ts'

const name = '[\\w/+=.@-]{1,512}'
// AWS adds a hyphen and six characters to a name; an ARN without them may mean another secret.
const arn = `arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\\d{12}:secret:${name}-[A-Za-z0-9]{6}`

export const secretRefSchema = Type.Object(
  {
    secretId: Type.String({
      description: 'The secret’s name, or its complete ARN.',
      pattern: `^(${name}|${arn})$`,
      maxLength: 2048,
    }),
    field: Type.Optional(
      Type.String({
        description:
          'Of a secret that is a JSON object: the field that holds the value; the others are kept.',
        minLength: 1,
        maxLength: 512,
      }),
    ),
  },
  { additionalProperties: false },
)

export interface SecretRef {
  /** As it was given: a secret of another account can be asked for by its ARN only. */
  readonly id: string
  readonly name: string
  /** Where it is, up to AWS's six characters: `…:secret:orders/db-??????`. */
  readonly arn: string
  readonly field: string | null
}

const asName = new RegExp(`^${name}$`)
const asArn = new RegExp(`^${arn}$`)
const parts = /^arn:([\w-]+):secretsmanager:([a-z0-9-]+):(\d{12}):secret:(.+)-\w{6}$/

/** Throws `permanent` on what would be another secret than it says. */
export const readSecretRef = (ref: JsonObject, settings: AwsSettings): SecretRef => {
  const id = textIn(ref, 'secretId')
  const field = ref['field'] === undefined ? null : textIn(ref, 'field')
  if (asName.test(id)) return { id, name: id, arn: `${secretArn(settings, id)}-??????`, field }
  const [, partition, region, , secret = ''] = asArn.test(id) ? (parts.exec(id) ?? []) : []
  if (secret === '')
    throw new ProviderError('permanent', 'none', 'the secret’s name cannot be one', {
      hint: 'letters, digits and /_+=.@-, at most 512; or the complete ARN',
    })
  if (region !== settings.region || partition !== settings.partition)
    throw new ProviderError('permanent', 'none', 'the secret is of another region', {
      hint: `the connection is for ${settings.region}, the ARN is of ${region}`,
    })
  return { id, name: secret, arn: id, field }
}

/** The ARN without the six characters: one for each name, before and after it was deleted and made again. Without the field:
 *  one secret is one object. */
export const secretObjectId = (given: JsonObject, ref: JsonObject): string => {
  const settings = readSettings(given)
  return readSecretRef(ref, settings).arn.replace(/-[?\w]{6}$/, '')
}

const secretArn = (settings: AwsSettings, name: string): string =>
  `arn:${settings.partition}:secretsmanager:${settings.region}:${settings.account}:secret:${name}`
