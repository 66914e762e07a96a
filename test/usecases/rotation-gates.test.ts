// What must be so at the very moment when an old version is switched off, however long the rotation was held before it.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ProviderError, type Session } from '#domain/provider.ts'
import type { PolicySpec } from '#domain/policy.ts'
import { admin, type Engine, openEngine, person } from '#test/support/engine.ts'
import { alertsDue } from '#usecases/consumer-gates.ts'
import { getKey } from '#usecases/list-keys.ts'
import { makeByHand } from '#test/support/by-hand.ts'
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

const minute = 60_000
const operator = person('op', 'operator')
const approver = person('boss', 'approver')

const arrange = async (name: string, spec: Partial<PolicySpec> = {}) => {
  const key = await engine.key(name, { labels: { set: name } })
  await engine.policy(name, { selector: { matchLabels: { set: name } }, ...spec })
  return key
}
const onShelf = async (name: string, spec: Partial<PolicySpec> = {}) => {
  const place = { connection: 'shelf', type: 'shelf.value', ref: { path: name } }
  const key = await engine.key(name, { ...place, labels: { set: name } })
  await engine.policy(name, { selector: { matchLabels: { set: name } }, ...spec })
  return key
}
const asking = (uses: string): Partial<PolicySpec> => ({
  consumers: { matchLabels: { uses }, acknowledgement: { required: 'all', timeout: '24h' } },
})
const vaultStates = async (keyId: string) =>
  (await engine.vault.list(keyId)).map(({ state }) => state)
const pass = async (ms: number, stepMs = minute): Promise<void> => {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await engine.clock.advance(stepMs)
    await engine.drain()
  }
}
/** A canary that is accepted, as long as this stands in. */
const accepted = (session: Session): Partial<Session> => ({
  verify: async (order, call) =>
    order.how === 'refused'
      ? { ok: false, detail: 'it still logs in', facts: {} }
      : session.verify(order, call),
})

test('a canary that was accepted switches the old version on again; resume switches it off anew', async () => {
  const key = await arrange('canary')
  standIns.put(accepted)
  const id = await engine.rotate('canary')
  const stalled = await engine.until(id, ['stalled'])
  expect(stalled).toMatchObject({ stalledIn: 'soaking' })
  expect(stalled.stalledReason).toContain('it still logs in')
  const page = (await engine.events(id)).find(({ body }) => body.action === 'rotation.stalled')
  expect(page?.body.reason).toBe(stalled.stalledReason)
  expect(await vaultStates(key.id)).toEqual(['enabled', 'enabled'])
  standIns.away()
  await engine.steer.resume(admin, id, { reason: 'the acceptor was mended' })
  expect((await engine.until(id, 'end', 10 * minute)).phase).toBe('completed')
  expect(await vaultStates(key.id)).toEqual(['disabled', 'enabled'])
})

test('a use while the switching off is held shuts the gate again', async () => {
  const key = await arrange('held', { overlap: { min: '0s', unusedFor: '10m' } })
  let sent = 0
  standIns.put((session) => ({
    suspend: async (...args) => {
      sent += 1
      if (sent === 1) throw new ProviderError('throttled', 'none', 'too many requests')
      return session.suspend(...args)
    },
  }))
  const id = await engine.rotate('held')
  await engine.until(id, ['suspending'], 60 * minute, minute)
  await engine.vault.used(key.id, 1, await engine.timers.now())
  await pass(5 * minute)
  expect(sent).toBe(1)
  expect(await engine.rotation(id)).toMatchObject({ phase: 'suspending' })
  expect(await engine.waitsFor(id)).toMatchObject({ gate: 'usage' })
  expect(await vaultStates(key.id)).toEqual(['enabled', 'enabled'])
  expect((await engine.until(id, 'end', 60 * minute, minute)).phase).toBe('completed')
})

test.each([
  { when: 'before the overlap', use: 'planned' },
  { when: 'in the overlap', use: 'overlapping' },
] as const)('a clock that jumps $when is no silence', async ({ use }) => {
  const key = await arrange(`jump-${use}`, { overlap: { min: '0s', unusedFor: '10m' } })
  const jump = async () => {
    await engine.vault.used(key.id, 1, await engine.timers.now())
    await engine.clock.advance(60 * minute)
  }
  if (use === 'planned') await jump()
  const id = await engine.rotate(key.name)
  await engine.until(id, ['overlapping'])
  if (use === 'overlapping') await jump()
  await pass(9 * minute)
  expect((await engine.rotation(id)).phase).toBe('overlapping')
  expect(await engine.waitsFor(id)).toMatchObject({ gate: 'usage' })
  expect((await engine.waitsFor(id))?.text).toMatch(
    use === 'planned' ? /, and is watched for 10m$/ : /was last used at/,
  )
  expect((await engine.until(id, 'end', 60 * minute, minute)).phase).toBe('completed')
})

test('an override counts until the rotation stalls; after that the same two must say so again', async () => {
  await engine.consumer('silent', { uses: 'passage' })
  const key = await arrange('passage', asking('passage'))
  standIns.put(accepted)
  const id = await engine.rotate('passage')
  await engine.until(id, ['overlapping'])
  for (const actor of [operator, approver])
    await engine.steer.override(actor, id, { reason: 'silent is gone' })
  await engine.until(id, ['stalled'])
  standIns.away()
  await engine.steer.resume(admin, id, { reason: 'mended' })
  await pass(2 * minute)
  expect(await engine.rotation(id)).toMatchObject({ phase: 'suspending' })
  expect(await engine.waitsFor(id)).toMatchObject({ gate: 'acknowledgement', missing: ['silent'] })
  expect(await vaultStates(key.id)).toEqual(['enabled', 'enabled'])
  for (const actor of [operator, approver])
    await engine.steer.override(actor, id, { reason: 'silent is still gone' })
  expect((await engine.until(id, 'end', 10 * minute)).phase).toBe('completed')
})

test('an override that two gave while both versions are valid counts at the switching off that follows', async () => {
  await engine.consumer('gone', { uses: 'follows' })
  await arrange('follows', asking('follows'))
  const id = await engine.rotate('follows')
  await engine.until(id, ['overlapping'])
  for (const actor of [operator, approver])
    await engine.steer.override(actor, id, { reason: 'gone is gone' })
  expect((await engine.until(id, 'end', 10 * minute)).phase).toBe('completed')
})

test('of several provider versions that carry the old value each must be quiet, refused, and come back together', async () => {
  const key = await onShelf('several', { overlap: { min: '1h' } })
  const first = await engine.rotate('several')
  await engine.until(first, ['overlapping'])
  await engine.steer.rollback(admin, first, { reason: 'a test' })
  await engine.until(first, 'end')
  expect((await engine.versions(key.id))[0]?.providerVersions).toEqual(['1', '3'])
  const policy = { selector: { matchLabels: { set: 'several' } }, priority: 1 }
  await engine.policy('several-quiet', { ...policy, overlap: { min: '0s', unusedFor: '10m' } })

  const id = await engine.rotate('several')
  await engine.until(id, ['overlapping'])
  const soon = new Date((await engine.timers.now()).getTime() + 20 * minute)
  shelf.row('several', '1').lastUsed = soon
  await pass(15 * minute)
  expect(await engine.waitsFor(id)).toMatchObject({ gate: 'usage' })
  shelf.row('several', '1').lastUsed = null
  await pass(60 * minute, 5 * minute)
  expect((await engine.waitsFor(id))?.text).toContain('not known')
  expect((await engine.rotation(id)).phase).toBe('overlapping')

  shelf.row('several', '1').lastUsed = new Date(0)
  standIns.put((session) => ({
    verify: async (order, call) =>
      order.how === 'refused' && order.providerVersion === '1'
        ? { ok: false, detail: 'it still logs in', facts: {} }
        : session.verify(order, call),
  }))
  await engine.until(id, ['stalled'], 60 * minute, minute)
  expect([shelf.row('several', '1').state, shelf.row('several', '3').state]).toEqual([
    'enabled',
    'enabled',
  ])
  standIns.away()
  await engine.steer.resume(admin, id, { reason: 'mended' })
  expect((await engine.until(id, 'end', 60 * minute, minute)).phase).toBe('completed')
  expect([shelf.row('several', '1').state, shelf.row('several', '3').state]).toEqual([
    'disabled',
    'disabled',
  ])
})

describe('what readers at the provider get by now is not switched off', () => {
  test('an adopted version that somebody made current during the overlap', async () => {
    const key = await arrange('adopted', { overlap: { min: '10m' } })
    const foreign = await makeByHand(engine.vault, key.id, 'by hand')
    const id = await engine.retire('adopted', foreign)
    await engine.until(id, ['overlapping'])
    await engine.vault.move(key.id, 1, Number(foreign))
    const stalled = await engine.until(id, ['stalled'], 20 * minute, minute)
    expect(stalled).toMatchObject({ stalledIn: 'suspending' })
    expect(stalled.stalledReason).toContain('is what readers at the provider get now')
    expect(await vaultStates(key.id)).toEqual(['enabled', 'enabled'])

    await engine.vault.move(key.id, Number(foreign), 1)
    await engine.steer.resume(admin, id, { reason: 'put back' })
    expect((await engine.until(id, 'end')).phase).toBe('completed')
    expect(await vaultStates(key.id)).toEqual(['enabled', 'disabled'])
  })

  test('an adopted version of which the current one is a copy by now', async () => {
    const key = await onShelf('copied', { overlap: { min: '10m' } })
    shelf.put('copied', 'by hand')
    shelf.put('copied', shelf.row('copied', '1').value)
    standIns.put((session) => ({
      describe: async (object, call) => {
        const { versions, facts } = await session.describe(object, call)
        return { versions: versions.map((one) => ({ ...one, current: one.id === '1' })), facts }
      },
    }))
    const id = await engine.retire('copied', '2')
    await engine.until(id, ['overlapping'])
    standIns.put((session) => ({
      prepare: async (object, current, call) => {
        const { preImage, risks } = await session.prepare(object, current, call)
        return { preImage: { ...preImage, carriers: ['2'] }, risks }
      },
    }))
    const stalled = await engine.until(id, ['stalled'], 20 * minute, minute)
    expect(stalled.stalledReason).toContain('holds the value of version 1')
    expect(shelf.rows('copied').map(({ state }) => state)).toEqual([
      'enabled',
      'enabled',
      'enabled',
    ])
    expect(key.id).toBe(stalled.keyId)
  })

  test('an old version to which somebody moved the pointer back', async () => {
    const key = await arrange('pointed-back', { overlap: { min: '10m' } })
    const id = await engine.rotate('pointed-back')
    await engine.until(id, ['overlapping'])
    await engine.vault.move(key.id, 2, 1)
    const stalled = await engine.until(id, ['stalled'], 20 * minute, minute)
    expect(stalled.stalledReason).toContain('version 1 is what readers at the provider get now')
    expect(await vaultStates(key.id)).toEqual(['enabled', 'enabled'])
  })
})

test('late acknowledgements are told at half of their time, also while overlap.min still runs', async () => {
  await engine.consumer('slow', { uses: 'late' })
  await arrange('late', {
    overlap: { min: '1h' },
    consumers: {
      matchLabels: { uses: 'late' },
      acknowledgement: { required: 'all', timeout: '4m' },
    },
  })
  const id = await engine.rotate('late')
  await engine.until(id, ['overlapping'])
  await pass(6 * minute)
  const told = (await engine.events(id)).filter(({ body }) => body.action === 'rotation.ackMissing')
  expect(told).toHaveLength(2)
})

test.each([
  ['half of it', [11, 12], [0, 1]],
  ['its end', [23, 24], [1, 2]],
  ['a week later', [24 + 7 * 24 - 1, 24 + 7 * 24], [2, 3]],
  ['and every week after that', [24 + 52 * 7 * 24], [54]],
] as const)('late acknowledgements are told at %s', (_when, hours, times) => {
  expect(hours.map((n) => alertsDue(n * 60 * minute, 24 * 60 * minute))).toEqual(times)
})

test('why a key does not rotate says what is waited for, and since when', async () => {
  await engine.consumer('asleep', { uses: 'said' })
  await arrange('said', asking('said'))
  const id = await engine.rotate('said')
  await engine.until(id, ['overlapping'])
  await pass(2 * minute)
  const waits = await engine.waitsFor(id)
  const { status } = await getKey({ ledger: engine.ledger, clock: engine.clock })(admin, 'said')
  expect(status.why).toBe(
    `Rotation ${id} is open in overlapping, and waits since ${waits?.since}: asleep did not acknowledge version 2.`,
  )
  await engine.steer.acknowledge(admin, id, { consumer: 'asleep', version: 2 })
  expect((await engine.until(id, 'end', 10 * minute)).phase).toBe('completed')
})

test('a worker that was overtaken tells nobody of missing acknowledgements', async () => {
  await engine.consumer('missing', { uses: 'overtaken' })
  await arrange('overtaken', {
    consumers: {
      matchLabels: { uses: 'overtaken' },
      acknowledgement: { required: 'all', timeout: '10m' },
    },
  })
  const id = await engine.rotate('overtaken')
  await engine.until(id, ['overlapping'])
  for (let passed = 0; passed < 6; passed++) {
    await engine.clock.advance(minute)
    await engine.timers.observe()
  }
  // Between what it read and what it writes, a person turns the rotation round.
  const { ledger } = engine.deps
  let turned = false
  const overtaken = engine.worker('w1', {
    ledger: {
      ...ledger,
      commit: async (actor, work) => {
        if (!turned) await engine.steer.rollback(admin, id, { reason: 'a test' })
        turned = true
        return ledger.commit(actor, work)
      },
    },
  })
  await overtaken(id)
  expect(turned).toBe(true)
  const actions = (await engine.events(id)).map(({ body }) => body.action)
  expect(actions).not.toContain('rotation.ackMissing')
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
})

test('a stalled rotation keeps its place in its group, and those that wait say which it is', async () => {
  const selector = { matchLabels: { group: 'g' } }
  for (const name of ['g1', 'g2']) await engine.key(name, { labels: { group: 'g' } })
  await engine.policy('group', { selector, concurrency: { max: 1 } })
  standIns.put(() => ({
    suspend: () => Promise.reject(new ProviderError('forbidden', 'none', 'not allowed')),
  }))
  const first = await engine.rotate('g1')
  await engine.until(first, ['stalled'])
  const second = await engine.rotate('g2')
  await engine.drain()
  const waiting = await engine.waitsFor(second)
  expect(waiting).toMatchObject({ gate: 'group', missing: [first] })
  expect(waiting?.text).toContain('g1 is stalled in suspending')
  standIns.away()
  await engine.steer.abandon(admin, first, { reason: 'a test' })
  expect((await engine.until(second, 'end')).phase).toBe('completed')
})
