import type { Right } from './rights.ts'

export const userRights = (arn: string): readonly Right[] => {
  const on = (name: string, ...actions: readonly string[]): Right => ({
    name,
    actions: actions.map((action) => `iam:${action}`),
    resource: arn,
  })
  return [
    on('describe', 'GetUser', 'ListAccessKeys'),
    on('rotate', 'CreateAccessKey'),
    on('switch', 'UpdateAccessKey'),
    // Also of a key whose secret was lost with the answer.
    on('destroy', 'DeleteAccessKey'),
    on('usage', 'GetAccessKeyLastUsed'),
  ]
}

/** Beyond a key's own life. */
export const userExtraRights = (arn: string): readonly Right[] => [
  { name: 'inventory', actions: ['iam:ListUsers'], resource: '*' },
  // In an incident: sessions that were begun with a key outlive it.
  { name: 'revokeSessions', actions: ['iam:PutUserPolicy'], resource: arn },
]

/** For a policy: any account, since the ref does not say it. */
export const userPattern = (ref: { readonly name: string }): string =>
  `arn:aws:iam::*:user/${ref.name}`
