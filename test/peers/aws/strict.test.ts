import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHash, createHmac } from 'node:crypto'
import { peer } from '#test/support/peers.ts'
import { examples } from './examples.ts'
import { account, region, startStrictAws, type StrictAws } from './strict.ts'
import { isQuery, type ServiceName } from './wire.ts'

peer('moto').describe('the stand-in of AWS', () => {
  let aws: StrictAws
  beforeAll(async () => {
    aws = await startStrictAws()
  }, 180_000)
  afterAll(() => aws.stop())

  const targets = { secretsmanager: 'secretsmanager', kms: 'TrentService' } as const

  /** Signed by hand: the judge and the SDK agree on more than each other. */
  const send = async (
    service: ServiceName,
    operation: string,
    body: Readonly<Record<string, unknown>>,
    by: { readonly accessKeyId: string; readonly secretAccessKey: string } = aws.admin,
  ): Promise<{ readonly status: number; readonly text: string }> => {
    const text = isQuery(service)
      ? String(
          new URLSearchParams({ Action: operation, Version: '2010-05-08', ...(body as object) }),
        )
      : JSON.stringify(body)
    const date = `${new Date().toISOString().replaceAll(/[-:]|\.\d{3}/g, '')}`
    const day = date.slice(0, 8)
    const host = new URL(aws.address).host
    const hash = (of: string): string => createHash('sha256').update(of).digest('hex')
    const hmac = (key: string | Buffer, of: string): Buffer =>
      createHmac('sha256', key).update(of).digest()
    const canonical = `POST\n/\n\nhost:${host}\nx-amz-date:${date}\n\nhost;x-amz-date\n${hash(text)}`
    const scope = `${day}/${region}/${service}/aws4_request`
    const key = [region, service, 'aws4_request'].reduce(
      (at: Buffer, part) => hmac(at, part),
      hmac(`AWS4${by.secretAccessKey}`, day),
    )
    const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash(canonical)}`).toString(
      'hex',
    )
    const reply = await fetch(aws.address, {
      method: 'POST',
      headers: {
        'x-amz-date': date,
        authorization: `AWS4-HMAC-SHA256 Credential=${by.accessKeyId}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`,
        ...(isQuery(service)
          ? { 'content-type': 'application/x-www-form-urlencoded' }
          : {
              'x-amz-target': `${targets[service === 'kms' ? 'kms' : 'secretsmanager']}.${operation}`,
            }),
      },
      body: text,
    })
    return { status: reply.status, text: await reply.text() }
  }

  test('answers the examples of the documentation as the documentation does', async () => {
    aws.role('demo', '123ABC', [
      {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 'iam:*', Resource: '*' }],
      },
    ])
    aws.federate('arn:aws:iam::123456789012:role/FederatedWebIdentityRole', [
      'Atza%7CIQEBLjAsAhRFiXuWpUXuRvQ9PZL3GMFcYevydwIUFAHZwXZXXXXXXXXJ',
    ])
    const told = new Map<string, string>()
    for (const { service, operation, request, answers } of examples) {
      const asked = JSON.parse(
        JSON.stringify(request).replaceAll(/\{"told":"(\w+)"\}/g, (_all, name: string) =>
          JSON.stringify(told.get(name)),
        ),
      )
      // oxlint-disable-next-line no-await-in-loop -- one follows from the other
      const { status, text } = await send(service, operation, asked)
      for (const [, name = '', value = ''] of text.matchAll(
        /["<](KeyId|CiphertextBlob|Mac|Signature|AccessKeyId)[">](?:: ?")?([^"<]+)["<]/g,
      ))
        told.set(name, value)
      expect({ operation, status, text }).toMatchObject({
        operation,
        status: 200,
        text: expect.stringMatching(answers),
      })
    }
  })

  test('has no route without an example', async () => {
    expect(await send('kms', 'ReEncrypt', { KeyId: 'alias/x' })).toMatchObject({
      status: 400,
      text: expect.stringContaining('UnknownOperationException'),
    })
    expect(await send('iam', 'ListRoles', {})).toMatchObject({
      status: 400,
      text: expect.stringContaining('InvalidAction'),
    })
  })

  test('knows a wrong secret, an unknown key and an old date from a signed request', async () => {
    const wrong = { ...aws.admin, secretAccessKey: 'another' }
    expect(await send('sts', 'GetCallerIdentity', {}, wrong)).toMatchObject({
      status: 403,
      text: expect.stringContaining('SignatureDoesNotMatch'),
    })
    const unknown = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'x' }
    expect(await send('secretsmanager', 'ListSecrets', {}, unknown)).toMatchObject({
      status: 400,
      text: expect.stringContaining('UnrecognizedClientException'),
    })
  })

  test('lets a user do what its policies say', async () => {
    const { id, secret } = aws.user([
      {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Action: 'secretsmanager:DescribeSecret',
            Resource: `arn:aws:secretsmanager:*:${account}:secret:rights-??????`,
          },
        ],
      },
    ])
    const by = { accessKeyId: id, secretAccessKey: secret }
    await send('secretsmanager', 'CreateSecret', { Name: 'rights', SecretString: 'x' })
    const SecretId = 'rights'
    expect((await send('secretsmanager', 'DescribeSecret', { SecretId }, by)).status).toBe(200)
    expect(await send('secretsmanager', 'GetSecretValue', { SecretId }, by)).toMatchObject({
      status: 400,
      text: expect.stringContaining('AccessDeniedException'),
    })
  })

  const token = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`

  test('refuses another content for a token that it knows, and a label that is elsewhere', async () => {
    const SecretId = 'strict'
    const put = (n: number, SecretString: string) =>
      send('secretsmanager', 'PutSecretValue', {
        SecretId,
        SecretString,
        ClientRequestToken: token(n),
        VersionStages: ['AWSPENDING'],
      })
    const first = { Name: SecretId, SecretString: 'one', ClientRequestToken: token(1) }
    await send('secretsmanager', 'CreateSecret', first)
    expect((await put(2, 'two')).status).toBe(200)
    expect((await put(2, 'two')).status).toBe(200)
    expect((await put(2, 'other')).text).toContain('ResourceExistsException')
    const move = (more: object) =>
      send('secretsmanager', 'UpdateSecretVersionStage', { SecretId, ...more })
    const current = { VersionStage: 'AWSCURRENT' }
    expect((await move({ ...current, MoveToVersionId: token(2) })).text).toContain(
      'InvalidParameterException',
    )
    expect((await move({ ...current, RemoveFromVersionId: token(1) })).text).toContain(
      'InvalidParameterException',
    )
    const both = { ...current, RemoveFromVersionId: token(1), MoveToVersionId: token(2) }
    expect((await move(both)).status).toBe(200)
    const read = await send('secretsmanager', 'GetSecretValue', { SecretId })
    expect(read.text).toContain('"two"')
    aws.stale(1)
    const told = await send('secretsmanager', 'DescribeSecret', { SecretId })
    expect(JSON.parse(told.text).VersionIdsToStages).toEqual({
      [token(1)]: ['AWSCURRENT'],
      [token(2)]: ['AWSPENDING'],
    })
  })

  const pick = (text: string, name: string): string =>
    new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? ''

  test('an access key is refused by every service once it is inactive or deleted, and two are the most', async () => {
    const UserName = 'keys'
    await send('iam', 'CreateUser', { UserName })
    const { text } = await send('iam', 'CreateAccessKey', { UserName })
    const by = {
      accessKeyId: pick(text, 'AccessKeyId'),
      secretAccessKey: pick(text, 'SecretAccessKey'),
    }
    const AccessKeyId = by.accessKeyId
    const whoAmI = () => send('sts', 'GetCallerIdentity', {}, by)
    const used = async () =>
      (await send('iam', 'GetAccessKeyLastUsed', { AccessKeyId })).text.includes('LastUsedDate')
    expect(await used()).toBe(false)
    expect(await whoAmI()).toMatchObject({
      status: 200,
      text: expect.stringContaining(`user/${UserName}<`),
    })
    expect(await used()).toBe(true)
    const set = (Status: string) =>
      send('iam', 'UpdateAccessKey', { UserName, AccessKeyId, Status })
    await set('Inactive')
    for (const { status, text: told } of [
      await whoAmI(),
      await send('iam', 'GetUser', { UserName }, by),
    ])
      expect({ status, told }).toEqual({
        status: 403,
        told: expect.stringContaining('InvalidClientTokenId'),
      })
    expect((await send('secretsmanager', 'ListSecrets', {}, by)).text).toContain(
      'UnrecognizedClientException',
    )
    await set('Active')
    aws.lag(1)
    expect((await whoAmI()).status).toBe(403)
    expect((await whoAmI()).status).toBe(200)
    await send('iam', 'CreateAccessKey', { UserName })
    expect(await send('iam', 'CreateAccessKey', { UserName })).toMatchObject({
      status: 409,
      text: expect.stringContaining('LimitExceeded'),
    })
    await send('iam', 'DeleteAccessKey', { UserName, AccessKeyId })
    expect((await whoAmI()).status).toBe(403)
    aws.stale(1, 'iam')
    const listed = async () =>
      (await send('iam', 'ListAccessKeys', { UserName })).text.includes(AccessKeyId)
    expect([await listed(), await listed()]).toEqual([true, false])
  })

  const kms = async (operation: string, body: object) => {
    const { status, text } = await send('kms', operation, { ...body })
    return { status, json: JSON.parse(text || '{}') }
  }
  const newKey = async (spec: object = {}): Promise<string> =>
    (await kms('CreateKey', spec)).json.KeyMetadata.KeyId

  test('a KMS key is rotated 25 times, one at a time, and goes on after the answer', async () => {
    const KeyId = await newKey()
    const material = async () =>
      (await kms('DescribeKey', { KeyId })).json.KeyMetadata.CurrentKeyMaterialId
    const first = await material()
    expect(first).toMatch(/^[0-9a-f]{64}$/)
    const old = (await kms('GenerateDataKey', { KeyId, KeySpec: 'AES_256' })).json
    expect(old.KeyMaterialId).toBe(first)
    aws.kms.slow(2)
    expect((await kms('RotateKeyOnDemand', { KeyId })).json).toEqual({ KeyId })
    aws.kms.slow(0)
    expect((await kms('RotateKeyOnDemand', { KeyId })).json.__type).toBe('ConflictException')
    const status = async () => (await kms('GetKeyRotationStatus', { KeyId })).json
    expect(await status()).toMatchObject({ OnDemandRotationStartDate: expect.any(Number) })
    expect(await material()).toBe(first)
    await status()
    expect(await status()).toEqual({ KeyId, KeyRotationEnabled: false })
    expect(await material()).not.toBe(first)
    aws.stale(1, 'kms')
    expect(await material()).toBe(first)
    // What the first material made is opened by it.
    const { CiphertextBlob, Plaintext } = old
    expect((await kms('Decrypt', { CiphertextBlob })).json).toMatchObject({
      KeyMaterialId: first,
      Plaintext,
    })
    for (let n = 1; n < 25; n++)
      expect((await kms('RotateKeyOnDemand', { KeyId })).status).toBe(200)
    expect((await kms('RotateKeyOnDemand', { KeyId })).json.__type).toBe('LimitExceededException')
    const all = await kms('ListKeyRotations', { KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' })
    expect(all.json.Rotations).toHaveLength(26)
    const signing = await newKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
    expect((await kms('RotateKeyOnDemand', { KeyId: signing })).json.__type).toBe(
      'UnsupportedOperationException',
    )
  })

  test('a KMS key that is disabled or pending deletion is used for nothing', async () => {
    const KeyId = await newKey()
    const { CiphertextBlob } = (await kms('GenerateDataKey', { KeyId, KeySpec: 'AES_256' })).json
    const codes = async () => [
      (await kms('GenerateDataKey', { KeyId, KeySpec: 'AES_256' })).json.__type,
      (await kms('Decrypt', { KeyId, CiphertextBlob })).json.__type,
      (await kms('RotateKeyOnDemand', { KeyId })).json.__type,
    ]
    await kms('DisableKey', { KeyId })
    expect(new Set(await codes())).toEqual(new Set(['DisabledException']))
    await kms('EnableKey', { KeyId })
    expect(new Set(await codes())).toEqual(new Set([undefined]))
    for (const PendingWindowInDays of [6, 31])
      expect((await kms('ScheduleKeyDeletion', { KeyId, PendingWindowInDays })).json.__type).toBe(
        'ValidationException',
      )
    await kms('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })
    expect(new Set(await codes())).toEqual(new Set(['KMSInvalidStateException']))
    expect((await kms('EnableKey', { KeyId })).json.__type).toBe('KMSInvalidStateException')
  })
})
