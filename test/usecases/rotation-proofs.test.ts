// How a rotation makes sure: uses spread over the time that a provider needs, and a last look before it is completed.
// All waiting is a due time: no worker sleeps over it.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ProviderError } from '#domain/provider.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { forever, makeStandIns } from '#test/support/faults.ts'
import { makeShelf, type ShelfType } from '#test/support/shelf.ts'
import { answerWith, startWebhookReceiver } from '#test/support/webhook-receiver.ts'

const delayMs = 10 * 60_000
const shelf = makeShelf({ consistency: { delayMs, confirmations: 3 } })
const standIns = makeStandIns()
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ wrap: standIns.wrap, providers: [shelf.provider] })
})
afterAll(() => engine.close())
afterEach(() => standIns.away())

const arrange = async (name: string, type: ShelfType, soak = '0s') => {
  const key = await engine.key(name, {
    connection: 'shelf',
    type,
    ref: { path: name },
    labels: { set: name },
  })
  await engine.policy(name, { selector: { matchLabels: { set: name } }, soak })
  return key
}
/** Counts the uses of the new version; `how` may answer in the place of the shelf. */
const counting = (
  how: (n: number) => 'real' | 'refused' | 'hang' = () => 'real',
  of = '2',
): { n: number } => {
  const uses = { n: 0 }
  standIns.put((session) => ({
    verify: async (order, call) => {
      if (order.providerVersion !== of || order.how !== 'roundTrip')
        return session.verify(order, call)
      uses.n += 1
      const answer = how(uses.n)
      if (answer === 'hang') return forever()
      return answer === 'refused'
        ? { ok: false, detail: 'nobody knows it yet', facts: {} }
        : session.verify(order, call)
    },
  }))
  return uses
}

describe('a new version is used', () => {
  test('as often as its type asks, and the rotation waits in between as a due time', async () => {
    await arrange('spread', 'shelf.value')
    const uses = counting()
    const id = await engine.rotate('spread')
    await engine.drain()
    expect(uses.n).toBe(1)
    expect(await engine.waitsFor(id)).toMatchObject({ gate: 'propagation' })
    await engine.clock.advance(delayMs / 2)
    await engine.drain()
    expect(uses.n).toBe(2)
    expect((await engine.rotation(id)).phase).toBe('verifying')
    await engine.clock.advance(delayMs / 2)
    await engine.drain()
    expect(uses.n).toBe(3)
    expect((await engine.until(id, 'end')).phase).toBe('completed')
  })

  test('a death between two uses repeats at most one', async () => {
    await arrange('died', 'shelf.value')
    const uses = counting((n) => (n === 2 ? 'hang' : 'real'))
    const id = await engine.rotate('died')
    await engine.drain()
    await engine.clock.advance(delayMs / 2)
    void engine.worker('dying')(id)
    for (let n = 0; n < 200 && uses.n < 2; n++)
      await new Promise((resolve) => setTimeout(resolve, 20))
    await engine.clock.advance(30_000)
    expect((await engine.until(id, 'end', 3_600_000, 30_000)).phase).toBe('completed')
    expect(uses.n).toBe(4)
  })

  test('one that nobody knows yet is no failure before its time is over', async () => {
    await arrange('early', 'shelf.value')
    const uses = counting((n) => (n < 3 ? 'refused' : 'real'))
    const id = await engine.rotate('early')
    expect((await engine.until(id, 'end', 3_600_000, 30_000)).phase).toBe('completed')
    expect(uses.n).toBe(5)
  })

  test('one that nobody knows when its time is over is removed', async () => {
    await arrange('never', 'shelf.value')
    counting(() => 'refused')
    const id = await engine.rotate('never')
    expect((await engine.until(id, 'end', 3_600_000, 30_000)).phase).toBe('rolledBack')
    expect(shelf.row('never', '2').state).toBe('destroyed')
  })
})

test('an effect is absent when it was looked for as often as the type asks, with due times in between', async () => {
  await arrange('absent', 'shelf.value')
  let sent = 0
  let probed = 0
  let before: number | null = null
  standIns.put((session) => ({
    mint: async (order, call) => {
      sent += 1
      if (sent === 1) throw new ProviderError('timeout', 'unknown', 'no reply')
      before = probed
      return session.mint(order, call)
    },
    probeMint: async (order, call) => {
      probed += 1
      return session.probeMint(order, call)
    },
  }))
  const id = await engine.rotate('absent')
  await engine.drain()
  await engine.clock.advance(12_001 + delayMs)
  probed = 0
  await engine.drain()
  expect([probed, sent]).toEqual([1, 1])
  expect(await engine.waitsFor(id)).toMatchObject({ gate: 'probe' })
  expect((await engine.until(id, 'end', 3 * 3_600_000, 30_000)).phase).toBe('completed')
  expect([before, sent]).toEqual([3, 2])
})

describe('an application that is asked by a webhook', () => {
  const asked = async (name: string, statuses: readonly number[]) => {
    const receiver = await startWebhookReceiver()
    try {
      receiver.answer((response, request) =>
        answerWith(statuses[receiver.received.length - 1] ?? 204)(response, request),
      )
      await engine.key(name, { labels: { set: name } })
      await engine.policy(name, {
        selector: { matchLabels: { set: name } },
        verify: [{ type: 'webhook', url: receiver.url }],
        retry: { attempts: 3, initial: '1s', max: '1s' },
      })
      const { phase } = await engine.until(await engine.rotate(name), 'end')
      return [phase, receiver.received.length]
    } finally {
      await receiver.close()
    }
  }

  test('and is not ready yet is asked again', async () => {
    expect(await asked('not-ready', [503, 429])).toEqual(['completed', 3])
  })

  test('and says no ends the rotation at once', async () => {
    expect(await asked('says-no', [400])).toEqual(['rolledBack', 1])
  })

  test('and is never ready ends it after the tries of the policy', async () => {
    expect(await asked('never-ready', [503, 503, 503, 503])).toEqual(['rolledBack', 3])
  })
})

describe('before a rotation is completed', () => {
  test('a version that somebody made meanwhile stalls it, named', async () => {
    const key = await engine.key('beside', { labels: { set: 'beside' } })
    await engine.policy('beside', {
      selector: { matchLabels: { set: 'beside' } },
      soak: '3m',
    })
    const id = await engine.rotate('beside')
    await engine.until(id, ['soaking'])
    const row = { algorithm: 'secret', material: await materialOf(key.id), publicKey: null }
    await engine.vault.insert({ object: key.id, operationId: 'by hand', ...row })
    const { stalledReason } = await engine.until(id, ['stalled'], 2 * 3_600_000, 60_000)
    expect(stalledReason).toContain('version 3')
    expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
      'disabled',
      'enabled',
      'enabled',
    ])
    await engine.vault.setState(key.id, 3, 'destroyed')
    await engine.steer.resume(admin, id, { reason: 'removed by hand' })
    expect((await engine.until(id, 'end')).phase).toBe('completed')
  })

  test('a version of ours that landed late is removed', async () => {
    const key = await engine.key('tardy', { labels: { set: 'tardy' } })
    await engine.policy('tardy', { selector: { matchLabels: { set: 'tardy' } }, soak: '3m' })
    let sent = 0
    standIns.put((session) => ({
      mint: async (order, call) => {
        sent += 1
        if (sent === 1) throw new ProviderError('timeout', 'unknown', 'no reply')
        return session.mint(order, call)
      },
    }))
    const id = await engine.rotate('tardy')
    await engine.until(id, ['soaking'], 3_600_000, 5_000)
    const row = { algorithm: 'secret', material: await materialOf(key.id), publicKey: null }
    await engine.vault.insert({ object: key.id, operationId: `${id}:minting:1`, ...row })
    const rotation = await engine.until(id, 'end', 2 * 3_600_000, 60_000)
    expect(rotation.phase).toBe('completed')
    expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
      'disabled',
      'enabled',
      'destroyed',
    ])
  })

  test('a place that keeps old versions by itself must have ours as its latest', async () => {
    await arrange('ring', 'shelf.ring')
    const id = await engine.rotate('ring')
    await engine.drain()
    expect((await engine.rotation(id)).phase).toBe('verifying')
    shelf.put('ring', 'rotated by hand')
    const { stalledReason } = await engine.until(id, ['stalled'], 3_600_000, 30_000)
    expect(stalledReason).toContain('version 3')
  })
})

const materialOf = async (keyId: string) => {
  const material = await engine.vault.open(keyId, 2)
  if (!material) throw new Error('version 2 is not enabled')
  return material
}
