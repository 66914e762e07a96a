// Requests and answers of AWS's documentation: the "Examples" of each operation in the API references of Secrets Manager
// (docs.aws.amazon.com/secretsmanager/latest/apireference), KMS, IAM and STS, in an order in which each finds what it needs. What the
// documentation leaves to chance (ids, dates) and region and account are compared by their form.

import type { ServiceName } from './wire.ts'

interface Example {
  readonly service: ServiceName
  readonly operation: string
  /** `{made: true}` stands for the id of the key that CreateKey has made. */
  readonly request: Readonly<Record<string, unknown>>
  readonly answers: RegExp
}

const SecretId = 'MyTestDatabaseSecret'
const arn = '"ARN": ?"arn:aws:secretsmanager:[a-z0-9-]+:\\d{12}:secret:MyTestDatabaseSecret-\\w{6}"'
const first = 'EXAMPLE1-90ab-cdef-fedc-ba987SECRET1'
const second = 'EXAMPLE2-90ab-cdef-fedc-ba987SECRET2'
const all = (...parts: readonly string[]): RegExp =>
  new RegExp(parts.map((part) => `(?=[^]*${part})`).join(''))

export const examples: readonly Example[] = [
  {
    service: 'secretsmanager',
    operation: 'CreateSecret',
    request: {
      Name: SecretId,
      Description: 'My test database secret created with the CLI',
      SecretString: '{"username":"david","password":"EXAMPLE-PASSWORD"}',
      ClientRequestToken: first,
    },
    answers: all(arn, `"Name": ?"${SecretId}"`, `"VersionId": ?"${first}"`),
  },
  {
    service: 'secretsmanager',
    operation: 'PutSecretValue',
    request: {
      SecretId,
      ClientRequestToken: second,
      SecretString: '{"username":"david","password":"EXAMPLE-PASSWORD-2"}',
      VersionStages: ['AWSPENDING'],
    },
    answers: all(arn, `"VersionId": ?"${second}"`, '"VersionStages": ?\\["AWSPENDING"\\]'),
  },
  {
    service: 'secretsmanager',
    operation: 'UpdateSecretVersionStage',
    request: {
      SecretId,
      VersionStage: 'AWSCURRENT',
      RemoveFromVersionId: first,
      MoveToVersionId: second,
    },
    answers: all(arn, `"Name": ?"${SecretId}"`),
  },
  {
    service: 'secretsmanager',
    operation: 'DescribeSecret',
    request: { SecretId },
    answers: all(arn, `"Name": ?"${SecretId}"`, `"${first}": ?\\["AWSPREVIOUS"\\]`),
  },
  {
    service: 'secretsmanager',
    operation: 'GetSecretValue',
    request: { SecretId },
    answers: all(
      arn,
      '"CreatedDate": ?[\\d.]+',
      '"SecretString": ?"{\\\\"username\\\\":\\\\"david\\\\"',
      `"VersionId": ?"${second}"`,
      'AWSCURRENT',
    ),
  },
  {
    service: 'secretsmanager',
    operation: 'UpdateSecretVersionStage',
    request: { SecretId, VersionStage: 'AWSPREVIOUS', RemoveFromVersionId: first },
    answers: all(arn),
  },
  {
    service: 'secretsmanager',
    operation: 'ListSecretVersionIds',
    request: { SecretId, IncludeDeprecated: true },
    answers: all(
      arn,
      `{[^{}]*"VersionId": ?"${first}"[^{}]*}`,
      `"VersionId": ?"${second}"[^}]*"VersionStages": ?\\[[^\\]]*"AWSCURRENT"`,
    ),
  },
  {
    service: 'secretsmanager',
    operation: 'ListSecrets',
    request: {},
    answers: all('"SecretList": ?\\[', arn, `"Name": ?"${SecretId}"`),
  },
  {
    service: 'secretsmanager',
    operation: 'DeleteSecret',
    request: { SecretId, RecoveryWindowInDays: 7 },
    answers: all(arn, '"DeletionDate": ?[\\d.]+'),
  },
  {
    service: 'kms',
    operation: 'CreateKey',
    request: { Tags: [{ TagKey: 'Purpose', TagValue: 'Test' }] },
    answers: all(
      '"Arn": ?"arn:aws:kms:[a-z0-9-]+:\\d{12}:key/[0-9a-f-]{36}"',
      '"CreationDate": ?[\\d.]+',
      '"KeyManager": ?"CUSTOMER"',
      '"KeySpec": ?"SYMMETRIC_DEFAULT"',
      '"KeyState": ?"Enabled"',
      '"KeyUsage": ?"ENCRYPT_DECRYPT"',
      '"Origin": ?"AWS_KMS"',
    ),
  },
  {
    service: 'kms',
    operation: 'CreateAlias',
    request: { AliasName: 'alias/ExampleAlias', TargetKeyId: { made: true } },
    answers: /^(?:\{\})?$/,
  },
  {
    service: 'kms',
    operation: 'DescribeKey',
    request: { KeyId: 'alias/ExampleAlias' },
    answers: all('"CurrentKeyMaterialId": ?"[0-9a-f]{64}"', '"KeyState": ?"Enabled"'),
  },
  {
    service: 'kms',
    operation: 'GenerateDataKey',
    request: { KeyId: 'alias/ExampleAlias', KeySpec: 'AES_256' },
    answers: all(
      '"CiphertextBlob": ?"[^"]+"',
      '"KeyId": ?"arn:aws:kms:[a-z0-9-]+:\\d{12}:key/[0-9a-f-]{36}"',
      '"KeyMaterialId": ?"[0-9a-f]{64}"',
      '"Plaintext": ?"[^"]{44}"',
    ),
  },
  {
    service: 'kms',
    operation: 'RotateKeyOnDemand',
    request: { KeyId: { made: true } },
    answers: all('"KeyId": ?"[0-9a-f-]{36}"'),
  },
  {
    service: 'kms',
    operation: 'GetKeyRotationStatus',
    request: { KeyId: { made: true } },
    answers: all('"KeyId": ?"[0-9a-f-]{36}"', '"KeyRotationEnabled": ?false'),
  },
  {
    service: 'kms',
    operation: 'ListKeyRotations',
    request: { KeyId: { made: true } },
    answers: all(
      '"Rotations": ?\\[\\{[^\\]]*"RotationType": ?"ON_DEMAND"',
      '"RotationDate": ?[\\d.]+',
      '"Truncated": ?false',
    ),
  },
  {
    service: 'kms',
    operation: 'ListKeys',
    request: {},
    answers: all(
      '"Keys": ?\\[\\{"KeyArn": ?"arn:aws:kms:|"Keys": ?\\[\\{"KeyId": ?"',
      '"Truncated": ?false',
    ),
  },
  {
    service: 'iam',
    operation: 'CreateUser',
    request: { UserName: 'Bob', Path: '/division_abc/subdivision_xyz/' },
    answers: all(
      '<CreateUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">',
      '<UserName>Bob</UserName>',
      '<Arn>arn:aws:iam::\\d{12}:user/division_abc/subdivision_xyz/Bob</Arn>',
    ),
  },
  {
    service: 'iam',
    operation: 'GetUser',
    request: { UserName: 'Bob' },
    answers: all(
      '<GetUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">',
      '<Path>/division_abc/subdivision_xyz/</Path>',
      '<UserName>Bob</UserName>',
    ),
  },
  {
    service: 'iam',
    operation: 'CreateAccessKey',
    request: { UserName: 'Bob' },
    answers: all(
      '<CreateAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">',
      '<UserName>Bob</UserName>',
      '<AccessKeyId>AKIA[A-Z0-9]{16}</AccessKeyId>',
      '<Status>Active</Status>',
      '<SecretAccessKey>[^<]{40}</SecretAccessKey>',
    ),
  },
  {
    service: 'iam',
    operation: 'ListAccessKeys',
    request: { UserName: 'Bob' },
    answers: all(
      '<ListAccessKeysResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">',
      '<AccessKeyId>AKIA[A-Z0-9]{16}</AccessKeyId>',
      '<Status>Active</Status>',
      '<IsTruncated>false</IsTruncated>',
    ),
  },
  {
    service: 'iam',
    operation: 'ListUsers',
    request: { PathPrefix: '/division_abc/subdivision_xyz/' },
    answers: all(
      '<ListUsersResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">',
      '<UserName>Bob</UserName>',
      '<IsTruncated>false</IsTruncated>',
    ),
  },
  {
    service: 'iam',
    operation: 'PutUserPolicy',
    request: {
      UserName: 'Bob',
      PolicyName: 'AllAccessPolicy',
      PolicyDocument:
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
    },
    answers: all('<PutUserPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'),
  },
  {
    service: 'sts',
    operation: 'GetCallerIdentity',
    request: {},
    answers: all(
      '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">',
      '<Arn>arn:aws:iam::\\d{12}:user/[\\w-]+</Arn>',
      '<Account>\\d{12}</Account>',
    ),
  },
]
