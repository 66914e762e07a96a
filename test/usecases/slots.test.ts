// What the slots ask for that have no type of their own yet: a pair whose standby is never taken from somebody, and a single
// place whose gap is measured.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ProviderError } from '#domain/provider.ts'
import { revealText } from '#domain/secret.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { makeStandIns } from '#test/support/faults.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf()
const standIns = makeStandIns()
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ wrap: standIns.wrap, providers: [shelf.provider] })
})
afterAll(() => engine.close())
afterEach(() => standIns.away())

const because = { reason: 'a test' }
const make = async (
  name: string,
  type: 'shelf.badge' | 'shelf.pair' | 'shelf.slot',
  spec: object = {},
) => {
  const labels = { set: name }
  const key = await engine.key(name, { connection: 'shelf', type, ref: { path: name }, labels })
  await engine.policy(name, {
    selector: { matchLabels: labels },
    ...(type === 'shelf.slot' ? { acceptGap: true } : {}),
    ...spec,
  })
  return key
}
const onShelf = (name: string) =>
  shelf.rows(name).map(({ id, user, state }) => `${id} ${user ?? ''} ${state}`)
const versions = async (keyId: string) =>
  (await engine.versions(keyId)).map(
    ({ version, state, primary }) => `${version} ${state}${primary ? ' primary' : ''}`,
  )

describe('a pair', () => {
  test('its users take turns, and what was on the standby is destroyed with the mint that takes its place', async () => {
    const key = await make('turns', 'shelf.pair')
    expect((await engine.until(await engine.rotate('turns'), 'end')).phase).toBe('completed')
    expect(onShelf('turns')).toEqual(['1 a disabled', '2 b enabled'])
    expect(await versions(key.id)).toEqual(['1 deactivated', '2 active primary'])
    expect((await engine.until(await engine.rotate('turns'), 'end')).phase).toBe('completed')
    expect(onShelf('turns')).toEqual(['1 a destroyed', '2 b disabled', '3 a enabled'])
    expect(await versions(key.id)).toEqual(['1 destroyed', '2 deactivated', '3 active primary'])
    expect((await engine.versions(key.id))[0]).toMatchObject({
      sealedId: null,
      materialKnown: false,
    })
  })

  test('a version that is kept serves until its user has his turn again', async () => {
    const key = await make('kept', 'shelf.pair', { retire: 'keep' })
    await engine.until(await engine.rotate('kept'), 'end')
    expect(onShelf('kept')).toEqual(['1 a enabled', '2 b enabled'])
    expect((await engine.until(await engine.rotate('kept'), 'end')).phase).toBe('completed')
    expect(onShelf('kept')).toEqual(['1 a destroyed', '2 b enabled', '3 a enabled'])
    expect(await versions(key.id)).toEqual(['1 destroyed', '2 deactivated', '3 active primary'])
  })

  test('while the standby is active nothing is minted: it is retired first', async () => {
    const key = await make('occupied', 'shelf.pair')
    const id = await engine.rotate('occupied')
    standIns.put(() => ({
      suspend: () => Promise.reject(new ProviderError('forbidden', 'none', 'not allowed')),
    }))
    await engine.until(id, ['stalled'])
    standIns.away()
    await engine.steer.abandon(admin, id, because)
    expect(await versions(key.id)).toEqual(['1 active', '2 active primary'])

    await expect(engine.rotate('occupied')).rejects.toMatchObject({
      code: 'request.impossible',
      message: expect.stringContaining('version 1 is active still'),
      hint: expect.stringContaining('retire it first'),
    })
    expect(onShelf('occupied')).toEqual(['1 a enabled', '2 b enabled'])

    const retiring = await engine.retire('occupied', '1')
    expect((await engine.until(retiring, 'end')).phase).toBe('completed')
    expect((await engine.until(await engine.rotate('occupied'), 'end')).phase).toBe('completed')
    expect(onShelf('occupied')).toEqual(['1 a destroyed', '2 b disabled', '3 a enabled'])
  })

  test('a password that somebody else set for the standby is not written over', async () => {
    await make('theirs', 'shelf.pair')
    shelf.put('theirs', 'by hand')
    const id = await engine.rotate('theirs')
    const { stalledIn, stalledReason } = await engine.until(id, ['stalled'])
    expect(stalledIn).toBe('preflight')
    expect(stalledReason).toContain("version 2 at the provider is not Rekey's")
    expect(onShelf('theirs')).toEqual(['1 a enabled', '2 b enabled'])
    shelf.row('theirs', '2').state = 'disabled'
    await engine.steer.resume(admin, id, because)
    expect((await engine.until(id, 'end')).phase).toBe('completed')
    expect(onShelf('theirs')).toEqual(['1 a disabled', '2 b destroyed', '3 b enabled'])
  })

  test('nor one that was set after preflight', async () => {
    const key = await make('late', 'shelf.pair')
    standIns.put((session) => ({
      verify: async (order, call) => {
        if (order.providerVersion === '1') shelf.put('late', 'by hand')
        return session.verify(order, call)
      },
    }))
    const rotation = await engine.until(await engine.rotate('late'), 'end')
    expect(rotation).toMatchObject({ phase: 'rolledBack', toVersion: null })
    expect(onShelf('late')).toEqual(['1 a enabled', '2 b enabled'])
    expect(await versions(key.id)).toEqual(['1 active primary'])
  })
})

describe('a single place', () => {
  const gapIn = async (id: string, action: string) =>
    (await engine.events(id)).find(({ body }) => body.action === action)?.body.after

  test('its gap is asked for, and measured from the mint to the promotion', async () => {
    const key = await make('gap', 'shelf.slot')
    let tries = 0
    standIns.put((session) => ({
      verify: async (order, call) => {
        if (order.providerVersion === '2' && ++tries < 3)
          throw new ProviderError('throttled', 'none', 'too many requests', { retryAfterMs: 5_000 })
        return session.verify(order, call)
      },
    }))
    const id = await engine.rotate('gap')
    expect((await engine.until(id, 'end', 120_000, 500)).phase).toBe('completed')
    const told = await gapIn(id, 'rotation.promoted')
    expect(told).toMatchObject({ gapMs: expect.any(Number) })
    const { gapMs } = told as { readonly gapMs: number }
    expect(gapMs).toBeGreaterThanOrEqual(10_000)
    const [old] = await engine.versions(key.id)
    expect(old).toMatchObject({ state: 'deactivated' })
    expect(old?.suspendedAt?.getTime()).toBeLessThan(old?.deactivatedAt?.getTime() ?? 0)
  })

  test('it lasts through the verification that the promotion is written with', async () => {
    await make('slow', 'shelf.slot')
    standIns.put((session) => ({
      verify: async (order, call) => {
        if (order.providerVersion === '2' && order.how === 'roundTrip')
          await engine.clock.advance(7_000)
        return session.verify(order, call)
      },
    }))
    const id = await engine.rotate('slow')
    await engine.until(id, 'end', 120_000, 500)
    const { gapMs } = (await gapIn(id, 'rotation.promoted')) as { readonly gapMs: number }
    expect(gapMs).toBeGreaterThanOrEqual(7_000)
  })

  test('an undo measures it until the old value is written back', async () => {
    await make('back', 'shelf.slot')
    standIns.put((session) => ({
      verify: async (order, call) =>
        order.providerVersion === '2'
          ? { ok: false, detail: 'it does not log in', facts: {} }
          : session.verify(order, call),
    }))
    const id = await engine.rotate('back')
    expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
    expect(await gapIn(id, 'rotation.rolledBack')).toMatchObject({ gapMs: expect.any(Number) })
    expect(await gapIn(id, 'rotation.rollingBack')).not.toHaveProperty('gapMs')
  })

  test('what the mint took away is tried with the value that it had; while that is accepted, the rotation stalls', async () => {
    await make('accepted', 'shelf.slot')
    const tried: unknown[] = []
    const accepts = (accepted: boolean) =>
      standIns.put((session) => ({
        verify: async (order, call) => {
          if (order.how !== 'refused') return session.verify(order, call)
          tried.push([order.providerVersion, order.material && revealText(order.material)])
          return accepted ? { ok: false, detail: 'it logs in', facts: {} } : { ok: true, facts: {} }
        },
      }))
    const value = shelf.row('accepted', '1').value
    accepts(true)
    const id = await engine.rotate('accepted')
    const { stalledIn, stalledReason } = await engine.until(id, ['stalled'])
    expect([stalledIn, stalledReason]).toEqual([
      'retiring',
      'the old version is still accepted: it logs in',
    ])
    standIns.away()
    accepts(false)
    await engine.steer.resume(admin, id, because)
    expect((await engine.until(id, 'end')).phase).toBe('completed')
    expect(tried).toEqual([
      ['1', value],
      ['1', value],
    ])
  })

  test('is not rotated where the gap was not accepted, or the old value is not known', async () => {
    const labels = { set: 'bare' }
    const key = await engine.key('bare', {
      connection: 'shelf',
      type: 'shelf.slot',
      ref: { path: 'bare' },
      labels,
    })
    await expect(engine.rotate('bare')).rejects.toMatchObject({ code: 'policy.gapNotAccepted' })
    await engine.policy('bare', { selector: { matchLabels: labels }, acceptGap: true })
    await engine.ledger.commit(admin, async (tx) => {
      const [version] = await tx.versions.of(key.id)
      if (!version) throw new Error('no version')
      await tx.writeVersion.update({ ...version, materialKnown: false }, version.state)
      const target = { id: key.id, name: key.name }
      return { value: null, audit: [{ action: 'key.put', target, outcome: 'succeeded' }] }
    })
    await expect(engine.rotate('bare')).rejects.toMatchObject({ code: 'request.impossible' })
    expect(onShelf('bare')).toEqual(['1  enabled'])
  })
})

test('what cannot be switched off for a while is tried when it is retired; while it is accepted, the rotation stalls', async () => {
  const key = await make('badge', 'shelf.badge')
  const tried: string[] = []
  const accepts = (accepted: boolean) =>
    standIns.put((session) => ({
      verify: async (order, call) => {
        if (order.how !== 'refused') return session.verify(order, call)
        tried.push(`${order.providerVersion} ${shelf.row('badge', '1').state}`)
        return accepted ? { ok: false, detail: 'it opens', facts: {} } : { ok: true, facts: {} }
      },
    }))
  accepts(true)
  const id = await engine.rotate('badge')
  const { stalledIn, stalledReason } = await engine.until(id, ['stalled'])
  expect([stalledIn, stalledReason]).toEqual([
    'retiring',
    'the old version is still accepted: it opens',
  ])
  standIns.away()
  accepts(false)
  await engine.steer.resume(admin, id, because)
  expect((await engine.until(id, 'end')).phase).toBe('completed')
  expect(tried).toEqual(['1 disabled', '1 disabled'])
  expect(await versions(key.id)).toEqual(['1 deactivated', '2 active primary'])
})
