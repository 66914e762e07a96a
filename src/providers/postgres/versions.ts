// How a version is named: by its user and the salt that the server keeps with the password. The salt of a password that Rekey
// has set says so by itself: six bytes drawn from the operation's id (the tag), and ten that follow from those six.
//
//   app_b#3f2a9c1d0e12   what Rekey has set, and nothing else
//   app_a                whatever password the user has that Rekey did not set: none is a version of Rekey's making
//
// The tag of nothing but zeros stands for a verifier that no password opens: what destroying leaves.

import { createHash } from 'node:crypto'
import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'

const tagBytes = 6
const sha256 = (text: string | Uint8Array): Buffer => createHash('sha256').update(text).digest()

/** Hex. One operation, one tag, however often it is sent. */
export const tagOf = (operationId: string): string =>
  sha256(`rekey:${operationId}`).subarray(0, tagBytes).toString('hex')

export const emptyTag = '0'.repeat(2 * tagBytes)

export const saltOf = (tag: string): Buffer => {
  const head = Buffer.from(tag, 'hex')
  return Buffer.concat([head, sha256(`rekey:salt:${tag}`).subarray(0, 16 - tagBytes)])
}

/** Null: not a salt of Rekey's making. */
export const tagIn = (salt: Uint8Array): string | null => {
  const tag = Buffer.from(salt).subarray(0, tagBytes).toString('hex')
  return saltOf(tag).equals(salt) ? tag : null
}

export const versionOf = (user: string, tag: string | null): string =>
  tag === null ? user : `${user}#${tag}`

/** The user that a version is of; null: of none of these. Names may hold a `#` themselves. */
export const userOf = (users: readonly string[], version: string): string | null =>
  users.find((user) => version === user) ??
  users.find(
    (user) => version.startsWith(`${user}#`) && /^#[0-9a-f]{12}$/.test(version.slice(user.length)),
  ) ??
  null

export const refSchema = Type.Object(
  {
    users: Type.Array(
      Type.String({ minLength: 1, maxLength: 63, description: 'A user (role) of the server.' }),
      {
        minItems: 2,
        maxItems: 2,
        uniqueItems: true,
        description:
          'The two users that take turns, in any order; a user is half of one pair only.',
        examples: [['app_a', 'app_b']],
      },
    ),
  },
  { additionalProperties: false },
)

/** A longer name is cut by the server, and means another user. */
const maxNameBytes = 63

export const usersOf = (ref: JsonObject): readonly [string, string] => {
  const { users } = ref
  const [first, second] = Array.isArray(users) ? users : []
  if (typeof first !== 'string' || typeof second !== 'string' || first === second)
    throw new ProviderError('permanent', 'none', 'ref.users is not two users')
  for (const user of [first, second]) {
    const fault = faultOf(user)
    if (fault !== null) throw new ProviderError('permanent', 'none', `a user of the pair ${fault}`)
  }
  return [first, second]
}

const faultOf = (user: string): string | null => {
  if (user === '') return 'has no name'
  if (user.includes('\0') || !user.isWellFormed()) return 'has a name that no server can hold'
  if (Buffer.byteLength(user) > maxNameBytes) return `has a name of more than ${maxNameBytes} bytes`
  if (user.startsWith('pg_') || ['public', 'none'].includes(user)) return 'has a reserved name'
  return null
}

/** The other one. */
export const partnerOf = ([first, second]: readonly [string, string], user: string): string =>
  user === first ? second : first

/** In whatever order they were written. */
export const pairName = (users: readonly [string, string]): string => users.toSorted().join('+')

/** Kept in the comment of a user, beside whatever else stands there: the tag, of which pair, and when. It is what a change is
 *  held against in the change's own transaction (guarded-change.ts), and tells people what happened to the user. */
export const markPattern = String.raw`\[rekey:[^\]]*\]`

export const markOf = (tag: string, users: readonly [string, string], now: Date): string =>
  `[rekey:${tag}:${pairId(users)}:${now.toISOString()}]`

export const readMark = (
  mark: string,
): { readonly tag: string; readonly pair: string; readonly at: Date | null } | null => {
  const [, tag, pair, text] = /^\[rekey:([0-9a-f]{12}):([0-9a-f]{8}):(.*)\]$/.exec(mark) ?? []
  if (tag === undefined || pair === undefined) return null
  const at = new Date(text ?? '')
  return { tag, pair, at: Number.isNaN(at.getTime()) ? null : at }
}

export const pairId = (users: readonly [string, string]): string =>
  sha256(`rekey:pair:${JSON.stringify(users.toSorted())}`)
    .subarray(0, 4)
    .toString('hex')
