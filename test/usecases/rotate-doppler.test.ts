// Rotations of what Doppler's stand-in holds, through the API: what readers get, what is refused, what undo brings back.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDopplerStage, type DopplerStage } from '#test/support/doppler-stage.ts'
import type { Fault } from '#test/support/fault-proxy.ts'
import { actorOf } from '#test/support/house.ts'
import { peer } from '#test/support/peers.ts'
import { findPlanted, tablesOf } from '#test/support/planted.ts'

peer('doppler').describe('rotations at Doppler', () => {
  let stage: DopplerStage
  const planted: Record<string, string> = {}
  beforeAll(async () => {
    stage = await openDopplerStage()
    planted['credential'] = stage.doppler.admin
  })
  afterAll(async () => {
    await stage?.close()
  })

  const project = 'backend'
  const configOf = (config: string) => {
    const found = stage.doppler.workplace.find(project, config)
    if (found === null) throw new Error(`no config ${config}`)
    return found
  }
  const read = (config: string, name = 'PASSWORD'): string | undefined =>
    configOf(config).secrets.get(name)?.raw
  const summary = async (keyId: string) =>
    (await stage.house.versions(keyId)).map(({ state, primary }) => [state, primary])
  const secret = async (
    config: string,
    spec: Readonly<Record<string, unknown>> = {},
    value = `old-${config}-planted`,
  ) => {
    stage.doppler.workplace.config(project, config).secrets.set('PASSWORD', {
      raw: value,
      visibility: 'masked',
    })
    planted[`old ${config}`] = value
    const key = await stage.register(config, 'doppler.secret', {
      project,
      config,
      name: 'PASSWORD',
    })
    await stage.policy(config, { acceptGap: true, ...spec })
    return key
  }
  const tokens = async (config: string, spec: Readonly<Record<string, unknown>> = {}) => {
    const row = stage.doppler.workplace.config(project, config)
    const old = stage.doppler.workplace.token(row, 'by hand', 'read', null)
    planted[`token ${config}`] = old.key
    const key = await stage.register(config, 'doppler.serviceToken', {
      project,
      config,
      access: 'read',
    })
    await stage.policy(config, spec)
    return { key, old }
  }
  const opens = async (config: string, token: string): Promise<number> => {
    const query = new URLSearchParams({ project, config })
    const reply = await fetch(
      `${stage.doppler.address}/v3/configs/config/secrets/names?${query.toString()}`,
      {
        headers: { authorization: `Bearer ${token}` },
      },
    )
    return reply.status
  }

  describe('a secret', () => {
    test('is rotated when it is due: readers get the new value with the write, and the old one no more', async () => {
      const key = await secret('due', { manual: false, maxAge: '40d' })
      await stage.house.clock.advance(41 * 86_400_000)
      await stage.drain()
      const id = await stage.rotationOf('due')
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      expect(read('due')).not.toBe(planted['old due'])
      planted['new due'] = read('due') ?? ''
      expect(await summary(key.id)).toEqual([
        ['deactivated', false],
        ['active', true],
      ])
    })

    test('is rotated by these requests and no others, one of them a write', async () => {
      await secret('counted')
      const requests = await stage.requestsOf(async () => {
        expect((await stage.until(await stage.rotate('counted'), 'end')).phase).toBe('completed')
      })
      expect(requests).toEqual({
        // Preflight: 3. Minting: what is there, what it holds, whether it is so still. Verifying: 2. Then the old one is tried,
        // and the last look.
        'secrets-get': 10,
        'configs-get': 4,
        'configs-list': 4,
        'secrets-update': 1,
      })
    })

    test('rolled back before the end, the old value is written again; after it, nothing is', async () => {
      const key = await secret('undo')
      const id = await stage.rotate('undo')
      await stage.until(id, ['verifying'])
      expect(read('undo')).not.toBe(planted['old undo'])
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect(read('undo')).toBe(planted['old undo'])
      expect(await summary(key.id)).toEqual([
        ['active', true],
        ['destroyed', false],
      ])
      const next = await stage.rotate('undo')
      expect((await stage.until(next, 'end')).phase).toBe('completed')
      const written = read('undo')
      expect((await stage.rollback(next)).status).toBe(409)
      expect(read('undo')).toBe(written)
    })

    test('that somebody else has changed stalls the rotation, and is not written over', async () => {
      await secret('foreign')
      configOf('foreign').secrets.set('PASSWORD', { raw: 'theirs', visibility: 'masked' })
      const { stalledReason } = await stage.until(await stage.rotate('foreign'), ['stalled'])
      expect(stalledReason).toContain('was not written by Rekey')
      expect(read('foreign')).toBe('theirs')
    })

    test('of another config is not registered, and said to be of it', async () => {
      await secret('root')
      stage.doppler.workplace.config(project, 'root_branch', 'root')
      const ref = { project, config: 'root_branch', name: 'PASSWORD' }
      await expect(stage.register('branch', 'doppler.secret', ref)).rejects.toMatchObject({
        code: 'provider.rejected',
        message: 'the value is that of backend/root',
      })
      configOf('root').secrets.set('URL', { raw: 'https://${PASSWORD}@db', visibility: 'masked' })
      const url = { project, config: 'root', name: 'URL' }
      await expect(stage.register('url', 'doppler.secret', url)).rejects.toMatchObject({
        code: 'provider.rejected',
        hint: expect.stringContaining('PASSWORD'),
      })
    })

    test('that is not there is made, once, by create', async () => {
      stage.doppler.workplace.config(project, 'made')
      const ref = { project, config: 'made', name: 'PASSWORD' }
      await stage.register('made', 'doppler.secret', ref, { create: true })
      expect(read('made')).toHaveLength(40)
    })
  })

  describe('publishing to a secret', () => {
    test.each([{ held: 'before-planted' }, { held: null }])(
      'that held $held: readers get it, and rolled back what was there',
      async ({ held }) => {
        const name = held === null ? 'copy-new' : 'copy-held'
        const config = stage.doppler.workplace.config(project, name)
        if (held !== null) config.secrets.set('COPY', { raw: held, visibility: 'masked' })
        await stage.house.register(name, { labels: { key: name } })
        const target = {
          name: 'copy',
          connection: 'doppler',
          type: 'doppler.secret',
          ref: { project, config: name, name: 'COPY' },
        }
        await stage.policy(name, { publish: [target], overlap: { min: '1h' } })
        const id = await stage.rotate(name)
        await stage.until(id, ['overlapping'])
        const reader = actorOf('reader', ['consumer'], { keys: [name] })
        const { value } = await stage.house.value(name, reader, 2)
        expect(read(name, 'COPY')).toBe(Buffer.from(value.reveal()).toString())
        expect((await stage.rollback(id)).status).toBe(202)
        expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
        expect(read(name, 'COPY')).toBe(held ?? undefined)
      },
    )
  })

  describe('service tokens', () => {
    test('the new one is proven by use, published, and the old one deleted and refused', async () => {
      stage.doppler.workplace.config(project, 'holder').secrets.set('TOKEN', {
        raw: 'none yet',
        visibility: 'masked',
      })
      const publish = [
        {
          name: 'holder',
          connection: 'doppler',
          type: 'doppler.secret',
          ref: { project, config: 'holder', name: 'TOKEN' },
        },
      ]
      const { key, old } = await tokens('tokens', { publish, overlap: { min: '1m' } })
      const id = await stage.rotate('tokens')
      await stage.until(id, ['overlapping'])
      const fresh = read('holder', 'TOKEN') ?? ''
      planted['new token'] = fresh
      expect([await opens('tokens', old.key), await opens('tokens', fresh)]).toEqual([200, 200])
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      expect([await opens('tokens', old.key), await opens('tokens', fresh)]).toEqual([401, 200])
      expect(configOf('tokens').tokens).toHaveLength(1)
      expect(await summary(key.id)).toEqual([
        ['deactivated', false],
        ['active', true],
      ])
    })

    test('are rotated by these requests and no others, two of them writes', async () => {
      await tokens('counted-tokens')
      const requests = await stage.requestsOf(async () => {
        const id = await stage.rotate('counted-tokens')
        expect((await stage.until(id, 'end')).phase).toBe('completed')
      })
      expect(requests).toEqual({
        'service_tokens-list': 11,
        'service_tokens-create': 1,
        'service_tokens-delete': 1,
        // Verified twice: which token it is, and that its config opens to it.
        'auth-me': 2,
        'secrets-names': 2,
      })
    })

    test('rolled back: the new one is deleted, the old one goes on', async () => {
      const { key, old } = await tokens('undo-tokens', { overlap: { min: '1h' } })
      const id = await stage.rotate('undo-tokens')
      await stage.until(id, ['overlapping'])
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect(configOf('undo-tokens').tokens.map(({ slug }) => slug)).toEqual([old.slug])
      expect(await opens('undo-tokens', old.key)).toBe(200)
      expect(await summary(key.id)).toEqual([
        ['active', true],
        ['destroyed', false],
      ])
    })

    test('of another application in the same config are left alone, where the ref names its own', async () => {
      const config = stage.doppler.workplace.config(project, 'shared')
      const theirs = stage.doppler.workplace.token(config, 'Kubernetes', 'read', null)
      stage.doppler.workplace.token(config, 'Lambda', 'read', null)
      const ref = { project, config: 'shared', access: 'read', name: 'Lambda' }
      await stage.register('lambda', 'doppler.serviceToken', ref)
      await stage.policy('lambda')
      expect((await stage.until(await stage.rotate('lambda'), 'end')).phase).toBe('completed')
      const [first, second, ...others] = config.tokens
      expect([first?.slug, others]).toEqual([theirs.slug, []])
      expect(second?.name).toMatch(/^Lambda#[0-9a-f]{16}$/)
    })
  })

  describe('whatever becomes of a request', () => {
    const faults: readonly { readonly name: string; readonly fault: Fault }[] = [
      { name: 'cut before', fault: { kind: 'cutBefore' } },
      { name: 'cut after the effect', fault: { kind: 'cutAfter' } },
      { name: '500 after the effect', fault: { kind: 'errorAfter', status: 500 } },
      { name: 'throttled', fault: { kind: 'status', status: 429 } },
      { name: 'a page of a proxy', fault: { kind: 'html', status: 502 } },
      { name: 'an effect that lands late', fault: { kind: 'hold' } },
    ]
    const requests = [
      { of: 'secret', path: /\/secrets$/, method: 'POST' },
      { of: 'token', path: /\/tokens$/, method: 'POST' },
      { of: 'old token', path: /\/tokens\/token$/, method: 'DELETE' },
    ]
    const cases = requests.flatMap((at) =>
      faults.map(({ name, fault }) => ({ ...at, name, fault })),
    )
    test.each(cases)('$of, $name: one new version', async ({ of, name, fault, ...at }) => {
      const config = `${of}-${name}`.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase()
      const { id: keyId } = of === 'secret' ? await secret(config) : (await tokens(config)).key
      const rule = stage.proxy.inject(at, fault)
      stage.hurry(fault.kind === 'hold' ? 500 : Infinity)
      const id = await stage.rotate(config)
      for (let n = 0; rule.hits() === 0; n++) {
        if (n === 600) throw new Error('the request never came')
        await stage.drain()
        await stage.house.clock.advance(1_000)
      }
      stage.hurry(Infinity)
      if (fault.kind === 'hold') await rule.release()
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      stage.proxy.reset()
      expect(await summary(keyId)).toEqual([
        ['deactivated', false],
        ['active', true],
      ])
      if (of === 'secret') {
        expect(read(config)).not.toBe(planted[`old ${config}`])
        const done = stage.doppler
          .log()
          .filter(
            ({ subject, status, changes }) =>
              changes && status === 200 && subject === `${project}/${config}/PASSWORD`,
          )
        expect(done).toHaveLength(1)
      } else expect(configOf(config).tokens).toHaveLength(1)
    })

    test.each(['killed before', 'killed after'] as const)(
      'a worker that is %s the mint of a token: another one ends it, with one token',
      async (kind) => {
        const config = kind.replace(' ', '-')
        await tokens(config)
        stage.plans.arm('mint', kind)
        const id = await stage.rotate(config)
        const dying = stage.worker('dies')
        const rung = (async () => {
          for (let n = 0; n < 20; n++) await dying(id)
        })()
        void rung.catch(() => undefined)
        await stage.plans.met()
        await stage.house.clock.advance(60_000)
        expect((await stage.until(id, 'end')).phase).toBe('completed')
        expect(configOf(config).tokens).toHaveLength(1)
      },
    )
  })

  test('what was planted stands nowhere in the database', async () => {
    expect(Object.keys(planted).length).toBeGreaterThan(10)
    const places = await tablesOf(stage.house.urls.superuser)
    expect(findPlanted(places, planted)).toEqual([])
  })
})
