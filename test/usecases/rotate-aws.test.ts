// Rotations of what AWS's strict stand-in holds, through the API: what readers get, what is switched off, what undo brings back.

import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Fault } from '#test/support/fault-proxy.ts'
import { openAwsStage, type AwsStage } from '#test/support/aws-stage.ts'
import { actorOf } from '#test/support/house.ts'
import { peer } from '#test/support/peers.ts'

peer('moto').describe('rotations at AWS', () => {
  let stage: AwsStage
  let secrets: SecretsManager
  beforeAll(async () => {
    stage = await openAwsStage()
    secrets = new SecretsManager(stage.client)
  }, 180_000)
  afterAll(async () => {
    secrets?.destroy()
    await stage?.close()
  })

  /** Labels by version, in the order of making; a version without is `[]`. */
  const labels = async (SecretId: string): Promise<readonly (readonly string[])[]> => {
    const told = await secrets.listSecretVersionIds({ SecretId, IncludeDeprecated: true })
    return (told.Versions ?? []).map(({ VersionStages = [] }) => VersionStages.toSorted())
  }
  const read = async (SecretId: string): Promise<string | undefined> =>
    (await secrets.getSecretValue({ SecretId })).SecretString
  const summary = async (keyId: string) =>
    (await stage.house.versions(keyId)).map(({ state, primary }) => [state, primary])
  const arrange = async (
    name: string,
    spec: Readonly<Record<string, unknown>> = {},
    value = 'old',
    field?: string,
  ) => {
    await secrets.createSecret({ Name: name, SecretString: value })
    const ref = { secretId: name, ...(field === undefined ? {} : { field }) }
    const key = await stage.register(name, 'aws.secretsmanager.secret', ref)
    await stage.policy(name, spec)
    return key
  }

  describe('a secret', () => {
    test('is rotated when it is due; the old version loses its label for the soak, proven, and stays so', async () => {
      const key = await arrange('due', { manual: false, maxAge: '40d', soak: '30s' })
      await stage.house.clock.advance(41 * 86_400_000)
      await stage.drain()
      const id = await stage.rotationOf('due')
      await stage.until(id, ['soaking'])
      expect(await labels('due')).toEqual([['rekey-suspended'], ['AWSCURRENT']])
      expect(await read('due')).not.toBe('old')
      const { phase } = await stage.until(id, 'end')
      expect(phase).toBe('completed')
      expect(await labels('due')).toEqual([['rekey-suspended'], ['AWSCURRENT']])
      expect(await summary(key.id)).toEqual([
        ['deactivated', false],
        ['active', true],
      ])
    })

    test('with retire: destroy no label leads to the old version, and the next rotation follows', async () => {
      const key = await arrange('destroy', { retire: 'destroy' })
      for (const expected of [
        [[], ['AWSCURRENT']],
        [[], [], ['AWSCURRENT']],
      ]) {
        const { phase } = await stage.until(await stage.rotate('destroy'), 'end')
        expect(phase).toBe('completed')
        expect(await labels('destroy')).toEqual(expected)
      }
      expect(await summary(key.id)).toEqual([
        ['destroyed', false],
        ['destroyed', false],
        ['active', true],
      ])
    })

    test.each(['overlapping', 'soaking'] as const)(
      'rolled back from %s: readers get the old value again, and no label leads to the new version',
      async (phase) => {
        const name = `undo-${phase}`
        const key = await arrange(
          name,
          phase === 'soaking' ? { soak: '1h' } : { overlap: { min: '1h' } },
        )
        const id = await stage.rotate(name)
        await stage.until(id, [phase])
        expect((await stage.rollback(id)).status).toBe(202)
        expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
        expect(await read(name)).toBe('old')
        expect(await labels(name)).toEqual([['AWSCURRENT'], []])
        expect(await summary(key.id)).toEqual([
          ['active', true],
          ['destroyed', false],
        ])
      },
    )

    test('of which one field is rotated keeps the others, also those that change meanwhile', async () => {
      await arrange(
        'field',
        { overlap: { min: '5s' } },
        '{"password":"old","user":"a"}',
        'password',
      )
      expect((await stage.until(await stage.rotate('field'), 'end')).phase).toBe('completed')
      const { password, ...rest } = JSON.parse((await read('field')) ?? '{}')
      expect(password).not.toBe('old')
      expect(rest).toEqual({ user: 'a' })
      const SecretString = JSON.stringify({ password, user: 'b' })
      // The label is named: after it was moved by hand once, moto puts it on the new version and leaves it on the old one.
      const { VersionId } = await secrets.putSecretValue({
        SecretId: 'field',
        SecretString,
        VersionStages: ['AWSPENDING'],
      })
      const { VersionIdsToStages = {} } = await secrets.describeSecret({ SecretId: 'field' })
      const [from] =
        Object.entries(VersionIdsToStages).find(([, stages]) => stages.includes('AWSCURRENT')) ?? []
      await secrets.updateSecretVersionStage({
        SecretId: 'field',
        VersionStage: 'AWSCURRENT',
        MoveToVersionId: VersionId,
        RemoveFromVersionId: from,
      })
      expect((await stage.until(await stage.rotate('field'), 'end')).phase).toBe('completed')
      expect(JSON.parse((await read('field')) ?? '{}')).toEqual({
        password: expect.not.stringMatching(password),
        user: 'b',
      })
    })

    test('that somebody else has rotated stalls the rotation, and is not overwritten', async () => {
      await arrange('foreign')
      await secrets.putSecretValue({ SecretId: 'foreign', SecretString: 'by somebody else' })
      const id = await stage.rotate('foreign')
      const { stalledReason } = await stage.until(id, ['stalled'])
      expect(stalledReason).toContain('was not written by Rekey')
      expect(await read('foreign')).toBe('by somebody else')
    })
  })

  describe('publishing to a secret', () => {
    const target = (secretId: string, field?: string) => ({
      name: 'copy',
      connection: 'aws',
      type: 'aws.secretsmanager.secret',
      ref: { secretId, ...(field === undefined ? {} : { field }) },
    })
    const valueOf = async (key: string, version: number): Promise<string> => {
      const reader = actorOf('reader', ['consumer'], { keys: [key] })
      const { value } = await stage.house.value(key, reader, version)
      return Buffer.from(value.reveal()).toString()
    }

    test.each([
      { name: 'whole', held: 'before', field: undefined },
      { name: 'field', held: '{"token":"before","host":"db"}', field: 'token' },
      { name: 'new-field', held: '{"host":"db"}', field: 'token' },
    ])(
      'into $held: readers get it, and rolled back what was there',
      async ({ name, held, field }) => {
        const key = `local-${name}`
        const secretId = `target-${name}`
        await secrets.createSecret({ Name: secretId, SecretString: held })
        await stage.house.register(key, { labels: { key } })
        await stage.policy(key, { publish: [target(secretId, field)], overlap: { min: '1h' } })
        const id = await stage.rotate(key)
        await stage.until(id, ['overlapping'])
        const now = (await read(secretId)) ?? ''
        const made = await valueOf(key, 2)
        if (field === undefined) expect(now).toBe(made)
        else expect(JSON.parse(now)).toEqual({ host: 'db', [field]: made })
        expect((await stage.rollback(id)).status).toBe(202)
        expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
        const after = (await read(secretId)) ?? ''
        if (field === undefined) expect(after).toBe(held)
        else expect(JSON.parse(after)).toEqual(JSON.parse(held))
      },
    )

    test('that was not there: it is made, and rolled back it is deleted, with time to bring it back', async () => {
      await stage.house.register('local-made', { labels: { key: 'local-made' } })
      await stage.policy('local-made', { publish: [target('made')], overlap: { min: '1h' } })
      const id = await stage.rotate('local-made')
      await stage.until(id, ['overlapping'])
      expect(await read('made')).toBe(await valueOf('local-made', 2))
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect((await secrets.describeSecret({ SecretId: 'made' })).DeletedDate).toBeInstanceOf(Date)
    })
  })

  describe('whatever becomes of a request', () => {
    const faults: readonly { readonly name: string; readonly fault: Fault }[] = [
      { name: 'cut before', fault: { kind: 'cutBefore' } },
      { name: 'cut after the effect', fault: { kind: 'cutAfter' } },
      { name: '500 after the effect', fault: { kind: 'errorAfter', status: 500 } },
      { name: 'throttled', fault: { kind: 'status', status: 429 } },
      { name: 'an effect that lands late', fault: { kind: 'hold' } },
    ]
    const requests = [
      { of: 'PutSecretValue', body: /AWSPENDING/ },
      { of: 'UpdateSecretVersionStage', body: /AWSCURRENT/ },
      { of: 'UpdateSecretVersionStage', body: /rekey-suspended/ },
    ]
    const cases = requests.flatMap(({ of, body }) =>
      faults.map(({ name, fault }) => ({ of, what: body.source, name, body, fault })),
    )

    test.each(cases)('$of ($what), $name: one new version', async ({ of, what, name, ...at }) => {
      const key = `${what}-${name}`.replaceAll(/[^A-Za-z]+/g, '-').toLowerCase()
      const { id: keyId } = await arrange(key, { retire: 'destroy' })
      const rule = stage.proxy.inject(
        { path: /./, header: ['x-amz-target', new RegExp(`\\.${of}$`)], body: at.body },
        at.fault,
      )
      stage.hurry(at.fault.kind === 'hold' ? 500 : Infinity)
      const id = await stage.rotate(key)
      if (at.fault.kind === 'hold') {
        await stage.drain()
        await stage.until(id, ['promoting', 'overlapping', 'suspending', 'minting', 'soaking'])
      }
      for (let n = 0; rule.hits() === 0; n++) {
        if (n === 600) throw new Error('the request never came')
        await stage.drain()
        await stage.house.clock.advance(1_000)
      }
      stage.hurry(Infinity)
      if (at.fault.kind === 'hold') await rule.release()
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      const [before, after] = await labels(key)
      expect(before).toEqual([])
      // AWSPENDING beside AWSCURRENT is how AWS itself leaves a rotation that has ended.
      expect(after?.filter((label) => label !== 'AWSPENDING')).toEqual(['AWSCURRENT'])
      expect(await summary(keyId)).toEqual([
        ['destroyed', false],
        ['active', true],
      ])
      const done = stage.strict
        .log()
        .filter((one) => one.subject === key && one.operation === 'PutSecretValue')
      expect(done.filter(({ status }) => status === 200)).toHaveLength(1)
      stage.proxy.reset()
    })

    test.each(['killed before', 'killed after'] as const)(
      'a worker that is %s the mint: another one ends it, with one new version',
      async (kind) => {
        const key = kind.replace(' ', '-')
        await arrange(key, { retire: 'destroy' })
        stage.plans.arm('mint', kind)
        const id = await stage.rotate(key)
        const dying = stage.worker('dies')
        const rung = (async () => {
          for (let n = 0; n < 20; n++) await dying(id)
        })()
        void rung.catch(() => undefined)
        await stage.plans.met()
        await stage.house.clock.advance(60_000)
        expect((await stage.until(id, 'end')).phase).toBe('completed')
        expect(await labels(key)).toEqual([[], ['AWSCURRENT']])
      },
    )
  })
})
