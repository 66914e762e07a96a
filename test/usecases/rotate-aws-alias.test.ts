// Rotations of keys behind an alias of KMS, through the API: whom the alias leads to, and what older signatures are verified by.

import { randomUUID } from 'node:crypto'
import { KMS } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openAwsStage, type AwsStage } from '#test/support/aws-stage.ts'
import { peer } from '#test/support/peers.ts'

const kinds = {
  signing: { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' },
  rsa: { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' },
  mac: { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' },
} as const

peer('moto').describe('rotations of keys behind an alias', () => {
  let stage: AwsStage
  let kms: KMS
  beforeAll(async () => {
    stage = await openAwsStage()
    kms = new KMS(stage.client)
  }, 180_000)
  afterAll(async () => {
    kms?.destroy()
    await stage?.close()
  })

  const behind = async (KeyId: string) => (await kms.describeKey({ KeyId })).KeyMetadata
  const arrange = async (
    name: string,
    kind: keyof typeof kinds,
    spec: Readonly<Record<string, unknown>> = {},
  ) => {
    const AliasName = `alias/${name}-${randomUUID()}`
    const { KeyMetadata: made } = await kms.createKey({
      ...kinds[kind],
      Description: `of ${name}`,
      Tags: [{ TagKey: 'team', TagValue: 'payments' }],
    })
    const first = made?.KeyId ?? ''
    await kms.createAlias({ AliasName, TargetKeyId: first })
    const key = await stage.register(name, 'aws.kms.alias', { alias: AliasName })
    await stage.policy(name, spec)
    return { key, first, AliasName }
  }
  const made = (alias: string): number =>
    stage.strict
      .log()
      .filter((one) => one.operation === 'CreateKey' && one.subject === alias && one.status === 200)
      .length

  test('a signing key: the alias leads to a new one of its likeness, the old one is off for the soak and then scheduled for deletion', async () => {
    const { first, AliasName } = await arrange('signing', 'signing', {
      soak: '1m',
      retire: 'destroy',
    })
    await kms.createGrant({
      KeyId: first,
      GranteePrincipal: 'arn:aws:iam::123456789012:role/signer',
      Operations: ['Sign'],
    })
    const Message = Buffer.from('before')
    const SigningAlgorithm = 'ECDSA_SHA_256'
    const { Signature } = await kms.sign({ KeyId: AliasName, Message, SigningAlgorithm })
    const id = await stage.rotate('signing')
    await stage.until(id, ['soaking'])
    const now = await behind(AliasName)
    expect(now).toMatchObject({ ...kinds.signing, Description: 'of signing' })
    expect(now?.KeyId).not.toBe(first)
    const { Tags = [] } = await kms.listResourceTags({ KeyId: now?.KeyId ?? '' })
    expect(Tags).toContainEqual({ TagKey: 'team', TagValue: 'payments' })
    const { Grants = [] } = await kms.listGrants({ KeyId: now?.KeyId ?? '' })
    expect(Grants).toMatchObject([{ Operations: ['Sign'] }])
    expect((await behind(`${AliasName}-previous`))?.KeyId).toBe(first)
    const verify = { KeyId: first, Message, Signature, SigningAlgorithm } as const
    await expect(kms.verify(verify)).rejects.toMatchObject({ name: 'DisabledException' })
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(await behind(first)).toMatchObject({ KeyState: 'PendingDeletion' })
    expect(made(AliasName)).toBe(1)
  })

  test.each(['rsa', 'mac'] as const)(
    'a key for %s, rolled back: the alias leads to the old one, and the new one is scheduled for deletion',
    async (kind) => {
      const { key, first, AliasName } = await arrange(kind, kind, { overlap: { min: '10m' } })
      const id = await stage.rotate(kind)
      await stage.until(id, ['overlapping'])
      const second = (await behind(AliasName))?.KeyId ?? ''
      expect(second).not.toBe(first)
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect(await behind(AliasName)).toMatchObject({ KeyId: first, KeyState: 'Enabled' })
      expect(await behind(second)).toMatchObject({ KeyState: 'PendingDeletion' })
      expect(
        (await stage.house.versions(key.id)).map(({ state, primary }) => [state, primary]),
      ).toEqual([
        ['active', true],
        ['destroyed', false],
      ])
    },
  )

  test.each([
    { of: 'CreateKey', kind: 'cutAfter' },
    { of: 'CreateKey', kind: 'cutBefore' },
    { of: 'UpdateAlias', kind: 'cutAfter' },
    { of: 'DisableKey', kind: 'cutAfter' },
  ] as const)('$of, $kind: one new key, and the alias leads to it', async ({ of, kind }) => {
    const name = `${of}-${kind}`.toLowerCase()
    const { first, AliasName } = await arrange(name, 'mac')
    const rule = stage.proxy.inject(
      { path: /./, header: ['x-amz-target', new RegExp(`\\.${of}$`)] },
      { kind },
    )
    const id = await stage.rotate(name)
    expect((await stage.reach(id, 'end', { stepMs: 20_000 })).phase).toBe('completed')
    expect(rule.hits()).toBe(1)
    expect(made(AliasName)).toBe(1)
    expect((await behind(AliasName))?.KeyId).not.toBe(first)
    expect(await behind(first)).toMatchObject({ KeyState: 'Disabled' })
    stage.proxy.reset()
  })
})
