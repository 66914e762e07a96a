import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import type { ObjectAddress, Session } from '#domain/provider.ts'
import { failure } from '#test/contract/bench.ts'
import { refText } from '#test/contract/vault-peer.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { startFaultProxy } from '#test/support/fault-proxy.ts'
import { peer as need } from '#test/support/peers.ts'
import { call, done, open, order, tokenWith, transitAt } from './bench.ts'

need('vault').describe('vault.transit.key', () => {
  let peer: VaultPeer
  let session: Session

  beforeAll(async () => {
    peer = await startVault()
    session = open(peer.address, peer.token)
  })
  afterAll(async () => {
    await session?.close()
    await peer?.stop()
  })

  const newKey = async (params: JsonObject = {}): Promise<ObjectAddress> => {
    const name = `key-${randomUUID()}`
    await peer.api('POST', `transit/keys/${name}`, params)
    return transitAt(name)
  }
  const configure = (object: ObjectAddress, config: JsonObject): Promise<unknown> =>
    peer.api('POST', `transit/keys/${refText(object, 'name')}/config`, config)
  const verify = (
    object: ObjectAddress,
    version: string,
    how: 'roundTrip' | 'oldDataReadable' | 'refused',
    preImage: JsonObject = {},
  ): ReturnType<Session['verify']> =>
    session.verify({ object, providerVersion: version, material: null, how, preImage }, call())

  test.for([
    { type: 'aes256-gcm96' },
    { type: 'chacha20-poly1305' },
    { type: 'aes256-gcm96', derived: true },
    { type: 'ed25519' },
    { type: 'ecdsa-p256' },
    { type: 'rsa-2048' },
    { type: 'hmac', key_size: 32 },
  ])(
    'a key of %o is rotated, proven by use, and what its old version made still holds',
    async (params) => {
      const object = await newKey(params)
      const prepared = await order(session, object, '1', null)
      const { providerVersion } = await session.mint(prepared, call())
      expect(providerVersion).toBe('2')
      expect(await verify(object, '2', 'roundTrip')).toMatchObject({ ok: true })
      expect(await verify(object, '1', 'roundTrip')).toMatchObject({ ok: true })
      expect(await verify(object, '1', 'oldDataReadable', prepared.preImage)).toMatchObject({
        ok: true,
      })
      expect(await verify(object, '3', 'roundTrip')).toMatchObject({ ok: false })
      expect((await session.describe(object, call())).versions).toMatchObject([
        { id: '1', state: 'enabled', current: false },
        { id: '2', state: 'enabled', current: true },
      ])
    },
  )

  test('old data that cannot be read any more is a verdict, not an error', async () => {
    const object = await newKey()
    const prepared = await order(session, object, '1', null)
    await session.mint(prepared, call())
    await configure(object, { min_decryption_version: 2 })
    expect(await verify(object, '1', 'oldDataReadable', prepared.preImage)).toMatchObject({
      ok: false,
    })
    expect(await verify(object, '1', 'oldDataReadable')).toMatchObject({ ok: false })
  })

  test.for([
    { type: 'aes256-gcm96' },
    { type: 'ed25519' },
    { type: 'rsa-2048' },
    { type: 'hmac', key_size: 32 },
  ])('a version of %o is refused only when it neither makes nor opens anything', async (params) => {
    const object = await newKey(params)
    const prepared = await order(session, object, '1', null)
    await session.mint(prepared, call())
    expect(await verify(object, '1', 'refused', prepared.preImage)).toMatchObject({ ok: false })
    await configure(object, { min_encryption_version: 2 })
    // It encrypts no more, but still decrypts.
    expect(await verify(object, '1', 'refused', prepared.preImage)).toMatchObject({ ok: false })
    expect(await session.stateOf(object, '1', call())).toBe('enabled')
    await configure(object, { min_decryption_version: 2 })
    expect(await verify(object, '1', 'refused', prepared.preImage)).toMatchObject({
      ok: true,
      facts: { status: params.type === 'ed25519' ? 500 : 400 },
    })
    expect(await session.stateOf(object, '1', call())).toBe('disabled')
    await peer.api('POST', `transit/keys/${refText(object, 'name')}/trim`, {
      min_available_version: 2,
    })
    expect(await session.stateOf(object, '1', call())).toBe('destroyed')
    expect(await session.stateOf(object, '3', call())).toBe('absent')
  })

  test('rotation by Vault itself, and by others, is a fact and a risk', async () => {
    const object = await newKey()
    await configure(object, { auto_rotate_period: '720h', exportable: true })
    await peer.api('POST', `transit/keys/${refText(object, 'name')}/rotate`, {})
    const { facts } = await session.describe(object, call())
    expect(facts).toMatchObject({
      autoRotateSeconds: 2_592_000,
      exportable: true,
      latestVersion: 2,
    })
    const { risks } = await session.prepare(object, '1', call())
    expect(risks.join(' ')).toMatch(
      /revokes nothing.*auto_rotate_period.*version 2 by Vault or by somebody else.*exportable/,
    )
  })

  test('the stored proof holds no plaintext', async () => {
    const bytes = new Uint8Array(32).fill(7)
    const known = open(peer.address, peer.token, { ports: { random: () => bytes } })
    const { preImage } = await known.prepare(await newKey(), '1', call())
    expect(JSON.stringify(preImage)).not.toContain(Buffer.from(bytes).toString('base64'))
  })

  test('a rotation whose answer is lost is never sent again by anybody on the way', async () => {
    const proxy = await startFaultProxy(peer.address)
    const through = open(proxy.address, peer.token)
    const object = await newKey()
    const path = `transit/keys/${refText(object, 'name')}/rotate`
    const prepared = await order(through, object, '1', null)
    proxy.inject({ method: 'POST', path: /rotate/ }, { kind: 'cutAfter' })
    expect((await failure(through.mint(prepared, call()))).effect).toBe('unknown')
    expect(done(peer, path)).toBe(1)
    expect(proxy.seen().filter((request) => request.path.endsWith('/rotate'))).toHaveLength(1)
    await through.close()
    await proxy.stop()
  })

  test('a key that was deleted and made again is foreign', async () => {
    const object = await newKey()
    const name = refText(object, 'name')
    await peer.api('POST', `transit/keys/${name}/rotate`, {})
    const prepared = await order(session, object, '2', null)
    await configure(object, { deletion_allowed: true })
    await peer.api('DELETE', `transit/keys/${name}`)
    expect(await session.probeMint(prepared, call())).toMatchObject({ answer: 'foreign' })
    await peer.api('POST', `transit/keys/${name}`, {})
    expect(await session.probeMint(prepared, call())).toMatchObject({ answer: 'foreign' })
  })

  test('the document for signing keys is enough for them', async () => {
    const object = await newKey({ type: 'ed25519' })
    const { vault } = await import('#providers/vault/provider.ts')
    const documents =
      vault.types.find((t) => t.type === 'vault.transit.key')?.leastPrivilege(object.ref) ?? {}
    const policy = ['check', 'token', 'describe', 'rotate', 'verifySigningKey']
      .map((name) => documents[name] as string)
      .join('\n')
    const least = open(peer.address, await tokenWith(peer, policy, { no_default_policy: true }))
    const prepared = await order(least, object, '1', null)
    await least.mint(prepared, call())
    const how = 'roundTrip'
    expect(
      await least.verify(
        { object, providerVersion: '2', material: null, how, preImage: {} },
        call(),
      ),
    ).toMatchObject({ ok: true })
    expect((await least.check(call(), [object])).filter((row) => row.outcome !== 'ok')).toEqual([])
  })

  test('the document for making keys is enough to make one', async () => {
    const object = transitAt(`made-${randomUUID()}`)
    const { vault } = await import('#providers/vault/provider.ts')
    const documents =
      vault.types.find((t) => t.type === 'vault.transit.key')?.leastPrivilege(object.ref) ?? {}
    const policy = ['check', 'token', 'describe', 'create']
      .map((name) => documents[name] as string)
      .join('\n')
    const least = open(peer.address, await tokenWith(peer, policy, { no_default_policy: true }))
    const made = await least.create(await order(least, object, null, null), call())
    expect(made.providerVersion).toBe('1')
  })
})
