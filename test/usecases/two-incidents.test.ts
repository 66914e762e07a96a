// Two emergencies over one key: each says what is true of it, nothing is done twice without a look, and compromised is for ever.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { closeIncident } from '#usecases/close-incident.ts'
import { containLeaseMs } from '#usecases/contain-keys.ts'
import { checkKey } from '#usecases/check-invariants.ts'
import { openEngine, type Engine } from '#test/support/engine.ts'
import { makeStandIns } from '#test/support/faults.ts'
import { responder, withIncidents } from '#test/support/incidents.ts'

let engine: Engine
let incidents: ReturnType<typeof withIncidents>
const standIns = makeStandIns()
beforeAll(async () => {
  engine = await openEngine({ wrap: standIns.wrap })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())
afterEach(() => standIns.away())

const statesOf = async (keyId: string) =>
  (await engine.versions(keyId)).map(({ state, primary }) => [state, primary])
const atProvider = async (keyId: string) =>
  (await engine.vault.list(keyId)).map(({ state }) => state)
const breachesOf = async (name: string) => {
  const { ledger, timers, keyring, clock, deps } = engine
  const { sessions, types } = deps.world
  const key = await ledger.read((db) => db.keys.byName(name))
  if (!key) throw new Error('no such key')
  return (await checkKey({ ledger, timers, keyring, types, clock, sessions }, key)).breaches
}

test('both revoke it: each proves it, and the second asks before it sends', async () => {
  const key = await engine.key('both')
  const calls: string[] = []
  standIns.put((session) => ({
    suspend: (object, version, call) => {
      calls.push('suspend')
      return session.suspend(object, version, call)
    },
  }))
  const [a, b] = [
    await incidents.preview('revokeOnly', ['both']),
    await incidents.preview('revokeOnly', ['both']),
  ]
  await incidents.settle((await incidents.execute(a)).value)
  // What it means is of another state by now: it is shown anew.
  await expect(incidents.execute(b)).rejects.toMatchObject({ code: 'incident.previewStale' })
  await incidents.settle(await incidents.begin('revokeOnly', ['both']))
  expect(calls).toEqual(['suspend'])
  expect(await statesOf(key.id)).toEqual([['compromised', false]])
  expect(await atProvider(key.id)).toEqual(['disabled'])
  expect(await breachesOf('both')).toEqual([])
})

test('disabled, and then revoked and replaced: the replacement does not wait for the first', async () => {
  const key = await engine.key('disabled-first')
  const disabled = await incidents.settle(await incidents.begin('disable', ['disabled-first']))
  const leak = await incidents.settle(await incidents.begin('revokeFirst', ['disabled-first']))
  expect([leak.state, await incidents.keys(leak)]).toMatchObject([
    'contained',
    [{ state: 'replaced', replacement: 'done' }],
  ])
  expect(await statesOf(key.id)).toEqual([
    ['compromised', false],
    ['active', true],
  ])
  await closeIncident(engine)(responder, leak.id, 'it is replaced')
  await incidents.restore(disabled)
  expect((await incidents.settle(disabled)).state).toBe('contained')
  expect(await incidents.keys(disabled)).toMatchObject([
    { state: 'restored', detail: expect.stringContaining('version 1 stays off') },
  ])
  expect(await atProvider(key.id)).toEqual(['disabled', 'enabled'])
  expect(await breachesOf('disabled-first')).toEqual([])
})

test('a rotation that one incident holds and the other one overtakes is given up, and replaced by another', async () => {
  const key = await engine.key('held-twice', { labels: { set: 'held-twice' } })
  await engine.policy('held-twice', {
    selector: { matchLabels: { set: 'held-twice' } },
    overlap: { min: '1h' },
  })
  const id = await engine.rotate('held-twice')
  await engine.until(id, ['overlapping'])
  await incidents.settle(await incidents.begin('disable', ['held-twice']))
  await engine.until(id, ['stalled'])
  const leak = await incidents.settle(await incidents.begin('revokeFirst', ['held-twice']))
  expect([leak.state, await incidents.said(leak)]).toEqual(['contained', expect.anything()])
  expect(await engine.rotation(id)).toMatchObject({ phase: 'abandoned' })
  expect(await statesOf(key.id)).toEqual([
    ['compromised', false],
    ['compromised', false],
    ['active', true],
  ])
  expect(await atProvider(key.id)).toEqual(['disabled', 'disabled', 'enabled'])
})

test('revoked and replaced, and then disabled: what is restored is what serves', async () => {
  const key = await engine.key('revoked-first')
  const leak = await incidents.settle(await incidents.begin('revokeFirst', ['revoked-first']))
  const disabled = await incidents.settle(
    await incidents.begin('disable', ['revoked-first'], [{ key: 'revoked-first', version: 2 }]),
  )
  expect(await statesOf(key.id)).toEqual([
    ['compromised', false],
    ['suspended', false],
  ])
  // The first holds the key as well: nothing of it is switched on behind its back.
  await expect(incidents.restore(disabled)).rejects.toMatchObject({
    code: 'incident.wrongState',
    extra: { incident: leak.id },
  })
  await closeIncident(engine)(responder, leak.id, 'it is replaced')
  await incidents.restore(disabled)
  expect((await incidents.settle(disabled)).state).toBe('contained')
  expect(await statesOf(key.id)).toEqual([
    ['compromised', false],
    ['active', true],
  ])
  expect(await atProvider(key.id)).toEqual(['disabled', 'enabled'])
  expect(await breachesOf('revoked-first')).toEqual([])
})

/** A call that is on its way until the test lets its sender go on, which is taken for dead meanwhile. */
const makeGate = () => {
  let reach = (): void => {}
  let open = (): void => {}
  const reached = new Promise<void>((resolve) => {
    reach = resolve
  })
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { reach: () => reach(), reached, open: () => open(), opened }
}

test('a restoration that is under way when the key is revoked for good brings nothing back', async () => {
  const key = await engine.key('raced')
  const disabled = await incidents.settle(await incidents.begin('disable', ['raced']))
  await incidents.restore(disabled)
  const gate = makeGate()
  let land: () => Promise<unknown> = async () => null
  standIns.put((session) => ({
    reinstate: async (object, version, call) => {
      const signal = new AbortController().signal
      land = () => session.reinstate(object, version, { ...call, signal })
      gate.reach()
      await gate.opened
      return {}
    },
  }))
  let isOver = false
  const gone = incidents.worker('gone')(() => isOver)
  await gate.reached
  standIns.away()
  const leak = await incidents.begin('revokeOnly', ['raced'])
  await incidents.contain()
  expect(await incidents.evidence(leak)).toMatchObject([{ state: 'refused' }])
  await land()
  expect(await atProvider(key.id)).toEqual(['enabled'])
  await engine.clock.advance(containLeaseMs + 1_000)
  expect((await incidents.settle(leak, 5_000)).state).toBe('contained')
  expect(await statesOf(key.id)).toEqual([['compromised', false]])
  expect(await atProvider(key.id)).toEqual(['disabled'])
  isOver = true
  gate.open()
  await gone
  // What it had begun is asked about by whoever has the first one next.
  expect((await incidents.settle(disabled, 5_000)).state).toBe('contained')
  expect(await breachesOf('raced')).toEqual([])
})

test('what is revoked for good after a restoration has proven it is not told as restored', async () => {
  const key = await engine.key('at-last')
  const disabled = await incidents.settle(await incidents.begin('disable', ['at-last']))
  await incidents.restore(disabled)
  let leak = disabled
  standIns.put((session) => ({
    verify: async (order, call) => {
      const verdict = await session.verify(order, call)
      if (order.how === 'refused') return verdict
      // It is on, and works; whoever says so has not written it down yet.
      standIns.away()
      leak = await incidents.begin('revokeOnly', ['at-last'])
      await incidents.worker('another')()
      return verdict
    },
  }))
  expect((await incidents.settle(disabled)).state).toBe('contained')
  expect((await incidents.settle(leak, 5_000)).state).toBe('contained')
  expect(await incidents.evidence(disabled)).toMatchObject([{ version: 1, state: 'refused' }])
  expect(await incidents.keys(disabled)).toMatchObject([
    { restoration: 'done', detail: expect.stringContaining('version 1 stays off') },
  ])
  expect(await statesOf(key.id)).toEqual([['compromised', false]])
  expect(await atProvider(key.id)).toEqual(['disabled'])
  expect(await breachesOf('at-last')).toEqual([])
})

test('two workers are at both at once, and one of them stops in mid-air: both end, and nothing is forgotten', async () => {
  const names = ['t1', 't2', 't3', 't4']
  for (const name of names) await engine.key(name)
  const [a, b] = [
    await incidents.preview('revokeOnly', names),
    await incidents.preview('revokeOnly', names.slice(1)),
  ]
  await incidents.execute(a)
  await incidents.execute(b)
  const gate = makeGate()
  let calls = 0
  standIns.put((session) => ({
    suspend: async (object, version, call) => {
      calls += 1
      const isSecond = calls === 2
      const done = await session.suspend(object, version, call)
      if (!isSecond) return done
      gate.reach()
      await gate.opened
      return done
    },
  }))
  let isOver = false
  const passes = ['one', 'other'].map((name) => incidents.worker(name)(() => isOver))
  await gate.reached
  standIns.away()
  await engine.clock.advance(containLeaseMs + 1_000)
  for (const incident of [a, b]) {
    expect((await incidents.settle(incident)).state).toBe('contained')
    for (const { state } of await incidents.evidence(incident)) expect(state).toBe('refused')
    expect((await incidents.intents(incident)).filter(({ closed }) => !closed)).toEqual([])
  }
  isOver = true
  gate.open()
  await Promise.all(passes)
  for (const name of names) expect(await breachesOf(name)).toEqual([])
})

test('a version that somebody switches on after it was proven refused is told by the deep look', async () => {
  const key = await engine.key('on-again')
  const leak = await incidents.settle(await incidents.begin('revokeOnly', ['on-again']))
  await closeIncident(engine)(responder, leak.id, 'it is revoked')
  expect(await breachesOf('on-again')).toEqual([])
  const connection = await engine.ledger.read((db) => db.connections.get('vault'))
  if (!connection) throw new Error('no connection')
  const session = await engine.deps.world.sessions.open(connection)
  const object = { type: key.type, ref: key.ref, keyId: key.id, keyName: key.name }
  await session.reinstate(object, '1', { signal: AbortSignal.timeout(10_000) })
  expect(await breachesOf('on-again')).toMatchObject([
    { invariant: 'I11', sentence: expect.stringContaining('1 is enabled at the provider') },
  ])
})
