import { randomUUID } from 'node:crypto'
import { KMS } from '@aws-sdk/client-kms'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Session } from '#domain/provider.ts'
import { aws } from '#providers/aws/provider.ts'
import { awsAddress, openAws, type AwsBench } from '#test/contract/aws-peer.ts'
import { call, failure } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { peer } from '#test/support/peers.ts'

peer('moto').describe('a key of KMS', () => {
  let bench: AwsBench
  let session: Session
  let kms: KMS
  beforeAll(async () => {
    bench = await openAws()
    kms = new KMS(bench.client)
    session = aws.connect({
      connection: 'x',
      externalId: 'x',
      settings: bench.faultySettings,
      credential: bench.credential,
      ports: plainPorts(),
    })
  }, 180_000)
  afterEach(() => bench.faulty.reset())
  afterAll(async () => {
    kms?.destroy()
    await bench?.stop()
  })

  test('a key that is gone since it was listed hides no other', async () => {
    const { KeyMetadata: gone } = await kms.createKey({})
    const { KeyMetadata: there } = await kms.createKey({})
    const rule = bench.faulty.inject(
      { path: /./, header: ['x-amz-target', /DescribeKey/], body: new RegExp(gone?.KeyId ?? '') },
      {
        kind: 'status',
        status: 400,
        headers: { 'content-type': 'application/x-amz-json-1.1' },
        body: '{"__type":"NotFoundException","message":"Key does not exist"}',
      },
    )
    const seen: unknown[] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<Session['inventory']>> = await session.inventory(
        'aws.kms.symmetric',
        cursor,
        call(),
      )
      seen.push(...page.items.map(({ ref }) => ref['keyId']))
      cursor = page.next
    } while (cursor !== null)
    expect(rule.hits()).toBe(1)
    expect(seen).toContain(there?.KeyId)
    expect(seen).not.toContain(gone?.KeyId)
  })

  test.each([
    ['aws.kms.symmetric', {}],
    ['aws.kms.alias', { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }],
  ] as const)('a failure on the way is no refusal by KMS (%s)', async (type, spec) => {
    const { KeyMetadata: made } = await kms.createKey(spec)
    const id = made?.KeyId ?? ''
    const alias = `alias/way-${randomUUID()}`
    await kms.createAlias({ AliasName: alias, TargetKeyId: id })
    const object = awsAddress(type, type === 'aws.kms.alias' ? { alias } : { keyId: id })
    const { versions } = await session.describe(object, call())
    const providerVersion = versions.find(({ current }) => current)?.id ?? ''
    const { preImage } = await session.prepare(object, providerVersion, call())
    const refused = () =>
      session.verify({ object, providerVersion, material: null, how: 'refused', preImage }, call())
    expect(await refused()).toMatchObject({ ok: false })
    const uses = {
      method: 'POST',
      path: /./,
      header: ['x-amz-target', /\.(GenerateDataKey|GenerateMac|Decrypt|VerifyMac)$/] as const,
    }
    bench.faulty.inject(uses, { kind: 'status', status: 307 }, 9)
    expect(await failure(refused())).toMatchObject({ kind: 'precondition', effect: 'none' })
    bench.faulty.reset()
    await kms.disableKey({ KeyId: id })
    expect(await refused()).toMatchObject({ ok: true })
    await kms.enableKey({ KeyId: id })
    await kms.scheduleKeyDeletion({ KeyId: id, PendingWindowInDays: 7 })
    expect(await refused()).toMatchObject({ ok: true })
  })
  test('behind an alias is switched off by what is asked, and not by an answer from before', async () => {
    const spec = { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' } as const
    const { KeyMetadata: made } = await kms.createKey(spec)
    const id = made?.KeyId ?? ''
    const alias = `alias/stale-${randomUUID()}`
    await kms.createAlias({ AliasName: alias, TargetKeyId: id })
    const object = awsAddress('aws.kms.alias', { alias })
    const incident = call({ incident: true })
    await session.suspend(object, id, incident)
    await session.reinstate(object, id, call())
    // As it was before the key was switched on again: off.
    bench.strict.stale(1, 'kms')
    await session.suspend(object, id, incident)
    bench.strict.stale(0, 'kms')
    expect(await session.stateOf(object, id, call())).toBe('disabled')
    await session.retire(object, id, 'destroy', incident)
    expect(await session.retire(object, id, 'destroy', incident)).toMatchObject({ already: true })
    expect(await failure(session.reinstate(object, id, call()))).toMatchObject({
      kind: 'precondition',
      effect: 'none',
      hint: expect.stringContaining('cancel-key-deletion'),
    })
  })
  test('is handed out again by its alias, also where the alias is told to lead there still', async () => {
    const spec = { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' } as const
    const [one, two] = [await kms.createKey(spec), await kms.createKey(spec)].map(
      ({ KeyMetadata: made }) => made?.KeyId ?? '',
    )
    if (one === undefined || two === undefined) throw new Error('no keys')
    const alias = `alias/back-${randomUUID()}`
    await kms.createAlias({ AliasName: alias, TargetKeyId: one })
    const object = awsAddress('aws.kms.alias', { alias })
    const promote = (from: string, to: string) =>
      session.promote({ object, operationId: randomUUID(), from, to }, call())
    await promote(one, two)
    bench.strict.kms.staleAlias(1)
    await promote(two, one)
    bench.strict.kms.staleAlias(0)
    const { KeyMetadata: now } = await kms.describeKey({ KeyId: alias })
    expect(now?.KeyId).toBe(one)
  })
})
