// A worker that is stopped past its lease (SIGSTOP, a frozen machine) and goes on when others have taken over: it writes
// nothing any more, wherever it was stopped, and nobody after it ever works under its epoch.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Ledger, Timers } from '#domain/ports.ts'
import type { Session } from '#domain/provider.ts'
import { type Engine, openEngine } from '#test/support/engine.ts'

/** Whoever passes it after so many others is held until it may go on. */
const makeGate = () => {
  let held: { after: number; readonly arrive: () => void; readonly until: Promise<void> } | null
  held = null
  return {
    arm: (after = 0) => {
      const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>()
      const { promise: until, resolve: goOn } = Promise.withResolvers<void>()
      held = { after, arrive, until }
      return { arrived, goOn }
    },
    pass: async (): Promise<void> => {
      if (!held || held.after-- > 0) return
      const { arrive, until } = held
      held = null
      arrive()
      await until
    },
  }
}
const prepare = makeGate()

let engine: Engine
beforeAll(async () => {
  engine = await openEngine({
    wrap: (session: Session): Session => ({
      ...session,
      prepare: async (...args) => {
        await prepare.pass()
        return session.prepare(...args)
      },
    }),
  })
})
afterAll(() => engine.close())

let count = 0
let id: string
beforeEach(async () => {
  const name = `stopped-${++count}`
  await engine.key(name, { labels: { set: name } })
  await engine.policy(name, { selector: { matchLabels: { set: name } } })
  id = await engine.rotate(name)
})

const pastLease = 25_000
const epochOf = async (): Promise<number> => (await engine.rotation(id)).epoch
/** What is on record: of a run that may write nothing all of it stays. */
const record = async () => ({
  rotation: await engine.rotation(id),
  intents: await engine.intents(id),
  events: await engine.events(id),
  waitsFor: await engine.waitsFor(id),
})

test('stopped between its lease and its first look, it does not work in the name of its successor', async () => {
  const read = makeGate()
  const ledger: Ledger = {
    ...engine.ledger,
    read: async (work) => {
      await read.pass()
      return engine.ledger.read(work)
    },
  }
  const stopped = read.arm()
  const run = engine.worker('a', { ledger })(id)
  await stopped.arrived
  await engine.clock.advance(pastLease)
  await engine.freeze('an audit', { matchLabels: { set: `stopped-${count}` } })
  await engine.worker('b')(id)
  await engine.thaw()
  expect(await engine.rotation(id)).toMatchObject({ phase: 'preflight', epoch: 2 })

  const before = await record()
  stopped.goOn()
  await run
  expect(await record()).toEqual(before)
  expect((await engine.until(id, 'end')).phase).toBe('completed')
})

test('stopped before an effect, it does not take the lease of a successor that is stopped too', async () => {
  const inMinting = async (instance: string, preflights: number) => {
    const stopped = prepare.arm(preflights)
    const run = engine.worker(instance)(id)
    await stopped.arrived
    return { ...stopped, run }
  }
  const first = await inMinting('a', 1)
  await engine.clock.advance(pastLease)
  const second = await inMinting('b', 0)
  await engine.clock.advance(pastLease)
  expect(await epochOf()).toBe(2)

  first.goOn()
  await first.run
  await engine.worker('c')(id)
  expect(await epochOf()).toBe(3)
  const before = await record()
  second.goOn()
  await second.run
  expect(await record()).toEqual(before)
})

test('stopped while it takes over, it does not take it from whoever took over meanwhile', async () => {
  const taking = makeGate()
  const dead = prepare.arm()
  void engine.worker('a')(id)
  await dead.arrived
  await engine.clock.advance(pastLease)
  const timers: Timers = {
    ...engine.timers,
    claim: async (...of) => {
      const lease = await engine.timers.claim(...of)
      await taking.pass()
      return lease
    },
  }
  const stopped = taking.arm()
  const run = engine.worker('b', { timers })(id)
  await stopped.arrived
  await engine.clock.advance(pastLease)
  await engine.freeze('an audit', { matchLabels: { set: `stopped-${count}` } })
  await engine.worker('c')(id)
  await engine.thaw()
  expect(await epochOf()).toBe(2)

  const before = await record()
  stopped.goOn()
  await run
  expect(await record()).toEqual(before)
})

test('who is still at work after its successor ended changes nothing', async () => {
  const stopped = prepare.arm()
  const run = engine.worker('a')(id)
  await stopped.arrived
  await engine.clock.advance(pastLease)
  await engine.drain()
  expect((await engine.rotation(id)).phase).toBe('completed')
  const before = await record()
  stopped.goOn()
  await run
  expect(await record()).toEqual(before)
})
