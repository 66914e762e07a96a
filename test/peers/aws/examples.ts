// Requests and answers of AWS's documentation: the "Examples" of each operation in the API references of Secrets Manager
// (docs.aws.amazon.com/secretsmanager/latest/apireference), KMS, IAM and STS (and `examples-1.json` of the service models), in an
// order in which each finds what it needs. What the documentation leaves to chance (ids, dates) and region and account are
// compared by their form. What has no example here is no route of the stand-in.

import type { ServiceName } from './wire.ts'

interface Example {
  readonly service: ServiceName
  readonly operation: string
  /** `{told: 'KeyId'}` stands for what an answer has said last under that name. */
  readonly request: Readonly<Record<string, unknown>>
  readonly answers: RegExp
}

const SecretId = 'MyTestDatabaseSecret'
const arn = '"ARN": ?"arn:aws:secretsmanager:[a-z0-9-]+:\\d{12}:secret:MyTestDatabaseSecret-\\w{6}"'
const first = 'EXAMPLE1-90ab-cdef-fedc-ba987SECRET1'
const second = 'EXAMPLE2-90ab-cdef-fedc-ba987SECRET2'
const all = (...parts: readonly string[]): RegExp =>
  new RegExp(parts.map((part) => `(?=[^]*${part})`).join(''))

/** An operation that tells nothing. */
const empty = /^(?:\{\})?$/
const keyArn = 'arn:aws:kms:[a-z0-9-]+:\\d{12}:key/[0-9a-f-]{36}'

const credentials =
  '<Credentials><AccessKeyId>ASIA[A-Z0-9]{16}</AccessKeyId><SecretAccessKey>[^<]{40}</SecretAccessKey><SessionToken>[^<]+</SessionToken><Expiration>\\d{4}-[^<]+Z</Expiration></Credentials>'
/** Whose rights are asked about. */
export const principalArn = 'arn:aws:iam::123456789012:role/demo'

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
    request: { AliasName: 'alias/ExampleAlias', TargetKeyId: { told: 'KeyId' } },
    answers: empty,
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
    request: { KeyId: { told: 'KeyId' } },
    answers: all('"KeyId": ?"[0-9a-f-]{36}"'),
  },
  {
    service: 'kms',
    operation: 'GetKeyRotationStatus',
    request: { KeyId: { told: 'KeyId' } },
    answers: all('"KeyId": ?"[0-9a-f-]{36}"', '"KeyRotationEnabled": ?false'),
  },
  {
    service: 'kms',
    operation: 'ListKeyRotations',
    request: { KeyId: { told: 'KeyId' } },
    answers: all(
      '"Rotations": ?\\[\\{[^\\]]*"RotationType": ?"ON_DEMAND"',
      '"RotationDate": ?[\\d.]+',
      '"Truncated": ?false',
    ),
  },
  {
    service: 'kms',
    operation: 'Encrypt',
    request: { KeyId: { told: 'KeyId' }, Plaintext: 'SGVsbG8=' },
    answers: all('"CiphertextBlob": ?"[^"]+"', `"KeyId": ?"${keyArn}"`),
  },
  {
    service: 'kms',
    operation: 'Decrypt',
    request: { CiphertextBlob: { told: 'CiphertextBlob' }, KeyId: { told: 'KeyId' } },
    answers: all(`"KeyId": ?"${keyArn}"`, '"Plaintext": ?"SGVsbG8="'),
  },
  {
    service: 'kms',
    operation: 'GetKeyPolicy',
    request: { KeyId: { told: 'KeyId' }, PolicyName: 'default' },
    answers: all('"Policy": ?"{', '2012-10-17', 'kms:\\*'),
  },
  {
    service: 'kms',
    operation: 'CreateGrant',
    request: {
      GranteePrincipal: 'arn:aws:iam::111122223333:role/ExampleRole',
      KeyId: { told: 'KeyId' },
      Operations: ['Encrypt', 'Decrypt'],
    },
    answers: all('"GrantId": ?"[0-9a-f]+"', '"GrantToken": ?"[^"]+"'),
  },
  {
    service: 'kms',
    operation: 'ListGrants',
    request: { KeyId: { told: 'KeyId' } },
    answers: all(
      '"GranteePrincipal": ?"arn:aws:iam::111122223333:role/ExampleRole"',
      '"GrantId": ?"[0-9a-f]+"',
      '"Operations": ?\\["Encrypt", ?"Decrypt"\\]',
    ),
  },
  {
    service: 'kms',
    operation: 'TagResource',
    request: { KeyId: { told: 'KeyId' }, Tags: [{ TagKey: 'CostCenter', TagValue: '87654' }] },
    answers: empty,
  },
  {
    service: 'kms',
    operation: 'ListResourceTags',
    request: { KeyId: { told: 'KeyId' } },
    answers: all(
      '{"TagKey": ?"CostCenter", ?"TagValue": ?"87654"}',
      '{"TagKey": ?"Purpose", ?"TagValue": ?"Test"}',
      '"Truncated": ?false',
    ),
  },
  {
    service: 'kms',
    operation: 'DisableKey',
    request: { KeyId: { told: 'KeyId' } },
    answers: empty,
  },
  {
    service: 'kms',
    operation: 'EnableKey',
    request: { KeyId: { told: 'KeyId' } },
    answers: empty,
  },
  {
    service: 'kms',
    operation: 'EnableKeyRotation',
    request: { KeyId: { told: 'KeyId' } },
    answers: empty,
  },
  {
    service: 'kms',
    operation: 'CreateKey',
    request: { KeySpec: 'ECC_NIST_P384', KeyUsage: 'SIGN_VERIFY' },
    answers: all(
      '"KeySpec": ?"ECC_NIST_P384"',
      '"KeyUsage": ?"SIGN_VERIFY"',
      '"SigningAlgorithms": ?\\["ECDSA_SHA_384"\\]',
    ),
  },
  {
    service: 'kms',
    operation: 'UpdateAlias',
    request: { AliasName: 'alias/ExampleAlias', TargetKeyId: { told: 'KeyId' } },
    answers: empty,
  },
  {
    service: 'kms',
    operation: 'ListAliases',
    request: {},
    answers: all(
      `{[^{}]*"AliasArn": ?"arn:aws:kms:[a-z0-9-]+:\\d{12}:alias/ExampleAlias"[^{}]*}`,
      '"AliasName": ?"alias/ExampleAlias"',
      '"TargetKeyId": ?"[0-9a-f-]{36}"',
    ),
  },
  {
    service: 'kms',
    operation: 'Sign',
    request: {
      KeyId: 'alias/ExampleAlias',
      Message: 'PG1lc3NhZ2U+',
      MessageType: 'RAW',
      SigningAlgorithm: 'ECDSA_SHA_384',
    },
    answers: all(
      `"KeyId": ?"${keyArn}"`,
      '"Signature": ?"[^"]+"',
      '"SigningAlgorithm": ?"ECDSA_SHA_384"',
    ),
  },
  {
    service: 'kms',
    operation: 'Verify',
    request: {
      KeyId: 'alias/ExampleAlias',
      Message: 'PG1lc3NhZ2U+',
      MessageType: 'RAW',
      Signature: { told: 'Signature' },
      SigningAlgorithm: 'ECDSA_SHA_384',
    },
    answers: all(
      `"KeyId": ?"${keyArn}"`,
      '"SignatureValid": ?true',
      '"SigningAlgorithm": ?"ECDSA_SHA_384"',
    ),
  },
  {
    service: 'kms',
    operation: 'GetPublicKey',
    request: { KeyId: 'alias/ExampleAlias' },
    answers: all(
      `"KeyId": ?"${keyArn}"`,
      '"KeyUsage": ?"SIGN_VERIFY"',
      '"PublicKey": ?"[^"]+"',
      '"SigningAlgorithms": ?\\["ECDSA_SHA_384"\\]',
    ),
  },
  {
    service: 'kms',
    operation: 'DeleteAlias',
    request: { AliasName: 'alias/ExampleAlias' },
    answers: empty,
  },
  {
    service: 'kms',
    operation: 'CreateKey',
    request: { KeySpec: 'HMAC_384', KeyUsage: 'GENERATE_VERIFY_MAC' },
    answers: all(
      '"KeySpec": ?"HMAC_384"',
      '"KeyUsage": ?"GENERATE_VERIFY_MAC"',
      '"MacAlgorithms": ?\\["HMAC_SHA_384"\\]',
    ),
  },
  {
    service: 'kms',
    operation: 'GenerateMac',
    request: {
      KeyId: { told: 'KeyId' },
      MacAlgorithm: 'HMAC_SHA_384',
      Message: 'SGVsbG8gV29ybGQ=',
    },
    answers: all(`"KeyId": ?"${keyArn}"`, '"Mac": ?"[^"]{64}"', '"MacAlgorithm": ?"HMAC_SHA_384"'),
  },
  {
    service: 'kms',
    operation: 'VerifyMac',
    request: {
      KeyId: { told: 'KeyId' },
      Mac: { told: 'Mac' },
      MacAlgorithm: 'HMAC_SHA_384',
      Message: 'SGVsbG8gV29ybGQ=',
    },
    answers: all(`"KeyId": ?"${keyArn}"`, '"MacAlgorithm": ?"HMAC_SHA_384"', '"MacValid": ?true'),
  },
  {
    service: 'kms',
    operation: 'ScheduleKeyDeletion',
    request: { KeyId: { told: 'KeyId' }, PendingWindowInDays: 7 },
    answers: all(
      `"KeyId": ?"${keyArn}"`,
      '"DeletionDate": ?[\\d.]+',
      '"KeyState": ?"PendingDeletion"',
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
    operation: 'GetAccessKeyLastUsed',
    request: { AccessKeyId: { told: 'AccessKeyId' } },
    answers: all(
      '<GetAccessKeyLastUsedResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">',
      '<UserName>Bob</UserName>',
      '<AccessKeyLastUsed>',
      '<Region>N/A</Region>',
      '<ServiceName>N/A</ServiceName>',
    ),
  },
  {
    service: 'iam',
    operation: 'UpdateAccessKey',
    request: { UserName: 'Bob', AccessKeyId: { told: 'AccessKeyId' }, Status: 'Inactive' },
    answers: all('<UpdateAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'),
  },
  {
    service: 'iam',
    operation: 'DeleteAccessKey',
    request: { UserName: 'Bob', AccessKeyId: { told: 'AccessKeyId' } },
    answers: all('<DeleteAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'),
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
    service: 'iam',
    operation: 'SimulatePrincipalPolicy',
    request: {
      PolicySourceArn: principalArn,
      'ActionNames.member.1': 'iam:CreateAccessKey',
      'ResourceArns.member.1': 'arn:aws:iam::123456789012:user/Bob',
    },
    answers: all(
      '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">',
      '<EvalActionName>iam:CreateAccessKey</EvalActionName>',
      '<EvalDecision>allowed</EvalDecision>',
      '<IsTruncated>false</IsTruncated>',
    ),
  },
  {
    service: 'sts',
    operation: 'AssumeRole',
    request: {
      RoleArn: 'arn:aws:iam::123456789012:role/demo',
      RoleSessionName: 'testAssumeRoleSession',
      ExternalId: '123ABC',
    },
    answers: all(
      '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">',
      '<Arn>arn:aws:sts::123456789012:assumed-role/demo/testAssumeRoleSession</Arn>',
      credentials,
    ),
  },
  {
    service: 'sts',
    operation: 'AssumeRoleWithWebIdentity',
    request: {
      RoleArn: 'arn:aws:iam::123456789012:role/FederatedWebIdentityRole',
      RoleSessionName: 'app1',
      WebIdentityToken: 'Atza%7CIQEBLjAsAhRFiXuWpUXuRvQ9PZL3GMFcYevydwIUFAHZwXZXXXXXXXXJ',
    },
    answers: all(
      '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">',
      '<Arn>arn:aws:sts::123456789012:assumed-role/FederatedWebIdentityRole/app1</Arn>',
      credentials,
      '<SubjectFromWebIdentityToken>',
    ),
  },
  {
    service: 'sts',
    operation: 'GetSessionToken',
    request: { DurationSeconds: 3600 },
    answers: all(
      '<GetSessionTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">',
      credentials,
    ),
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
