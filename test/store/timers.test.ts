import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { openRotation, write } from './records.ts'

let db: TestDatabase
let names = 0
beforeAll(async () => {
  db = await openTestDatabase()
})
afterAll(() => db.close())
beforeEach(async () => {
  await db.sql('DELETE FROM app.rotation_timer')
})

const dueRotation = async (): Promise<string> => {
  names += 1
  const { rotation } = await openRotation(db, `timer-${names}`)
  await write(db, (tx) => tx.writeTimer.set(rotation.id, { dueNow: true }))
  return rotation.id
}
const timerOf = (id: string) => db.ledger.read((read) => read.timers.get(id))

describe('a lease', () => {
  test('is taken by one of two owners that ask at the same time', async () => {
    const id = await dueRotation()
    const claims = await Promise.all(
      ['a', 'b', 'c', 'd'].map((owner) => db.timers.claim(id, owner, 10_000)),
    )
    expect(claims.filter((claim) => claim !== null)).toHaveLength(1)
  })

  test('is not a takeover when it was free, or ours, or given back', async () => {
    const id = await dueRotation()
    expect(await db.timers.claim(id, 'a', 10_000)).toMatchObject({ takeover: false })
    expect(await db.timers.claim(id, 'a', 10_000)).toMatchObject({ takeover: false })
    await db.timers.release(id, 'a', { dueNow: true })
    expect(await db.timers.claim(id, 'b', 10_000)).toMatchObject({ takeover: false })
  })

  test('that expired in another’s hands is a takeover, and the late one cannot give it back or renew it', async () => {
    const id = await dueRotation()
    await db.timers.claim(id, 'a', 10_000)
    expect(await db.timers.claim(id, 'b', 10_000)).toBeNull()
    await db.clock.advance(10_001)
    expect(await db.timers.claim(id, 'b', 10_000)).toMatchObject({ takeover: true })
    expect(await db.timers.heartbeat(['a'], 10_000)).toBe(0)
    await db.timers.release(id, 'a', { dueAt: null })
    expect((await timerOf(id))?.leaseOwner).toBe('b')
  })

  test('is kept by a heartbeat, of all owners that are named at once', async () => {
    const ids = [await dueRotation(), await dueRotation()]
    for (const [n, id] of ids.entries()) await db.timers.claim(id, `a${n}`, 10_000)
    await db.clock.advance(8_000)
    expect(await db.timers.heartbeat(['a0', 'a1'], 10_000)).toBe(2)
    expect(await db.timers.heartbeat([], 10_000)).toBe(0)
    await db.clock.advance(8_000)
    for (const id of ids) expect(await db.timers.claim(id, 'b', 10_000)).toBeNull()
  })

  test('of a process that is known to be dead is due at once, and those of others are not', async () => {
    const [dead, alike, other] = [await dueRotation(), await dueRotation(), await dueRotation()]
    await db.timers.claim(dead, 'worker-1/run', 10_000)
    await db.timers.claim(alike, 'worker-10/run', 10_000)
    await db.timers.claim(other, 'worker-2/run', 10_000)
    await db.timers.expireOf('worker-1')
    expect(await db.timers.due(10)).toEqual([dead])
    expect(await db.timers.claim(dead, 'worker-3/run', 10_000)).toMatchObject({ takeover: true })
    expect(await db.timers.heartbeat(['worker-1/run'], 10_000)).toBe(0)
  })

  test('that its holder lets expire at once is due, and a takeover for whoever comes next', async () => {
    const id = await dueRotation()
    await db.timers.claim(id, 'a', 10_000)
    await db.timers.expire(id, 'b')
    expect(await db.timers.claim(id, 'b', 10_000)).toBeNull()
    await db.timers.expire(id, 'a')
    expect(await db.timers.due(10)).toEqual([id])
    expect(await db.timers.claim(id, 'b', 10_000)).toMatchObject({ takeover: true })
  })

  test('goes by the database’s clock: a process whose clock is wrong takes nothing from another', async () => {
    const id = await dueRotation()
    await db.timers.claim(id, 'a', 10_000)
    db.clock.turnProcess(3_600_000)
    expect(await db.timers.claim(id, 'b', 10_000)).toBeNull()
    db.clock.turnProcess(-3_600_000)
  })

  test('of a rotation that has no timer, or of no rotation, is not given', async () => {
    const { rotation } = await openRotation(db, 'no-timer')
    expect(await db.timers.claim(rotation.id, 'a', 1_000)).toBeNull()
    expect(await db.timers.claim('no such id', 'a', 1_000)).toBeNull()
  })
})

describe('what is due', () => {
  test('is listed oldest first, and not while it is leased', async () => {
    const first = await dueRotation()
    await db.clock.advance(5)
    const second = await dueRotation()
    expect(await db.timers.due(10)).toEqual([first, second])
    expect(await db.timers.due(1)).toEqual([first])
    await db.timers.claim(first, 'a', 10_000)
    expect(await db.timers.due(10)).toEqual([second])
  })

  test('is again what its holder let expire: a dead worker loses nothing', async () => {
    const id = await dueRotation()
    await db.timers.claim(id, 'a', 10_000)
    expect((await timerOf(id))?.dueAt).toBeNull()
    await db.clock.advance(10_001)
    expect(await db.timers.due(10)).toEqual([id])
  })

  test('waits for its time, and that may be changed', async () => {
    const id = await dueRotation()
    await db.timers.claim(id, 'a', 10_000)
    const later = new Date((await db.timers.now()).getTime() + 60_000)
    const progress = { visit: 'v', confirmed: 3 }
    await db.timers.release(id, 'a', { dueAt: later, progress })
    expect(await timerOf(id)).toMatchObject({ dueAt: later, progress, leaseOwner: null })
    expect(await db.timers.due(10)).toEqual([])
    await db.clock.advance(60_001)
    expect(await db.timers.due(10)).toEqual([id])
  })

  test('a ring during the work is not lost when the lease is given back with a later time', async () => {
    const id = await dueRotation()
    await db.timers.claim(id, 'a', 10_000)
    await write(db, (tx) => tx.writeTimer.set(id, { dueNow: true }))
    await db.timers.release(id, 'a', {
      dueAt: new Date((await db.timers.now()).getTime() + 3_600_000),
    })
    expect(await db.timers.due(10)).toEqual([id])
  })

  test('members that a patch does not name keep their value', async () => {
    const id = await dueRotation()
    const waitingFor = { gate: 'soak', since: 's', missing: [], text: 't' } as const
    const progress = { visit: 'v', alerts: 2 }
    await write(db, (tx) => tx.writeTimer.set(id, { waitingFor, progress }))
    await write(db, (tx) => tx.writeTimer.set(id, { dueAt: null }))
    expect(await timerOf(id)).toMatchObject({ waitingFor, progress, dueAt: null })
    await write(db, (tx) => tx.writeTimer.set(id, { waitingFor: null }))
    expect(await timerOf(id)).toMatchObject({ waitingFor: null, progress })
  })
})

describe('the observed clock', () => {
  test('adds what passed, and at most a minute for a jump or a downtime', async () => {
    const start = await db.timers.observe()
    await db.clock.turnDatabase(30_000)
    const after = await db.timers.observe()
    expect(after - start).toBeGreaterThanOrEqual(30_000)
    expect(after - start).toBeLessThan(31_000)
    await db.clock.turnDatabase(30 * 24 * 3_600_000)
    expect((await db.timers.observe()) - after).toBe(60_000)
  })

  test('stands still when the clock goes back, and goes on from there', async () => {
    const start = await db.timers.observe()
    await db.clock.turnDatabase(-3_600_000)
    expect(await db.timers.observe()).toBe(start)
    await db.clock.turnDatabase(10_000)
    const after = await db.timers.observe()
    expect(after - start).toBeGreaterThanOrEqual(10_000)
    expect(after - start).toBeLessThan(11_000)
  })

  test('counts once what many observe at once', async () => {
    const start = await db.timers.observe()
    await db.clock.turnDatabase(20_000)
    const seen = await Promise.all(Array.from({ length: 8 }, () => db.timers.observe()))
    expect(Math.max(...seen) - start).toBeLessThan(22_000)
  })
})
