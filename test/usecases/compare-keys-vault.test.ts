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
    // New keys are noticed, and have their turn within the interval.
    for (const ms of [5 * 60_000, hour]) {
      await house.clock.advance(ms)
      while ((await pass()) > 0);
    }
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
    // Before it has done so once.
    expect(await driftOf('orders')).toMatchObject({
      state: 'automatic',
      detail: expect.stringContaining('every 86400 s'),
      help: expect.stringContaining('observe: native'),
    })
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

  test('a version that Vault will delete before it is rotated here', async () => {
    await vault.api('POST', 'secret/metadata/app/ending', { delete_version_after: '40h' })
    await register('ending')
    await look()
    expect(await driftOf('ending')).toMatchObject({
      state: 'expiring',
      primary: true,
      detail: expect.stringMatching(
        /^Version 1, which serves, ends at the provider at .*, and no rotation is planned\.$/,
      ),
    })
    await house.policy('in-time', {
      selector: { matchLabels: { rotated: 'hourly' } },
      schedule: { cron: '0 * * * *', timezone: 'UTC' },
      overlap: { min: '1m' },
      soak: '1m',
    })
    await house.putKey('ending', (body) => ({ ...body, labels: { rotated: 'hourly' } }))
    await look()
    expect(await driftOf('ending')).toBeNull()
  })

  test('the latest version deleted by whoever wrote it: readers get nothing, and it is lost', async () => {
    await register('emptied')
    await put('app/emptied', { password: 'of a stranger' })
    await vault.api('POST', 'secret/delete/app/emptied', { versions: [2] })
    await look()
    expect(await driftOf('emptied')).toMatchObject({
      state: 'lost',
      detail: 'Whoever reads it at the provider gets version 2, which is disabled; here it is 1.',
    })
  })

  test('the right to rotate, then to look, then the whole mount is gone', async () => {
    await vault.api('POST', 'sys/mounts/team', { type: 'kv', options: { version: '2' } })
    await vault.api('PUT', 'team/data/db', { data: { password: 'of team' } })
    const grant = (rights: string) => vault.api('PUT', 'sys/policies/acl/team', { policy: rights })
    const may = (path: string, ...capabilities: readonly string[]) =>
      `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }\n`
    const all = may('team/data/db', 'read', 'update') + may('team/metadata/db', 'read')
    await grant(all)
    const { auth } = await vault.api('POST', 'auth/token/create', { policies: ['team'] })
    await house.connection('team', {
      provider: 'vault',
      settings: { address: vault.address, auth: { method: 'token' } },
      credential: { from: 'value', value: String(auth['client_token']) },
    })
    await house.policy('team', { selector: { connection: 'team' }, manual: true, retire: 'keep' })
    await house.register('team-db', {
      connection: 'team',
      type: 'vault.kv2.secret',
      ref: { mount: 'team', path: 'db', field: 'password' },
      create: false,
    })
    await look()
    expect(await driftOf('team-db')).toBeNull()
    const told = async () =>
      (await house.events({ key: 'team-db' })).filter(({ action }) =>
        action.startsWith('key.drift'),
      )

    await grant(may('team/data/db', 'read') + may('team/metadata/db', 'read'))
    await look()
    expect(await driftOf('team-db')).toMatchObject({
      state: 'denied',
      detail: 'The connection may no longer rotate it: needs update on team/data/db.',
      help: expect.stringContaining('rekey doctor'),
    })
    await grant(may('team/data/db', 'read'))
    await look()
    // What was found stands; the look itself is refused.
    const { id } = (await house.key('team-db')).key
    const [row] = await house.deps.ledger.read((db) => db.drift.getMany([id]))
    expect(row).toMatchObject({ state: 'denied', silent: { why: expect.any(String) } })
    await grant(all)
    await look()
    expect(await driftOf('team-db')).toBeNull()
    // As many messages as keys would tell of one right.
    expect(await told()).toEqual([])

    await vault.api('DELETE', 'sys/mounts/team')
    await look()
    expect(await driftOf('team-db')).toMatchObject({
      state: 'lost',
      detail: 'The object does not exist at the provider.',
    })
    expect(await told()).toHaveLength(1)
  })
})
