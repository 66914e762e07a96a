// Rotations of KMS keys through the API: what is encrypted before stays readable, and no rotation of the 25 is wasted.

import { randomUUID } from 'node:crypto'
import { KMS } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Fault } from '#test/support/fault-proxy.ts'
import { openAwsStage, type AwsStage } from '#test/support/aws-stage.ts'
import { peer } from '#test/support/peers.ts'

peer('moto').describe('rotations of KMS keys', () => {
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

  const rotatedBy = async (KeyId: string): Promise<readonly (string | undefined)[]> => {
    const { Rotations: rows = [] } = await kms.listKeyRotations({
      KeyId,
      IncludeKeyMaterial: 'ALL_KEY_MATERIAL',
    })
    return rows.map(({ RotationType }) => RotationType)
  }
  const arrange = async (
    name: string,
    spec: Readonly<Record<string, unknown>> = {},
    more: Readonly<Record<string, unknown>> = {},
  ) => {
    const { KeyMetadata: made } = await kms.createKey({})
    const keyId = made?.KeyId ?? ''
    const key = await stage.register(name, 'aws.kms.symmetric', { keyId }, more)
    await stage.policy(name, spec)
    return { key, keyId }
  }
  const sent = (keyId: string): number =>
    stage.strict
      .log()
      .filter((one) => one.subject === keyId && one.operation === 'RotateKeyOnDemand').length
  const states = async (keyId: string) =>
    (await stage.house.versions(keyId)).map(({ state, primary }) => [state, primary])

  test('by plan: KMS works on it after its answer, and is asked to rotate once', async () => {
    const { key, keyId } = await arrange('yearly', { manual: false, maxAge: '40d' })
    const Plaintext = Buffer.from('from before')
    const { CiphertextBlob } = await kms.encrypt({ KeyId: keyId, Plaintext })
    stage.strict.kms.slow(6)
    await stage.house.clock.advance(41 * 86_400_000)
    await stage.drain()
    const id = await stage.rotationOf('yearly')
    await stage.until(id, ['minting'])
    const { json } = await stage.call('GET', `/v1/rotations/${id}`)
    expect(json.waitingFor).toMatchObject({ gate: 'probe' })
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    stage.strict.kms.slow(0)
    expect(await rotatedBy(keyId)).toEqual([undefined, 'ON_DEMAND'])
    expect(sent(keyId)).toBe(1)
    expect(await states(key.id)).toEqual([
      ['deactivated', false],
      ['active', true],
    ])
    const opened = await kms.decrypt({ KeyId: keyId, CiphertextBlob })
    expect(Buffer.from(opened.Plaintext ?? []).toString()).toBe('from before')
  })

  test('rolling back is refused from the mint on, and changes nothing', async () => {
    const { keyId } = await arrange('one-way')
    stage.strict.kms.slow(20)
    const id = await stage.rotate('one-way')
    for (const phase of ['minting', 'verifying'] as const) {
      await stage.until(id, [phase])
      const before = await stage.rotation(id)
      const refused = await stage.rollback(id)
      expect([refused.status, refused.json.code]).toEqual([409, 'rotation.undoImpossible'])
      expect(await stage.rotation(id)).toEqual(before)
    }
    stage.strict.kms.slow(0)
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(await rotatedBy(keyId)).toEqual([undefined, 'ON_DEMAND'])
  })

  test('the last rotations of a key are kept for emergencies, and the preview says how many are left', async () => {
    const { keyId } = await arrange('budget', {}, { generate: { reserve: 4 } })
    for (let n = 0; n < 20; n++) await kms.rotateKeyOnDemand({ KeyId: keyId })
    await kms.enableKeyRotation({ KeyId: keyId })
    expect((await stage.until(await stage.rotate('budget'), 'end')).phase).toBe('completed')
    const told = await stage.call('POST', '/v1/rotations?dryRun=all', {
      body: { key: 'budget', reason: 'a test' },
      headers: { 'idempotency-key': randomUUID() },
    })
    expect(told.json.preview.facts).toMatchObject({
      rotationsLeft: 4,
      rotationsInItsLife: 25,
      autoRotateSeconds: 365 * 86_400,
    })
    expect(told.json.preview.risks.join()).toContain('4 of the 25 rotations')
    expect(told.json.preview.risks.join()).toContain('by itself every 365 days')
    const id = await stage.rotate('budget')
    const { stalledReason, stalledIn } = await stage.until(id, ['stalled'])
    expect(stalledIn).toBe('preflight')
    expect(stalledReason).toContain('4 are left, and kept for emergencies')
    expect(await rotatedBy(keyId)).toHaveLength(22)
  })

  test('a key that KMS has rotated by itself is rotated all the same', async () => {
    const { keyId } = await arrange('by-itself')
    stage.strict.kms.rotateByItself(keyId)
    expect((await stage.until(await stage.rotate('by-itself'), 'end')).phase).toBe('completed')
    expect(await rotatedBy(keyId)).toEqual([undefined, 'AUTOMATIC', 'ON_DEMAND'])
  })

  describe('whatever becomes of the request', () => {
    const faults: readonly { readonly name: string; readonly fault: Fault }[] = [
      { name: 'cut before', fault: { kind: 'cutBefore' } },
      { name: 'cut after the effect', fault: { kind: 'cutAfter' } },
      { name: '500 after the effect', fault: { kind: 'errorAfter', status: 500 } },
      { name: 'an effect that lands late', fault: { kind: 'hold' } },
    ]
    test.each(faults)('$name: one rotation', async ({ name, fault }) => {
      const { keyId } = await arrange(name.replaceAll(' ', '-'))
      stage.strict.kms.slow(2)
      const rule = stage.proxy.inject(
        { path: /./, header: ['x-amz-target', /RotateKeyOnDemand/] },
        fault,
      )
      // What the call reads before it writes must have its time.
      stage.hurry(fault.kind === 'hold' ? 4_000 : Infinity)
      const id = await stage.rotate(name.replaceAll(' ', '-'))
      for (let n = 0; rule.hits() === 0; n++) {
        if (n === 600) throw new Error('the request never came')
        await stage.drain()
        await stage.house.clock.advance(1_000)
      }
      stage.hurry(Infinity)
      if (fault.kind === 'hold') await rule.release()
      expect((await stage.reach(id, 'end', { stepMs: 20_000 })).phase).toBe('completed')
      stage.strict.kms.slow(0)
      expect(await rotatedBy(keyId)).toEqual([undefined, 'ON_DEMAND'])
      expect(sent(keyId)).toBe(1)
      stage.proxy.reset()
    })
  })
})
