// Logins with tokens that somebody else signed: a service account that a cluster vouches for when Vault asks it, and JWTs of an
// issuer whose key Vault knows, or fetches.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type CryptoKey } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Errors } from 'typebox/value'
import type { JsonObject } from '#domain/json.ts'
import type { ProviderPorts, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { makeClient } from '#providers/vault/client.ts'
import { vault } from '#providers/vault/provider.ts'
import { readSettings } from '#providers/vault/settings.ts'
import { makeTokens } from '#providers/vault/tokens.ts'
import { expectNoLeak, failure } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startCluster, type Cluster } from '#test/peers/token-review.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { peer as need } from '#test/support/peers.ts'
import { call, done, putSecret } from './bench.ts'

const everything = 'path "*" { capabilities = ["create", "read", "update", "delete", "list"] }'
const issuer = 'https://ci.example.com'

need('vault').describe('logging in to Vault with a token that somebody signed', () => {
  let peer: VaultPeer
  let cluster: Cluster
  let signer: CryptoKey
  let jwks: Awaited<ReturnType<typeof serveKeys>>

  beforeAll(async () => {
    peer = await startVault()
    cluster = await startCluster()
    await peer.api('PUT', 'sys/policies/acl/everything', { policy: everything })
    await peer.api('POST', 'sys/auth/kubernetes', { type: 'kubernetes' })
    await peer.api('POST', 'auth/kubernetes/config', {
      kubernetes_host: cluster.address,
      disable_local_ca_jwt: true,
      token_reviewer_jwt: cluster.reviewer,
    })
    await peer.api('POST', 'auth/kubernetes/role/rekey', {
      bound_service_account_names: 'rekey',
      bound_service_account_namespaces: 'tools',
      audience: 'vault',
      token_policies: 'everything',
      token_ttl: '30m',
    })
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    signer = privateKey
    jwks = await serveKeys({ ...(await exportJWK(publicKey)), alg: 'ES256', use: 'sig' })
    for (const [mount, key] of [
      ['jwt', { jwt_validation_pubkeys: [await exportSPKI(publicKey)] }],
      ['ci/jwt', { jwks_url: jwks.url }],
    ] as const) {
      await peer.api('POST', `sys/auth/${mount}`, { type: 'jwt' })
      await peer.api('POST', `auth/${mount}/config`, {
        ...key,
        bound_issuer: issuer,
        default_role: 'deploy',
      })
      for (const role of ['deploy', 'rekey'])
        await peer.api('POST', `auth/${mount}/role/${role}`, {
          role_type: 'jwt',
          user_claim: 'sub',
          bound_audiences: ['vault'],
          bound_claims: { repository: 'rekey' },
          token_policies: 'everything',
          token_ttl: '30m',
        })
    }
  }, 60_000)
  afterAll(async () => {
    await peer?.stop()
    await cluster?.stop()
    await jwks?.stop()
  })

  const open = (
    auth: JsonObject,
    jwt: string,
    ports: Partial<ProviderPorts> = {},
    more: JsonObject = {},
  ): Session =>
    vault.connect({
      connection: 'test',
      externalId: 'x',
      settings: { address: peer.address, auth, ...more },
      credential: new Secret(jwt),
      ports: { ...plainPorts(), ...ports },
    })
  const jwtOf = (claims: JsonObject = {}, audience = 'vault'): Promise<string> =>
    new SignJWT({ repository: 'rekey', ...claims })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(issuer)
      .setSubject('repo:rekey')
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime('10m')
      .sign(signer)
  const inKubernetes = { method: 'kubernetes', role: 'rekey' }
  const works = async (session: Session): Promise<void> => {
    const object = await putSecret(peer, { password: 'x' })
    expect((await session.describe(object, call())).versions).toHaveLength(1)
  }
  const since = (path: string): (() => number) => {
    const before = done(peer, path)
    return () => done(peer, path) - before
  }
  const revokeAll = async (mount: string): Promise<void> => {
    await peer.api('PUT', `sys/leases/revoke-prefix/auth/${mount}/login`, {})
  }

  test('a service account logs in, and Vault asks the cluster about it', async () => {
    const before = cluster.reviews()
    const session = open(inKubernetes, await cluster.token('tools', 'rekey'))
    await works(session)
    expect(cluster.reviews()).toBe(before + 1)
    const checks = await session.check(call())
    expect(checks.filter(({ outcome }) => outcome === 'missing')).toEqual([])
    await session.close()
  })

  test('a JWT logs in by the key that Vault was given, and by one that it fetches; by role, and by the default one', async () => {
    for (const [auth, mount] of [
      [{ method: 'jwt', role: 'rekey' }, 'jwt'],
      [{ method: 'jwt' }, 'jwt'],
      [{ method: 'jwt', mount: 'ci/jwt' }, 'ci/jwt'],
    ] as const) {
      const logins = since(`auth/${mount}/login`)
      const session = open(auth, await jwtOf())
      await works(session)
      expect(logins()).toBe(1)
      await session.close()
    }
    expect(jwks.fetched()).toBeGreaterThan(0)
  })

  describe('is refused, as the credential’s fault and without a word of it', () => {
    const wrong: readonly (readonly [string, JsonObject, () => Promise<string>])[] = [
      ['another service account', inKubernetes, () => cluster.token('tools', 'other')],
      ['another namespace', inKubernetes, () => cluster.token('else', 'rekey')],
      [
        'a token for somebody else',
        inKubernetes,
        () => cluster.token('tools', 'rekey', { audience: 'api' }),
      ],
      [
        'a token that is over',
        inKubernetes,
        () => cluster.token('tools', 'rekey', { seconds: -30 }),
      ],
      ['no JWT at all', inKubernetes, async () => 'planted-and-not-a-jwt'],
      [
        'a role that there is not',
        { method: 'kubernetes', role: 'none' },
        () => cluster.token('tools', 'rekey'),
      ],
      ['a JWT for another audience', { method: 'jwt' }, () => jwtOf({}, 'api')],
      ['a JWT without the claim', { method: 'jwt' }, () => jwtOf({ repository: 'other' })],
      ['a JWT of another issuer’s key', { method: 'jwt' }, () => cluster.token('tools', 'rekey')],
    ]
    test.each(wrong)('%s', async (_what, auth, make) => {
      const jwt = await make()
      const session = open(auth, jwt)
      const object = await putSecret(peer, { password: 'x' })
      const error = await failure(session.describe(object, call()), [new Secret(jwt)])
      expect(error).toMatchObject({ kind: 'auth', effect: 'none' })
      expect(error.hint).toMatch(/bound|role/)
      const [, , row] = await session.check(call())
      const checks = await session.check(call())
      expect(checks.find(({ name }) => name === 'login') ?? row).toMatchObject({
        outcome: 'missing',
      })
      expectNoLeak(checks, [new Secret(jwt)])
    })
  })

  test.each([
    ['kubernetes', inKubernetes, () => cluster.token('tools', 'rekey')],
    ['jwt', { method: 'jwt' }, () => jwtOf()],
  ] as const)('%s: a token is renewed at two thirds of its life', async (_name, auth, make) => {
    let ahead = 0
    const clock = { now: () => new Date(Date.now() + ahead) }
    const session = open(auth, await make(), clock)
    await works(session)
    const renewals = since('auth/token/renew-self')
    ahead = 19 * 60_000
    await works(session)
    expect(renewals()).toBe(0)
    ahead = 21 * 60_000
    await works(session)
    expect(renewals()).toBe(1)
    await session.close()
  })

  test.each([
    ['kubernetes', inKubernetes, () => cluster.token('tools', 'rekey')],
    ['jwt', { method: 'jwt' }, () => jwtOf()],
  ] as const)(
    '%s: a token that Vault has forgotten costs one login, and no more',
    async (mount, auth, make) => {
      const session = open(auth, await make())
      await works(session)
      const logins = since(`auth/${mount}/login`)
      await revokeAll(mount)
      await works(session)
      expect(logins()).toBe(1)
      await works(session)
      expect(logins()).toBe(1)
      await session.close()
    },
  )

  test('in a pod the token is read anew for each login, and only where the connection says so', async () => {
    const settings = readSettings({ address: peer.address, auth: inKubernetes })
    const ports = plainPorts()
    const client = makeClient(settings, ports)
    const written = [
      await cluster.token('tools', 'rekey', { seconds: -30 }),
      await cluster.token('tools', 'rekey'),
    ]
    const tokens = makeTokens({
      settings,
      credential: null,
      podToken: async () => written.shift() ?? '',
      client,
      ports,
    })
    expect(await failure(tokens.get(call()).then(String))).toMatchObject({ kind: 'auth' })
    expect((await tokens.get(call())).reveal()).not.toBe('')
    const unsaid = makeTokens({ settings, credential: null, podToken: null, client, ports })
    expect(await failure(unsaid.get(call()).then(String))).toMatchObject({
      kind: 'auth',
      hint: expect.stringContaining('a JWT'),
    })
  })

  test('a secret_id alone logs in where the settings have the role_id', async () => {
    await peer.api('POST', 'auth/approle/role/alone', { token_policies: ['everything'] })
    const { data } = await peer.api('GET', 'auth/approle/role/alone/role-id')
    const made = await peer.api('POST', 'auth/approle/role/alone/secret-id', {})
    const auth = { method: 'appRole', roleId: String(data['role_id']) }
    const session = open(auth, String(made.data['secret_id']))
    await works(session)
    await session.close()
  })
})

test('a kubernetes login names its role', () => {
  const base = { address: 'https://vault.example.com:8200' }
  const errors = (auth: JsonObject) =>
    [...Errors(vault.settingsSchema, { ...base, auth })].map(({ message }) => message)
  expect(errors({ method: 'kubernetes' })).toContain('has no role: a kubernetes login names one')
  expect(errors({ method: 'kubernetes', role: 'rekey' })).toEqual([])
  expect(errors({ method: 'jwt' })).toEqual([])
})

const serveKeys = async (key: object) => {
  let fetched = 0
  const server = createServer((_asked, answer) => {
    fetched += 1
    answer.writeHead(200, { 'content-type': 'application/json' })
    answer.end(JSON.stringify({ keys: [key] }))
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    fetched: () => fetched,
    stop: () =>
      new Promise<void>((ended) => {
        server.closeAllConnections()
        server.close(() => ended())
      }),
  }
}
