// `postgres.user` through the API: real users of a real PostgreSQL, with a user of Rekey's that may do no more than it must.

import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Phase } from '#domain/rotation-machine.ts'
import { findPlanted, tablesOf } from '#test/support/planted.ts'
import { openPostgresStage } from '#test/support/postgres-stage.ts'

type Stage = Awaited<ReturnType<typeof openPostgresStage>>
let stage: Stage
beforeAll(async () => {
  stage = await openPostgresStage()
})
afterAll(() => stage?.close())

/** NOLOGIN, whatever the password; and a wrong password. */
const mayNot = '28000'
const wrong = '28P01'

/** State, whether it is handed out, and the user of each version. */
const versions = async (key: string) => {
  const { json } = await stage.api.call('GET', `/v1/keys/${key}/versions`)
  return json.items.map(
    (version: { state: string; primary: boolean; providerVersions: readonly string[] }) => [
      version.state,
      version.primary,
      version.providerVersions.map((id) => id.replace(/#.*$/, '').slice(-2)).join(),
    ],
  )
}
const ended = async (key: string, spec: 'end' = 'end') =>
  (await stage.until(await stage.rotate(key), spec)).phase

test('a rotation by hand: the other user gets the new password, the old one is refused and its sessions end', async () => {
  const { users, password } = await stage.pair('orders')
  const [a, b] = users
  const consumer = await stage.peer.session(a, password)
  const over = new Promise<void>((done) => consumer.on('end', done))
  expect(await ended('orders')).toBe('completed')

  const second = await stage.value('orders')
  expect(second).toEqual({
    engine: 'postgres',
    host: '127.0.0.1',
    port: stage.proxy.port,
    dbname: 'postgres',
    username: b,
    password: expect.stringMatching(/^[\w-]{40}$/),
  })
  expect(await stage.peer.tryLogin(b, second.password)).toBeNull()
  expect(await stage.peer.tryLogin(a, password)).toBe(mayNot)
  await over
  expect(await versions('orders')).toEqual([
    ['deactivated', false, '_a'],
    ['active', true, '_b'],
  ])

  // And back again: the first user comes to life with another password.
  expect(await ended('orders')).toBe('completed')
  const third = await stage.value('orders')
  expect(third.username).toBe(a)
  expect(await stage.peer.tryLogin(a, third.password)).toBeNull()
  expect(await stage.peer.tryLogin(a, password)).toBe(wrong)
  expect(await stage.peer.tryLogin(b, second.password)).toBe(mayNot)
  expect((await versions('orders')).slice(1)).toEqual([
    ['deactivated', false, '_b'],
    ['active', true, '_a'],
  ])
})

test('a scheduled rotation, with the retirement that destroys: no password opens the old user', async () => {
  const { users, password } = await stage.pair('nightly', {
    manual: false,
    maxAge: '10d',
    retire: 'destroy',
  })
  await stage.house.clock.advance(10 * 86_400_000)
  await stage.drain()
  const { json } = await stage.api.call('GET', '/v1/rotations?key=nightly')
  const rotation = await stage.until(json.items[0].id, 'end')
  expect([rotation.phase, rotation.trigger]).toEqual(['completed', 'maxAge'])
  expect(await versions('nightly')).toEqual([
    ['destroyed', false, '_a'],
    ['active', true, '_b'],
  ])
  await stage.peer.sql(`ALTER ROLE ${stage.peer.id(users[0])} LOGIN`)
  expect(await stage.peer.tryLogin(users[0], password)).toBe(wrong)
})

test('retire: keep leaves the old user as it is until it gets the next password but one', async () => {
  const { users, password } = await stage.pair('kept', { retire: 'keep' })
  expect(await ended('kept')).toBe('completed')
  const second = await stage.value('kept')
  expect(await stage.peer.tryLogin(users[0], password)).toBeNull()
  expect(await ended('kept')).toBe('completed')
  expect(await stage.peer.tryLogin(users[0], password)).toBe(wrong)
  expect(await stage.peer.tryLogin(users[1], second.password)).toBeNull()
})

describe('undone in each phase: who is in use never notices, and the standby is as nobody’s', () => {
  const inCall: readonly [Phase, Parameters<Stage['meet']>[0]][] = [
    ['minting', 'mint'],
    ['verifying', 'verify'],
    ['distributing', 'create'],
    ['suspending', 'suspend'],
  ]
  const publish = (name: string) => [
    { name: 'app', connection: 'shelf', type: 'shelf.value', ref: { path: name } },
  ]
  const rolledBack = async (name: string, pair: { users: readonly string[]; password: string }) => {
    const [a = '', b = ''] = pair.users
    expect(await stage.peer.tryLogin(a, pair.password)).toBeNull()
    const [standby] = await stage.peer.sql<{ rolcanlogin: boolean }>(
      'SELECT rolcanlogin FROM pg_roles WHERE rolname = $1',
      [b],
    )
    expect(standby).toEqual({ rolcanlogin: false })
    expect((await versions(name))[0]).toEqual(['active', true, '_a'])
    for (const row of stage.shelf.rows(name)) expect(row.state).toBe('destroyed')
  }

  test.for(inCall)('%s, with the request under way', async ([phase, method]) => {
    const name = `undo-${phase}`
    const pair = await stage.pair(name, phase === 'distributing' ? { publish: publish(name) } : {})
    const id = await stage.rotate(name)
    let seen: Phase | null = null
    const meeting = async (go: () => Promise<unknown>) => {
      seen = (await stage.rotation(id)).phase
      await stage.rollback(id)
      return go()
    }
    // The first use is that of the present version, in preflight.
    if (method === 'verify')
      stage.meet('mint', (go) => {
        stage.meet(method, meeting)
        return go()
      })
    else stage.meet(method, meeting)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    expect(seen).toBe(phase)
    await rolledBack(name, pair)
    if (phase !== 'minting') return
    // And the next one goes well.
    expect(await ended(name)).toBe('completed')
    expect((await stage.value(name)).username).toBe(pair.users[1])
  })

  test.each(['overlapping', 'soaking'] as const)('%s', async (phase) => {
    const name = `undo-${phase}`
    const wait = phase === 'overlapping' ? { overlap: { min: '1h' } } : { soak: '1h' }
    const pair = await stage.pair(name, { ...wait, publish: publish(name) })
    const id = await stage.rotate(name)
    await stage.until(id, [phase])
    const both = [pair.password, (await stage.value(name)).password]
    const allowed = await Promise.all(
      pair.users.map((u, i) => stage.peer.tryLogin(u, both[i] ?? '')),
    )
    expect(allowed).toEqual(phase === 'overlapping' ? [null, null] : [mayNot, null])
    await stage.rollback(id)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    await rolledBack(name, pair)
  })
})

test('what is published names the user with its password, and each rotation the other one', async () => {
  const target = { name: 'app', connection: 'shelf', type: 'shelf.value', ref: { path: 'told' } }
  const { users } = await stage.pair('told', { publish: [target] })
  for (const user of users.toReversed()) {
    expect(await ended('told')).toBe('completed')
    const told = JSON.parse(stage.shelf.rows('told').at(-1)?.value ?? '{}')
    expect(told).toEqual(await stage.value('told'))
    expect(told.username).toBe(user)
    expect(await stage.peer.tryLogin(told.username, told.password)).toBeNull()
  }
})

describe('when a worker dies', () => {
  /** A worker that never comes back from a call; what it was about to do is let go later. */
  const dead = (effectFirst: boolean) => {
    let late = (): void => undefined
    let hangs = (): void => undefined
    const hanging = new Promise<void>((done) => (hangs = done))
    stage.meet('mint', async (go) => {
      if (effectFirst) await go()
      hangs()
      await new Promise<void>((done) => (late = done))
      return effectFirst ? undefined : go()
    })
    return { late: () => late(), hanging }
  }

  test.each([true, false])(
    'at the mint, effect done: %s: one new password comes of it',
    async (effectFirst) => {
      const name = `dead-${effectFirst}`
      const { users, password } = await stage.pair(name)
      const id = await stage.rotate(name)
      const { late, hanging } = dead(effectFirst)
      const dying = stage.worker('dies')
      const hung = (async () => {
        for (let n = 0; n < 20; n++) await dying(id)
      })()
      await hanging
      await stage.house.clock.advance(60_000)
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      const held = await stage.value(name)
      late()
      await hung.catch(() => undefined)
      expect(held.username).toBe(users[1])
      expect(await stage.peer.tryLogin(users[1], held.password)).toBeNull()
      expect(await stage.peer.tryLogin(users[0], password)).toBe(mayNot)
      const intents = await stage.house.ledger.read((db) => db.intents.of(id))
      const mints = intents.filter(({ effect }) => effect === 'mint').map(({ outcome }) => outcome)
      expect(mints).toEqual(effectFirst ? ['succeeded'] : ['failed', 'succeeded'])
    },
  )
})

test('a password that somebody else set for the user in use stops the rotation, and stays', async () => {
  const { users } = await stage.pair('foreign')
  expect(await ended('foreign')).toBe('completed')
  const theirs = stage.peer.newPassword()
  await stage.peer.sql(`ALTER ROLE ${stage.peer.id(users[1])} PASSWORD '${theirs}'`)
  const rotation = await stage.until(await stage.rotate('foreign'), ['stalled'])
  expect(rotation.stalledReason).toContain(`version ${users[1]} at the provider is not Rekey's`)
  expect(await stage.peer.tryLogin(users[1], theirs)).toBeNull()
})

test('users with other memberships than the one in use are not rotated to', async () => {
  const { users } = await stage.pair('unlike')
  const group = await stage.peer.role(`${stage.peer.prefix}_group`, 'NOLOGIN')
  await stage.peer.sql(`GRANT ${group} TO ${stage.peer.id(users[0])}`)
  const rotation = await stage.until(await stage.rotate('unlike'), ['stalled'])
  expect(rotation.stalledIn).toBe('preflight')
  expect(rotation.stalledReason).toContain(`${users[1]} is not a member of ${group}`)
  await stage.peer.sql(`GRANT ${group} TO ${stage.peer.id(users[1])}`)
})

describe('registration', () => {
  const register = (users: readonly string[], more: object = {}) =>
    stage.api.call('POST', '/v1/keys', {
      body: {
        name: `reg-${users[0]?.replaceAll('_', '-')}`,
        connection: 'pg',
        type: 'postgres.user',
        ref: { users },
        purpose: 'tests',
        owner: 'team',
        environment: 'test',
        ...more,
      },
      headers: { 'idempotency-key': stage.house.ids.next() },
    })

  test('of two users who can both log in, which one is in use must be said', async () => {
    const { users } = await stage.peer.pair()
    await stage.grant(users)
    await stage.peer.sql(`ALTER ROLE ${stage.peer.id(users[1])} LOGIN PASSWORD 'of somebody'`)
    const unsaid = await register(users)
    expect([unsaid.status, unsaid.json.code]).toEqual([409, 'key.ambiguousPrimary'])
    expect(
      unsaid.json.candidates.map((one: { providerVersion: string }) => one.providerVersion),
    ).toEqual(users)
    const said = await register(users, { adopt: users[1] })
    expect(said.status, said.text).toBe(201)
  })

  test('create makes both users; the second is of no use to anybody until it is its turn', async () => {
    const users = [`${stage.peer.prefix}_made_a`, `${stage.peer.prefix}_made_b`] as const
    stage.peer.expect(...users)
    const made = await register(users, { create: true, labels: { key: 'made' } })
    expect(made.status, made.text).toBe(201)
    const { name } = made.json
    const first = await stage.value(name)
    expect(first.username).toBe(users[0])
    expect(await stage.peer.tryLogin(users[0], first.password)).toBeNull()
    await stage.policy('made')
    expect(await ended(name)).toBe('completed')
    expect((await stage.value(name)).username).toBe(users[1])
    expect(await stage.peer.tryLogin(users[0], first.password)).toBe(mayNot)
  })

  test.each([
    { ref: { users: ['only_one'] }, pointer: '/ref/users' },
    { ref: { users: ['a', 'a'] }, pointer: '/ref/users' },
    { ref: { users: ['a', 'x'.repeat(64)] }, pointer: '/ref/users/1' },
    { ref: { users: ['a', 'pg_monitor'] }, pointer: '/ref' },
    { ref: { user: 'a' }, pointer: '/ref/users' },
  ])('$ref names no pair', async ({ ref, pointer }) => {
    const reply = await register(['x'], { ref })
    expect(reply.status, reply.text).toBe(400)
    expect(reply.json.errors.map((one: { pointer: string }) => one.pointer)).toContain(pointer)
  })
})

test('no password is in any log, statement, table or reply but delivery, and none ever went to the server', async () => {
  const keys = ['orders', 'nightly', 'kept', 'told']
  const values = await Promise.all(keys.map(async (key) => (await stage.value(key)).password))
  const secrets = {
    ...Object.fromEntries(keys.map((key, n) => [key, values[n] ?? ''])),
    connection: stage.rekey.password,
  }
  const places = new Map([
    ...(await tablesOf(stage.house.urls.superuser)),
    [
      'wire',
      stage.proxy
        .seen()
        .map(({ path }) => path)
        .join('\n'),
    ],
    ['server log', await stage.peer.log()],
    ['our log', stage.api.logged.join('')],
    ['faults', inspect(stage.faults, { depth: Infinity })],
  ])
  expect(findPlanted(places, secrets)).toEqual([])
  // That they would show: the statements are in these.
  for (const place of ['wire', 'server log'])
    expect(places.get(place)).toContain('SCRAM-SHA-256$4096:')
})
