import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { readSettings, type AwsSettings } from './settings.ts'
import { textIn } from './values.ts'

const name = '[\\w+=,.@-]{1,64}'
const asName = new RegExp(`^${name}$`)

export const userRefSchema = Type.Object(
  {
    userName: Type.String({
      description: 'The IAM user whose access keys are rotated: its name, without a path.',
      pattern: `^${name}$`,
      examples: ['orders'],
    }),
  },
  { additionalProperties: false },
)

export interface UserRef {
  readonly name: string
  /** Where it is if it has no path; `readUser` tells the real one. */
  readonly arn: string
}

/** Throws `permanent` on what cannot be a user's name. */
export const readUserRef = (ref: JsonObject, settings: AwsSettings): UserRef => {
  const user = textIn(ref, 'userName')
  if (!asName.test(user))
    throw new ProviderError('permanent', 'none', 'the user’s name cannot be one', {
      hint: 'letters, digits and _+=,.@-, at most 64; without a path',
    })
  return { name: user, arn: userArn(settings, user) }
}

/** IAM does not tell names apart by case, nor by path: an account has one user of a name. */
export const userObjectId = (given: JsonObject, ref: JsonObject): string => {
  const settings = readSettings(given)
  return userArn(settings, readUserRef(ref, settings).name.toLowerCase())
}

const userArn = (settings: AwsSettings, user: string): string =>
  `arn:${settings.partition}:iam::${settings.account}:user/${user}`
