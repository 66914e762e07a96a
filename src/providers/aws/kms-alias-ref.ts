import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { readSettings, type AwsSettings } from './settings.ts'
import { textIn } from './values.ts'

// AWS takes 256 characters in all; the two aliases beside it must have room.
const alias = 'alias/(?!aws/)[A-Za-z0-9/_-]{1,240}'
const asAlias = new RegExp(`^${alias}$`)

export const kmsAliasRefSchema = Type.Object(
  {
    alias: Type.String({
      description: 'The alias by which the key is used, with its alias/ before it.',
      pattern: `^${alias}$`,
      examples: ['alias/orders-signing'],
    }),
  },
  { additionalProperties: false },
)

export interface AliasRef {
  readonly alias: string
  /** On the key that was replaced last. */
  readonly previous: string
  /** On the key that is made and not handed out yet. */
  readonly next: string
  readonly arn: string
}

export const readAliasRef = (ref: JsonObject, settings: AwsSettings): AliasRef => {
  const given = textIn(ref, 'alias')
  if (!asAlias.test(given) || /-(?:previous|next)$/.test(given))
    throw new ProviderError('permanent', 'none', 'this cannot be the alias of a managed key', {
      hint: 'alias/ and at most 240 letters, digits and /_-; none of AWS’s own (alias/aws/), and none that ends in -previous or -next',
    })
  const arn = `arn:${settings.partition}:kms:${settings.region}:${settings.account}:${given}`
  return { alias: given, previous: `${given}-previous`, next: `${given}-next`, arn }
}

export const kmsAliasObjectId = (given: JsonObject, ref: JsonObject): string =>
  readAliasRef(ref, readSettings(given)).arn
