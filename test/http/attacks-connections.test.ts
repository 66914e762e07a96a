// Attacks of 9-security.md 1, 2 and 6: on credentials of connections, on grants, and by way of addresses. Each is tried as an
// attacker would, over HTTP, and refused.

import { mkdtemp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeByHand } from '../support/by-hand.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'

const planted = 'hvs.PLANTED-SECRET'
const whsec = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
let api: Api
let operator: string
let scopedAdmin: string
const servers: Server[] = []

beforeAll(async () => {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'rekey-attack-')))
  const outside = await mkdtemp(join(tmpdir(), 'rekey-outside-'))
  await writeFile(join(outside, 'secret'), 'not yours')
  await writeFile(join(directory, 'token'), 'hvs.in-a-file')
  await mkdir(join(directory, 'sub'))
  await symlink(join(outside, 'secret'), join(directory, 'link'))
  await symlink(outside, join(directory, 'sub', 'linked'))
  api = await openApi({
    credentialsDir: directory,
    allow: ['127.0.0.1'],
    env: {
      REKEY_CREDENTIAL_VAULT: 'hvs.in-the-environment',
      REKEY_CREDENTIAL_VAULT_HOSTS: 'vault.example.com',
      REKEY_KEK_FILE: '/etc/kek',
      HOME: '/root',
      // So that their names alone keep these from being sent.
      REKEY_CREDENTIAL_VAULT_HOSTS_HOSTS: 'attacker.example.com',
      REKEY_KEK_FILE_HOSTS: 'attacker.example.com',
      HOME_HOSTS: 'attacker.example.com',
    },
  })
  operator = await api.token(['operator'])
  await put('local', { provider: 'local' })
  scopedAdmin = await api.token(['admin'], { scope: { matchLabels: { team: 'a' } } })
})
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  await api.close()
})

const told = ({ status, json }: Answer) => [status, json?.code, json?.errors?.[0]?.pointer]
const vault = (credential: unknown, address = 'https://vault.example.com') => ({
  provider: 'vault',
  settings: { address, auth: { method: 'token' } },
  credential,
})
const put = (name: string, body: unknown, token?: string) =>
  api.call('PUT', `/v1/connections/${name}`, {
    body,
    ...(token === undefined ? {} : { token }),
    headers: {},
  })
const replace = async (name: string, body: unknown, token?: string) =>
  api.call('PUT', `/v1/connections/${name}`, {
    body,
    ...(token === undefined ? {} : { token }),
    headers: { 'if-match': '*' },
  })

/** A server that counts what reaches it. */
const listening = async (answer: (hit: { readonly headers: object }) => object) => {
  const hits: { readonly url: string; readonly headers: object }[] = []
  const server = createServer((request, reply) => {
    const hit = { url: request.url ?? '', headers: request.headers }
    hits.push(hit)
    const { status = 200, headers = {} } = answer(hit) as { status?: number; headers?: object }
    reply.writeHead(status, headers as Record<string, string>).end('{}')
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { hits, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

describe('a stored credential', () => {
  beforeAll(async () => {
    expect((await put('stored', vault({ from: 'value', value: planted }))).status).toBe(201)
  })

  test.each<[string, object]>([
    ['another address', vault({ from: 'value' }, 'https://attacker.example.com')],
    ['another port', vault({ from: 'value' }, 'https://vault.example.com:8201')],
    ['another path', vault({ from: 'value' }, 'https://vault.example.com/v2')],
    [
      'another way of logging in',
      {
        ...vault({ from: 'value' }),
        settings: {
          address: 'https://vault.example.com',
          auth: { method: 'token', mount: 'elsewhere' },
        },
      },
    ],
    [
      'another namespace',
      {
        ...vault({ from: 'value' }),
        settings: {
          address: 'https://vault.example.com',
          namespace: 'other',
          auth: { method: 'token' },
        },
      },
    ],
  ])('does not follow the connection to %s', async (_where, body) => {
    expect(told(await replace('stored', body))).toEqual([
      422,
      'request.impossible',
      '/credential/value',
    ])
    expect((await api.call('GET', '/v1/connections/stored')).json.settings.address).toBe(
      'https://vault.example.com',
    )
  })

  test('is dropped for good when the connection takes another one, and is not to be kept later', async () => {
    await put('dropped', vault({ from: 'value', value: planted }))
    expect((await replace('dropped', vault({ from: 'none' }))).status).toBe(200)
    expect(told(await replace('dropped', vault({ from: 'value' })))[0]).toBe(422)
    const [row] = await api.house.sql(
      `SELECT count(*) FROM app.sealed WHERE purpose = 'connection:dropped' AND erased_at IS NULL`,
    )
    expect(row).toEqual({ count: '0' })
  })

  test('is in no reply, no list and no event', async () => {
    const texts = await Promise.all(
      ['/v1/connections', '/v1/connections/stored', '/v1/audit/events?action=connection.put'].map(
        async (path) => (await api.call('GET', path)).text,
      ),
    )
    expect(texts.join()).not.toContain('PLANTED')
    expect(texts.join()).not.toContain('sealedId')
  })
})

describe('a credential by its name', () => {
  test.each<[string, object, string]>([
    [
      'of a host that it is not for',
      { from: 'env', name: 'REKEY_CREDENTIAL_VAULT' },
      '/credential/name',
    ],
    [
      'that is another variable of Rekey',
      { from: 'env', name: 'REKEY_KEK_FILE' },
      '/credential/name',
    ],
    [
      'that is the list of hosts',
      { from: 'env', name: 'REKEY_CREDENTIAL_VAULT_HOSTS' },
      '/credential/name',
    ],
    ['that is any variable of the host', { from: 'env', name: 'HOME' }, '/credential/name'],
    ['that climbs', { from: 'file', path: '../../etc/passwd' }, '/credential/path'],
    ['that is an absolute path', { from: 'file', path: '/etc/passwd' }, '/credential/path'],
    ['that is a link', { from: 'file', path: 'link' }, '/credential/path'],
    ['that lies behind a link', { from: 'file', path: 'sub/linked/secret' }, '/credential/path'],
    ['that is a directory', { from: 'file', path: 'sub' }, '/credential/path'],
    ['of the host itself', { from: 'default' }, '/credential/from'],
    ['of a key that does not allow it', { from: 'key', key: 'nobodys' }, '/credential/key'],
  ])('%s is refused', async (_what, credential, pointer) => {
    const answer = await put('named', vault(credential, 'https://attacker.example.com'))
    expect([answer.status, answer.json.errors?.[0]?.pointer]).toEqual([422, pointer])
    expect((await api.call('GET', '/v1/connections/named')).status).toBe(404)
  })

  test('with a zero byte is no name', async () => {
    const answer = await put('named', vault({ from: 'file', path: 'token\u0000.txt' }))
    expect(told(answer)).toEqual([400, 'request.invalid', '/credential/path'])
  })

  test('of a key needs usableBy on that key; taking it back ends it', async () => {
    await api.house.register('root-token', { connection: 'local' })
    const body = vault({ from: 'key', key: 'root-token' })
    expect(told(await put('by-key', body))).toEqual([422, 'connection.unusable', '/credential/key'])
    await api.house.putKey('root-token', (key) => ({ ...key, usableBy: ['another'] }))
    expect((await put('by-key', body)).status).toBe(422)
    await api.house.putKey('root-token', (key) => ({ ...key, usableBy: ['by-key'] }))
    expect((await put('by-key', body)).status).toBe(201)
    await api.house.putKey('root-token', (key) => ({ ...key, usableBy: [] }))
    const checked = await api.call('POST', '/v1/connections/by-key/checks', { body: {} })
    expect(checked.json).toMatchObject({ ok: false })
  })

  test('is not for an admin with a scope: the host’s credentials and foreign keys know no labels of his', async () => {
    const mine = (credential: object) => ({ ...vault(credential), labels: { team: 'a' } })
    for (const credential of [
      { from: 'env', name: 'REKEY_CREDENTIAL_VAULT' },
      { from: 'file', path: 'token' },
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect(told(await put('scoped', mine(credential), scopedAdmin))).toEqual([
        403,
        'auth.denied',
        '/credential/from',
      ])
    }
    await api.house.register('theirs', {
      connection: 'local',
      labels: { team: 'b' },
      usableBy: ['scoped'],
    })
    expect(told(await put('scoped', mine({ from: 'key', key: 'theirs' }), scopedAdmin))).toEqual([
      422,
      'connection.unusable',
      '/credential/key',
    ])
    expect((await put('scoped', mine({ from: 'value', value: 'x' }), scopedAdmin)).status).toBe(201)
    // What an admin without a scope has set is kept as long as it goes to the same place.
    await put('given', mine({ from: 'file', path: 'token' }))
    const grants = [{ matchLabels: { team: 'a' }, refs: ['*'] }]
    const kept = { ...mine({ from: 'file', path: 'token' }), grants }
    expect((await replace('given', kept, scopedAdmin)).status).toBe(200)
    const moved = {
      ...vault({ from: 'file', path: 'token' }, 'https://attacker.example.com'),
      labels: { team: 'a' },
    }
    expect((await replace('given', moved, scopedAdmin)).status).toBe(403)
  })
})

describe('the external id', () => {
  test('is made by Rekey, stays for the life of a connection, and is another after it', async () => {
    const made = await put('roles', { provider: 'local' })
    const { externalId } = made.json.status
    expect(externalId).toMatch(/^[0-9a-f-]{36}$/)
    expect((await put('others', { provider: 'local' })).json.status.externalId).not.toBe(externalId)
    const changed = await replace('roles', { provider: 'local', labels: { a: 'b' } })
    expect(changed.json.status.externalId).toBe(externalId)
    await api.call('DELETE', '/v1/connections/roles', { headers: { 'if-match': '*' } })
    expect((await put('roles', { provider: 'local' })).json.status.externalId).not.toBe(externalId)
  })

  test('is not chosen by a caller', async () => {
    const wanted = '01890000-0000-4000-8000-000000000000'
    expect((await put('chosen', { provider: 'local', externalId: wanted })).status).toBe(400)
    expect(
      (await put('chosen', { provider: 'local', settings: { externalId: wanted } })).status,
    ).toBe(400)
    const echoed = await put('chosen', { provider: 'local', status: { externalId: wanted } })
    expect(echoed.json.status.externalId).not.toBe(wanted)
  })
})

describe('a grant', () => {
  let shared: Awaited<ReturnType<typeof listening>>
  beforeAll(async () => {
    shared = await listening(() => ({ status: 403 }))
    const refs = [`vault.kv2.secret:${new URL(shared.url).host}/secret/team-a/*`]
    const grants = [{ matchLabels: { team: 'a' }, refs }]
    const credential = { from: 'value', value: planted }
    const made = await put('shared', { ...vault(credential, shared.url), grants })
    expect(made.status).toBe(201)
  })
  const key = (ref: object, more: object = {}) => ({
    name: 'grabbed',
    connection: 'shared',
    type: 'vault.kv2.secret',
    ref,
    purpose: 'p',
    owner: 'o',
    environment: 'e',
    labels: { team: 'a' },
    ...more,
  })
  const register = (body: object, query = '') =>
    api.call('POST', `/v1/keys${query}`, { body, token: operator })

  test.each<[string, object, object]>([
    ['a foreign object', { mount: 'secret', path: 'team-b/db', field: 'password' }, {}],
    [
      'a foreign object with labels of nobody',
      { mount: 'secret', path: 'team-a/db', field: 'p' },
      { labels: { team: 'c' } },
    ],
    ['another mount', { mount: 'other', path: 'team-a/db', field: 'p' }, {}],
    [
      'a neighbour whose name only begins alike',
      { mount: 'secret', path: 'team-ab/db', field: 'p' },
      {},
    ],
  ])('keeps an operator from %s, on a dry run too', async (_what, ref, more) => {
    for (const query of ['', '?dryRun=all']) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect(told(await register(key(ref, more), query))).toEqual([
        403,
        'connection.notGranted',
        '/ref',
      ])
    }
    expect(shared.hits).toEqual([])
  })

  test('lets an operator as far as the provider with what it covers', async () => {
    const ref = { mount: 'secret', path: 'team-a/db', field: 'p' }
    expect(told(await register(key(ref)))[1]).not.toBe('connection.notGranted')
    expect(shared.hits.length).toBeGreaterThan(0)
  })

  test('that was taken back keeps an operator from adopting more of the object', async () => {
    await api.house.connection('lent', { grants: [{ matchLabels: { team: 'a' }, refs: ['*'] }] })
    const { value } = await api.house.register('lent', {
      connection: 'lent',
      labels: { team: 'a' },
    })
    const providerVersion = await makeByHand(api.house.vault, value.id, 'old')
    await replace('lent', { provider: 'local' })
    const adopt = (token: string) =>
      api.call('POST', '/v1/keys/lent/versions', { token, body: { providerVersion } })
    expect(told(await adopt(operator))).toEqual([403, 'connection.notGranted', '/providerVersion'])
    expect((await adopt(api.adminToken)).status).toBe(201)
  })

  test.each([
    { mount: 'secret', path: 'team-a/../team-b/db', field: 'p' },
    { mount: 'secret/team-a/..', path: 'team-b/db', field: 'p' },
    { mount: 'secret', path: 'team-a//../team-b', field: 'p' },
  ])('is not climbed out of by %j', async (ref) => {
    const { status, json } = await register(key(ref))
    expect([400, 403]).toContain(status)
    expect(['request.invalid', 'connection.notGranted']).toContain(json.code)
  })

  test('is the admin’s: an operator writes none', async () => {
    expect((await replace('shared', vault({ from: 'none' }), operator)).status).toBe(403)
  })

  const policy = (more: object) => ({
    selector: { matchLabels: { team: 'b' } },
    manual: true,
    publish: [
      {
        name: 'out',
        connection: 'shared',
        type: 'vault.kv2.secret',
        ref: { mount: 'secret', path: 'team-a/db', field: 'password' },
      },
    ],
    ...more,
  })

  test('keeps values from being published where keys of these labels may not', async () => {
    const send = (body: object) =>
      api.call('PUT', '/v1/policies/leak', { body, token: operator, headers: {} })
    expect(told(await send(policy({})))).toEqual([403, 'connection.notGranted', '/publish/0/ref'])
    // A selector that does not demand the label of the grant reaches keys without it.
    expect(
      told(
        await send(
          policy({
            selector: { matchExpressions: [{ key: 'team', operator: 'In', values: ['a'] }] },
          }),
        ),
      )[0],
    ).toBe(403)
    expect(
      told(
        await send(
          policy({
            selector: { matchLabels: { team: 'a' } },
            publish: [
              {
                name: 'out',
                connection: 'shared',
                type: 'vault.kv2.secret',
                ref: { mount: 'secret', path: 'team-b/db', field: 'password' },
              },
            ],
          }),
        ),
      ),
    ).toEqual([403, 'connection.notGranted', '/publish/0/ref'])
    const within = policy({ selector: { matchLabels: { team: 'a' } } })
    expect((await send(within)).status).toBe(201)
    // A target that stands there was asked for the keys of then, not for others.
    const others = await api.call('PUT', '/v1/policies/leak', {
      body: policy({}),
      token: operator,
      headers: { 'if-match': '*' },
    })
    expect(told(others)).toEqual([403, 'connection.notGranted', '/publish/0/ref'])
  })

  test('is asked for a plan of files too', async () => {
    const document = (kind: string, name: string, spec: object, labels: object = {}) => ({
      apiVersion: 'rekey.dev/v1',
      kind,
      metadata: { name, labels },
      spec,
    })
    const plan = (documents: readonly object[]) =>
      api.call('POST', '/v1/plans', { token: operator, body: { documents } })
    const published = await plan([document('RotationPolicy', 'by-plan', policy({}))])
    expect([published.status, published.json.code]).toEqual([403, 'connection.notGranted'])
    const { name: _name, labels, ...spec } = key({ mount: 'secret', path: 'team-b/x', field: 'p' })
    const registered = await plan([document('Key', 'by-plan', spec, labels)])
    expect([registered.status, registered.json.code]).toEqual([403, 'connection.notGranted'])
    const connected = await plan([document('Connection', 'by-plan', { provider: 'local' })])
    expect(connected.status).toBe(403)
  })
})

describe('an address', () => {
  const metadata = [
    'https://169.254.169.254/latest/meta-data',
    'https://2852039166/',
    'https://0xa9fea9fe/',
    'https://0251.0376.0251.0376/',
    'https://[::ffff:169.254.169.254]/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://[fd00:ec2::254]/',
    'https://100.100.100.200/',
  ]
  /** A connection of each provider that dials what its settings say. */
  const dialling = (address: string) => [
    vault({ from: 'none' }, address),
    {
      provider: 'aws',
      settings: { region: 'eu-west-1', account: '123456789012', endpoint: address },
    },
    {
      provider: 'azure',
      settings: { vaultUrl: address, authorityHost: 'https://login.example.com' },
    },
    {
      provider: 'azure',
      settings: { vaultUrl: 'https://x.vault.azure.net', authorityHost: address },
    },
    { provider: 'doppler', settings: { apiUrl: address } },
  ]
  test.each(metadata)('%s is no provider, no sink and no consumer’s webhook', async (address) => {
    for (const connection of dialling(new URL(address).origin)) {
      const provider = await put('meta', connection)
      expect([connection.provider, provider.status, provider.json.code]).toEqual([
        connection.provider,
        422,
        'connection.unusable',
      ])
    }
    expect((await api.call('GET', '/v1/connections/meta')).status).toBe(404)
    const sink = await api.call('PUT', '/v1/sinks/meta', {
      body: { type: 'webhook', url: address, secret: whsec },
    })
    expect(sink.status).toBe(422)
    const consumer = await api.call('PUT', '/v1/consumers/meta', {
      body: { owner: 'o', reload: { webhook: address, secret: whsec } },
    })
    expect(consumer.status).toBe(422)
    const policy = await api.call('PUT', '/v1/policies/meta', {
      body: {
        selector: { type: 'local.secret' },
        manual: true,
        verify: [{ type: 'webhook', url: address }],
      },
    })
    expect(policy.status).toBe(422)
  })

  test.each([
    ['a private one', 'https://10.0.0.5/hook'],
    ['loopback that is not allowed', 'https://127.0.0.2/hook'],
    ['one with a user', 'https://user:pass@sink.example.com/'],
    ['plain http', 'http://sink.example.com/'],
    ['no web address', 'file:///etc/passwd'],
    ['an IPv6 loopback', 'https://[::1]/'],
    ['a private one in IPv6', 'https://[fd12::1]/'],
  ])('of a sink, of a consumer’s webhook and of a check is not %s', async (_what, url) => {
    const sink = await api.call('PUT', '/v1/sinks/inward', {
      body: { type: 'webhook', url, secret: whsec },
    })
    const consumer = await api.call('PUT', '/v1/consumers/inward', {
      body: { owner: 'o', reload: { webhook: url, secret: whsec } },
    })
    const policy = await api.call('PUT', '/v1/policies/inward', {
      body: {
        selector: { type: 'local.secret' },
        manual: true,
        verify: [{ type: 'webhook', url }],
      },
    })
    for (const { status } of [sink, consumer, policy]) expect([400, 422]).toContain(status)
  })

  test('in plain http beyond loopback is taken only where it is meant, and the check says so', async () => {
    const plain = vault({ from: 'none' }, 'http://10.0.0.9:8200')
    expect(told(await put('plain', plain))[0]).toBe(422)
    const meant = (address: string) => {
      const body = vault({ from: 'value', value: planted }, address)
      return { ...body, settings: { ...body.settings, insecure: true } }
    }
    expect((await put('plain', meant(plain.settings.address))).status).toBe(201)
    const near = await listening(() => ({ status: 403 }))
    await put('near', meant(near.url))
    const { json } = await api.call('POST', '/v1/connections/near/checks', { body: {} })
    expect(json.items).toContainEqual(
      expect.objectContaining({ name: 'transport', outcome: 'beyondLeast' }),
    )
  })

  test('that a provider redirects to is not visited, and gets no token', async () => {
    const inner = await listening(() => ({}))
    const outer = await listening(() => ({
      status: 307,
      headers: { location: `${inner.url}/v1/x` },
    }))
    await put('redirecting', {
      provider: 'vault',
      settings: { address: outer.url, auth: { method: 'token' } },
      credential: { from: 'value', value: planted },
    })
    const { json } = await api.call('POST', '/v1/connections/redirecting/checks', { body: {} })
    expect(json.ok).toBe(false)
    expect(outer.hits.length).toBeGreaterThan(0)
    expect(inner.hits).toEqual([])
  })

  test('that a receiver of a sink redirects to is not visited, and gets no signature', async () => {
    const inner = await listening(() => ({}))
    const outer = await listening(() => ({ status: 302, headers: { location: inner.url } }))
    await api.call('PUT', '/v1/sinks/redirecting', {
      body: { type: 'webhook', url: outer.url, secret: whsec },
    })
    const { json } = await api.call('POST', '/v1/sinks/redirecting/tests', { body: {} })
    expect(json).toMatchObject({ delivered: false, status: 302 })
    expect(outer.hits).toHaveLength(1)
    expect(inner.hits).toEqual([])
  })

  test('of a sink that changes drops the secret that signs for the old one', async () => {
    const url = 'https://sink.example.com/a'
    await api.call('PUT', '/v1/sinks/moved', { body: { type: 'webhook', url, secret: whsec } })
    const moved = await api.call('PUT', '/v1/sinks/moved', {
      body: { type: 'webhook', url: 'https://attacker.example.com/' },
      headers: { 'if-match': '*' },
    })
    expect(told(moved)).toEqual([422, 'request.impossible', '/secret'])
  })
})
