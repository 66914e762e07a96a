// One host's clock is an hour off. Its worker takes no work; and should the clock have jumped since it last looked, so that it
// does work, no gate opens early, no lease is stolen, and no occurrence is taken twice or lost: what decides is the database's
// clock, in steps that were observed.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { noTelemetry } from '#domain/telemetry.ts'
import { every } from '#runtime/ticker.ts'
import { type Ground, hourMs, openGround } from '#test/walks/ground.ts'
import { type Scenery, walk } from '#test/walks/walk.ts'
import { leaseMs } from '#usecases/advance-rotation.ts'
import { openDoorbell } from '#worker/doorbell.ts'
import { startWorker } from '#worker/worker.ts'

let ground: Ground
beforeAll(async () => {
  ground = await openGround()
})
afterAll(() => ground.close())

const host = (skewMs: number) => {
  const { engine } = ground
  const { timers, clock, urls } = engine
  const work: string[] = []
  const errors: unknown[] = []
  const queue = { databaseUrl: urls.app, redisUrl: null }
  const bell = openDoorbell(queue, clock, (error) => errors.push(error))
  const advance = engine.worker(`host ${skewMs}`)
  const nothing = async () => 0
  const worker = startWorker(
    {
      queue,
      bell,
      timers,
      clock: { ...clock, now: () => new Date(clock.now().getTime() + skewMs) },
      meter: noTelemetry.meter,
      jobs: {
        advanceRotation: async (id) => {
          work.push(`advance ${id}`)
          await advance(id)
        },
        renewLeases: advance.renewLeases,
        planRotations: async () => {
          work.push('plan')
          return engine.plan()
        },
        reconcileKeys: nothing,
        compareKeys: nothing,
        hasEmergency: async () => true,
        containKeys: nothing,
        renewContainLeases: async () => {},
        deliverToSinks: nothing,
        housekeeping: async () => {},
      },
    },
    { leaseMs, concurrency: 2, every, onError: (_where, error) => errors.push(error) },
  )
  return {
    work,
    errors,
    worker,
    stop: async () => {
      await worker.stop()
      await bell.close()
    },
  }
}

/** The queue lets go of them a little after it is closed, and the database is dropped at the end. */
const queueSessions = async (): Promise<number> => {
  const [row] = await ground.engine.sql(
    `SELECT count(*)::int AS n FROM pg_stat_activity
     WHERE datname = current_database() AND usename = 'rekey_app' AND application_name <> 'rekey'`,
  )
  return Number(row?.['n'])
}

test('a worker whose clock is an hour off takes no work, and says why; the others do all of it', async () => {
  const { engine } = ground
  await engine.key('orders', { labels: { set: 'orders' } })
  await engine.policy('orders', { selector: { matchLabels: { set: 'orders' } } })
  const id = await engine.rotate('orders')
  const [fast, slow, right] = [host(hourMs), host(-hourMs), host(0)]
  try {
    await expect.poll(async () => (await engine.rotation(id)).phase).toBe('completed')
    await expect.poll(() => fast.worker.idleBecause()).toMatch(/^the clock is 3[56]\d\d s off/)
    await expect.poll(() => slow.worker.idleBecause()).toMatch(/^the clock is -3[67]\d\d s off/)
    expect(right.worker.idleBecause()).toBeNull()
    expect([fast.work, slow.work]).toEqual([[], []])
    expect(right.work).toContain('plan')
    expect([fast, slow, right].flatMap(({ errors }) => errors)).toEqual([])
  } finally {
    await Promise.all([fast.stop(), slow.stop(), right.stop()])
    await expect.poll(queueSessions).toBe(0)
  }
})

/** As the policy of a walk has it. */
const everyMs = 120_000
const nominalTimes = (ids: readonly string[]) =>
  Promise.all(
    ids.map(async (id) => {
      const { plan, endedAt } = await ground.engine.rotation(id)
      return { at: Date.parse(plan.nominal ?? ''), endedAt: endedAt?.getTime() ?? Infinity }
    }),
  )

const scenery: Scenery = {
  type: 'shelf.value',
  keys: 1,
  when: 'cron',
  retire: 'destroy',
  soak: '20s',
  publish: false,
  unusedFor: '0s',
  overlap: '10s',
  asks: 'nobody',
  approvals: 0,
  together: 1,
  byGroup: false,
  skew: 1,
  faults: [],
}

test.each([
  { off: 'fast', skew: 1 as const },
  { off: 'slow', skew: -1 as const },
])(
  'with a clock that is an hour $off: no gate early, no lease stolen, each occurrence once',
  async ({ skew }) => {
    await walk(ground, { ...scenery, skew }, async (model) => {
      // A worker with the right time is stopped in the middle of a request.
      await ground.wait(120_000)
      ground.armed.push({ method: 'mint', kind: 'stoppedAfter' })
      await ground.sweep(0)
      expect(ground.stopped).toHaveLength(1)
      const [rotation] = model.rotations
      const epoch = rotation?.epoch
      // By a clock that is an hour ahead its lease is long over; by the database's it is not, though the test may take its time.
      await ground.sweep(2)
      expect(model.rotations[0]).toMatchObject({ epoch, phase: 'minting' })
      // Its lease is over: whoever comes takes over, and it finds nothing to write when it goes on.
      await ground.wait(leaseMs + 1_000)
      await ground.sweep(2)
      expect(model.rotations[0]?.epoch).toBe((epoch ?? 0) + 1)
      await ground.goOn()
      // Both by turns, for six minutes.
      for (let n = 0; n < 36; n++) {
        await ground.wait(10_000)
        await ground.sweep(n % 2 === 0 ? 2 : 0)
      }
      // How many there are depends on the minute in which this began, and on how long each step took.
      expect(model.rotations.length).toBeGreaterThanOrEqual(2)
      expect(model.rotations.slice(0, -1).every(({ phase }) => phase === 'completed')).toBe(true)
      const nominal = await nominalTimes(model.rotations.map(({ id }) => id))
      for (const [n, { at, endedAt }] of nominal.entries()) {
        const next = nominal[n + 1]?.at
        if (next === undefined) break
        // One an occurrence; what was due while another was open is none of its own.
        expect((next - at) % everyMs).toBe(0)
        expect(next).toBeGreaterThan(at)
        if (next > at + everyMs) expect(endedAt).toBeGreaterThanOrEqual(at + everyMs)
      }
    })
  },
)
