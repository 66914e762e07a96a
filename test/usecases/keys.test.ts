import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeByHand } from '../support/by-hand.ts'
import {
  actorOf,
  admin,
  codeOf,
  type House,
  openHouse,
  operator,
  refusal,
  scoped,
} from '../support/house.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
  await house.connection('vault', { grants: [{ matchLabels: { team: 'pay' }, refs: ['*pay-*'] }] })
  await house.connection('open', { grants: [{ matchLabels: { env: 'test' }, refs: ['*'] }] })
})
afterAll(() => house.shut())

const payOperator = scoped({ matchLabels: { team: 'pay' } })

describe('registering', () => {
  test('create makes the object, with a verified version 1 as primary', async () => {
    const { value: key } = await house.register('made')
    const [version] = await house.versions(key.id)
    expect(version).toMatchObject({
      version: 1,
      state: 'active',
      primary: true,
      materialKnown: true,
    })
    expect(version?.verifiedAt).not.toBeNull()
    expect(version?.fingerprint).not.toBeNull()
    const actions = (await house.events({ key: 'made' })).map(
      ({ action, outcome }) => `${action} ${outcome}`,
    )
    expect(actions.toSorted()).toEqual([
      'effect.create intent',
      'effect.create succeeded',
      'key.objectCreated succeeded',
      'key.registered intent',
    ])
  })

  test('without create the object must exist', async () => {
    const error = await refusal(house.register('absent', { create: false }))
    expect(error.code).toBe('key.noObject')
    expect(error.hint).toContain('create')
    expect(await house.ledger.read((db) => db.keys.byName('absent'))).toBeNull()
  })

  test('a name is taken once, an object too', async () => {
    await house.register('one')
    expect(await codeOf(house.register('one'))).toBe('resource.exists')
  })

  test('an unknown type, ref or parameter is refused with its pointer', async () => {
    expect((await refusal(house.register('x', { type: 'local.sekret' }))).places[0]?.pointer).toBe(
      '/type',
    )
    expect((await refusal(house.register('x', { ref: { path: 'a' } }))).places[0]?.pointer).toBe(
      '/ref/path',
    )
    expect(
      (await refusal(house.register('x', { generate: { lenght: 4 } }))).places[0]?.pointer,
    ).toBe('/generate/lenght')
    expect((await refusal(house.register('x', { connection: 'nowhere' }))).code).toBe(
      'request.impossible',
    )
  })

  test('a dry run makes nothing, neither here nor at the provider', async () => {
    const { value } = await house.register('rehearsed', {}, admin, true)
    expect(value.name).toBe('rehearsed')
    expect(await house.ledger.read((db) => db.keys.byName('rehearsed'))).toBeNull()
    expect(await house.vault.list(value.id)).toEqual([])
    expect((await house.events({ action: 'request.rehearsed' })).length).toBeGreaterThan(0)
  })

  test('material under two keys has one fingerprint', async () => {
    const { value: key } = await house.register('twin-a')
    const [version] = await house.versions(key.id)
    const { value } = await house.value('twin-a', admin)
    expect(version?.fingerprint).toEqual(house.keyring.fingerprint(value))
  })
})

describe('rights', () => {
  test('without a grant registering is for admins only', async () => {
    expect(await codeOf(house.register('plain', {}, operator))).toBe('connection.notGranted')
  })

  test('a grant opens the objects of its globs to keys with its labels', async () => {
    const labels = { team: 'pay' }
    expect((await house.register('pay-api', { labels }, operator)).value.name).toBe('pay-api')
    expect(await codeOf(house.register('other', { labels }, operator))).toBe(
      'connection.notGranted',
    )
    expect(await codeOf(house.register('pay-db', { labels: { team: 'web' } }, operator))).toBe(
      'connection.notGranted',
    )
  })

  test('a scoped operator registers within the scope only', async () => {
    expect(
      (await house.register('pay-own', { labels: { team: 'pay' } }, payOperator)).value.name,
    ).toBe('pay-own')
    expect(
      await codeOf(house.register('pay-foreign', { labels: { team: 'web' } }, payOperator)),
    ).toBe('auth.denied')
    const elsewhere = scoped({ connections: ['elsewhere'] })
    expect(await codeOf(house.register('pay-x', { labels: { team: 'pay' } }, elsewhere))).toBe(
      'auth.denied',
    )
  })

  test('of a key out of scope no more is said than that its name is taken', async () => {
    await house.register('pay-taken', { labels: { team: 'web' } })
    const error = await refusal(
      house.register('pay-taken', { labels: { team: 'pay' } }, payOperator),
    )
    expect([error.code, error.hint]).toEqual(['resource.exists', undefined])
  })

  test("a scoped operator does not give a new key the label of another team's grant", async () => {
    const labels = { team: 'pay', env: 'test' }
    expect(await codeOf(house.register('thief', { connection: 'open', labels }, payOperator))).toBe(
      'auth.denied',
    )
  })

  test('a label edit into one’s own scope, or out of it, is refused', async () => {
    await house.register('web-key', { labels: { team: 'web' } })
    expect(
      await codeOf(
        house.putKey('web-key', (body) => ({ ...body, labels: { team: 'pay' } }), payOperator),
      ),
    ).toBe('resource.notFound')
    await house.register('pay-mine', { labels: { team: 'pay' } })
    expect(
      await codeOf(
        house.putKey('pay-mine', (body) => ({ ...body, labels: { team: 'web' } }), payOperator),
      ),
    ).toBe('auth.denied')
  })

  test('labels that a grant looks at, and those under rekey.dev/, are changed by an admin only', async () => {
    await house.register('pay-label', { labels: { team: 'pay', tier: '1' } })
    expect(
      await codeOf(
        house.putKey(
          'pay-label',
          (body) => ({ ...body, labels: { team: 'x', tier: '1' } }),
          operator,
        ),
      ),
    ).toBe('auth.denied')
    expect(
      await codeOf(
        house.putKey(
          'pay-label',
          (body) => ({ ...body, labels: { ...body.labels, 'rekey.dev/x': '1' } }),
          operator,
        ),
      ),
    ).toBe('auth.denied')
    const free = await house.putKey(
      'pay-label',
      (body) => ({ ...body, labels: { ...body.labels, tier: '2' } }),
      operator,
    )
    expect(free.value.resource.labels['tier']).toBe('2')
    const byAdmin = await house.putKey('pay-label', (body) => ({
      ...body,
      labels: { 'rekey.dev/x': '1' },
    }))
    expect(byAdmin.value.resource.labels).toEqual({ 'rekey.dev/x': '1' })
  })

  test('a label change that leaves the grant is refused even where labels are free', async () => {
    await house.connection('free', { grants: [{ matchLabels: { zone: 'a' }, refs: ['*'] }] })
    await house.register('zoned', { connection: 'free', labels: { zone: 'a' } }, operator)
    expect(await codeOf(house.putKey('zoned', (body) => ({ ...body, labels: {} }), operator))).toBe(
      'auth.denied',
    )
  })

  test('lists and reads know only what lies in the scope, and pages are full', async () => {
    for (const n of [1, 2, 3])
      await house.register(`pay-list-${n}`, { labels: { team: 'pay', list: 'yes' } })
    await house.register('pay-list-0', { labels: { team: 'web', list: 'yes' } })
    const first = await house.keys(payOperator, { labels: { list: 'yes' } }, 2)
    expect(first.items.map(({ key }) => key.name)).toEqual(['pay-list-1', 'pay-list-2'])
    const second = await house.keys(payOperator, { labels: { list: 'yes' } }, 2, first.next)
    expect(second.items.map(({ key }) => key.name)).toEqual(['pay-list-3'])
    expect(second.next).toBeNull()
    expect(await codeOf(house.key('pay-list-0', payOperator))).toBe('resource.notFound')
    expect(await codeOf(house.deleteKey('pay-list-0', payOperator))).toBe('resource.notFound')
    expect(await codeOf(house.adopt('pay-list-0', '1', payOperator))).toBe('resource.notFound')
  })
})

describe('changing and deleting', () => {
  test('the same put again makes no new revision; a change makes one', async () => {
    await house.register('edited')
    const same = await house.putKey('edited', (body) => body)
    const changed = await house.putKey('edited', (body) => ({ ...body, owner: 'new owner' }))
    expect([same.value.changed, same.value.resource.revision]).toEqual([false, 1])
    expect([changed.value.changed, changed.value.resource.revision]).toEqual([true, 2])
  })

  test('a dry run changes nothing', async () => {
    await house.register('dry')
    const { value } = await house.putKey('dry', (body) => ({ ...body, owner: 'x' }), admin, true)
    expect(value.resource.owner).toBe('x')
    expect((await house.key('dry')).key.owner).toBe('team')
  })

  test('connection, type and ref are fixed', async () => {
    await house.register('fixed')
    const error = await refusal(
      house.putKey('fixed', (body) => ({ ...body, connection: 'open', type: 'local.key' })),
    )
    expect(error.code).toBe('request.impossible')
    expect(error.places.map(({ pointer }) => pointer)).toEqual(['/connection', '/type'])
  })

  test('a deleted key leaves a tombstone with its history; its name is free again', async () => {
    const { value: key } = await house.register('gone')
    await house.deleteKey('gone')
    expect(await codeOf(house.key('gone'))).toBe('resource.notFound')
    expect(await house.ledger.read((db) => db.keys.byId(key.id))).toMatchObject({ name: 'gone' })
    const [version] = await house.versions(key.id)
    expect(version).toMatchObject({ state: 'active', sealedId: null })
    expect(version?.fingerprint).not.toBeNull()
    expect(await house.vault.list(key.id)).toHaveLength(1)
    const again = await house.register('gone')
    expect(again.value.id).not.toBe(key.id)
  })

  test('a key that is the credential of a connection is not deleted', async () => {
    await house.register('needed', { usableBy: ['needs-it'] })
    await house.connection('needs-it', { credential: { from: 'key', key: 'needed' } })
    expect(await codeOf(house.deleteKey('needed'))).toBe('key.busy')
  })
})

describe('adopting a version', () => {
  test('a foreign version becomes an old one, and a rotation that only retires it is open', async () => {
    const { value: key } = await house.register('adopting')
    const made = await makeByHand(house.vault, key.id, 'old')
    const adopted = await house.adopt('adopting', made)
    expect(adopted.version).toMatchObject({ version: 2, state: 'active', primary: false })
    const rotation = await house.ledger.read((db) => db.rotations.get(adopted.rotationId))
    expect(rotation).toMatchObject({ phase: 'planned', fromVersion: 2, plan: { retireOnly: true } })
    expect(house.rung).toContain(adopted.rotationId)
    expect(await codeOf(house.deleteKey('adopting'))).toBe('key.busy')
    const { status } = await house.key('adopting')
    expect(status.openRotation).toBe(adopted.rotationId)
    expect(status.why).toContain(adopted.rotationId)
  })

  test('what the provider does not have, or the key has already, is refused', async () => {
    await house.register('adopt-none')
    expect(await codeOf(house.adopt('adopt-none', '9'))).toBe('request.impossible')
    expect(await codeOf(house.adopt('adopt-none', '1'))).toBe('key.versionInUse')
  })
})

describe('using keys', () => {
  const reader = (more: object) => actorOf('reader', ['consumer'], more)

  test('a token reads the keys that it lists, and no other', async () => {
    await house.register('read-a')
    await house.register('read-b')
    const bound = reader({ keys: ['read-a'] })
    const { version, value } = await house.value('read-a', bound)
    expect(version).toBe(1)
    expect(value.reveal().length).toBeGreaterThan(10)
    expect(await codeOf(house.value('read-b', bound))).toBe('resource.notFound')
    expect(await codeOf(house.value('read-b', operator))).toBe('resource.notFound')
    const events = await house.events({ action: 'key.valueRead' })
    expect(events.filter(({ target }) => target.name === 'read-a')).toHaveLength(1)
    expect(events.filter(({ target }) => target.name === 'read-b')).toHaveLength(0)
  })

  test('reading a value is a use of the version, and Rekey’s own looks are none', async () => {
    const { value: key } = await house.register('in-use')
    const [row] = await house.vault.list(key.id)
    expect(row?.lastUsedAt).toBeNull()
    await house.value('in-use', reader({ keys: ['in-use'] }))
    const [used] = await house.vault.list(key.id)
    expect(used?.lastUsedAt).not.toBeNull()
  })

  test('a token bound to a consumer reads what that consumer uses: named on the key, by itself, or by labels and policy', async () => {
    await house.register('by-name', { consumers: ['shop'] })
    await house.register('by-self')
    await house.register('by-label', { labels: { app: 'by-label' } })
    await house.policy('by-label', {
      selector: { matchLabels: { app: 'by-label' } },
      manual: true,
      consumers: { matchLabels: { uses: 'by-label' } },
    })
    await house.consumer('shop', { keys: ['by-self'], labels: { uses: 'by-label' } })
    for (const name of ['by-name', 'by-self', 'by-label']) {
      expect((await house.value(name, reader({ consumer: 'shop' }))).version).toBe(1)
      expect(await codeOf(house.value(name, reader({ consumer: 'bank' })))).toBe(
        'resource.notFound',
      )
    }
  })

  test('only active versions are read', async () => {
    const { value: key } = await house.register('retired')
    await house.adopt('retired', await makeByHand(house.vault, key.id, 'old'))
    expect((await house.value('retired', admin, 2)).version).toBe(2)
    const old = (await house.versions(key.id)).find(({ version }) => version === 2)
    await house.ledger.commit(admin, async (tx) => {
      if (old)
        await tx.writeVersion.update(
          { ...old, state: 'suspended', suspendedAt: await tx.now() },
          'active',
        )
      return {
        value: null,
        audit: [
          { action: 'key.put', target: { id: key.id, name: key.name }, outcome: 'succeeded' },
        ],
      }
    })
    expect(await codeOf(house.value('retired', admin, 2))).toBe('key.versionUnusable')
    expect(await codeOf(house.value('retired', admin, 9))).toBe('resource.notFound')
  })

  test('signatures, encryptions and decryptions are made, counted, and do not flood the log', async () => {
    await house.register('aes', { type: 'local.key', generate: { algorithm: 'aes256' } })
    const user = reader({ keys: ['aes'] })
    const input = new TextEncoder().encode('plain text')
    const sealed = await house.operate(user, { name: 'aes', operation: 'encrypt', input })
    const opened = await house.operate(user, {
      name: 'aes',
      operation: 'decrypt',
      input: sealed.output,
    })
    expect(new TextDecoder().decode(opened.output)).toBe('plain text')
    for (let n = 0; n < 30; n += 1)
      await house.operate(user, { name: 'aes', operation: 'encrypt', input })
    const used = async () =>
      (await house.events({ action: 'key.used' })).filter(({ target }) => target.name === 'aes')
    expect(await used()).toHaveLength(2)
    await house.clock.advance(61_000)
    await house.operate(user, { name: 'aes', operation: 'encrypt', input })
    const events = await used()
    expect(events).toHaveLength(3)
    expect(events[0]?.after).toMatchObject({ operation: 'encrypt', uses: 31 })
    expect(JSON.stringify(events)).not.toContain('plain')
  })

  test('an operation that the type does not have is refused; so is a key that one is not bound to', async () => {
    await house.register('no-signing')
    const input = new Uint8Array([1])
    expect(
      await codeOf(house.operate(admin, { name: 'no-signing', operation: 'sign', input })),
    ).toBe('request.impossible')
    expect(
      await codeOf(
        house.operate(reader({ keys: [] }), { name: 'aes', operation: 'encrypt', input }),
      ),
    ).toBe('resource.notFound')
  })

  test('material that stays in the vault is not delivered', async () => {
    await house.register('stays', { type: 'local.key' })
    expect(await codeOf(house.value('stays', admin))).toBe('key.notDeliverable')
  })
})
