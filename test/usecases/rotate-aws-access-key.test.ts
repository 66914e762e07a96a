// Rotations of the access keys of IAM users, through the API: at every moment what STS says to whoever signs with a key.

import { randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import { IAM } from '@aws-sdk/client-iam'
import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import { STS } from '@aws-sdk/client-sts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Fault } from '#test/support/fault-proxy.ts'
import { openAwsStage, type AwsStage } from '#test/support/aws-stage.ts'
import { peer } from '#test/support/peers.ts'
import { findPlanted, tablesOf } from '#test/support/planted.ts'

interface Pair {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

peer('moto').describe('rotations of access keys', () => {
  let stage: AwsStage
  let iam: IAM
  let secrets: SecretsManager
  const planted: Record<string, string> = {}
  beforeAll(async () => {
    stage = await openAwsStage()
    iam = new IAM(stage.client)
    secrets = new SecretsManager(stage.client)
  }, 180_000)
  afterAll(async () => {
    iam?.destroy()
    secrets?.destroy()
    await stage?.close()
  })

  const makeKey = async (UserName: string): Promise<Pair> => {
    const { AccessKey: made } = await iam.createAccessKey({ UserName })
    const secretAccessKey = made?.SecretAccessKey ?? ''
    planted[`${UserName} ${randomUUID()}`] = secretAccessKey
    return { accessKeyId: made?.AccessKeyId ?? '', secretAccessKey }
  }
  /** The name of whoever signs with the key, or the code of the refusal. */
  const whoIs = async (credentials: Pair): Promise<string> => {
    const sts = new STS({ ...stage.client, credentials })
    try {
      return (await sts.getCallerIdentity({})).Arn?.split('/').at(-1) ?? ''
    } catch (error) {
      return error instanceof Error ? error.name : 'unknown'
    } finally {
      sts.destroy()
    }
  }
  /** Oldest first. */
  const keysOf = async (UserName: string): Promise<readonly string[]> => {
    const { AccessKeyMetadata: keys = [] } = await iam.listAccessKeys({ UserName })
    return keys
      .toSorted((a, b) => (a.CreateDate?.getTime() ?? 0) - (b.CreateDate?.getTime() ?? 0))
      .map(({ Status }) => Status ?? '')
  }
  const copyOf = async (user: string): Promise<Pair> => {
    const { SecretString = '{}' } = await secrets.getSecretValue({ SecretId: `copy-of-${user}` })
    return JSON.parse(SecretString) as Pair
  }
  const summary = async (keyId: string) =>
    (await stage.house.versions(keyId)).map(({ state, primary }) => [state, primary])
  const arrange = async (user: string, spec: Readonly<Record<string, unknown>> = {}) => {
    await iam.createUser({ UserName: user })
    const first = await makeKey(user)
    await secrets.createSecret({ Name: `copy-of-${user}`, SecretString: JSON.stringify(first) })
    const key = await stage.register(user, 'aws.iam.accessKey', { userName: user })
    const publish = [
      {
        name: 'copy',
        connection: 'aws',
        type: 'aws.secretsmanager.secret',
        ref: { secretId: `copy-of-${user}` },
      },
    ]
    await stage.policy(user, { retire: 'destroy', publish, ...spec })
    return { key, first }
  }
  const asked = (user: string, operation: string) =>
    stage.strict
      .log()
      .filter((one) => one.subject === user && one.operation === operation && one.status === 200)
      .length

  // First: IAM tells of uses by its own clock, which the others turn away from.
  test('unusedFor: the old key is not switched off while somebody signs with it', async () => {
    const { first } = await arrange('used', { overlap: { min: '0s', unusedFor: '1h' } })
    const id = await stage.rotate('used')
    await stage.until(id, ['overlapping'])
    await whoIs(first)
    await stage.house.clock.advance(60_000)
    await stage.drain()
    const { json } = await stage.call('GET', `/v1/rotations/${id}`)
    expect(json).toMatchObject({ phase: 'overlapping', waitingFor: { gate: 'usage' } })
    expect(json.waitingFor.text).toContain('was last used at')
  })

  test('by plan: readers of the copy get a key that works, and the old one is refused in the soak and gone after it', async () => {
    const { key, first } = await arrange('nightly', {
      manual: false,
      maxAge: '40d',
      soak: '30s',
      overlap: { min: '1m' },
    })
    await stage.house.clock.advance(41 * 86_400_000)
    await stage.drain()
    const id = await stage.rotationOf('nightly')
    await stage.until(id, ['overlapping'])
    const second = await copyOf('nightly')
    expect(second.accessKeyId).not.toBe(first.accessKeyId)
    expect([await whoIs(first), await whoIs(second)]).toEqual(['nightly', 'nightly'])
    await stage.until(id, ['soaking'])
    expect([await whoIs(first), await whoIs(second)]).toEqual(['InvalidClientTokenId', 'nightly'])
    expect(await keysOf('nightly')).toEqual(['Inactive', 'Active'])
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(await keysOf('nightly')).toEqual(['Active'])
    expect(await whoIs(first)).toBe('InvalidClientTokenId')
    expect(await summary(key.id)).toEqual([
      ['destroyed', false],
      ['active', true],
    ])
  })

  test('sends AWS one request for each write, and no more', async () => {
    await arrange('counted')
    expect((await stage.until(await stage.rotate('counted'), 'end')).phase).toBe('completed')
    const writes = stage.strict.log().filter((one) => one.changes && one.subject === 'counted')
    expect(writes.map(({ operation }) => operation)).toEqual([
      'CreateUser',
      'CreateAccessKey',
      // From here on it is Rekey.
      'CreateAccessKey',
      'UpdateAccessKey',
      'DeleteAccessKey',
    ])
  })

  test.each(['overlapping', 'soaking'] as const)(
    'rolled back from %s: the old key works again, in the copy too, and the new one is gone',
    async (phase) => {
      const user = `undo-${phase}`
      const { key, first } = await arrange(user, { soak: '1h', overlap: { min: '1m' } })
      const id = await stage.rotate(user)
      await stage.until(id, [phase])
      const second = await copyOf(user)
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect(await copyOf(user)).toEqual(first)
      expect([await whoIs(first), await whoIs(second)]).toEqual([user, 'InvalidClientTokenId'])
      expect(await keysOf(user)).toEqual(['Active'])
      expect(await summary(key.id)).toEqual([
        ['active', true],
        ['destroyed', false],
      ])
    },
  )

  test('a key that STS takes for a moment after it was made inactive is tried again, and not switched on', async () => {
    await arrange('lagging', { soak: '2m', overlap: { min: '1m' } })
    expect((await stage.until(await stage.rotate('lagging'), 'end')).phase).toBe('completed')
    // Of the second key Rekey has the secret: the canary really signs with it.
    const second = await copyOf('lagging')
    const id = await stage.rotate('lagging')
    await stage.until(id, ['overlapping'])
    stage.strict.lag(1)
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(stage.strict.lag(0)).toBe(0)
    const effects = (await stage.intents(id)).map(({ effect }) => effect)
    expect(effects).not.toContain('reinstate')
    expect(await whoIs(second)).toBe('InvalidClientTokenId')
  })

  test('a user whose two places are taken stalls before anything is made, and the preview names both', async () => {
    const { first } = await arrange('full')
    const other = await makeKey('full')
    const told = await stage.call('POST', '/v1/rotations?dryRun=all', {
      body: { key: 'full', reason: 'a test' },
      headers: { 'idempotency-key': randomUUID() },
    })
    expect(told.status, told.text).toBe(200)
    expect(told.json.preview.versions).toEqual({ living: 2, most: 2 })
    for (const { accessKeyId } of [first, other])
      expect(told.json.preview.risks.join()).toContain(`${accessKeyId} (active, made `)
    const { stalledReason } = await stage.until(await stage.rotate('full'), ['stalled'])
    expect(stalledReason).toContain(other.accessKeyId)
    expect(asked('full', 'CreateAccessKey')).toBe(2)
    expect([await whoIs(first), await whoIs(other)]).toEqual(['full', 'full'])
  })

  test('the connection’s own key is not switched off from under it', async () => {
    const user = 'self'
    await iam.createUser({ UserName: user })
    const own = await makeKey(user)
    await iam.putUserPolicy({
      UserName: user,
      PolicyName: 'all',
      PolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
      }),
    })
    await stage.house.connection('self', {
      provider: 'aws',
      settings: { region: 'eu-west-1', account: '123456789012', endpoint: stage.proxy.address },
      credential: { from: 'value', value: { ...own } },
      grants: [{ matchLabels: {}, refs: ['*'] }],
    })
    await stage.register(user, 'aws.iam.accessKey', { userName: user }, { connection: 'self' })
    await stage.policy(user, { retire: 'destroy' })
    const { stalledReason } = await stage.until(await stage.rotate(user), ['stalled'])
    expect(stalledReason).toContain('the connection itself signs with')
    expect(await whoIs(own)).toBe(user)
  })

  describe('whatever becomes of a request', () => {
    const faults: readonly { readonly name: string; readonly fault: Fault }[] = [
      { name: 'cut before', fault: { kind: 'cutBefore' } },
      { name: 'cut after the effect', fault: { kind: 'cutAfter' } },
      { name: '500 after the effect', fault: { kind: 'errorAfter', status: 500 } },
      { name: 'throttled', fault: { kind: 'status', status: 429 } },
      { name: 'an effect that lands late', fault: { kind: 'hold' } },
    ]
    const cases = [
      ...faults.map((one) => ({ of: 'CreateAccessKey', ...one })),
      ...faults
        .filter(({ fault }) => fault.kind === 'cutAfter' || fault.kind === 'hold')
        .flatMap((one) => [
          { of: 'UpdateAccessKey', ...one },
          { of: 'DeleteAccessKey', ...one },
        ]),
    ]

    test.each(cases)('$of, $name: one new key', async ({ of, name, fault }) => {
      const user = `${of}-${name}`.replaceAll(/[^A-Za-z0-9]+/g, '-').toLowerCase()
      const { key, first } = await arrange(user, { publish: [] })
      const rule = stage.proxy.inject({ path: /./, body: new RegExp(`Action=${of}`) }, fault)
      stage.hurry(fault.kind === 'hold' ? 500 : Infinity)
      const id = await stage.rotate(user)
      for (let n = 0; rule.hits() === 0; n++) {
        if (n === 600) throw new Error('the request never came')
        await stage.drain()
        await stage.house.clock.advance(1_000)
      }
      stage.hurry(Infinity)
      if (fault.kind === 'hold') await rule.release()
      expect((await stage.reach(id, 'end', { stepMs: 20_000 })).phase).toBe('completed')
      expect(await keysOf(user)).toEqual(['Active'])
      expect(await whoIs(first)).toBe('InvalidClientTokenId')
      expect(await summary(key.id)).toEqual([
        ['destroyed', false],
        ['active', true],
      ])
      // A key whose secret was lost with the answer is deleted, and one more is made.
      const done = fault.kind !== 'cutBefore' && fault.kind !== 'status'
      const orphans = of === 'CreateAccessKey' && done ? 1 : 0
      expect(asked(user, 'CreateAccessKey')).toBe(2 + orphans)
      expect(asked(user, 'DeleteAccessKey')).toBe(1 + orphans)
      stage.proxy.reset()
    })

    test.each(['killed before', 'killed after'] as const)(
      'a worker that is %s the mint: another one ends it, with one new key',
      async (kind) => {
        const user = kind.replace(' ', '-')
        await arrange(user)
        stage.plans.arm('mint', kind)
        const id = await stage.rotate(user)
        const dying = stage.worker('dies')
        const rung = (async () => {
          for (let n = 0; n < 20; n++) await dying(id)
        })()
        void rung.catch(() => undefined)
        await stage.plans.met()
        await stage.house.clock.advance(60_000)
        expect((await stage.reach(id, 'end', { stepMs: 20_000 })).phase).toBe('completed')
        expect(await keysOf(user)).toEqual(['Active'])
        expect(await whoIs(await copyOf(user))).toBe(user)
      },
    )

    test('a key that somebody else makes and uses in the meantime is not taken for ours', async () => {
      const { first } = await arrange('meanwhile')
      const rule = stage.proxy.inject(
        { path: /./, body: /Action=CreateAccessKey/ },
        { kind: 'cutBefore' },
      )
      const id = await stage.rotate('meanwhile')
      const other = await (async () => {
        for (let n = 0; rule.hits() === 0; n++) {
          if (n === 600) throw new Error('the request never came')
          await stage.advance(id)
        }
        return makeKey('meanwhile')
      })()
      expect(await whoIs(other)).toBe('meanwhile')
      const { stalledReason } = await stage.until(id, ['stalled'])
      expect(stalledReason).toContain(`${other.accessKeyId} is in use`)
      expect([await whoIs(first), await whoIs(other)]).toEqual(['meanwhile', 'meanwhile'])
      stage.proxy.reset()
    })
  })

  test('no secret of any key is in a log, a table or on the way', async () => {
    const copies = ['nightly', 'counted', 'lagging']
    for (const user of copies) planted[`${user} new`] = (await copyOf(user)).secretAccessKey
    const places = new Map([
      ...(await tablesOf(stage.house.urls.superuser)),
      ['our log', stage.logged.join('')],
      ['faults', inspect(stage.faults, { depth: Infinity })],
      ['paths', inspect(stage.proxy.seen())],
    ])
    expect(places.get('our log')).not.toBe('')
    expect(findPlanted(places, planted)).toEqual([])
  })
})
