import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Check, Errors } from 'typebox/value'
import { vault } from '#providers/vault/provider.ts'
import { textOf } from '#providers/untyped-json.ts'
import { expectNoLeak, failure } from '#test/contract/bench.ts'
import { refText } from '#test/contract/vault-peer.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { startFaultProxy } from '#test/support/fault-proxy.ts'
import { peer as need } from '#test/support/peers.ts'
import { Secret } from '#domain/secret.ts'
import { appRoleWith, call, done, open, order, putSecret, tokenWith, transitAt } from './bench.ts'

const everything = 'path "*" { capabilities = ["create", "read", "update", "delete", "list"] }'
const nothing = 'path "none" { capabilities = ["read"] }'
const login = 'auth/approle/login'
const renew = 'auth/token/renew-self'

need('vault').describe('logging in to Vault', () => {
  let peer: VaultPeer

  beforeAll(async () => {
    peer = await startVault()
  })
  afterAll(() => peer?.stop())

  const since = (path: string): (() => number) => {
    const before = done(peer, path)
    return () => done(peer, path) - before
  }

  test('an AppRole logs in at the first use, and once for all who wait', async () => {
    const object = await putSecret(peer, { password: 'x' })
    const logins = since(login)
    const session = open(peer.address, await appRoleWith(peer, everything))
    expect(logins()).toBe(0)
    await Promise.all(Array.from({ length: 10 }, () => session.describe(object, call())))
    expect(logins()).toBe(1)
    await session.close()
  })

  test('a caller that gives up during the login does not take the others with it', async () => {
    const object = await putSecret(peer, { password: 'x' })
    const proxy = await startFaultProxy(peer.address)
    const session = open(proxy.address, await appRoleWith(peer, everything))
    const rule = proxy.inject({ path: /login/ }, { kind: 'hold' })
    const abort = new AbortController()
    const first = failure(session.describe(object, call({ signal: abort.signal })))
    await rule.hit()
    const second = session.describe(object, call())
    abort.abort()
    expect(await first).toMatchObject({ kind: 'timeout', effect: 'none' })
    expect((await second).versions).toHaveLength(1)
    await session.close()
    await proxy.stop()
  })

  test('a token that Vault has forgotten in the middle of a rotation costs one login, and one effect', async () => {
    const credential = await appRoleWith(peer, everything)
    const session = open(peer.address, credential)
    const name = `key-${randomUUID()}`
    await peer.api('POST', `transit/keys/${name}`, {})
    const prepared = await order(session, transitAt(name), '1', null)
    await revokeAll(peer)
    const logins = since(login)
    await session.mint(prepared, call())
    expect(logins()).toBe(1)
    expect(done(peer, `transit/keys/${name}/rotate`)).toBe(1)
    await session.close()
  })

  test('a token that is forgotten between the reads of a mint and its write does no harm', async () => {
    const proxy = await startFaultProxy(peer.address)
    const session = open(proxy.address, await appRoleWith(peer, everything))
    const object = await putSecret(peer, { password: 'old' })
    const path = `secret/data/${refText(object, 'path')}`
    const prepared = await order(session, object, '1')
    const rule = proxy.inject(
      { method: 'POST', path: new RegExp(`/v1/${path}$`) },
      { kind: 'hold' },
    )
    const minting = session.mint(prepared, call())
    await rule.hit()
    await revokeAll(peer)
    await rule.release()
    expect((await minting).providerVersion).toBe('2')
    expect(done(peer, path)).toBe(1)
    await session.close()
    await proxy.stop()
  })

  test('a wrong secret_id is an auth error that says nothing of it', async () => {
    const { roleId } = await appRoleWith(peer, everything)
    const planted = `planted-${randomUUID()}`
    const session = open(peer.address, { roleId, secretId: planted })
    const object = await putSecret(peer, { password: 'x' })
    const error = await failure(session.describe(object, call()), [new Secret(planted)])
    expect(error).toMatchObject({ kind: 'auth', effect: 'none', retryable: false })
    const rows = await session.check(call())
    expectNoLeak(rows, [new Secret(planted)])
    expect(rows.find((row) => row.name === 'login')).toMatchObject({ outcome: 'missing' })
  })

  test('the check says when a secret_id or a token ends, by use or by time, where Vault tells', async () => {
    const rowsOf = async (credential: Parameters<typeof open>[1]) => {
      const session = open(peer.address, credential)
      const rows = await session.check(call())
      await session.close()
      if (typeof credential !== 'string')
        expectNoLeak(rows, [new Secret(textOf(credential['secretId']))])
      return rows
        .filter(({ name }) => /secretId|token.uses/.test(name))
        .map(({ name, outcome, detail }) => [name, outcome, detail.replace(/ at .*/, '')])
    }
    expect(await rowsOf(await appRoleWith(peer, everything))).toEqual([
      ['secretId.uses', 'ok', 'it logs in any number of times'],
    ])
    // The check logs in once.
    const few = { secret_id_num_uses: 5, secret_id_ttl: '1h' }
    expect(await rowsOf(await appRoleWith(peer, everything, few))).toEqual([
      [
        'secretId.uses',
        'missing',
        'the secret_id may log in 4 more times, and Rekey logs in for ever',
      ],
      ['secretId.ttl', 'missing', 'the secret_id ends'],
    ])
    expect(await rowsOf(await appRoleWith(peer, everything, { secret_id_ttl: '720h' }))).toEqual([
      ['secretId.uses', 'ok', 'it logs in any number of times'],
      ['secretId.ttl', 'ok', 'the secret_id ends'],
    ])
    // Rights that Rekey does not need to rotate are not asked for.
    expect(await rowsOf(await appRoleWith(peer, nothing, few))).toEqual([])
    expect(await rowsOf(await tokenWith(peer, everything, { num_uses: 20 }))).toMatchObject([
      ['token.uses', 'missing', expect.stringContaining('more times, and Rekey uses it for ever')],
    ])
  })

  test('a lost answer to a login has done nothing to the object', async () => {
    const proxy = await startFaultProxy(peer.address)
    const object = await putSecret(peer, { password: 'x' })
    const ready = open(peer.address, peer.token)
    const prepared = await order(ready, object, '1')
    const session = open(proxy.address, await appRoleWith(peer, everything))
    const rule = proxy.inject({ path: /login/ }, { kind: 'cutAfter' }, 5)
    const error = await failure(session.mint(prepared, call()), [prepared.material])
    expect(error).toMatchObject({ kind: 'transient', effect: 'none' })
    // A secret_id may be good for a few uses only.
    expect(rule.hits()).toBe(1)
    await proxy.stop()
  })

  test.for(['not json', '{"roleId": "x"}', '"planted-secret"'])(
    'a malformed credential %s is refused without being shown',
    async (value) => {
      const session = vault.connect({
        connection: 'c',
        externalId: 'x',
        settings: { address: peer.address, auth: { method: 'appRole' } },
        credential: new Secret(value),
        ports: { ...(await import('#test/contract/peer.ts')).plainPorts() },
      })
      const error = await failure(session.describe(transitAt('x'), call()), [new Secret(value)])
      expect(error).toMatchObject({ kind: 'auth', effect: 'none' })
    },
  )

  describe('as time goes by', () => {
    test('a token is renewed at two thirds of its life, by the call that finds it so old', async () => {
      let ahead = 0
      const clock = { now: () => new Date(Date.now() + ahead) }
      const object = await putSecret(peer, { password: 'x' })
      for (const credential of [
        await appRoleWith(peer, everything, { token_ttl: '30m' }),
        await tokenWith(peer, everything, { ttl: '30m' }),
      ]) {
        ahead = 0
        const session = open(peer.address, credential, { ports: clock })
        await session.describe(object, call())
        const renewals = since(renew)
        ahead = 19 * 60_000
        await session.describe(object, call())
        expect(renewals()).toBe(0)
        ahead = 21 * 60_000
        await Promise.all([session.describe(object, call()), session.describe(object, call())])
        expect(renewals()).toBe(1)
        await session.close()
      }
    })

    test('an AppRole whose token is near the end of its longest life logs in again', async () => {
      let ahead = 0
      const credential = await appRoleWith(peer, everything, {
        token_ttl: '30m',
        token_max_ttl: '30m',
      })
      const proxy = await startFaultProxy(peer.address)
      const session = open(proxy.address, credential, {
        ports: { now: () => new Date(Date.now() + ahead) },
      })
      const object = await putSecret(peer, { password: 'x' })
      await session.describe(object, call())
      const logins = since(login)
      // What Vault answers when there is little life left.
      proxy.inject(
        { path: /renew-self/ },
        { kind: 'status', status: 200, body: '{"auth":{"lease_duration":60,"renewable":true}}' },
      )
      ahead = 25 * 60_000
      await session.describe(object, call())
      expect(logins()).toBe(1)
      await session.close()
      await proxy.stop()
    })

    test('refusals do not become a storm of logins', async () => {
      let ahead = 0
      const session = open(
        peer.address,
        await appRoleWith(peer, 'path "nothing" { capabilities = ["read"] }'),
        {
          ports: { now: () => new Date(Date.now() + ahead) },
        },
      )
      const object = await putSecret(peer, { password: 'x' })
      const logins = since(login)
      for (let i = 0; i < 5; i++)
        expect(await failure(session.describe(object, call()))).toMatchObject({ kind: 'forbidden' })
      expect(logins()).toBe(1)
      // An old login is worth one more: its policies may have changed.
      ahead = 120_000
      await failure(session.describe(object, call()))
      expect(logins()).toBe(2)
    })
  })

  test('closing revokes the token that the login made, and no other', async () => {
    const object = await putSecret(peer, { password: 'x' })
    const revoked = since('auth/token/revoke-self')
    const byToken = open(peer.address, await tokenWith(peer, everything))
    await byToken.describe(object, call())
    await byToken.close()
    expect(revoked()).toBe(0)
    const byRole = open(peer.address, await appRoleWith(peer, everything))
    await byRole.describe(object, call())
    await byRole.close()
    await byRole.close()
    expect(revoked()).toBe(1)
  })

  test('checks tell what is beyond the least: the root policy, and the power to take it', async () => {
    const root = await open(peer.address, peer.token).check(call())
    expect(root.filter((row) => row.outcome === 'beyondLeast')).toHaveLength(1)
    const writer = await tokenWith(peer, 'path "sys/policies/acl/*" { capabilities = ["update"] }')
    const rows = await open(peer.address, writer).check(call())
    expect(rows).toContainEqual(
      expect.objectContaining({
        outcome: 'beyondLeast',
        detail: expect.stringContaining('write policies'),
      }),
    )
    const short = await tokenWith(peer, everything, { ttl: '10m', renewable: false })
    expect(await open(peer.address, short).check(call())).toContainEqual(
      expect.objectContaining({ name: 'token.ttl', outcome: 'missing' }),
    )
  })

  test('checks tell a clock that differs', async () => {
    const session = open(peer.address, peer.token, {
      ports: { now: () => new Date(Date.now() + 120_000) },
    })
    expect(await session.check(call())).toContainEqual(
      expect.objectContaining({
        name: 'clock',
        outcome: 'missing',
        detail: expect.stringMatching(/^Vault’s clock differs by 1[12]\d s$/) as unknown,
      }),
    )
  })

  test('TLS to a port without it, and an address that nobody listens at, are told apart and have no effect', async () => {
    const tls = open(peer.address.replace('http:', 'https:'), peer.token)
    expect(await failure(tls.describe(transitAt('x'), call()))).toMatchObject({
      kind: 'precondition',
      effect: 'none',
    })
    const nobody = open('http://127.0.0.1:1', peer.token)
    expect(await failure(nobody.describe(transitAt('x'), call()))).toMatchObject({
      kind: 'transient',
      effect: 'none',
    })
    expect(await nobody.check(call())).toMatchObject([{ name: 'reachable', outcome: 'missing' }])
  })
})

need('vault').describe('a sealed Vault', () => {
  test('is transient, with the unseal hint, and the checks stop there', async () => {
    const peer = await startVault()
    const session = open(peer.address, peer.token)
    const object = await putSecret(peer, { password: 'old' })
    const prepared = await order(session, object, '1')
    await peer.api('PUT', 'sys/seal')
    expect(await failure(session.describe(object, call()))).toMatchObject({
      kind: 'transient',
      effect: 'none',
      status: 503,
    })
    const error = await failure(session.mint(prepared, call()), [prepared.material])
    expect(error.hint).toContain('unseal')
    expect(await session.check(call())).toContainEqual(
      expect.objectContaining({ name: 'unsealed', outcome: 'missing' }),
    )
    await peer.stop()
  })
})

describe('settings of vault', () => {
  const base = { address: 'https://vault.example.com:8200', auth: { method: 'token' } }

  test('name the login methods that there are', () => {
    expect(Check(vault.settingsSchema, base)).toBe(true)
    for (const auth of [
      { method: 'appRole', mount: 'ci/approle' },
      { method: 'kubernetes', role: 'rekey' },
      { method: 'jwt' },
    ])
      expect(Check(vault.settingsSchema, { ...base, auth })).toBe(true)
    const settings = { ...base, auth: { method: 'ldap' } }
    const messages = [...Errors(vault.settingsSchema, settings)].map((e) => e.message)
    expect(messages).toContain('is one of token, appRole, kubernetes, jwt')
    expect(() =>
      vault.connect({
        connection: 'c',
        externalId: 'x',
        settings,
        credential: null,
        ports: {} as Parameters<typeof vault.connect>[0]['ports'],
      }),
    ).toThrow('these settings cannot be used')
  })

  test('take no address with a user, a query or another scheme', () => {
    for (const address of [
      'ftp://x',
      'https://user:pass@x',
      'https://x?y=1',
      'https://x#y',
      'x:8200',
      'https://',
    ]) {
      expect(Check(vault.settingsSchema, { ...base, address }), address).toBe(false)
    }
  })

  test('take a request for as long as Vault may work on one, and no longer than a day', () => {
    const taken = ['1s', '90s', '24h', '1d', '0s', '25h', '2d', '3650d'].filter((text) =>
      Check(vault.settingsSchema, { ...base, maxRequestDuration: text }),
    )
    expect(taken).toEqual(['1s', '90s', '24h', '1d'])
  })

  test('tell the one host that is dialled', () => {
    expect(vault.endpoints(base)).toEqual(['https://vault.example.com:8200'])
  })
})

const revokeAll = async (peer: VaultPeer): Promise<void> => {
  const accessors = (await peer.api('LIST', 'auth/token/accessors')).data[
    'keys'
  ] as readonly string[]
  for (const accessor of accessors) {
    const looked = await peer
      .api('POST', 'auth/token/lookup-accessor', { accessor })
      .catch(() => null)
    if (looked?.data['path'] === 'auth/approle/login')
      await peer.api('POST', 'auth/token/revoke-accessor', { accessor })
  }
}
