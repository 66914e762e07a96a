// Rotations of what the stand-in of Key Vault holds, through the API: what readers get, what is switched off, what undo
// brings back, how many requests it takes.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { putCertificate, putKey } from '#test/contract/azure-peer.ts'
import { newAttributes } from '#test/peers/azure/wire.ts'
import { openAzureStage, type AzureStage } from '#test/support/azure-stage.ts'
import type { Fault } from '#test/support/fault-proxy.ts'
import { actorOf } from '#test/support/house.ts'
import { long } from '#test/support/peers.ts'

long.describe('rotations at Azure', () => {
  let stage: AzureStage
  beforeAll(async () => {
    stage = await openAzureStage()
  }, 60_000)
  afterAll(() => stage?.close())

  const put = (name: string, value: string, tags: Readonly<Record<string, string>> = {}): string =>
    stage.strict.secrets.add(name, {
      value,
      contentType: 'text/plain',
      attributes: newAttributes(undefined),
      tags,
      kid: null,
    })
  const versions = (name: string) =>
    (stage.strict.secrets.find(name)?.versions ?? []).map(({ value }) => value)
  /** As `on`, `off`, or `destroyed`, in the order of making. */
  const states = (name: string): readonly string[] =>
    versions(name).map(({ attributes, tags }) =>
      attributes.enabled ? 'on' : (tags['rekey-state'] ?? 'off'),
    )
  /** What readers get who name no version; null: an error. */
  const read = (name: string): string | null => {
    const newest = versions(name).at(-1)
    return newest?.attributes.enabled === true ? newest.value : null
  }
  /** How many of each method the vault has seen since. */
  const requests = (since: number): Readonly<Record<string, number>> => {
    const byMethod = Map.groupBy(stage.strict.log().slice(since), ({ method }) => method)
    return Object.fromEntries([...byMethod].map(([method, all]) => [method, all.length]))
  }
  const summary = async (keyId: string) =>
    (await stage.house.versions(keyId)).map(({ state, primary }) => [state, primary])
  const arrange = async (name: string, spec: Readonly<Record<string, unknown>> = {}) => {
    put(name, 'old', { team: 'payments' })
    const key = await stage.register(name, 'azure.keyvault.secret')
    await stage.policy(name, spec)
    return key
  }

  describe('a secret', () => {
    test('is rotated when it is due; the old version is off for the soak, proven, and stays so', async () => {
      const key = await arrange('due', { manual: false, maxAge: '2d', soak: '30s' })
      await stage.house.clock.advance(3 * 86_400_000)
      await stage.drain()
      const id = await stage.rotationOf('due')
      await stage.until(id, ['soaking'])
      expect(states('due')).toEqual(['off', 'on'])
      expect(read('due')).not.toBe('old')
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      expect(states('due')).toEqual(['off', 'on'])
      expect(await summary(key.id)).toEqual([
        ['deactivated', false],
        ['active', true],
      ])
    })

    test('takes one write to make and one to switch off, and keeps content type and tags of others', async () => {
      await arrange('counted')
      const before = stage.strict.log().length
      expect((await stage.until(await stage.rotate('counted'), 'end')).phase).toBe('completed')
      expect(stage.effects('/secrets/counted')).toEqual(['PUT', 'PATCH'])
      // What the connection may do was asked as the key was registered.
      expect(requests(before)).toEqual({ GET: 24, PUT: 1, PATCH: 1 })
      const [, made] = versions('counted')
      expect(made).toMatchObject({ contentType: 'text/plain', tags: { team: 'payments' } })
    })

    test('with retire: destroy the old version does not come back, and the next rotation follows', async () => {
      const key = await arrange('destroy', { retire: 'destroy' })
      for (const expected of [
        ['destroyed', 'on'],
        ['destroyed', 'destroyed', 'on'],
      ]) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const { phase } = await stage.until(await stage.rotate('destroy'), 'end')
        expect(phase).toBe('completed')
        expect(states('destroy')).toEqual(expected)
      }
      expect(await summary(key.id)).toEqual([
        ['destroyed', false],
        ['destroyed', false],
        ['active', true],
      ])
    })

    test.each(['overlapping', 'soaking'] as const)(
      'rolled back from %s: readers get the old value again, in a version of its own, and never an error',
      async (phase) => {
        const name = `undo-${phase}`
        await arrange(name, phase === 'soaking' ? { soak: '1h' } : { overlap: { min: '1h' } })
        const id = await stage.rotate(name)
        await stage.until(id, [phase])
        expect((await stage.rollback(id)).status).toBe(202)
        expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
        expect(read(name)).toBe('old')
        expect(versions(name).map(({ value }) => value === 'old')).toEqual([true, false, true])
        expect(states(name)).toEqual(['on', 'destroyed', 'on'])
      },
    )

    test('that somebody else has set stalls the rotation, and is not overwritten', async () => {
      await arrange('foreign')
      put('foreign', 'by somebody else')
      const id = await stage.rotate('foreign')
      const { stalledReason } = await stage.until(id, ['stalled'])
      expect(stalledReason).toContain('was not written by Rekey')
      expect(read('foreign')).toBe('by somebody else')
    })

    test('is not taken on where the connection may not set it: the missing action is named', async () => {
      const name = 'denied'
      put(name, 'old')
      const reader = stage.strict.application(
        [
          {
            dataActions: [
              'Microsoft.KeyVault/vaults/secrets/readMetadata/action',
              'Microsoft.KeyVault/vaults/secrets/getSecret/action',
            ],
            scope: '/',
          },
        ],
        stage.strict.admin.clientId,
      )
      await stage.house.connection('azure-reader', {
        provider: 'azure',
        settings: {
          vaultUrl: stage.strict.address,
          clientId: reader.clientId,
          authorityHost: stage.strict.entra.address,
        },
        credential: { from: 'value', value: { clientSecret: reader.clientSecret } },
        grants: [{ matchLabels: {}, refs: ['*'] }],
      })
      const register = () =>
        stage.register(name, 'azure.keyvault.secret', { connection: 'azure-reader' })
      await expect(register()).rejects.toMatchObject({
        hint: expect.stringContaining('secrets/setSecret/action on /secrets/denied'),
      })
      expect(states(name)).toEqual(['on'])
    })
  })

  describe('a key', () => {
    const keyStates = (name: string): readonly string[] =>
      (stage.strict.keys.find(name)?.versions ?? []).map(({ value: { attributes, operations } }) =>
        attributes.enabled ? operations.join() : 'off',
      )
    const arrangeKey = async (name: string, spec: Readonly<Record<string, unknown>> = {}) => {
      putKey(stage.strict, name)
      const key = await stage.register(name, 'azure.keyvault.key')
      await stage.policy(name, spec)
      return key
    }

    test('is rotated when it is due; the old version signs no more from the soak on, and still verifies', async () => {
      const key = await arrangeKey('signer', { manual: false, maxAge: '2d', soak: '30s' })
      await stage.house.clock.advance(3 * 86_400_000)
      await stage.drain()
      const id = await stage.rotationOf('signer')
      await stage.until(id, ['soaking'])
      expect(keyStates('signer')).toEqual(['verify', 'sign,verify'])
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      expect(keyStates('signer')).toEqual(['verify', 'sign,verify'])
      expect(await summary(key.id)).toEqual([
        ['deactivated', false],
        ['active', true],
      ])
      expect(stage.effects('/keys/signer')).toEqual(['POST', 'PATCH'])
    })

    test('with retire: destroy nothing of the old version works any more', async () => {
      await arrangeKey('ends', { retire: 'destroy' })
      expect((await stage.until(await stage.rotate('ends'), 'end')).phase).toBe('completed')
      expect(keyStates('ends')).toEqual(['off', 'sign,verify'])
    })

    test('is not undone: rollback is refused from the mint on, and changes nothing', async () => {
      await arrangeKey('one-way', { overlap: { min: '1h' } })
      const id = await stage.rotate('one-way')
      await stage.until(id, ['overlapping'])
      const refused = await stage.rollback(id)
      expect([refused.status, refused.json.code]).toEqual([409, 'rotation.undoImpossible'])
      expect(keyStates('one-way')).toEqual(['sign,verify', 'sign,verify'])
      await stage.house.clock.advance(3_600_000)
      expect((await stage.until(id, 'end')).phase).toBe('completed')
    })

    test('whose mint is not answered has one new version', async () => {
      await arrangeKey('lost')
      const rule = stage.proxy.inject(
        { method: 'POST', path: /^\/keys\/lost\/create/, body: /"tags"/ },
        { kind: 'cutAfter' },
      )
      expect((await stage.until(await stage.rotate('lost'), 'end')).phase).toBe('completed')
      expect(rule.hits()).toBe(1)
      expect(keyStates('lost')).toEqual(['verify', 'sign,verify'])
      stage.proxy.reset()
    })
  })

  describe('a certificate', () => {
    const certificates = (name: string) =>
      stage.strict.certificates.shelf.find(name)?.versions.map(({ value }) => value) ?? []
    const arrangeCertificate = async (
      name: string,
      spec: Readonly<Record<string, unknown>> = {},
    ) => {
      putCertificate(stage.strict, name)
      const key = await stage.register(name, 'azure.keyvault.certificate')
      await stage.policy(name, spec)
      return key
    }
    afterEach(() => {
      Object.assign(stage.strict.certificates.issuing, { ms: 0, fails: false })
    })
    const enabled = (name: string): readonly boolean[] =>
      certificates(name).map(({ attributes }) => attributes.enabled)

    test('is renewed when it is due; the old version is off, with its key and its secret', async () => {
      const key = await arrangeCertificate('site', { manual: false, maxAge: '2d', soak: '30s' })
      await stage.house.clock.advance(3 * 86_400_000)
      await stage.drain()
      const id = await stage.rotationOf('site')
      await stage.until(id, ['soaking'])
      expect(enabled('site')).toEqual([false, true])
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      expect(
        stage.strict.secrets.get('site').versions.map(({ value }) => value.attributes.enabled),
      ).toEqual([false, true])
      expect(await summary(key.id)).toEqual([
        ['deactivated', false],
        ['active', true],
      ])
      expect(stage.effects('/certificates/site')).toEqual(['POST', 'PATCH'])
    })

    test('that its issuer takes its time for is waited for, and requested once', async () => {
      await arrangeCertificate('slow')
      stage.strict.certificates.issuing.ms = 3_600_000
      const id = await stage.rotate('slow')
      await stage.until(id, ['minting'])
      for (let n = 0; n < 3; n++) {
        // oxlint-disable-next-line no-await-in-loop -- looks at what is under way
        await stage.drain()
        // oxlint-disable-next-line no-await-in-loop -- see above
        await stage.house.clock.advance(5_000)
      }
      expect((await stage.rotation(id)).phase).toBe('minting')
      stage.strict.certificates.issueNow('slow')
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      expect(enabled('slow')).toEqual([false, true])
      expect(
        stage.effects('/certificates/slow').filter((method) => method === 'POST'),
      ).toHaveLength(1)
    })

    test('that its issuer refuses is rolled back, with nothing made', async () => {
      await arrangeCertificate('refused')
      stage.strict.certificates.issuing.fails = true
      const id = await stage.rotate('refused')
      const { phase } = await stage.until(id, 'end')
      expect(phase).toBe('rolledBack')
      expect(enabled('refused')).toEqual([true])
    })

    test('is not undone', async () => {
      await arrangeCertificate('forward', { overlap: { min: '1h' } })
      const id = await stage.rotate('forward')
      await stage.until(id, ['overlapping'])
      const refused = await stage.rollback(id)
      expect([refused.status, refused.json.code]).toEqual([409, 'rotation.undoImpossible'])
      expect(enabled('forward')).toEqual([true, true])
    })
  })

  describe('publishing to a secret', () => {
    const target = (name: string) => ({
      name: 'copy',
      connection: 'azure',
      type: 'azure.keyvault.secret',
      ref: { name },
    })
    const valueOf = async (key: string, version: number): Promise<string> => {
      const reader = actorOf('reader', ['consumer'], { keys: [key] })
      const { value } = await stage.house.value(key, reader, version)
      return Buffer.from(value.reveal()).toString()
    }
    const publish = async (key: string, name: string): Promise<string> => {
      await stage.house.register(key, { labels: { key } })
      await stage.policy(key, { publish: [target(name)], overlap: { min: '1h' } })
      const id = await stage.rotate(key)
      await stage.until(id, ['overlapping'])
      return id
    }

    test('readers get it, and rolled back what was there', async () => {
      put('held', 'before')
      const id = await publish('local-held', 'held')
      expect(read('held')).toBe(await valueOf('local-held', 2))
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect(read('held')).toBe('before')
    })

    test('that was not there: it is made; rolled back readers get an error, its name stays usable, and it is published again', async () => {
      const id = await publish('local-made', 'made')
      expect(read('made')).toBe(await valueOf('local-made', 2))
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect(read('made')).toBeNull()
      expect(states('made')).toEqual(['destroyed'])
      const again = await stage.rotate('local-made')
      await stage.until(again, ['overlapping'])
      expect(read('made')).toBe(await valueOf('local-made', 3))
      expect(states('made')).toEqual(['destroyed', 'on'])
    })
  })

  describe('whatever becomes of a request', () => {
    const set = { of: 'PUT', body: /"value"/ }
    const cases: readonly {
      readonly of: string
      readonly body: RegExp
      readonly name: string
      readonly fault: Fault
    }[] = [
      { ...set, name: 'cut after the effect', fault: { kind: 'cutAfter' } },
      { ...set, name: 'throttled', fault: { kind: 'status', status: 429 } },
      { ...set, name: 'an effect that lands late', fault: { kind: 'hold' } },
      {
        of: 'PATCH',
        body: /"enabled"/,
        name: '500 after the effect',
        fault: { kind: 'errorAfter', status: 500 },
      },
    ]

    test.each(cases)('$of, $name: one new version', async ({ of, body, name, fault }) => {
      const key = `${of}-${name}`.replaceAll(/[^A-Za-z]+/g, '-').toLowerCase()
      const { id: keyId } = await arrange(key, { retire: 'destroy' })
      const path = new RegExp(`^/secrets/${key}[/?]`)
      const rule = stage.proxy.inject({ method: of, path, body }, fault)
      stage.hurry(fault.kind === 'hold' ? 500 : Infinity)
      const id = await stage.rotate(key)
      for (let n = 0; rule.hits() === 0; n++) {
        if (n === 600) throw new Error('the request never came')
        // oxlint-disable-next-line no-await-in-loop -- one step after the other
        await stage.drain()
        // oxlint-disable-next-line no-await-in-loop -- see above
        await stage.house.clock.advance(1_000)
      }
      stage.hurry(Infinity)
      if (fault.kind === 'hold') await rule.release()
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      expect(states(key)).toEqual(['destroyed', 'on'])
      expect(await summary(keyId)).toEqual([
        ['destroyed', false],
        ['active', true],
      ])
      expect(stage.effects(`/secrets/${key}`).filter((method) => method === 'PUT')).toHaveLength(1)
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
        expect(states(key)).toEqual(['destroyed', 'on'])
      },
    )
  })

  test('no value of ours is in what a rotation leaves: log, records and replies', async () => {
    await arrange('planted')
    const id = await stage.rotate('planted')
    await stage.until(id, 'end')
    const made = read('planted') ?? ''
    expect(made).toHaveLength(40)
    const told = await stage.call('GET', `/v1/rotations/${id}`)
    const audit = await stage.call('GET', '/v1/audit?limit=100')
    const secret = stage.strict.admin.clientSecret
    for (const text of [told.text, audit.text, ...stage.logged]) {
      expect(text).not.toContain(made)
      expect(text).not.toContain(secret)
    }
  })
})
