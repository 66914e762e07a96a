// What somebody does in a real HashiCorp Vault beside Rekey is seen by the next look.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { keyTypes } from '#providers/registry.ts'
import { createLooks } from '#store/looks.ts'
import { makeCompareKeys } from '#usecases/compare-keys.ts'
import { peer } from '#test/support/peers.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { type House, openHouse } from '../support/house.ts'

const hour = 3_600_000

peer('vault').describe('keys of a real Vault, compared', () => {
  let house: House
  let vault: VaultPeer
  let pass: () => Promise<number>

  const put = (path: string, data: Readonly<Record<string, string>>) =>
    vault.api('PUT', `secret/data/${path}`, { data })
  const register = async (name: string, password = `of ${name}`) => {
    await put(`app/${name}`, { password })
    await house.register(name, {
      connection: 'corp',
      type: 'vault.kv2.secret',
      ref: { mount: 'secret', path: `app/${name}`, field: 'password' },
      create: false,
    })
  }
  const look = async (): Promise<void> => {
    while ((await pass()) > 0);
    await house.clock.advance(hour)
    while ((await pass()) > 0);
  }
  const driftOf = async (name: string) => (await house.key(name)).status.drift

  beforeAll(async () => {
    vault = await startVault()
    house = await openHouse()
    const { ledger, database, sessions, keyring, clock } = house
    await house.connection('corp', {
      provider: 'vault',
      settings: { address: vault.address, auth: { method: 'token' } },
      credential: { from: 'value', value: vault.token },
    })
    const looks = createLooks(database)
    const deps = { ledger, looks, sessions, types: keyTypes, keyring, clock }
    const compare = makeCompareKeys(deps, hour)
    pass = () => compare(() => false)
  })
  afterAll(async () => {
    await house.shut()
    await vault.stop()
  })

  test('a value written behind our back, an object deleted, and one made anew under the same number', async () => {
    for (const name of ['kept', 'written', 'deleted', 'anew', 'undeleted', 'beside'])
      await register(name)
    await put('app/written', { password: 'of a stranger' })
    await vault.api('DELETE', 'secret/metadata/app/deleted')
    await vault.api('DELETE', 'secret/metadata/app/anew')
    await put('app/anew', { password: 'of a stranger' })
    await vault.api('POST', 'secret/delete/app/undeleted', { versions: [1] })
    // Another field of the same secret: whoever reads the password gets what they should.
    await put('app/beside', { password: 'of beside', note: 'added' })
    await look()

    expect(await driftOf('kept')).toBeNull()
    expect(await driftOf('beside')).toBeNull()
    expect(await driftOf('written')).toMatchObject({
      state: 'adopt',
      primary: true,
      detail: 'The provider serves version 2; here it is 1.',
    })
    expect(await driftOf('deleted')).toMatchObject({
      state: 'lost',
      detail: 'The object does not exist at the provider.',
    })
    expect(await driftOf('anew')).toMatchObject({
      state: 'lost',
      detail: 'Version 1 holds another value than ours: the object was made anew.',
    })
    expect(await driftOf('undeleted')).toMatchObject({ state: 'lost', primary: true })

    // What helps, helps.
    await vault.api('POST', 'secret/undelete/app/undeleted', { versions: [1] })
    await house.deleteKey('written')
    await house.register('written', {
      connection: 'corp',
      type: 'vault.kv2.secret',
      ref: { mount: 'secret', path: 'app/written', field: 'password' },
      create: false,
    })
    await look()
    expect(await driftOf('undeleted')).toBeNull()
    expect(await driftOf('written')).toBeNull()
    const ended = await house.events({ action: 'key.driftEnded' })
    expect(ended.map(({ target }) => target.name)).toEqual(['undeleted'])
  })

  test('a transit key that Vault rotates by itself says so', async () => {
    await vault.api('POST', 'transit/keys/orders', { auto_rotate_period: '24h' })
    await house.register('orders', {
      connection: 'corp',
      type: 'vault.transit.key',
      ref: { mount: 'transit', name: 'orders' },
      create: false,
    })
    await look()
    expect(await driftOf('orders')).toBeNull()
    await vault.api('POST', 'transit/keys/orders/rotate')
    await look()
    expect(await driftOf('orders')).toMatchObject({
      state: 'adopt',
      detail: expect.stringContaining('every 86400 s'),
      facts: { successor: '2', rotatesByItself: true },
    })
    await house.putKey('orders', (body) => ({ ...body, observe: 'native' }))
    await look()
    expect(await driftOf('orders')).toBeNull()
  })
})
