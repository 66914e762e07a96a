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
export const symmetricExtraRights = (): readonly Right[] => [
  on('*')('inventory', 'ListKeys'),
  // Of each key that is listed; those that may not be seen are left out.
  { ...on('arn:aws:kms:*:*:key/*')('inventory', 'DescribeKey'), unasked: true },
]

/** For a policy: any region and account, since the ref says neither. */
export const kmsKeyPattern = (keyId: string): string =>
  keyId.startsWith('arn:') ? keyId : `arn:aws:kms:*:*:key/${keyId}`
