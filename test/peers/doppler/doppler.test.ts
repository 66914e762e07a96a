// The stand-in answers the document's own examples as the document does, refuses what Doppler refuses, and shows up an adapter
// that lacks what this one is careful about.

import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ObjectAddress, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { doppler as provider } from '#providers/doppler/provider.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startFaultProxy } from '#test/support/fault-proxy.ts'
import { peer } from '#test/support/peers.ts'
import { startDoppler, type Doppler } from './doppler.ts'
import { routes } from './routes.ts'

peer('doppler').describe('the stand-in of Doppler', () => {
  let doppler: Doppler
  beforeEach(async () => {
    doppler = await startDoppler()
  })
  afterEach(() => doppler.stop())

  const ask = async (
    method: string,
    path: string,
    { body, token = doppler.admin }: { readonly body?: unknown; readonly token?: string } = {},
  ) => {
    const reply = await fetch(`${doppler.address}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await reply.text()
    return {
      status: reply.status,
      json: text === '' ? undefined : JSON.parse(text),
      headers: reply.headers,
    }
  }
  const at = '?project=ed0c2a68b6&config=dev'
  const place = { project: 'ed0c2a68b6', config: 'dev' }
  const sample = () => {
    const config = doppler.workplace.config(place.project, place.config)
    for (const [name, raw] of Object.entries({
      STRIPE: 'sk_test_9YxLnoLDdvOPn2dfjBVPB',
      ALGOLIA: 'N9TOPUCTO',
      DATABASE: '${USER}@aws.dynamodb.com:9876',
      USER: 'brian',
    }))
      config.secrets.set(name, { raw, visibility: 'masked' })
    return config
  }
  /** The example, with what a server draws by itself taken from the answer. */
  const expectExample = (
    answer: unknown,
    example: unknown,
    drawn: readonly string[],
    dropped: readonly string[] = [],
  ): void => {
    const strip = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(strip)
      if (typeof value !== 'object' || value === null) return value
      return Object.fromEntries(
        Object.entries(value)
          .filter(([name]) => !dropped.includes(name))
          .map(([name, of]) => [name, drawn.includes(name) ? typeof of : strip(of)]),
      )
    }
    expect(strip(answer)).toMatchObject(strip(example) as object)
  }
  const drawn = ['slug', 'created_at', 'last_seen_at', 'key', 'token_preview', 'id']

  const replays: Readonly<Record<string, () => Promise<void>>> = {
    'auth-me': async () => {
      const { json } = await ask('GET', '/v3/me')
      expectExample(json, doppler.judge.example('GET', '/v3/me'), [...drawn, 'name', 'type'])
    },
    'projects-list': async () => {
      doppler.workplace.project('compression', 'Compression', 'ed0c2a68b6')
      const { json } = await ask('GET', '/v3/projects')
      expectExample(json, doppler.judge.example('GET', '/v3/projects'), [...drawn, 'description'])
    },
    'configs-list': async () => {
      for (const name of ['dev', 'stg', 'prd'])
        doppler.workplace.config(place.project, name).locked = true
      const { json } = await ask('GET', `/v3/configs?project=${place.project}`)
      const example = doppler.judge.example('GET', '/v3/configs')
      expectExample(json, example, drawn, ['initial_fetch_at', 'last_fetch_at'])
    },
    'configs-get': async () => {
      doppler.workplace.config(place.project, 'prd')
      doppler.workplace.config(place.project, 'prd_aws', 'prd')
      const { json } = await ask(
        'GET',
        `/v3/configs/config?project=${place.project}&config=prd_aws`,
      )
      const example = doppler.judge.example('GET', '/v3/configs/config')
      expectExample(json, example, drawn, ['initial_fetch_at', 'last_fetch_at'])
    },
    'secrets-get': async () => {
      sample()
      const { json } = await ask('GET', `/v3/configs/config/secret${at}&name=DATABASE`)
      expectExample(json, doppler.judge.example('GET', '/v3/configs/config/secret'), [])
    },
    'secrets-names': async () => {
      sample()
      const { json } = await ask('GET', `/v3/configs/config/secrets/names${at}`)
      expectExample(json, doppler.judge.example('GET', '/v3/configs/config/secrets/names'), [])
    },
    'secrets-update': async () => {
      sample()
      const secrets = {
        STRIPE: 'sk_test_9YxLnoLDdvOPn2dfjBVPB',
        ALGOLIA: 'N9TOPUCTO',
        DATABASE: '${USER}@aws.dynamodb.com:9876',
      }
      const { json } = await ask('POST', '/v3/configs/config/secrets', {
        body: { ...place, secrets },
      })
      expectExample(json, doppler.judge.example('POST', '/v3/configs/config/secrets'), [])
    },
    'service_tokens-list': async () => {
      doppler.workplace.token(
        doppler.workplace.config('ed0c2a68b6t', 'dev'),
        'AWS Lambda',
        'read',
        null,
      )
      const { json } = await ask('GET', '/v3/configs/config/tokens?project=ed0c2a68b6t&config=dev')
      expectExample(json, doppler.judge.example('GET', '/v3/configs/config/tokens'), drawn)
    },
    'service_tokens-create': async () => {
      doppler.workplace.config('ed0c2a68b6t', 'dev')
      const body = { project: 'ed0c2a68b6t', config: 'dev', name: 'AWS Lambda', access: 'read' }
      const { json } = await ask('POST', '/v3/configs/config/tokens', { body })
      expectExample(json, doppler.judge.example('POST', '/v3/configs/config/tokens'), drawn)
    },
    'service_tokens-delete': async () => {
      const { slug } = doppler.workplace.token(sample(), 'AWS Lambda', 'read', null)
      const { json } = await ask('DELETE', '/v3/configs/config/tokens/token', {
        body: { ...place, slug },
      })
      expectExample(json, doppler.judge.example('DELETE', '/v3/configs/config/tokens/token'), [])
    },
  }
  test('every route has its example', () => {
    expect(Object.keys(replays).toSorted()).toEqual(Object.keys(routes).toSorted())
  })
  for (const [name, replay] of Object.entries(replays))
    test(`answers the document’s example of ${name} as the document does`, replay)

  test('refuses routes, parameters and fields that the document does not have', async () => {
    sample()
    expect((await ask('GET', '/v3/secrets')).status).toBe(404)
    expect((await ask('GET', '/v3/logs')).status).toBe(404)
    expect((await ask('GET', `/v3/configs/config/secret${at}&name=USER&colour=red`)).status).toBe(
      400,
    )
    expect((await ask('GET', '/v3/configs/config/secret?project=ed0c2a68b6')).status).toBe(400)
    for (const change of [
      { nmae: 'USER', value: 'x' },
      { name: 'USER', value: 1 },
      { name: 'USER', colour: 'red' },
    ]) {
      const body = { ...place, change_requests: [change] }
      expect((await ask('POST', '/v3/configs/config/secrets', { body })).status).toBe(400)
    }
  })

  test('lets nobody in without a token, nor do what the role does not have', async () => {
    sample()
    const reader = doppler.account(['enclave_project_config_secrets_read'])
    const names = `/v3/configs/config/secrets/names${at}`
    expect((await ask('GET', names, { token: 'dp.sa.wrong' })).status).toBe(401)
    expect((await ask('GET', names, { token: reader })).status).toBe(200)
    const body = { ...place, change_requests: [{ name: 'USER', originalName: 'USER', value: 'x' }] }
    const refused = await ask('POST', '/v3/configs/config/secrets', { body, token: reader })
    expect(refused).toMatchObject({ status: 403, json: { success: false } })
  })

  test('a service token opens its config and no other, until it is deleted', async () => {
    const config = sample()
    doppler.workplace.config(place.project, 'prd')
    const { key: token, slug } = doppler.workplace.token(config, 'x', 'read', null)
    const names = (of: string) =>
      ask('GET', `/v3/configs/config/secrets/names?project=${place.project}&config=${of}`, {
        token,
      })
    expect((await names('dev')).status).toBe(200)
    expect((await names('prd')).status).toBe(404)
    await ask('DELETE', '/v3/configs/config/tokens/token', { body: { ...place, slug } })
    expect((await names('dev')).status).toBe(401)
  })

  test('asks for fewer requests, with Retry-After and without', async () => {
    doppler.throttle(1, 7)
    const told = await ask('GET', '/v3/me')
    expect([told.status, told.headers.get('retry-after')]).toEqual([429, '7'])
    doppler.throttle(1, null)
    const untold = await ask('GET', '/v3/me')
    expect([untold.status, untold.headers.get('retry-after')]).toEqual([429, null])
    expect((await ask('GET', '/v3/me')).status).toBe(200)
  })

  test('changes all of a request or nothing, and only what holds the originalValue', async () => {
    const config = sample()
    const change = (originalValue: string) => ({
      ...place,
      change_requests: [
        { name: 'USER', originalName: 'USER', value: 'new', originalValue: 'brian' },
        { name: 'ALGOLIA', originalName: 'ALGOLIA', value: 'new', originalValue },
      ],
    })
    const path = '/v3/configs/config/secrets'
    expect((await ask('POST', path, { body: change('another') })).status).toBe(409)
    expect(config.secrets.get('USER')?.raw).toBe('brian')
    expect((await ask('POST', path, { body: change('N9TOPUCTO') })).status).toBe(200)
    expect(config.secrets.get('ALGOLIA')?.raw).toBe('new')
  })

  const secretAt: ObjectAddress = {
    type: 'doppler.secret',
    ref: { ...place, name: 'USER' },
    keyId: 'k',
    keyName: 'k',
  }
  const call = () => ({ signal: AbortSignal.timeout(5_000) })
  const connected = (fetch: typeof globalThis.fetch, apiUrl = doppler.address): Session =>
    provider.connect({
      connection: 'c',
      externalId: 'x',
      settings: { apiUrl },
      credential: new Secret(doppler.admin),
      ports: { ...plainPorts(), fetch },
    })
  /** Mints while somebody else writes between its look and its write. */
  const mintInARace = async (mutate: (body: string) => string): Promise<unknown> => {
    const config = sample()
    const session = connected((input, init) => {
      if (init?.method !== 'POST') return fetch(input, init)
      config.secrets.set('USER', { raw: 'by somebody else', visibility: 'masked' })
      return fetch(input, { ...init, body: mutate(init.body as string) })
    })
    const [version] = (await session.describe(secretAt, call())).versions
    const { preImage } = await session.prepare(secretAt, version?.id ?? '', call())
    const material = new Secret('made by rekey')
    const order = { object: secretAt, operationId: 'o:minting:1', preImage, generate: {}, material }
    return session.mint(order, call()).then(
      () => 'done',
      (error: unknown) => error,
    )
  }

  test('an adapter that leaves originalValue out overwrites what somebody wrote meanwhile; ours is told', async () => {
    expect(await mintInARace((body) => body)).toMatchObject({ kind: 'conflict', effect: 'none' })
    expect(doppler.workplace.find('ed0c2a68b6', 'dev')?.secrets.get('USER')?.raw).toBe(
      'by somebody else',
    )
  })
  test('mutated: without originalValue the value of somebody else is lost', async () => {
    expect(await mintInARace((body) => body.replace(/,"originalValue":"[^"]*"/, ''))).toBe('done')
    expect(doppler.workplace.find('ed0c2a68b6', 'dev')?.secrets.get('USER')?.raw).toBe(
      'made by rekey',
    )
  })

  test.each([
    { name: 'ours sends a write once', retries: 0, tokens: 1 },
    {
      name: 'mutated: with retries on, as the SDK has them, one order makes three tokens',
      retries: 2,
      tokens: 3,
    },
  ])('an answer that is lost after the effect: $name', async ({ retries, tokens }) => {
    const config = sample()
    const proxy = await startFaultProxy(doppler.address)
    const retrying: typeof fetch = async (input, init) => {
      for (let n = 0; ; n++) {
        try {
          return await fetch(input, init)
        } catch (error) {
          if (n === retries) throw error
        }
      }
    }
    const session = connected(retrying, proxy.address)
    const object = { ...secretAt, type: 'doppler.serviceToken', ref: { ...place, access: 'read' } }
    const order = { object, operationId: 'o:minting:1', preImage: {}, generate: {}, material: null }
    proxy.inject({ method: 'POST', path: /tokens$/ }, { kind: 'cutAfter' }, 3)
    await expect(session.mint(order, call())).rejects.toMatchObject({ effect: 'unknown' })
    expect(config.tokens).toHaveLength(tokens)
    await proxy.stop()
  })

  /** What `describe` says of the secret USER in a config. */
  const refusalIn = (config: string, ref: object = {}) => {
    const object = { ...secretAt, ref: { ...secretAt.ref, config, ...ref } }
    return connected(fetch)
      .describe(object, call())
      .then(
        () => null,
        (error: unknown) => error,
      )
  }
  test('an inherited value, and one that refers to others, is refused with its origin', async () => {
    const { workplace } = doppler
    sample()
    workplace.config(place.project, 'dev_local', 'dev')
    expect(await refusalIn('dev_local')).toMatchObject({
      kind: 'precondition',
      message: 'the value is that of ed0c2a68b6/dev',
    })
    // Overridden, it is the branch's own.
    workplace
      .find(place.project, 'dev_local')
      ?.secrets.set('USER', { raw: 'own', visibility: 'masked' })
    expect(await refusalIn('dev_local')).toBeNull()
    expect(await refusalIn('dev', { name: 'DATABASE' })).toMatchObject({
      kind: 'precondition',
      hint: expect.stringContaining('USER'),
    })
  })

  test('a value that nobody may see, or that would be a reference, is not written over, nor written', async () => {
    const config = sample()
    config.secrets.set('USER', { raw: 'x', visibility: 'restricted' })
    expect(await refusalIn('dev')).toMatchObject({ kind: 'precondition' })
    const session = connected(fetch)
    const order = {
      object: { ...secretAt, ref: { ...place, name: 'NEW' } },
      operationId: 'o:create:1',
      preImage: {},
      generate: {},
      material: new Secret('a${STRIPE}b'),
    }
    await expect(session.create(order, call())).rejects.toMatchObject({
      kind: 'precondition',
      effect: 'none',
    })
    expect(doppler.log().filter(({ changes }) => changes)).toEqual([])
  })

  test('who else gets the value is told before it is changed', async () => {
    sample()
    doppler.workplace.config(place.project, 'dev_local', 'dev')
    const { risks } = await connected(fetch).prepare(secretAt, null, call())
    expect(risks).toEqual([expect.stringContaining('dev_local')])
  })

  test('a config that takes change requests only, a person’s token, a skewed clock', async () => {
    sample()
    doppler.reviewed.add('ed0c2a68b6/dev')
    const session = connected(fetch)
    const { preImage } = await session.prepare(secretAt, null, call())
    const order = {
      object: secretAt,
      operationId: 'o:minting:1',
      preImage,
      generate: {},
      material: new Secret('new'),
    }
    await expect(session.mint(order, call())).rejects.toMatchObject({
      kind: 'precondition',
      effect: 'none',
    })
    const ports = { ...plainPorts(), now: () => new Date(Date.now() + 120_000) }
    const person = provider.connect({
      connection: 'c',
      externalId: 'x',
      settings: { apiUrl: doppler.address },
      credential: new Secret(doppler.personal()),
      ports,
    })
    expect(await person.check(call())).toEqual([
      expect.objectContaining({ name: 'login', outcome: 'ok' }),
      expect.objectContaining({ name: 'beyondLeast', outcome: 'beyondLeast' }),
      expect.objectContaining({ name: 'clock', outcome: 'missing' }),
    ])
  })
})
