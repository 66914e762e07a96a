import { randomUUID } from 'node:crypto'
import { IAM } from '@aws-sdk/client-iam'
import { STS } from '@aws-sdk/client-sts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Session } from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'
import { aws } from '#providers/aws/provider.ts'
import { openAws, awsAddress, formOn, type AwsBench } from '#test/contract/aws-peer.ts'
import { call, failure } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { refText } from '#test/contract/vault-peer.ts'
import { peer } from '#test/support/peers.ts'

const type = aws.types.find((one) => one.type === 'aws.iam.accessKey')
const idOf = (userName: string): string =>
  type?.objectId({
    settings: { region: 'eu-west-1', account: '123456789012' },
    ref: { userName },
    keyName: 'x',
  }) ?? ''

test('a user is one object, however its name is written', () => {
  expect(idOf('Orders')).toBe(idOf('orders'))
  expect(idOf('orders')).toBe('arn:aws:iam::123456789012:user/orders')
})

test.each(['', 'a/b', '../a', 'a b', 'ключ', 'a*', 'x'.repeat(65)])(
  '%j names no user, and nothing is sent',
  (name) => {
    expect(() => idOf(name)).toThrow(expect.objectContaining({ kind: 'permanent', effect: 'none' }))
  },
)

test('what is handed out is what a connection of AWS takes as its credential', () => {
  const given = type?.handedOut?.(
    { settings: {}, providerVersion: 'AKIAIOSFODNN7EXAMPLE' },
    new Secret('abc'),
  )
  expect(JSON.parse(given === undefined ? '' : revealText(given))).toEqual({
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'abc',
  })
})

peer('moto').describe('an access key', () => {
  let bench: AwsBench
  let session: Session
  let iam: IAM
  beforeAll(async () => {
    bench = await openAws()
    iam = new IAM(bench.client)
    session = connect(bench.credential)
  }, 180_000)
  afterAll(async () => {
    iam?.destroy()
    await bench?.stop()
  })
  const connect = (credential: Secret<string>): Session =>
    aws.connect({
      connection: 'x',
      externalId: 'x',
      settings: bench.settings,
      credential,
      ports: plainPorts(),
    })
  const arrange = async () => {
    const UserName = `user-${randomUUID()}`
    await iam.createUser({ UserName, Path: '/apps/' })
    const { AccessKey: made } = await iam.createAccessKey({ UserName })
    const credentials = {
      accessKeyId: made?.AccessKeyId ?? '',
      secretAccessKey: made?.SecretAccessKey ?? '',
    }
    const object = awsAddress('aws.iam.accessKey', { userName: UserName })
    return { UserName, object, credentials }
  }

  test('a key with another secret, and one of another user, do not pass', async () => {
    const one = await arrange()
    const other = await arrange()
    const tried = (id: string, secret: string) =>
      session.verify(
        {
          object: one.object,
          providerVersion: id,
          material: new Secret(secret),
          how: 'login',
          preImage: {},
        },
        call(),
      )
    const { accessKeyId, secretAccessKey } = one.credentials
    expect(await tried(accessKeyId, secretAccessKey)).toMatchObject({ ok: true })
    expect(await tried(accessKeyId, 'wrong')).toMatchObject({ ok: false })
    expect(
      await tried(other.credentials.accessKeyId, other.credentials.secretAccessKey),
    ).toMatchObject({ ok: false, detail: expect.stringContaining('another principal') })
  })

  /** A user who may do everything, and a session that it begins. */
  const arrangeSessions = async () => {
    const arranged = await arrange()
    const { UserName, credentials } = arranged
    await iam.putUserPolicy({
      UserName,
      PolicyName: 'all',
      PolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
      }),
    })
    const begin = async () => {
      const sts = new STS({ ...bench.client, credentials })
      const { Credentials: made } = await sts.getSessionToken({})
      return new IAM({
        ...bench.client,
        credentials: {
          accessKeyId: made?.AccessKeyId ?? '',
          secretAccessKey: made?.SecretAccessKey ?? '',
          sessionToken: made?.SessionToken ?? '',
        },
      })
    }
    return { ...arranged, begin }
  }

  test('in an incident the sessions that were begun with it end too, and later ones do not', async () => {
    const { UserName, object, credentials, begin } = await arrangeSessions()
    const early = await begin()
    expect((await early.getUser({ UserName })).User?.UserName).toBe(UserName)
    const facts = await session.suspend(object, credentials.accessKeyId, call({ incident: true }))
    expect(facts).toMatchObject({ sessions: expect.stringContaining('ended, if begun before') })
    await expect(early.getUser({ UserName })).rejects.toMatchObject({ name: 'AccessDenied' })
    await session.reinstate(object, credentials.accessKeyId, call())
    bench.strict.skew(60_000)
    const late = await begin()
    expect((await late.getUser({ UserName })).User?.UserName).toBe(UserName)
    bench.strict.skew(0)
  })

  test('so does one that was begun while the key was being switched off', async () => {
    const { UserName, object, credentials, begin } = await arrangeSessions()
    const going = bench.faulty.inject(
      formOn('UpdateAccessKey', new RegExp(credentials.accessKeyId)),
      { kind: 'hold' },
    )
    const slow = aws.connect({
      connection: 'x',
      externalId: 'x',
      settings: bench.faultySettings,
      credential: bench.credential,
      ports: plainPorts(),
    })
    const suspended = slow.suspend(object, credentials.accessKeyId, call({ incident: true }))
    await going.hit()
    // AWS tells the time in whole seconds.
    bench.strict.skew(2_000)
    const last = await begin()
    await going.release()
    await suspended
    await expect(last.getUser({ UserName })).rejects.toMatchObject({ name: 'AccessDenied' })
    bench.strict.skew(0)
    bench.faulty.reset()
  })

  test('without the right to end sessions the key is off all the same, and the facts say what is left', async () => {
    const { object, credentials } = await arrange()
    const documents = type?.leastPrivilege({ userName: refText(object, 'userName') }) ?? {}
    const pathed = JSON.parse(
      JSON.stringify(['check', 'describe', 'switch'].map((name) => documents[name])).replaceAll(
        ':user/',
        ':user/apps/',
      ),
    )
    const least = connect(await bench.grant(pathed))
    const facts = await least.suspend(object, credentials.accessKeyId, call({ incident: true }))
    expect(facts['sessions']).toMatch(/not ended: needs iam:PutUserPolicy on .*user\/user-/)
    expect(await session.stateOf(object, credentials.accessKeyId, call())).toBe('disabled')
  })

  test('a listing from before the mint makes it a conflict, and no third key', async () => {
    const { object, UserName } = await arrange()
    const { preImage } = await session.prepare(object, null, call())
    const order = { object, operationId: randomUUID(), preImage, generate: {}, material: null }
    await session.mint(order, call())
    bench.strict.stale(1, 'iam')
    const error = await failure(session.mint(order, call()))
    expect(error).toMatchObject({ kind: 'quota', effect: 'none' })
    const { AccessKeyMetadata: keys } = await iam.listAccessKeys({ UserName })
    expect(keys).toHaveLength(2)
  })

  test('a listing from before the mint does not let a key that is to be destroyed live on', async () => {
    const { object, UserName } = await arrange()
    const { preImage } = await session.prepare(object, null, call())
    const order = { object, operationId: randomUUID(), preImage, generate: {}, material: null }
    const { providerVersion } = await session.mint(order, call())
    bench.strict.stale(1, 'iam')
    await session.retire(object, providerVersion, 'destroy', call())
    bench.strict.stale(0, 'iam')
    const { AccessKeyMetadata: keys = [] } = await iam.listAccessKeys({ UserName })
    expect(keys.map(({ AccessKeyId: id }) => id)).not.toContain(providerVersion)
    // Done is done.
    await session.retire(object, providerVersion, 'destroy', call())
  })

  test('a listing from before the mint does not keep the new key from being switched off', async () => {
    const { object, UserName } = await arrange()
    const { preImage } = await session.prepare(object, null, call())
    const order = { object, operationId: randomUUID(), preImage, generate: {}, material: null }
    const { providerVersion } = await session.mint(order, call())
    bench.strict.stale(1, 'iam')
    await session.suspend(object, providerVersion, call({ incident: true }))
    bench.strict.stale(0, 'iam')
    const { AccessKeyMetadata: keys = [] } = await iam.listAccessKeys({ UserName })
    expect(keys.find(({ AccessKeyId: id }) => id === providerVersion)?.Status).toBe('Inactive')
  })

  test('a listing from before a key was switched off does not keep it from being switched on', async () => {
    const { object, UserName, credentials } = await arrange()
    await session.suspend(object, credentials.accessKeyId, call())
    bench.strict.stale(1, 'iam')
    await session.reinstate(object, credentials.accessKeyId, call())
    bench.strict.stale(0, 'iam')
    const { AccessKeyMetadata: keys = [] } = await iam.listAccessKeys({ UserName })
    expect(keys.map(({ Status }) => Status)).toEqual(['Active'])
  })

  test('a key from before the pre-image, or from long after it, is never taken for ours', async () => {
    const { object } = await arrange()
    const { preImage } = await session.prepare(object, null, call())
    const told = preImage['readAt']
    const readAt = Date.parse(typeof told === 'string' ? told : '')
    const probe = (ms: number) =>
      session.probeMint(
        {
          object,
          operationId: 'x',
          // The user's one key is unknown to this pre-image.
          preImage: { ...preImage, keys: [], readAt: new Date(readAt + ms).toISOString() },
          generate: {},
          material: null,
        },
        call(),
      )
    expect(await probe(0)).toMatchObject({ answer: 'ours', secretLost: true })
    expect(await probe(60_000)).toMatchObject({ answer: 'foreign' })
    expect(await probe(-10 * 60_000)).toMatchObject({ answer: 'foreign' })
  })
})
