import type { Right } from './rights.ts'

/** `arn`: with AWS's six characters, or `??????` for them. */
export const secretRights = (arn: string): readonly Right[] => {
  const on = (name: string, ...actions: readonly string[]): Right => ({
    name,
    actions: actions.map((action) => `secretsmanager:${action}`),
    resource: arn,
  })
  return [
    on('describe', 'DescribeSecret', 'ListSecretVersionIds', 'GetSecretValue'),
    on('rotate', 'PutSecretValue'),
    // Promote, undo, suspend, reinstate and destroy: all of them move labels.
    on('promote', 'UpdateSecretVersionStage'),
  ]
}

/** Beyond a key's own life. */
export const secretExtraRights = (arn: string): readonly Right[] => [
  {
    name: 'create',
    actions: ['secretsmanager:CreateSecret', 'secretsmanager:TagResource'],
    resource: arn,
  },
  // Undo of a publish that made the secret.
  { name: 'takeBack', actions: ['secretsmanager:DeleteSecret'], resource: arn },
  { name: 'inventory', actions: ['secretsmanager:ListSecrets'], resource: '*' },
  // Only where the secret has a KMS key of its own; its key policy must allow it too.
  {
    name: 'customKmsKey',
    actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
    resource: '*',
    condition: { StringLike: { 'kms:ViaService': 'secretsmanager.*.amazonaws.com' } },
    unasked: true,
  },
]

/** For a policy: any region and account, since the ref says neither. */
export const secretPattern = (ref: { readonly name: string }): string =>
  `arn:aws:secretsmanager:*:*:secret:${ref.name}-??????`
