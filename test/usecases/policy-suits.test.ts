// What a policy is refused for when it is written, because every rotation under it would fail.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codeOf, type House, openHouse, refusal } from '../support/house.ts'
import { vaultLike } from '../support/store-provider.ts'

let house: House

beforeAll(async () => {
  house = await openHouse({ providers: [vaultLike] })
  await house.connection('vault')
  const grants = [{ matchLabels: {}, refs: ['*'] }]
  await house.connection('stores', { provider: 'storeLike', grants })
})
afterAll(() => house.shut())

const manual = (set: string) => ({ selector: { matchLabels: { set } }, manual: true })
const out = [{ name: 'out', connection: 'stores', type: 'storeLike.secret', ref: { path: 'a' } }]

describe('a policy', () => {
  test('that publishes to a file without a connection that may write there is refused', async () => {
    const publish = [{ name: 'out', type: 'file', ref: { path: 'x' } }]
    const error = await refusal(house.policy('file', { ...manual('file'), publish }))
    expect(error).toMatchObject({ code: 'request.invalid' })
    expect(error.places).toMatchObject([
      { pointer: '/publish/0', detail: 'type file needs a connection' },
    ])
  })

  test('that publishes what never leaves its vault is refused', async () => {
    await house.register('kept', { type: 'local.key', labels: { set: 'kept' } })
    const error = await refusal(house.policy('kept', { ...manual('kept'), publish: out }))
    expect(error.code).toBe('policy.impossible')
    expect(error.places[0]?.pointer).toBe('/publish')
  })

  test('that asks a type for a check it does not know is refused', async () => {
    const asks = { selector: { type: 'storeLike.secret' }, manual: true }
    const error = await refusal(
      house.policy('login', { ...asks, verify: [{ type: 'roundTrip' }, { type: 'login' }] }),
    )
    expect(error.code).toBe('policy.impossible')
    expect(error.places[0]?.pointer).toBe('/verify/1')
  })

  test('whose webhook may not be dialled is refused', async () => {
    const verify = [{ type: 'webhook', url: 'http://169.254.169.254/latest' }]
    const error = await refusal(house.policy('metadata', { ...manual('metadata'), verify }))
    expect(error.places[0]?.pointer).toBe('/verify/0/url')
  })

  test('that publishes over a managed object is refused', async () => {
    await house.connection('other', { provider: 'storeLike' })
    const key = (await house.register('managed', { labels: { set: 'managed' } })).value
    await house.sql('BEGIN')
    await house.sql(
      `INSERT INTO audit.event (id, body, writer_kid, writer_sig)
       VALUES ($1, '{"action":"key.put","target":{"kind":"key"},"outcome":"succeeded"}', decode(repeat('00', 4), 'hex'), decode(repeat('00', 64), 'hex'))`,
      [house.ids.next()],
    )
    await house.sql(`UPDATE app.key SET object_id = 'store:taken' WHERE id = $1`, [key.id])
    await house.sql('COMMIT')
    const publish = [{ ...out[0], ref: { path: 'taken' } }]
    expect(await codeOf(house.policy('over', { ...manual('over'), publish }))).toBe(
      'key.objectTaken',
    )
  })

  test('that publishes many keys to one place says that the last one wins', async () => {
    for (const name of ['many-1', 'many-2']) await house.register(name, { labels: { set: 'many' } })
    const { value } = await house.policy('many', { ...manual('many'), publish: out })
    expect(value.warnings.join()).toContain('2 keys')
  })
})

describe('a key that a policy would select and cannot rotate', () => {
  test('is refused by its registration and by its labels, with the name of the policy', async () => {
    await house.policy('silent', {
      ...manual('silent'),
      publish: [{ ...out[0], ref: { path: 'silent' } }],
    })
    const born = await refusal(
      house.register('silent-1', { type: 'local.key', labels: { set: 'silent' } }),
    )
    expect(born.code).toBe('policy.impossible')
    expect(born.message).toContain('silent')
    expect(await house.ledger.read((db) => db.keys.byName('silent-1'))).toBeNull()
    await house.register('silent-2', { type: 'local.key' })
    const moved = house.putKey('silent-2', (body) => ({ ...body, labels: { set: 'silent' } }))
    expect((await refusal(moved)).places[0]?.pointer).toBe('/labels')
  })
})
