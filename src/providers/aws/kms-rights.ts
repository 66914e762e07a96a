import type { Right } from './rights.ts'

const on =
  (resource: string) =>
  (name: string, ...actions: readonly string[]): Right => ({
    name,
    actions: actions.map((action) => `kms:${action}`),
    resource,
  })

/** Of a symmetric key that is rotated in place. */
export const symmetricRights = (arn: string): readonly Right[] => {
  const right = on(arn)
  return [
    right('describe', 'DescribeKey', 'GetKeyRotationStatus', 'ListKeyRotations'),
    right('rotate', 'RotateKeyOnDemand'),
    right('verify', 'GenerateDataKey', 'Decrypt'),
  ]
}

/** Beyond a key's own life. */
export const symmetricExtraRights = (arn = 'arn:aws:kms:*:*:key/*'): readonly Right[] => [
  // In an incident.
  on(arn)('switch', 'DisableKey', 'EnableKey'),
  on('*')('inventory', 'ListKeys'),
  // Of each key that is listed; those that may not be seen are left out.
  { ...on('arn:aws:kms:*:*:key/*')('inventory', 'DescribeKey'), unasked: true },
]

/** For a policy: any region and account, since the ref says neither. */
export const kmsKeyPattern = (keyId: string): string =>
  keyId.startsWith('arn:') ? keyId : `arn:aws:kms:*:*:key/${keyId}`

/** Of the keys behind an alias. `key`: the ARN of one of them, or a pattern; which keys are meant is said by their aliases, and
 *  of a key that was just made by its tag. */
export const aliasRights = (
  { alias, arn }: { readonly alias: string; readonly arn: string },
  key: string,
): readonly Right[] => {
  const behind = {
    'ForAnyValue:StringEquals': {
      'kms:ResourceAliases': [alias, `${alias}-next`, `${alias}-previous`],
    },
  }
  const made = { StringEquals: { [`aws:ResourceTag/${aliasTag}`]: alias } }
  const both = (name: string, ...actions: readonly string[]): readonly Right[] =>
    [behind, made].map((condition) => ({ ...on(key)(name, ...actions), condition }))
  return [
    ...both('describe', 'DescribeKey', 'GetKeyPolicy', 'ListGrants', 'ListResourceTags'),
    {
      ...on('*')('rotate', 'CreateKey', 'TagResource'),
      condition: { StringEquals: { [`aws:RequestTag/${aliasTag}`]: alias } },
    },
    ...both('rotate', 'CreateGrant'),
    ...both('promote', 'CreateAlias', 'UpdateAlias', 'DeleteAlias'),
    on(arn)('promote', 'UpdateAlias'),
    ...['-next', '-previous'].map((end) =>
      on(`${arn}${end}`)('promote', 'CreateAlias', 'UpdateAlias', 'DeleteAlias'),
    ),
    ...both(
      'verify',
      'Sign',
      'Verify',
      'GetPublicKey',
      'GenerateMac',
      'VerifyMac',
      'Encrypt',
      'Decrypt',
    ),
    ...both('switch', 'DisableKey', 'EnableKey'),
    ...both('destroy', 'ScheduleKeyDeletion'),
    // A key whose making was not answered has no alias yet: it is looked for.
    on('*')('find', 'ListKeys'),
  ]
}

export const aliasExtraRights = (): readonly Right[] => [
  { ...on('arn:aws:kms:*:*:key/*')('find', 'DescribeKey', 'ListResourceTags'), unasked: true },
  on('*')('inventory', 'ListAliases'),
]

export const aliasTag = 'rekey:alias'
