import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeTally } from '#usecases/tally.ts'
import { codeOf, type House, openHouse, scoped } from '../support/house.ts'

describe('consumers and freezes of a scope', () => {
  let house: House
  const shop = scoped({ matchLabels: { team: 'shop' } })
  const labels = { team: 'shop' }

  beforeAll(async () => {
    house = await openHouse()
    await house.connection('vault')
    await house.register('shop-key', { labels })
    await house.register('bank-key', { labels: { team: 'bank' } })
    await house.policy('bank', {
      labels: { team: 'bank' },
      selector: { matchLabels: { team: 'bank' } },
      manual: true,
      consumers: { matchLabels: { uses: 'bank-keys' } },
    })
  })
  afterAll(() => house.shut())

  test('a consumer names keys of its own scope only', async () => {
    expect(
      (await house.consumer('shop-app', { labels, keys: ['shop-key'] }, shop)).value.created,
    ).toBe(true)
    expect(await codeOf(house.consumer('spy', { labels, keys: ['bank-key'] }, shop))).toBe(
      'request.impossible',
    )
    expect(await codeOf(house.consumer('spy', { labels, keys: ['no-such-key'] }, shop))).toBe(
      'request.impossible',
    )
  })

  test('nobody becomes a consumer of foreign keys by a label', async () => {
    expect(
      await codeOf(house.consumer('spy', { labels: { ...labels, uses: 'bank-keys' } }, shop)),
    ).toBe('auth.denied')
  })

  test('a consumer outside of the scope is not there', async () => {
    await house.consumer('bank-app', { labels: { team: 'bank' } })
    expect(
      await codeOf(house.consumer('bank-app', { labels }, shop, { match: 'any', absent: false })),
    ).toBe('resource.notFound')
    expect(await codeOf(house.consumer('new', { labels: { team: 'bank' } }, shop))).toBe(
      'auth.denied',
    )
  })

  test('a freeze reaches no further than the scope, and is not lifted from without', async () => {
    const until = '2099-01-01T00:00:00Z'
    expect(await codeOf(house.freeze({ until, reason: 'x' }, shop))).toBe('auth.denied')
    expect(
      await codeOf(
        house.freeze({ until, reason: 'x', selector: { matchLabels: { team: 'bank' } } }, shop),
      ),
    ).toBe('auth.denied')
    await house.freeze({ until, reason: 'all' })
    const own = { until, reason: 'mine', selector: { matchLabels: labels } }
    expect(await codeOf(house.freeze(own, shop, { match: 'any', absent: false }))).toBe(
      'auth.denied',
    )
    expect(
      await codeOf(
        house.freeze({ until: '2020-01-01T00:00:00Z', reason: 'x' }, undefined, {
          match: 'any',
          absent: false,
        }),
      ),
    ).toBe('request.impossible')
  })
})

describe('a tally', () => {
  test('tells the first, then counts, and tells the number when its time has come', async () => {
    let now = 0
    const told: number[] = []
    const tally = makeTally({ now: () => new Date(now) }, 1_000)
    const count = () => tally.count('x', async (times) => void told.push(times))
    for (let n = 0; n < 5; n += 1) await count()
    now = 999
    await count()
    now = 1_000
    await count()
    expect(told).toEqual([1, 6])
  })

  test('what could not be told is told with the next', async () => {
    let fails = true
    const told: number[] = []
    const tally = makeTally({ now: () => new Date(0) }, 1_000)
    const count = () =>
      tally.count('x', async (times) => {
        if (fails) throw new Error('no')
        told.push(times)
      })
    await expect(count()).rejects.toThrow('no')
    fails = false
    await count()
    expect(told).toEqual([2])
  })
})
