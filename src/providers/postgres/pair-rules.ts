// What must be so of a pair before a password is set, and what people should know.

import { ProviderError } from '#domain/provider.ts'
import { pairId, pairName, readMark } from './versions.ts'
import type { Half, Me } from './roles.ts'

/** Users that Rekey may change without taking over the server, or cutting off its own branch. */
export const requireOrdinary = (
  me: Me,
  pair: readonly Half[],
  users: readonly [string, string],
): void => {
  if (me.standby)
    throw new ProviderError('precondition', 'none', 'the server is a standby: it takes no writes', {
      hint: 'set `host` to the primary',
    })
  for (const half of pair) {
    const why = faultOf(me, half, users)
    if (why !== null)
      throw new ProviderError('precondition', 'none', why.detail, { hint: why.hint })
  }
}

interface Fault {
  readonly detail: string
  readonly hint: string
}

export const faultOf = (me: Me, half: Half, users: readonly [string, string]): Fault | null => {
  const { name, power, greeting, mark, expired } = half
  if (name === me.user)
    return {
      detail: `${name} is the user that the connection itself logs in as`,
      hint: 'give Rekey a user of its own',
    }
  if (power !== null)
    return {
      detail: `${name} has ${power}: such users are left alone`,
      hint: 'use an ordinary role',
    }
  if (expired)
    return {
      detail: `the time of ${name} is over: no password is taken`,
      hint: `its owner says when it ends: ALTER ROLE … VALID UNTIL 'infinity'`,
    }
  if (greeting.asked === null || greeting.asked === 'clear')
    return {
      detail: `the server asks ${name} for ${greeting.asked === null ? 'no password' : 'its password in clear'}`,
      hint: 'pg_hba.conf needs a line for it and this host that asks for scram-sha-256',
    }
  const pair = mark === null ? null : readMark(mark)?.pair
  if (pair && pair !== pairId(users))
    return {
      detail: `${name} was rotated as half of another pair than ${pairName(users)}`,
      hint: `a user is half of one pair: where the other one is gone, take ${mark} out of its comment`,
    }
  return null
}

/** Consumers that move to the next user must not find less than they had. */
export const requireAlike = (used: Half, next: Half): void => {
  const missing = missingRoles(used, next)
  if (missing.length === 0) return
  throw new ProviderError(
    'precondition',
    'none',
    `${next.name} is not a member of ${missing.join(', ')}, and ${used.name} is`,
    { hint: `its owner grants what is missing, or takes it from both` },
  )
}

export const missingRoles = (used: Half, next: Half): readonly string[] =>
  used.memberOf.filter((role) => !next.memberOf.includes(role))

export const risksOf = (used: Half, next: Half): readonly string[] => [
  ...(next.sessions > 0
    ? [
        `${next.name}, which gets the new password, has ${next.sessions} session${next.sessions === 1 ? '' : 's'}: they stay, and cannot log in again`,
      ]
    : []),
  ...(used.owns > 0
    ? [
        `${used.name} owns ${used.owns} object${used.owns === 1 ? '' : 's'}: ${next.name} may not change them; let a role that both are members of own them`,
      ]
    : []),
  ...(used.grants > next.grants
    ? [
        `${used.name} was granted more by its own name (${used.grants}) than ${next.name} (${next.grants}): grant to a role that both are members of`,
      ]
    : []),
]
