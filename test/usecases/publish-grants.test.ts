// A policy publishes where a grant of the target's connection lets keys of its labels, for as long as the grant is there.

import { Type } from 'typebox'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Connection } from '#domain/connection.ts'
import type { Provider, Session } from '#domain/provider.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { makeStandIns } from '#test/support/faults.ts'
import { makeShelf } from '#test/support/shelf.ts'
import { makeCheckPublishing } from '#usecases/check-publishing.ts'

const shelf = makeShelf()
const standIns = makeStandIns()
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ wrap: standIns.wrap, providers: [shelf.provider] })
})
afterAll(() => engine.close())
beforeEach(() => grant([{ matchLabels: {}, refs: ['*'] }]))
afterEach(() => standIns.away())

const grant = (grants: Connection['grants']): Promise<unknown> =>
  engine.ledger.commit(admin, async (tx) => {
    const before = await tx.connections.get('shelf')
    if (!before) throw new Error('no shelf')
    await tx.writeConnection.update(
      { ...before, grants, revision: before.revision + 1 },
      before.revision,
    )
    const target = { id: 'shelf', name: 'shelf' }
    return { value: null, audit: [{ action: 'connection.put', target, outcome: 'succeeded' }] }
  })

/** A key that is published to two places, `<name>-a` and then `<name>-b`. */
const published = async (name: string) => {
  shelf.put(`${name}-a`, 'before a')
  shelf.put(`${name}-b`, 'before b')
  const key = await engine.key(name, { labels: { set: name } })
  await engine.policy(name, {
    selector: { matchLabels: { set: name } },
    publish: ['a', 'b'].map((at) => ({
      name: at,
      connection: 'shelf',
      type: 'shelf.value',
      ref: { path: `${name}-${at}` },
    })),
  })
  return key
}
const valuesAt = (path: string) => shelf.rows(path).map(({ value }) => value)
const effects = async (id: string) =>
  (await engine.intents(id)).map(({ effect, target }) =>
    target === null ? effect : `${effect} ${target}`,
  )

test('a grant that was taken back stalls the next rotation before anything is made; given back, it goes on', async () => {
  const key = await published('stopped')
  await grant([{ matchLabels: {}, refs: ['shelf:stopped-a'] }])
  const id = await engine.rotate('stopped')
  const stalled = await engine.until(id, ['stalled'])
  expect(stalled).toMatchObject({ stalledIn: 'preflight', toVersion: null })
  expect(stalled.stalledReason).toContain('does not let keys with these labels be published to b')
  expect(stalled.stalledReason).toContain('an admin adds a grant to the connection "shelf"')
  expect(await engine.intents(id)).toEqual([])
  expect(await engine.vault.list(key.id)).toHaveLength(1)

  await grant([{ matchLabels: { set: 'stopped' }, refs: ['shelf:stopped-*'] }])
  await engine.steer.resume(admin, id, { reason: 'the grant is back' })
  expect((await engine.until(id, 'end')).phase).toBe('completed')
  expect(valuesAt('stopped-b')).toHaveLength(2)
})

test('the labels that the key has now are asked, not those that the policy asked for', async () => {
  await published('relabelled')
  await grant([{ matchLabels: { set: 'another' }, refs: ['*'] }])
  const id = await engine.rotate('relabelled')
  expect(await engine.until(id, ['stalled'])).toMatchObject({ stalledIn: 'preflight' })
})

test('a grant that is taken back between two targets: the second is not written, the first gets back what it held', async () => {
  const key = await published('between')
  standIns.put((session) => ({
    mint: async (order, call) => {
      const minted = await session.mint(order, call)
      if (order.object.ref['path'] === 'between-a') await grant([])
      return minted
    },
  }))
  const id = await engine.rotate('between')
  const rotation = await engine.until(id, 'end')
  expect(rotation.phase).toBe('rolledBack')
  expect(rotation.undo).toMatchObject({ from: 'distributing' })
  expect(rotation.undo?.reason).toContain('does not let keys with these labels be published to b')
  expect(await effects(id)).toContain('restoreTarget a')
  expect(await effects(id)).not.toContain('distribute b')
  expect(valuesAt('between-a').at(-1)).toBe('before a')
  expect(valuesAt('between-b')).toEqual(['before b'])
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
    'enabled',
    'destroyed',
  ])
})

test('a grant that is taken back while the target is read: no intent, and nothing is sent', async () => {
  await published('reading')
  standIns.put((session) => ({
    prepare: async (object, current, call) => {
      if (object.ref['path'] === 'reading-a') await grant([])
      return session.prepare(object, current, call)
    },
  }))
  const id = await engine.rotate('reading')
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  expect(await effects(id)).not.toContain('distribute a')
  expect(valuesAt('reading-a')).toEqual(['before a'])
})

test('a target that came under management since is not written over', async () => {
  await published('taken')
  await engine.key('owner', { connection: 'shelf', type: 'shelf.value', ref: { path: 'taken-a' } })
  const id = await engine.rotate('taken')
  const { stalledIn, stalledReason } = await engine.until(id, ['stalled'])
  expect(stalledIn).toBe('preflight')
  expect(stalledReason).toContain('the publish target a is managed by a key now')
  expect(valuesAt('taken-a')).toEqual(['before a'])
})

test('where a ref leaves the name out, the target’s own is asked for and written to, whatever key it is', async () => {
  const nameless = makeShelf()
  const named: Provider = {
    ...nameless.provider,
    id: 'named',
    types: nameless.provider.types.map((type) => ({
      ...type,
      type: type.type.replace('shelf.', 'named.'),
      refSchema: Type.Object({}, { additionalProperties: false }),
      objectId: ({ keyName }) => `named:${keyName}`,
    })),
    connect: (args) => writing(nameless.provider.connect(args)),
  }
  const written: string[] = []
  const writing = (session: Session): Session => ({
    ...session,
    create: async (order, call) => {
      written.push(order.object.keyName)
      return session.create(order, call)
    },
  })
  const own = await openEngine({ providers: [named] })
  try {
    await own.ledger.commit(admin, async (tx) => {
      const before = await tx.connections.get('named')
      if (!before) throw new Error('no connection')
      const grants = [{ matchLabels: {}, refs: ['named:there'] }]
      await tx.writeConnection.update({ ...before, grants, revision: 2 }, 1)
      const target = { id: 'named', name: 'named' }
      return { value: null, audit: [{ action: 'connection.put', target, outcome: 'succeeded' }] }
    })
    await own.key('one')
    await own.policy('one', {
      publish: [{ name: 'there', connection: 'named', type: 'named.value', ref: {} }],
    })
    expect(await makeCheckPublishing(own.ledger, own.deps.world.types)()).toEqual([])
    expect((await own.until(await own.rotate('one'), 'end')).phase).toBe('completed')
    expect(written).toEqual(['there'])
  } finally {
    await own.close()
  }
})

test('a policy that publishes where no grant covers its keys is seen before it rotates', async () => {
  await published('seen')
  const check = makeCheckPublishing(engine.ledger, engine.deps.world.types)
  const seen = async () => (await check()).filter(({ policy }) => policy === 'seen')
  expect(await seen()).toEqual([])
  const b = { policy: 'seen', target: 'b', connection: 'shelf' }
  await grant([{ matchLabels: {}, refs: ['shelf:seen-a'] }])
  expect(await seen()).toEqual([b])
  await grant([{ matchLabels: { set: 'other' }, refs: ['*'] }])
  expect(await seen()).toEqual([{ ...b, target: 'a' }, b])
  await grant([{ matchLabels: { set: 'seen' }, refs: ['*'] }])
  expect(await seen()).toEqual([])
})
