// A namespace in the settings: kept apart where the server has namespaces, refused where it would be ignored.

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ProviderError } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { failure } from '#test/contract/bench.ts'
import { refText } from '#test/contract/vault-peer.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { peer as need } from '#test/support/peers.ts'
import { call, done, open, order, putSecret, secretAt } from './bench.ts'

need('vault').describe('Vault without a licence ignores namespaces', () => {
  let peer: VaultPeer
  beforeAll(async () => {
    peer = await startVault()
  })
  afterAll(() => peer?.stop())

  test('a connection that names one is refused before its credential goes out, and nothing is written in the root', async () => {
    const inRoot = await putSecret(peer, { password: 'of somebody else' })
    const session = open(peer.address, peer.token, { settings: { namespace: 'team/a' } })
    const rows = await session.check(call(), [inRoot])
    expect(rows.at(-1)).toMatchObject({
      name: 'namespace',
      outcome: 'missing',
      hint: expect.stringContaining('take `namespace` out'),
    })
    const made = { object: inRoot, operationId: 'x:minting:1', preImage: {}, generate: {} }
    const tries = [
      () => session.describe(inRoot, call()),
      () => session.prepare(inRoot, '1', call()),
      () => session.mint({ ...made, material: new Secret('new') }, call()),
      () => session.inventory('vault.kv2.secret', null, call()),
    ]
    for (const attempt of tries)
      // oxlint-disable-next-line no-await-in-loop -- told one by one
      expect(await failure(attempt())).toMatchObject({ kind: 'precondition', effect: 'none' })
    expect(done(peer, 'auth/token/lookup-self', 'read')).toBe(0)
    expect(done(peer, `secret/data/${refText(inRoot, 'path')}`)).toBe(0)
  })

  test('root is the name of what there is', async () => {
    const object = await putSecret(peer, { password: 'x' })
    const session = open(peer.address, peer.token, { settings: { namespace: 'root' } })
    expect((await session.describe(object, call())).versions).toHaveLength(1)
    await session.close()
  })

  test('a server that cannot be reached proves nothing, and is asked again', async () => {
    let down = true
    const session = open(peer.address, peer.token, {
      settings: { namespace: 'team/a' },
      ports: {
        fetch: (input, init) =>
          down ? Promise.reject(new TypeError('fetch failed')) : fetch(input, init),
      },
    })
    const object = secretAt('app')
    expect(await failure(session.describe(object, call()))).toMatchObject({ kind: 'transient' })
    down = false
    expect(await failure(session.describe(object, call()))).toMatchObject({ kind: 'precondition' })
  })
})

need('openbao').describe('OpenBao keeps namespaces apart', () => {
  let peer: VaultPeer
  let credential: { readonly roleId: string; readonly secretId: string }
  const settings = { namespace: '/team/a/' }
  beforeAll(async () => {
    peer = await startVault({ kind: 'openbao' })
    await peer.api('POST', 'sys/namespaces/team')
    await peer.api('POST', 'team/sys/namespaces/a')
    await peer.api('POST', 'team/a/sys/mounts/secret', { type: 'kv', options: { version: '2' } })
    await peer.api('POST', 'team/a/sys/auth/approle', { type: 'approle' })
    await peer.api('PUT', 'team/a/sys/policies/acl/rekey', {
      policy: 'path "*" { capabilities = ["create", "read", "update", "delete", "list"] }',
    })
    await peer.api('POST', 'team/a/auth/approle/role/rekey', {
      token_policies: ['rekey'],
      token_ttl: '30m',
    })
    const at = 'team/a/auth/approle/role/rekey'
    credential = {
      roleId: String((await peer.api('GET', `${at}/role-id`)).data['role_id']),
      secretId: String((await peer.api('POST', `${at}/secret-id`)).data['secret_id']),
    }
  })
  afterAll(() => peer?.stop())

  test('its checks work there, and a rotation is there and not in the root', async () => {
    const path = randomUUID()
    await peer.api('POST', `team/a/secret/data/${path}`, { data: { password: 'old' } })
    await putSecret(peer, { password: 'of the root' }, path)
    const session = open(peer.address, credential, { settings })
    const object = secretAt(path)
    const checks = await session.check(call(), [object])
    expect(checks.filter(({ outcome }) => outcome === 'missing')).toEqual([])
    expect(checks.map(({ name }) => name)).toContain('login')
    const minted = await session.mint(await order(session, object, '1'), call())
    expect(minted.providerVersion).toBe('2')
    const versionsAt = async (place: string) =>
      Object.keys(
        Object((await peer.api('GET', `${place}secret/metadata/${path}`)).data['versions']),
      )
    expect(await versionsAt('team/a/')).toHaveLength(2)
    expect(await versionsAt('')).toHaveLength(1)
    await session.close()
  })

  test('it goes with every request: the login, the renewal and the end too', async () => {
    let ahead = 0
    const sent: [string, string | null][] = []
    const session = open(peer.address, credential, {
      settings,
      ports: {
        now: () => new Date(Date.now() + ahead),
        fetch: (input, init) => {
          const namespace = new Headers(init?.headers).get('x-vault-namespace')
          const { url } = new Request(input, { method: 'GET' })
          sent.push([url.replace(`${peer.address}/v1/`, ''), namespace])
          return fetch(input, init)
        },
      },
    })
    const path = randomUUID()
    await peer.api('POST', `team/a/secret/data/${path}`, { data: { password: 'x' } })
    await session.describe(secretAt(path), call())
    ahead = 21 * 60_000
    await session.describe(secretAt(path), call())
    await session.close()
    const [proof, ...work] = sent
    expect(proof).toEqual(['sys/internal/ui/mounts', expect.stringMatching(/^team\/a\/rekey-/)])
    const paths = work.map(([at]) => at)
    for (const at of ['auth/approle/login', 'auth/token/renew-self', 'auth/token/revoke-self'])
      expect(paths).toContain(at)
    expect(new Set(work.map(([, namespace]) => namespace))).toEqual(new Set(['team/a']))
  })

  test('of a namespace that is not there, nothing is said to be gone or refused', async () => {
    await peer.api('POST', 'sys/namespaces/leaving')
    await peer.api('POST', 'leaving/sys/mounts/secret', { type: 'kv', options: { version: '2' } })
    await peer.api('POST', 'leaving/secret/data/app', { data: { password: 'x' } })
    const session = open(peer.address, peer.token, { settings: { namespace: 'leaving' } })
    const object = secretAt('app')
    expect(await session.stateOf(object, '1', call())).toBe('enabled')
    await peer.api('DELETE', 'sys/namespaces/leaving')
    const asked = {
      stateOf: () => session.stateOf(object, '1', call()),
      refused: () =>
        session.verify(
          { object, providerVersion: '1', material: null, how: 'refused', preImage: {} },
          call(),
        ),
      destroy: () => session.retire(object, '1', 'destroy', call()),
    }
    await expect
      .poll(() => peer.api('GET', 'sys/namespaces/leaving').then(({ status }) => status))
      .toBe(404)
    for (const [name, ask] of Object.entries(asked)) {
      // oxlint-disable-next-line no-await-in-loop -- told one by one
      const answer = await ask().catch((error: unknown) => error)
      expect([name, answer]).toEqual([name, expect.any(ProviderError)])
      expect(answer).toMatchObject({ effect: 'none' })
    }
  })
})
