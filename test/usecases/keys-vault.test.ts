// Registering what a real HashiCorp Vault holds.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { checkConnection } from '#usecases/check-connection.ts'
import { inventoryConnection } from '#usecases/inventory-connection.ts'
import { peer } from '#test/support/peers.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { admin, codeOf, type House, openHouse, operator, refusal } from '../support/house.ts'

peer('vault').describe('keys of a real Vault', () => {
  let house: House
  let vault: VaultPeer

  const kv = (path: string) => ({
    connection: 'corp',
    type: 'vault.kv2.secret',
    ref: { mount: 'secret', path, field: 'password' },
    create: false,
  })
  const put = (path: string, password: string) =>
    vault.api('PUT', `secret/data/${path}`, { data: { password, other: 'kept' } })

  beforeAll(async () => {
    vault = await startVault()
    house = await openHouse()
    const { hostname, port } = new URL(vault.address)
    await house.connection('corp', {
      provider: 'vault',
      settings: { address: vault.address, auth: { method: 'token' } },
      credential: { from: 'value', value: vault.token },
      grants: [{ matchLabels: { team: 'pay' }, refs: [`*${hostname}:${port}/secret/pay/*`] }],
    })
    await house.connection('vault')
  })
  afterAll(async () => {
    await house.shut()
    await vault.stop()
  })

  test('of several versions the current one is adopted', async () => {
    for (const value of ['one', 'two', 'three']) await put('app/db', value)
    const { value: key } = await house.register('app-db', kv('app/db'))
    const [version] = await house.versions(key.id)
    expect(version).toMatchObject({
      version: 1,
      providerVersions: ['3'],
      primary: true,
      materialKnown: true,
      sealedId: null,
    })
    expect(version?.verifiedAt).not.toBeNull()
  })

  test('one object, one key, however it is spelt', async () => {
    await put('app/once', 'x')
    await house.register('once', kv('app/once'))
    expect(await codeOf(house.register('twice', kv('app/once')))).toBe('key.objectTaken')
    expect(await codeOf(house.register('twice', kv('/app/once/')))).toBe('key.objectTaken')
  })

  test('an operator registers what the grant opens, and no foreign ref', async () => {
    await put('pay/api', 'x')
    await put('bank/api', 'x')
    const labels = { team: 'pay' }
    expect(
      (await house.register('pay-api', { ...kv('pay/api'), labels }, operator)).value.name,
    ).toBe('pay-api')
    expect(await codeOf(house.register('foreign', { ...kv('bank/api'), labels }, operator))).toBe(
      'connection.notGranted',
    )
  })

  test('a ref that climbs out of its place is malformed', async () => {
    for (const path of ['pay/../bank/api', '../sys', 'pay/./x', 'a\u0000b']) {
      const error = await refusal(
        house.register('climber', { ...kv(path), labels: { team: 'pay' } }, operator),
      )
      expect([path, error.code]).toEqual([path, 'request.invalid'])
      expect(error.places[0]?.pointer).toMatch(/^\/ref/)
    }
    const publish = [
      { name: 'out', connection: 'corp', type: 'vault.kv2.secret', ref: kv('pay/../bank/api').ref },
    ]
    const policy = { selector: { matchLabels: { team: 'pay' } }, manual: true, publish }
    expect(await codeOf(house.policy('climbing', policy, operator))).toBe('request.invalid')
  })

  test('create makes a missing object once, and adopts one that is there', async () => {
    const { value: made } = await house.register('made', { ...kv('new/secret'), create: true })
    expect((await house.versions(made.id))[0]).toMatchObject({
      providerVersions: ['1'],
      materialKnown: true,
      sealedId: null,
    })
    await put('there', 'already')
    const { value: found } = await house.register('there', { ...kv('there'), create: true })
    expect((await house.versions(found.id))[0]).toMatchObject({ providerVersions: ['1'] })
    const writes = vault
      .auditLog()
      .filter(
        ({ type, request }) =>
          type === 'request' &&
          request.operation !== 'read' &&
          request.path === 'secret/data/there',
      )
    expect(writes).toHaveLength(1)
  })

  test('the same material under two keys has one fingerprint', async () => {
    await put('twin/a', 'the very same')
    await put('twin/b', 'the very same')
    await house.register('twin-a', kv('twin/a'))
    await house.register('twin-b', kv('twin/b'))
    const found = await house.ledger.read((db) => db.versions.holding(new Secret('the very same')))
    expect(found).toHaveLength(2)
  })

  test('a version that was there before Rekey is adopted as an old one, and what readers get is not', async () => {
    await put('beside', 'first')
    await put('beside', 'second')
    const { value: key } = await house.register('beside', kv('beside'))
    const { version } = await house.adopt('beside', '1', admin)
    expect(version).toMatchObject({ version: 2, primary: false, providerVersions: ['1'] })
    expect(await house.versions(key.id)).toHaveLength(2)
    await put('replaced', 'first')
    await house.register('replaced', kv('replaced'))
    await put('replaced', 'by somebody else')
    expect(await codeOf(house.adopt('replaced', '2', admin))).toBe('key.versionInUse')
  })

  test('a transit key is registered by its name', async () => {
    await vault.api('POST', 'transit/keys/orders', { type: 'aes256-gcm96' })
    const { value: key } = await house.register('orders', {
      connection: 'corp',
      type: 'vault.transit.key',
      ref: { mount: 'transit', name: 'orders' },
      create: false,
    })
    const [version] = await house.versions(key.id)
    expect(version).toMatchObject({
      state: 'active',
      primary: true,
      materialKnown: false,
      fingerprint: null,
    })
    expect(version?.verifiedAt).not.toBeNull()
  })

  test('the inventory tells managed, unmanaged and gone', async () => {
    await put('stock/wild', 'x')
    await put('stock/lost', 'x')
    await house.register('lost', kv('stock/lost'))
    await vault.api('DELETE', 'secret/metadata/stock/lost')
    const found = await inventoryConnection(house.deps)(
      admin,
      { name: 'corp', type: 'vault.kv2.secret' },
      { limit: 200, after: null },
    )
    const state = (path: string) => found.items.find((item) => item.ref['path'] === path)?.state
    expect([state('app/db'), state('stock/wild'), state('stock/lost')]).toEqual([
      'managed',
      'unmanaged',
      'gone',
    ])
  })

  test('checks of the root token show that it may more than the least', async () => {
    const { items } = await checkConnection(house.deps)(admin, 'corp')
    expect(items.some(({ outcome }) => outcome === 'ok' || outcome === 'beyondLeast')).toBe(true)
  })

  test('a key of one vault is the credential of a connection to another', async () => {
    await put('tokens/second', vault.token)
    await house.register('second-token', { ...kv('tokens/second'), usableBy: ['second'] })
    await house.connection('second', {
      provider: 'vault',
      settings: { address: vault.address, auth: { method: 'token' } },
      credential: { from: 'key', key: 'second-token' },
    })
    const { ok } = await checkConnection(house.deps)(admin, 'second')
    expect(ok).toBe(true)
  })

  test('the token is nowhere in the database in clear', async () => {
    const rows = await house.sql(
      `SELECT string_agg(t, ' ') AS all FROM (SELECT c::text t FROM app.connection c UNION ALL SELECT body FROM audit.event) x`,
    )
    expect(String(rows[0]?.['all'])).not.toContain(vault.token)
  })
})
