// A rotation from end to end on the built-in vault: the phases it goes through, what the vault holds, what the log says.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answerWith, startWebhookReceiver } from '#test/support/webhook-receiver.ts'
import { admin, type Engine, openEngine, person } from '#test/support/engine.ts'

let engine: Engine
beforeAll(async () => {
  engine = await openEngine()
})
afterAll(() => engine.close())

const summary = async (keyId: string) =>
  (await engine.versions(keyId)).map(({ version, state, primary }) => ({ version, state, primary }))

test('a manual rotation ends completed, with one new version at the vault and the old one off', async () => {
  const key = await engine.key('simple', { labels: { set: 'simple' } })
  await engine.policy('simple', {
    selector: { matchLabels: { set: 'simple' } },
    overlap: { min: '5m' },
    soak: '1m',
  })
  const id = await engine.rotate('simple')
  const rotation = await engine.until(id, 'end', 3_600_000, 30_000)

  expect(rotation).toMatchObject({ phase: 'completed', fromVersion: 1, toVersion: 2, epoch: 1 })
  expect(await summary(key.id)).toEqual([
    { version: 1, state: 'deactivated', primary: false },
    { version: 2, state: 'active', primary: true },
  ])
  expect(
    (await engine.vault.list(key.id)).map(({ version, state }) => ({ version, state })),
  ).toEqual([
    { version: 1, state: 'disabled' },
    { version: 2, state: 'enabled' },
  ])
  expect(await engine.vault.current(key.id)).toBe(2)
})

test('every effect has its intent before it and exactly one terminal outcome that names it', async () => {
  await engine.key('audited', { labels: { set: 'audited' } })
  await engine.policy('audited', {
    selector: { matchLabels: { set: 'audited' } },
    retire: 'destroy',
  })
  const id = await engine.rotate('audited')
  await engine.until(id, 'end')

  const bodies = (await engine.events(id)).map(({ body }) => body)
  expect(bodies.map(({ stream }) => stream?.seq)).toEqual(bodies.map((_, i) => i + 1))
  const intents = bodies.filter(({ outcome }) => outcome === 'intent')
  expect(intents.map(({ action }) => action)).toEqual([
    'effect.mint',
    'effect.promote',
    'effect.suspend',
    'effect.retire',
  ])
  for (const intent of intents) {
    const outcomes = bodies.filter(({ causationId }) => causationId === intent.id)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['succeeded'])
    expect(bodies.indexOf(outcomes[0] ?? intent)).toBeGreaterThan(bodies.indexOf(intent))
  }
  const moves = bodies.flatMap(({ action, after }) =>
    action.startsWith('rotation.') &&
    typeof after === 'object' &&
    after !== null &&
    'phase' in after
      ? [after['phase']]
      : [],
  )
  expect(moves).toEqual([
    'preflight',
    'minting',
    'verifying',
    'promoting',
    'overlapping',
    'suspending',
    'soaking',
    'retiring',
    'completed',
  ])
})

test('two starts of one key: the second is refused while the first is open', async () => {
  await engine.key('twice')
  await engine.rotate('twice')
  await expect(engine.rotate('twice')).rejects.toMatchObject({ code: 'rotation.inProgress' })
})

test('a duplicate ring of many workers makes one version and one intent', async () => {
  const key = await engine.key('rung', { labels: { set: 'rung' } })
  await engine.policy('rung', { selector: { matchLabels: { set: 'rung' } } })
  const id = await engine.rotate('rung')
  const workers = ['a', 'b', 'c', 'd'].map((name) => engine.worker(name))
  for (let round = 0; round < 15; round++) {
    await Promise.all(Array.from({ length: 3 }).flatMap(() => workers.map((work) => work(id))))
  }
  await engine.until(id, 'end')
  expect(await engine.vault.list(key.id)).toHaveLength(2)
  const minted = (await engine.intents(id)).filter(({ effect }) => effect === 'mint')
  expect(minted).toHaveLength(1)
})

describe('undo', () => {
  test.each(['overlapping', 'soaking'] as const)(
    'rollback from %s restores the previous primary and destroys the new version',
    async (phase) => {
      const name = `undo-${phase}`
      const key = await engine.key(name, { labels: { set: name } })
      await engine.policy(name, {
        selector: { matchLabels: { set: name } },
        overlap: { min: phase === 'overlapping' ? '1h' : '0s' },
        soak: '1h',
      })
      const id = await engine.rotate(name)
      await engine.until(id, [phase])
      await engine.steer.rollback(admin, id, { reason: 'the new one is bad' })
      const rotation = await engine.until(id, 'end')
      expect(rotation.phase).toBe('rolledBack')
      expect(await summary(key.id)).toEqual([
        { version: 1, state: 'active', primary: true },
        { version: 2, state: 'destroyed', primary: false },
      ])
      expect(await engine.vault.current(key.id)).toBe(1)
      expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
        'enabled',
        'destroyed',
      ])
    },
  )

  test('rollback after the end is refused', async () => {
    await engine.key('late', { labels: { set: 'late' } })
    await engine.policy('late', { selector: { matchLabels: { set: 'late' } } })
    const id = await engine.rotate('late')
    await engine.until(id, 'end')
    await expect(engine.steer.rollback(admin, id, { reason: 'x' })).rejects.toMatchObject({
      code: 'rotation.wrongPhase',
    })
  })

  test('cancel before minting leaves nothing at the vault', async () => {
    const key = await engine.key('cancelled', { labels: { set: 'cancelled' } })
    await engine.policy('cancelled', {
      selector: { matchLabels: { set: 'cancelled' } },
      approval: { required: 1 },
    })
    const id = await engine.rotate('cancelled')
    await engine.until(id, ['awaitingApproval'])
    await engine.steer.cancel(admin, id, { reason: 'not now' })
    expect((await engine.rotation(id)).phase).toBe('cancelled')
    expect(await engine.vault.list(key.id)).toHaveLength(1)
  })
})

describe('gates', () => {
  test('an approval needs the plan hash, another person and an approver', async () => {
    await engine.key('approved', { labels: { set: 'approved' } })
    await engine.policy('approved', {
      selector: { matchLabels: { set: 'approved' } },
      approval: { required: 1 },
    })
    const id = await engine.rotate('approved')
    const { planHash } = await engine.until(id, ['awaitingApproval'])
    const bob = person('bob', 'approver')
    await expect(engine.steer.approve(admin, id, { planHash })).rejects.toMatchObject({
      code: 'rotation.selfApproval',
    })
    await expect(engine.steer.approve(bob, id, { planHash: 'other' })).rejects.toMatchObject({
      code: 'rotation.planChanged',
    })
    await expect(
      engine.steer.approve(person('eve', 'operator'), id, { planHash }),
    ).rejects.toMatchObject({ code: 'auth.denied' })
    await engine.steer.approve(bob, id, { planHash })
    expect((await engine.until(id, 'end')).phase).toBe('completed')
  })

  test('overlap.min is observed time: a clock that jumps an hour opens nothing', async () => {
    await engine.key('jump', { labels: { set: 'jump' } })
    await engine.policy('jump', {
      selector: { matchLabels: { set: 'jump' } },
      overlap: { min: '30m' },
    })
    const id = await engine.rotate('jump')
    await engine.until(id, ['overlapping'])
    await engine.clock.advance(3_600_000)
    await engine.drain()
    expect((await engine.rotation(id)).phase).toBe('overlapping')
    expect((await engine.until(id, 'end', 3_600_000, 30_000)).phase).toBe('completed')
  })

  test('a missing acknowledgement holds; two people, one an approver, override it', async () => {
    await engine.consumer('orders', { uses: 'acks' })
    await engine.key('acks', { labels: { set: 'acks' } })
    await engine.policy('acks', {
      selector: { matchLabels: { set: 'acks' } },
      consumers: {
        matchLabels: { uses: 'acks' },
        acknowledgement: { required: 'all', timeout: '1h' },
      },
    })
    const id = await engine.rotate('acks')
    await engine.until(id, ['overlapping'])
    await engine.clock.advance(30_000)
    await engine.drain()
    const timer = await engine.ledger.read((db) => db.timers.get(id))
    expect(timer?.waitingFor).toMatchObject({ gate: 'acknowledgement', missing: ['orders'] })
    const op = person('op', 'operator')
    await engine.steer.override(op, id, { reason: 'orders is gone' })
    await engine.drain()
    expect((await engine.rotation(id)).phase).toBe('overlapping')
    await expect(engine.steer.override(op, id, { reason: 'again' })).rejects.toMatchObject({
      code: 'resource.exists',
    })
    await engine.steer.override(person('boss', 'approver'), id, { reason: 'confirmed' })
    expect((await engine.until(id, 'end')).phase).toBe('completed')
  })

  test('an acknowledgement of the new version opens the gate', async () => {
    await engine.consumer('billing', { uses: 'ack-ok' })
    await engine.key('ack-ok', { labels: { set: 'ack-ok' } })
    await engine.policy('ack-ok', {
      selector: { matchLabels: { set: 'ack-ok' } },
      consumers: { matchLabels: { uses: 'ack-ok' }, acknowledgement: { required: 'all' } },
    })
    const id = await engine.rotate('ack-ok')
    await engine.until(id, ['overlapping'])
    await expect(
      engine.steer.acknowledge(admin, id, { consumer: 'billing', version: 1 }),
    ).rejects.toMatchObject({ code: 'request.impossible' })
    await engine.steer.acknowledge(admin, id, { consumer: 'billing', version: 2 })
    expect((await engine.until(id, 'end')).phase).toBe('completed')
  })

  test('a freeze holds every forward write and no undo', async () => {
    await engine.key('frozen', { labels: { set: 'frozen' } })
    await engine.policy('frozen', {
      selector: { matchLabels: { set: 'frozen' } },
      overlap: { min: '10s' },
    })
    const id = await engine.rotate('frozen')
    await engine.until(id, ['overlapping'])
    await engine.freeze('an audit', { matchLabels: { set: 'frozen' } })
    for (let n = 0; n < 10; n++) {
      await engine.clock.advance(10_000)
      await engine.drain()
    }
    expect((await engine.rotation(id)).phase).toBe('overlapping')
    await engine.steer.rollback(admin, id, { reason: 'undo is never held' })
    expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  })
})

test('what a consumer answers to its reload webhook acknowledges the version that it names, and no other', async () => {
  const receiver = await startWebhookReceiver()
  const { url: webhook, secret } = receiver
  try {
    await engine.consumer('answering', { uses: 'answered' }, { webhook, secret })
    await engine.key('answered', { labels: { set: 'answered' } })
    await engine.policy('answered', {
      selector: { matchLabels: { set: 'answered' } },
      consumers: {
        matchLabels: { uses: 'answered' },
        acknowledgement: { required: 'all', timeout: '1h' },
      },
    })
    const acknowledged = async (id: string) =>
      (await engine.events(id)).filter(({ body }) => body.action === 'rotation.acknowledged')

    receiver.answer(answerWith(200, {}, '{"acknowledged": 2}'))
    const first = await engine.rotate('answered')
    expect((await engine.until(first, 'end')).phase).toBe('completed')
    expect((await acknowledged(first)).map(({ body }) => body.after)).toMatchObject([
      { consumer: 'answering', version: 2 },
    ])

    // The last one's, a yes to nothing, no JSON, nothing, and a yes from a server in trouble.
    receiver.answer((response) => {
      const texts = ['{"acknowledged": 2}', '{"acknowledged": true}', '[3', '']
      const text = texts[receiver.received.length - 2]
      response.writeHead(text === undefined ? 500 : 200).end(text ?? '{"acknowledged": 7}')
    })
    for (let n = 0; n < 5; n++) {
      const id = await engine.rotate('answered')
      await engine.until(id, ['overlapping'])
      await engine.drain()
      expect((await engine.waitsFor(id))?.gate).toBe('acknowledgement')
      expect(await acknowledged(id)).toEqual([])
      await engine.steer.rollback(admin, id, { reason: 'a test' })
      await engine.until(id, 'end')
    }
    expect(receiver.received.length).toBeGreaterThanOrEqual(6)
  } finally {
    await receiver.close()
  }
})

test('a consumer with a reload webhook is told once, signed, after the new version is handed out', async () => {
  const receiver = await startWebhookReceiver()
  try {
    await engine.consumer(
      'reloader',
      { uses: 'reload' },
      { webhook: receiver.url, secret: receiver.secret },
    )
    await engine.key('reloaded', { labels: { set: 'reload' } })
    await engine.policy('reload', {
      selector: { matchLabels: { set: 'reload' } },
      consumers: { matchLabels: { uses: 'reload' } },
    })
    const id = await engine.rotate('reloaded')
    expect((await engine.until(id, 'end')).phase).toBe('completed')
    expect(receiver.received).toHaveLength(1)
    const [told] = receiver.received
    expect(told && receiver.verify(told)).toMatchObject({
      type: 'rekey.reload',
      data: { key: 'reloaded', version: 2, rotation: id, consumer: 'reloader' },
    })
  } finally {
    await receiver.close()
  }
})
