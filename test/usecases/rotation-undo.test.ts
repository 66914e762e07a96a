// Undo from where something is half done: what was handed out already is taken back in order, and nobody is cut off.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Rotation } from '#domain/rotation.ts'
import { ProviderError } from '#domain/provider.ts'
import { revealText } from '#domain/secret.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { makeRollback } from '#usecases/steer-rotation.ts'
import { forever, makeStandIns } from '#test/support/faults.ts'
import { makeShelf } from '#test/support/shelf.ts'
import { startWebhookReceiver } from '#test/support/webhook-receiver.ts'

const shelf = makeShelf()
const standIns = makeStandIns()
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ wrap: standIns.wrap, providers: [shelf.provider] })
})
afterAll(() => engine.close())
afterEach(() => standIns.away())

const summary = async (keyId: string) =>
  (await engine.versions(keyId)).map(({ state, primary, providerVersions }) => [
    state,
    primary,
    ...providerVersions,
  ])
const onShelf = (name: string, type: 'shelf.value' | 'shelf.slot' | 'shelf.pass') =>
  engine.key(name, { connection: 'shelf', type, ref: { path: name }, labels: { set: name } })
const target = (name: string, path: string) => ({
  name,
  connection: 'shelf',
  type: 'shelf.value',
  ref: { path },
})
const until = async (condition: () => Promise<boolean>): Promise<void> => {
  for (let n = 0; n < 200; n++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('it never came to that')
}

test('a reload webhook that was under way when its worker died is not sent by a rollback', async () => {
  const receiver = await startWebhookReceiver()
  try {
    const { url: webhook, secret } = receiver
    await engine.consumer('told', { uses: 'told' }, { webhook, secret })
    const key = await engine.key('told', { labels: { set: 'told' } })
    await engine.policy('told', {
      selector: { matchLabels: { set: 'told' } },
      consumers: { matchLabels: { uses: 'told' } },
      overlap: { min: '1h' },
    })
    const id = await engine.rotate('told')
    const { world } = engine.deps
    void engine.worker('dying', { world: { ...world, send: () => forever() } })(id)
    await until(async () => (await engine.intents(id)).some(({ effect }) => effect === 'notify'))
    await engine.clock.advance(30_000)
    await engine.steer.rollback(admin, id, { reason: 'a test' })
    expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
    expect(receiver.received).toEqual([])
    expect((await engine.intents(id)).filter(({ closed }) => !closed)).toEqual([])
    expect(await summary(key.id)).toEqual([
      ['active', true, '1'],
      ['destroyed', false, '2'],
    ])
  } finally {
    await receiver.close()
  }
})

test('rollback while targets are written waits for those who moved to the new version already', async () => {
  await engine.consumer('early', { uses: 'early' })
  shelf.put('target-a', 'before a')
  shelf.put('target-b', 'before b')
  const key = await engine.key('spread', { labels: { set: 'spread' } })
  await engine.policy('spread', {
    selector: { matchLabels: { set: 'spread' } },
    publish: [target('a', 'target-a'), target('b', 'target-b')],
  })
  standIns.put((session) => ({
    mint: async (order, call) => {
      if (order.object.ref['path'] === 'target-b')
        throw new ProviderError('throttled', 'none', 'too many requests')
      return session.mint(order, call)
    },
  }))
  const id = await engine.rotate('spread')
  await engine.until(id, ['distributing'])
  await engine.steer.acknowledge(admin, id, { consumer: 'early', version: 2 })
  await engine.steer.rollback(admin, id, { reason: 'a test' })
  standIns.away()
  await engine.drain()
  expect(await engine.waitsFor(id)).toMatchObject({ gate: 'acknowledgement', missing: ['early'] })
  expect(shelf.rows('target-a').at(-1)?.value).toBe('before a')
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
    'enabled',
    'enabled',
  ])
  await engine.steer.acknowledge(admin, id, { consumer: 'early', version: 1 })
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
    'enabled',
    'destroyed',
  ])
})

test('one slot: when the new value does not work, the old one is written back, active and primary', async () => {
  const key = await onShelf('slot', 'shelf.slot')
  await engine.policy('slot', { selector: { matchLabels: { set: 'slot' } }, acceptGap: true })
  const [before] = shelf.rows('slot')
  const old = before?.value
  standIns.put((session) => ({
    verify: async (order, call) =>
      order.providerVersion === '2'
        ? { ok: false, detail: 'it does not log in', facts: {} }
        : session.verify(order, call),
  }))
  const rotation = await engine.until(await engine.rotate('slot'), 'end')
  expect(rotation.phase).toBe('rolledBack')
  expect(shelf.rows('slot').map(({ value, state }) => [value, state])).toEqual([[old, 'enabled']])
  expect(await summary(key.id)).toEqual([
    ['active', true, '1', '3'],
    ['destroyed', false, '2'],
  ])
  standIns.away()
  expect((await engine.until(await engine.rotate('slot'), 'end')).phase).toBe('completed')
})

test('a publish target and a provider version may have the same name', async () => {
  shelf.put('two', 'before')
  await engine.key('numbered', { labels: { set: 'numbered' } })
  await engine.policy('numbered', {
    selector: { matchLabels: { set: 'numbered' } },
    publish: [target('2', 'two')],
    overlap: { min: '1h' },
  })
  const id = await engine.rotate('numbered')
  await engine.until(id, ['overlapping'])
  await engine.steer.rollback(admin, id, { reason: 'a test' })
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  expect(shelf.rows('two').at(-1)?.value).toBe('before')
})

test('a version of somebody else in the place of ours: rollback leaves it as it is', async () => {
  const key = await onShelf('theirs', 'shelf.value')
  await engine.policy('theirs', { selector: { matchLabels: { set: 'theirs' } } })
  standIns.put(() => ({
    mint: () => Promise.reject(new ProviderError('timeout', 'unknown', 'no reply')),
  }))
  const id = await engine.rotate('theirs')
  await engine.until(id, ['minting'])
  shelf.put('theirs', 'by hand')
  const { stalledReason } = await engine.until(id, ['stalled'])
  expect(stalledReason).toContain('not ours')
  standIns.away()
  await engine.steer.rollback(admin, id, { reason: 'a test' })
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  expect(shelf.rows('theirs').map(({ value, state }) => [value === 'by hand', state])).toEqual([
    [false, 'enabled'],
    [true, 'enabled'],
  ])
  expect(await summary(key.id)).toEqual([['active', true, '1']])
})

test.each(['mint', 'retire'] as const)(
  'a worker that dies in the %s of an undo that rolls forward leaves it to the next one',
  async (method) => {
    const name = `forward-${method}`
    const key = await onShelf(name, 'shelf.value')
    const old = shelf.row(name, '1').value
    await engine.policy(name, {
      selector: { matchLabels: { set: name } },
      overlap: { min: '1h' },
    })
    const id = await engine.rotate(name)
    await engine.until(id, ['overlapping'])
    await engine.steer.rollback(admin, id, { reason: 'a test' })
    let met = false
    const hang = async (): Promise<never> => {
      met = true
      return forever()
    }
    standIns.put((session) =>
      method === 'mint'
        ? { mint: (order, call) => session.mint(order, call).then(hang) }
        : { retire: (...args) => session.retire(...args).then(hang) },
    )
    void engine.worker(`dying-${name}`)(id)
    await until(async () => met)
    standIns.away()
    await engine.clock.advance(30_000)
    expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
    expect(shelf.rows(name).map(({ state }) => state)).toEqual(['enabled', 'destroyed', 'enabled'])
    expect(shelf.rows(name).at(-1)?.value).toBe(old)
    expect(await summary(key.id)).toEqual([
      ['active', true, '1', '3'],
      ['destroyed', false, '2'],
    ])
  },
)

test('the first version of a key is not removed by a rollback once it is handed out', async () => {
  const key = await onShelf('first', 'shelf.pass')
  await engine.policy('first', { selector: { matchLabels: { set: 'first' } } })
  await engine.ledger.commit(admin, async (tx) => {
    const version = await tx.versions.get(key.id, 1)
    if (!version) throw new Error('no version 1')
    await tx.writeVersion.update({ ...version, primary: false, state: 'deactivated' }, 'active')
    const target = { id: key.id, name: key.name }
    return { value: null, audit: [{ action: 'key.put', target, outcome: 'succeeded' }] }
  })
  standIns.put((session) => ({
    verify: async (order, call) => {
      if (order.providerVersion === '2') shelf.put('first', 'by hand')
      return session.verify(order, call)
    },
  }))
  const id = await engine.rotate('first')
  expect(await engine.until(id, ['stalled'])).toMatchObject({ stalledIn: 'promoting' })
  await engine.steer.rollback(admin, id, { reason: 'a test' })
  const { stalledReason } = await engine.until(id, ['stalled'])
  expect(stalledReason).toContain('nothing else could be handed out')
  expect((await engine.versions(key.id))[1]).toMatchObject({ state: 'active', primary: true })
  expect(shelf.row('first', '2').state).toBe('enabled')
})

test('what an abandoned rotation may have put in force stays recoverable', async () => {
  await onShelf('given-up', 'shelf.value')
  await engine.policy('given-up', {
    selector: { matchLabels: { set: 'given-up' } },
    retry: { attempts: 1 },
  })
  standIns.put((session) => ({
    mint: async (order, call) => {
      await session.mint(order, call)
      throw new ProviderError('timeout', 'unknown', 'no reply')
    },
    probeMint: () => Promise.reject(new ProviderError('forbidden', 'none', 'not allowed')),
  }))
  const id = await engine.rotate('given-up')
  await engine.until(id, ['stalled'], 3_600_000, 60_000)
  await engine.steer.abandon(admin, id, { reason: 'a test' })
  const [intent] = await engine.intents(id)
  const sealed = await engine.ledger.read((db) => db.sealed.open(intent?.sealedId ?? ''))
  expect(sealed && revealText(sealed)).toBe(shelf.row('given-up', '2').value)
})

test('a rollback that a worker is faster than, again and again, is said to the rotation as it then stands', async () => {
  await engine.key('raced', { labels: { set: 'raced' } })
  await engine.policy('raced', {
    selector: { matchLabels: { set: 'raced' } },
    overlap: { min: '1h' },
  })
  const id = await engine.rotate('raced')
  await engine.until(id, ['overlapping'])
  const { ledger } = engine.deps
  const takeOver = (rotation: Rotation) =>
    ledger.commit(admin, async (tx) => {
      const { phase, epoch } = rotation
      await tx.writeRotation.move({ ...rotation, epoch: epoch + 1 }, { phase, epoch })
      const target = { id: rotation.id, name: rotation.keyName }
      return {
        value: null,
        audit: [{ action: 'rotation.takenOver', target, outcome: 'succeeded' }],
      }
    })
  /** A worker that moves the rotation between the look and the word, so many times. */
  const raced = (times: number) => {
    let left = times
    const commit: typeof ledger.commit = (actor, work) =>
      ledger.commit(actor, (tx) =>
        work({
          ...tx,
          rotations: {
            ...tx.rotations,
            get: async (wanted) => {
              const rotation = await tx.rotations.get(wanted)
              if (left-- > 0 && rotation) await takeOver(rotation)
              return rotation
            },
          },
        }),
      )
    return makeRollback({ ledger: { ...ledger, commit } })
  }
  await expect(raced(100)(admin, id, { reason: 'a test' })).rejects.toMatchObject({
    code: 'rotation.wrongPhase',
  })
  const { value } = await raced(2)(admin, id, { reason: 'a test' })
  expect(value.phase).toBe('rollingBack')
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
})
