// Keys and their provider are compared for ever: somebody rotates, deletes and writes there too.

import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import type { AuditBody } from '#domain/audit.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import { ProviderError, type Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { keyTypes } from '#providers/registry.ts'
import { createInstallationReader } from '#store/installation.ts'
import { createLooks } from '#store/looks.ts'
import { makeCompareKeys } from '#usecases/compare-keys.ts'
import { deleteKey } from '#usecases/delete-key.ts'
import { getKey, listKeys } from '#usecases/list-keys.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { goBack } from '#test/support/recovery.ts'

const hour = 3_600_000
const minute = 60_000

let engine: Engine
/** Names of keys in the order in which their provider was asked. */
let asked: string[]
/** What happens where a provider is asked. */
let meanwhile: (name: string) => Promise<void>
/** What a provider says to whoever reads a value. */
let refused: ProviderError | null
/** The provider refuses a new version, and to take it away again. */
let stuck: boolean
beforeEach(async () => {
  asked = []
  meanwhile = async () => {}
  refused = null
  stuck = false
  engine = await openEngine({ wrap: listening })
})
afterEach(() => engine.close())

const listening = (session: Session): Session => ({
  ...session,
  describe: async (object, call) => {
    asked.push(object.keyName)
    await meanwhile(object.keyName)
    return session.describe(object, call)
  },
  readMaterial: async (object, version, call) => {
    if (refused) throw refused
    return session.readMaterial(object, version, call)
  },
  verify: async (order, call) =>
    stuck && order.providerVersion === '2'
      ? { ok: false, detail: 'it does not work', facts: {} }
      : session.verify(order, call),
  retire: async (...args) => {
    if (stuck) throw new ProviderError('forbidden', 'none', 'not allowed')
    return session.retire(...args)
  },
})

const worker = (everyMs = hour) => {
  const { ledger, database, keyring, clock, deps } = engine
  const { sessions } = deps.world
  const looks = createLooks(database)
  const pass = makeCompareKeys(
    { ledger, looks, sessions, types: keyTypes, keyring, clock },
    everyMs,
  )
  return async (stopping = () => false): Promise<number> => {
    let sum = 0
    for (let n = await pass(stopping); n > 0; n = await pass(stopping)) sum += n
    return sum
  }
}

/** An interval later; new keys were noticed at its beginning. */
const nextInterval = async (look: () => Promise<number>): Promise<number> => {
  await look()
  await engine.clock.advance(hour)
  return look()
}

const status = async (name: string) =>
  (await getKey({ ledger: engine.ledger, clock: engine.clock })(admin, name)).status

const news = async (): Promise<readonly AuditBody[]> => {
  const { items } = await engine.ledger.read((db) => db.audit.list({}, { limit: 200, after: null }))
  return items
    .map(({ body }) => body)
    .filter(({ action }) => action === 'key.drifted' || action === 'key.driftEnded')
    .toReversed()
}

const insert = (key: Key, operationId: string) =>
  engine.vault.insert({
    object: key.id,
    operationId,
    algorithm: 'secret',
    material: new Secret(new TextEncoder().encode(`of a stranger ${operationId}`)),
    publicKey: null,
  })

test('each key is asked about once an interval, whatever number of workers there are', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) await engine.key(name)
  const [one, other] = [worker(), worker()]
  await Promise.all([one(), other()])
  const before = asked.length
  await engine.clock.advance(hour)
  await Promise.all([one(), other(), one(), other()])
  expect(asked.slice(before).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e'])
  await engine.clock.advance(hour / 2)
  await one()
  expect(asked).toHaveLength(before + 5)
  await engine.clock.advance(hour / 2)
  await one()
  expect(asked).toHaveLength(before + 10)
  expect(await news()).toEqual([])
  expect((await status('a')).drift).toBeNull()
})

test('another version that serves is told once, shown everywhere, and its end is told once', async () => {
  const key = await engine.key('orders')
  const look = worker()
  await nextInterval(look)
  await insert(key, 'x')
  await engine.vault.move(key.id, 1, 2)
  for (let n = 0; n < 3; n++) await nextInterval(look)

  expect((await news()).map(({ action, outcome }) => [action, outcome])).toEqual([
    ['key.drifted', 'failed'],
  ])
  expect((await news())[0]).toMatchObject({
    target: { name: 'orders' },
    reason: 'The provider serves version 2; here it is 1.',
    after: { state: 'adopt', primary: true, owner: 'team', facts: { successor: '2' } },
  })
  const seen = await status('orders')
  expect(seen.drift).toMatchObject({
    state: 'adopt',
    primary: true,
    help: expect.stringContaining('register it again'),
  })
  expect(seen.why).toContain(
    'It is not what it was at its provider: The provider serves version 2; here it is 1.',
  )
  await engine.key('other')
  const list = listKeys({ ledger: engine.ledger, clock: engine.clock })
  const names = async (drifted: boolean) =>
    (await list(admin, { drifted }, { limit: 10, after: null })).items.map((one) => one.key.name)
  expect([await names(true), await names(false)]).toEqual([['orders'], ['other']])
  const counted = async () =>
    (await createInstallationReader(engine.database, 'a').look())
      .filter(({ name, value }) => name === 'rekey_keys_drifted' && value > 0)
      .map(({ labels, value }) => [labels, value])
  expect(await counted()).toEqual([[{ state: 'adopt' }, 1]])

  await engine.vault.move(key.id, 2, 1)
  await engine.vault.setState(key.id, 2, 'destroyed')
  // Whoever mends it is not kept waiting for an hour.
  await engine.clock.advance(5 * minute)
  await look()
  await nextInterval(look)
  expect((await news()).map(({ action }) => action)).toEqual(['key.drifted', 'key.driftEnded'])
  expect((await status('orders')).drift).toBeNull()
  expect(await counted()).toEqual([])
})

test('what serves and was switched off is lost; what nobody knows and nobody is served by is an orphan', async () => {
  await engine.policy('all')
  const [off, beside] = [await engine.key('off'), await engine.key('beside')]
  const look = worker()
  await nextInterval(look)
  await engine.vault.setState(off.id, 1, 'disabled')
  await insert(beside, 'x')
  await nextInterval(look)
  expect((await status('off')).drift).toMatchObject({ state: 'lost', primary: true })
  const orphan = await status('beside')
  expect(orphan.drift).toMatchObject({
    state: 'orphan',
    primary: false,
    facts: { unknown: [{ id: '2', state: 'enabled' }] },
    help: expect.stringContaining('rekey adopt key/beside VERSION'),
  })
  // It is no reason of anybody's who is served.
  expect(orphan.why).not.toContain('at its provider')
  // What the help says, helps.
  await engine.until(await engine.retire('beside', '2'), ['completed'])
  await engine.clock.advance(5 * minute)
  await nextInterval(look)
  expect((await status('beside')).drift).toBeNull()
})

test('a version that a rotation made and left behind is an orphan of ours, which adopting cleans up', async () => {
  await engine.policy('all', { retire: 'destroy', overlap: { min: '10m' } })
  const key = await engine.key('orders')
  const look = worker()
  await nextInterval(look)
  stuck = true
  const id = await engine.rotate('orders')
  await engine.until(id, ['stalled'])
  await engine.steer.abandon(admin, id, { reason: 'a test' })
  stuck = false
  await nextInterval(look)
  expect((await status('orders')).drift).toMatchObject({
    state: 'orphan',
    primary: false,
    detail:
      'The provider has version 2, which a rotation made and was given up: nobody is handed it.',
    facts: { ours: ['2'] },
    help: expect.stringContaining('rekey adopt key/orders VERSION'),
  })
  // Also what is cleaned up waits for its gates.
  const cleaning = await engine.retire('orders', '2')
  expect((await engine.until(cleaning, ['overlapping'])).fromVersion).toBe(2)
  expect((await engine.until(cleaning, ['completed'], 2 * hour, minute)).reason).toContain('retire')
  expect((await engine.versions(key.id)).map(({ state, primary }) => [state, primary])).toEqual([
    ['active', true],
    ['destroyed', false],
  ])
  await engine.clock.advance(5 * minute)
  await nextInterval(look)
  expect((await status('orders')).drift).toBeNull()
})

test('a pointer that somebody moved back is seen', async () => {
  await engine.policy('all', { retire: 'keep' })
  const key = await engine.key('orders')
  const look = worker()
  await engine.until(await engine.rotate('orders'), ['completed'])
  await nextInterval(look)
  expect((await status('orders')).drift).toBeNull()
  await engine.vault.move(key.id, 2, 1)
  await nextInterval(look)
  expect((await status('orders')).drift).toMatchObject({
    state: 'adopt',
    primary: true,
    detail: expect.stringContaining('serves version 1, which is version 1 of the key'),
  })
})

test('a key that rotates is left to its rotation, also when that begins between question and answer', async () => {
  await engine.policy('all', { overlap: { min: '1d' } })
  const key = await engine.key('orders')
  await engine.key('quiet')
  const look = worker()
  await nextInterval(look)
  asked = []
  let begun = ''
  await insert(key, 'x')
  await engine.vault.move(key.id, 1, 2)
  meanwhile = async (name) => {
    if (name === 'orders' && begun === '') begun = await engine.rotate('orders')
  }
  await nextInterval(look)
  expect(begun).not.toBe('')
  expect(asked).toContain('quiet')
  expect(await news()).toEqual([])
  asked = []
  await nextInterval(look)
  expect(asked).toEqual(['quiet'])
})

test('what was found before a rotation does not stand through its overlap', async () => {
  await engine.policy('all', { overlap: { min: '1d' } })
  const key = await engine.key('orders')
  await engine.key('silent')
  const look = worker()
  await nextInterval(look)
  await insert(key, 'x')
  meanwhile = async (name) => {
    if (name === 'silent') throw new ProviderError('forbidden', 'none', 'the provider answered 403')
  }
  await nextInterval(look)
  expect((await status('orders')).drift).toMatchObject({ state: 'orphan' })
  expect((await status('silent')).drift).toMatchObject({ state: 'unreachable' })
  await engine.until(await engine.retire('orders', '2'), ['overlapping'])
  await engine.rotate('silent')
  await engine.clock.advance(5 * minute)
  await look()
  expect([(await status('orders')).drift, (await status('silent')).drift]).toEqual([null, null])
  expect(await news()).toMatchObject([
    { action: 'key.drifted', after: { state: 'orphan' } },
    { action: 'key.driftEnded', after: { state: 'pending' } },
  ])
  await nextInterval(look)
  expect(await news()).toHaveLength(2)
})

test.each(['transient', 'auth'] as const)(
  'no answer (%s) is no finding: what was found stands, nobody is told, the connection is left alone',
  async (kind) => {
    const key = await engine.key('orders')
    for (const name of ['b', 'c']) await engine.key(name)
    const look = worker()
    await nextInterval(look)
    await engine.vault.setState(key.id, 1, 'disabled')
    await nextInterval(look)
    asked = []
    meanwhile = () => Promise.reject(new ProviderError(kind, 'none', 'the provider answered 503'))
    await nextInterval(look)
    // Two at once may be under way; the others are not tried.
    expect(asked.length).toBeLessThanOrEqual(2)
    expect((await status('orders')).drift).toMatchObject({ state: 'lost' })
    expect((await status('b')).drift).toMatchObject({
      state: 'unreachable',
      detail: 'The provider could not be asked: the provider answered 503.',
      help: expect.stringContaining('rekey doctor'),
    })
    expect(await news()).toHaveLength(1)
    meanwhile = async () => {}
    // After a refused login one key is tried first.
    for (let n = 0; n < 2; n++) {
      await engine.clock.advance(5 * minute)
      await look()
    }
    expect((await status('b')).drift).toBeNull()
    expect(await news()).toHaveLength(1)
    expect(await engine.database.client.refusedLogin.count()).toBe(0)
  },
)

test('a refused login is tried less and less often by all workers together, and at once with a new credential', async () => {
  for (let n = 0; n < 10; n++) await engine.key(`k${n}`)
  const [one, other] = [worker(), worker()]
  await nextInterval(one)
  await other()
  meanwhile = () => Promise.reject(new ProviderError('auth', 'none', 'the login was refused'))
  asked = []
  const minutes = async (count: number): Promise<number> => {
    const before = asked.length
    for (let n = 0; n < count; n++) {
      await engine.clock.advance(minute)
      await one()
      await other()
    }
    return asked.length - before
  }
  while (asked.length === 0) await minutes(1)
  // A vault locks an account after five of them in a quarter of an hour.
  expect(asked.length + (await minutes(14))).toBeLessThan(5)
  await minutes(30)
  expect(await minutes(60)).toBe(1)
  expect((await status('k3')).drift?.detail).toContain('the login was refused')
  const { ledger } = engine
  const connection = await ledger.read((db) => db.connections.get('vault'))
  if (!connection) throw new Error('there is no connection')
  await ledger.commit(systemActor('worker', 'test'), async (tx) => {
    await tx.writeConnection.update(
      { ...connection, revision: connection.revision + 1 },
      connection.revision,
    )
    const target = { id: 'vault', name: 'vault' }
    return { value: null, audit: [{ action: 'connection.put', target, outcome: 'succeeded' }] }
  })
  meanwhile = async () => {}
  await minutes(6)
  expect((await status('k3')).drift).toBeNull()
})

test('what a worker took and did not finish is due again when its claim is over', async () => {
  await engine.key('orders')
  const looks = createLooks(engine.database)
  await looks.enrol(null, 10, hour)
  await engine.clock.advance(hour)
  // It dies here.
  expect(await looks.claim(10, 5 * minute)).toHaveLength(1)
  asked = []
  const look = worker()
  await look()
  expect(asked).toEqual([])
  await engine.clock.advance(5 * minute)
  await look()
  expect(asked).toEqual(['orders'])
})

test('a value that may not be read is not called the same; a login refused there is a refused login', async () => {
  const key = await engine.key('orders')
  const look = worker()
  refused = new ProviderError('forbidden', 'none', 'the token may not read it')
  await nextInterval(look)
  const row = async () => (await engine.ledger.read((db) => db.drift.getMany([key.id])))[0]
  expect(await row()).toMatchObject({
    state: 'equal',
    detail:
      'The versions are as known here; whether the value is could not be compared: the token may not read it.',
    silent: null,
  })
  refused = new ProviderError('auth', 'none', 'the login was refused')
  await nextInterval(look)
  expect((await status('orders')).drift).toMatchObject({ state: 'unreachable' })
  expect(await engine.database.client.refusedLogin.count()).toBe(1)
  refused = null
  await nextInterval(look)
  expect((await row())?.detail).toBe('What is known here is so at the provider.')
})

test('a worker that is stopping asks about no further key; what it took is due again when its claim is over', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) await engine.key(name)
  const look = worker()
  await look()
  await engine.clock.advance(hour)
  asked = []
  let stopping = false
  meanwhile = async () => {
    stopping = true
  }
  await look(() => stopping)
  // Two were under way.
  expect(asked.length).toBeLessThanOrEqual(2)
  const first = [...asked]
  await engine.clock.advance(5 * minute)
  await look()
  expect(asked.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(first.length).toBeGreaterThan(0)
})

test('a slow provider is spared, and its keys are not called unreachable: nobody asked about them', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) await engine.key(name)
  const look = worker()
  await look()
  await engine.clock.advance(hour)
  asked = []
  meanwhile = async () => {
    await engine.clock.advance(6_000)
  }
  await look()
  expect(asked.length).toBeLessThan(5)
  for (const name of ['a', 'b', 'c', 'd', 'e']) expect((await status(name)).drift).toBeNull()
  meanwhile = async () => {}
  await engine.clock.advance(5 * minute)
  await look()
  expect(new Set(asked)).toEqual(new Set(['a', 'b', 'c', 'd', 'e']))
})

test('that our own database is away is no silence of the provider', async () => {
  await engine.key('orders')
  const look = worker()
  await look()
  await engine.clock.advance(hour)
  meanwhile = () => Promise.reject(new RekeyError('service.unavailable'))
  await expect(look()).rejects.toMatchObject({ code: 'service.unavailable' })
  expect((await status('orders')).drift).toBeNull()
})

test('new keys begin some at a time, spread over the interval; a deleted one is forgotten', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) await engine.key(name)
  const looks = createLooks(engine.database)
  const rows = async () =>
    Number((await engine.sql('SELECT count(*) AS n FROM app.drift'))[0]?.['n'])
  const begun: number[] = []
  for (let last: string | null = null, n = 0; n < 4; n++) {
    last = await looks.enrol(last, 2, hour)
    begun.push(await rows())
    if (n === 3) expect(last).toBeNull()
  }
  expect(begun).toEqual([2, 4, 5, 5])
  // Once more from the beginning: nobody begins twice.
  await looks.enrol(null, 10, hour)
  expect(await rows()).toBe(5)
  const places = async () =>
    (await engine.sql('SELECT look_at > app.now() AS later, look_at FROM app.drift')).map(
      ({ later, look_at: at }) => [later, String(at)],
    )
  expect(new Set((await places()).map(([, at]) => at)).size).toBe(5)
  expect((await places()).every(([later]) => later)).toBe(true)
  const precondition = { match: 'any' as const, absent: false }
  await deleteKey({ ledger: engine.ledger })(admin, { name: 'a', precondition })
  await engine.clock.advance(hour)
  await worker()()
  expect(await places()).toHaveLength(4)
})

test('what is seen once and not again is not told', async () => {
  const key = await engine.key('orders')
  const look = worker()
  await nextInterval(look)
  let times = 0
  meanwhile = async () => {
    times += 1
    await engine.vault.setState(key.id, 1, times === 1 ? 'disabled' : 'enabled')
  }
  await nextInterval(look)
  expect(times).toBe(2)
  expect(await news()).toEqual([])
})

test('what was there when the key was registered is no news', async () => {
  const first = await engine.key('orders')
  await insert(first, 'early')
  const look = worker()
  await nextInterval(look)
  expect((await status('orders')).drift).toBeNull()
})

test('what nobody looks at any more is not counted: in recovery mode, and where comparing was switched off', async () => {
  const key = await engine.key('orders')
  const look = worker()
  await nextInterval(look)
  await engine.vault.setState(key.id, 1, 'disabled')
  await nextInterval(look)
  await engine.clock.advance(2 * hour)
  const counted = async () =>
    (await createInstallationReader(engine.database, 'a').look())
      .filter(({ name, value }) => value > 0 && /drifted|comparison/.test(name))
      .map(({ name }) => name)
  expect(await counted()).toEqual(['rekey_keys_drifted', 'rekey_comparison_lag_seconds'])
  await goBack(engine)
  expect(await counted()).toEqual([])
  await engine.sql(`BEGIN; ALTER EVENT TRIGGER rekey_guard DISABLE; ALTER TABLE app.recovery DISABLE TRIGGER must_be_audited;
    UPDATE app.recovery SET ended_at = app.now(); COMMIT`)
  expect(await counted()).toHaveLength(2)
  await worker(0)()
  expect(await counted()).toEqual([])
  expect((await status('orders')).drift).toBeNull()
})

test('0s asks nobody; nor does anybody in recovery mode', async () => {
  await engine.key('orders')
  asked = []
  await nextInterval(worker(0))
  const look = worker()
  await look()
  await goBack(engine)
  await engine.clock.advance(hour)
  expect(await look()).toBe(0)
  expect(asked).toEqual([])
})

const native = async (name: string) => {
  await engine.policy(name, { selector: { matchLabels: { set: name } }, maxAge: '30d' })
  return engine.key(name, { labels: { set: name }, observe: 'native' })
}
const versionsOf = async (key: Key) =>
  (await engine.versions(key.id)).map(({ version, state, primary, providerVersions }) => ({
    version,
    state,
    primary,
    at: providerVersions.join(),
  }))
const followed = async () =>
  (await engine.ledger.read((db) => db.audit.list({}, { limit: 200, after: null }))).items
    .map(({ body }) => body)
    .filter(({ action }) => action === 'key.rotatedNatively')

test('what a provider rotates by itself is proven and followed, where the key says that it does', async () => {
  const key = await native('by-itself')
  const look = worker()
  await nextInterval(look)
  expect(await versionsOf(key)).toEqual([{ version: 1, state: 'active', primary: true, at: '1' }])
  // Nothing is planned for it, and it grows old all the same.
  await engine.clock.advance(31 * 24 * hour)
  await engine.plan()
  const rotations = () =>
    engine.ledger.read((db) => db.rotations.list({ keyId: key.id }, { limit: 10, after: null }))
  expect((await rotations()).items).toEqual([])
  const scheduleOf = () => engine.ledger.read((db) => db.schedule.get(key.id))
  expect((await scheduleOf())?.overdueSince).not.toBeNull()
  await expect(engine.rotate('by-itself')).rejects.toMatchObject({ code: 'key.observed' })

  // Twice between two looks: the one that came and went is known too.
  await insert(key, 'x')
  await engine.clock.advance(minute)
  await insert(key, 'y')
  await engine.vault.move(key.id, 1, 3)
  await nextInterval(look)
  expect(await versionsOf(key)).toEqual([
    { version: 1, state: 'deactivated', primary: false, at: '1' },
    { version: 2, state: 'deactivated', primary: false, at: '2' },
    { version: 3, state: 'active', primary: true, at: '3' },
  ])
  const [event, ...others] = await followed()
  expect(others).toEqual([])
  expect(event).toMatchObject({
    outcome: 'succeeded',
    before: { version: 1, providerVersion: '1' },
    after: { version: 3, providerVersion: '3', between: ['2'], verified: true, owner: 'team' },
  })
  expect(await scheduleOf()).toMatchObject({ overdueSince: null, dueAt: null })
  expect((await status('by-itself')).drift).toBeNull()
  for (let n = 0; n < 3; n++) await nextInterval(look)
  expect(await followed()).toHaveLength(1)
  expect(await news()).toEqual([])
})

test('a native successor that does not work is told, and nothing moves until it does', async () => {
  const key = await native('broken')
  const look = worker()
  await nextInterval(look)
  stuck = true
  await insert(key, 'x')
  await engine.vault.move(key.id, 1, 2)
  for (let n = 0; n < 2; n++) await nextInterval(look)
  expect(await news()).toMatchObject([
    { action: 'key.drifted', reason: expect.stringMatching(/serves version 2.*does not work/) },
  ])
  expect(await versionsOf(key)).toEqual([{ version: 1, state: 'active', primary: true, at: '1' }])
  stuck = false
  await nextInterval(look)
  expect((await news()).map(({ action }) => action)).toEqual(['key.drifted', 'key.driftEnded'])
  expect(await versionsOf(key)).toMatchObject([{ primary: false }, { primary: true, at: '2' }])
})

test('a native successor is recorded once, however many look, and not while the key moves', async () => {
  const key = await native('races')
  const look = worker()
  await nextInterval(look)
  await insert(key, 'x')
  await engine.vault.move(key.id, 1, 2)
  await engine.clock.advance(hour)
  await Promise.all([look(), worker()(), worker()()])
  expect(await followed()).toHaveLength(1)
  expect((await versionsOf(key)).filter(({ primary }) => primary)).toHaveLength(1)
})
