// Processes that hear late of their places, wake late and share one line: in no second do they send more than the limit.

import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Paces } from '#domain/ports.ts'
import { makeLine } from '#runtime/line.ts'

/** Time that stands still while anybody runs. */
const makeTime = () => {
  let now = 0
  let pauses: { readonly at: number; readonly go: () => void }[] = []
  return {
    now: () => now,
    pause: (ms: number) =>
      new Promise<void>((go) => {
        pauses.push({ at: now + Math.max(0, ms), go })
      }),
    run: async (isDone: () => boolean) => {
      while (!isDone()) {
        await turnOfTheLoop() // oxlint-disable-line no-await-in-loop -- one moment after the other
        const next = pauses.toSorted((a, b) => a.at - b.at)[0]
        if (!next) continue
        pauses = pauses.filter((one) => one !== next)
        now = next.at
        if (now > 60_000) throw new Error('somebody waits for a place for ever')
        next.go()
      }
    },
  }
}

/** The database's clock, against that of the processes. */
const clockAhead = 1_764_000_000_000

/** Places as store/paces.ts gives them out: one line, a tenth further apart than the limit. */
const makePlaces = (limit: number, now: () => number): Pick<Paces, 'take'> => {
  const everyMs = 1_000 / (0.9 * limit)
  let free = 0
  return {
    take: async (_connection, { count, withinMs }) => {
      const from = Math.max(free, now())
      if (from - now() > withinMs) return { kind: 'full', afterMs: from - now(), rate: limit }
      free = from + count * everyMs
      return { kind: 'places', nowMs: now() + clockAhead, afterMs: from - now(), everyMs }
    },
  }
}

const mostInASecond = (at: readonly number[]): number =>
  Math.max(0, ...at.map((from) => at.filter((t) => t >= from && t < from + 1_000).length))

interface Process {
  readonly callers: number
  /** Until the database is asked, until its answer is there, and how much too long each pause is; in ms, over and over. */
  readonly asks: readonly number[]
  readonly answers: readonly number[]
  readonly oversleeps: readonly number[]
}

/** When each request was sent, by callers who send as many as they may for five seconds. */
const send = async (limit: number, processes: readonly Process[]): Promise<readonly number[]> => {
  const time = makeTime()
  const places = makePlaces(limit, time.now)
  const sent: number[] = []
  const runs = processes.map(async ({ callers, asks, answers, oversleeps }) => {
    const each = (of: readonly number[], n: number): number => of[n % of.length] ?? 0
    let taken = 0
    let slept = 0
    const take: Paces['take'] = async (...asked) => {
      taken += 1
      await time.pause(each(asks, taken))
      const turn = await places.take(...asked)
      await time.pause(each(answers, taken))
      return turn
    }
    const line = makeLine(
      {
        paces: { take, slow: async () => undefined },
        clock: { pause: (ms) => time.pause(ms + each(oversleeps, (slept += 1))) },
        stopwatch: time.now,
      },
      'shared',
      limit,
    )
    const caller = async (): Promise<void> => {
      while (time.now() < 5_000) {
        // oxlint-disable-next-line no-await-in-loop -- one caller
        const went = await line.turn().then(
          () => true,
          () => false,
        )
        if (went) sent.push(time.now())
        else await time.pause(100) // oxlint-disable-line no-await-in-loop -- one caller
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
  })
  let done = false
  const ended = Promise.all(runs).then(() => {
    done = true
  })
  await time.run(() => done)
  await ended
  return sent
}

const delays = fc.array(fc.integer({ min: 0, max: 150 }), { minLength: 1, maxLength: 5 })
const anyProcess = fc.record({
  callers: fc.integer({ min: 1, max: 8 }),
  asks: delays,
  answers: delays,
  oversleeps: delays,
})

test('however late processes hear of their places and wake, in no second do they send more than the limit', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60 }),
      fc.array(anyProcess, { minLength: 1, maxLength: 4 }),
      async (limit, processes) => {
        const sent = await send(limit, processes)
        expect(mostInASecond(sent)).toBeLessThanOrEqual(limit)
        expect(sent.length).toBeGreaterThan(0)
      },
    ),
    { numRuns: 40 },
  )
})

test('beside a database that takes a fifth of a second, two processes use most of the line', async () => {
  const slow = { callers: 8, asks: [100], answers: [100, 60, 140], oversleeps: [5] }
  const sent = await send(20, [slow, slow])
  expect(mostInASecond(sent)).toBeLessThanOrEqual(20)
  expect(sent.length).toBeGreaterThan(0.6 * 20 * 5)
})

test('a process that stood still once takes no more than three seconds of the line for it, and soon none', async () => {
  const time = makeTime()
  const limit = 10
  const places = makePlaces(limit, time.now)
  const counts: number[] = []
  let oversleepMs = 20_000
  const line = makeLine(
    {
      paces: {
        take: async (connection, asked) => {
          counts.push(asked.count)
          return places.take(connection, asked)
        },
        slow: async () => undefined,
      },
      clock: {
        pause: (ms) => {
          const late = oversleepMs
          oversleepMs = 0
          return time.pause(ms + late)
        },
      },
      stopwatch: time.now,
    },
    'shared',
    limit,
  )
  let done = false
  const requests = (async () => {
    // The second one waits, and its process stands still meanwhile. The others come seldom: each finds its place at once.
    await Promise.all([line.turn(), line.turn()])
    for (let n = 0; n < 10; n++) {
      await time.pause(2_000) // oxlint-disable-line no-await-in-loop -- one after the other
      await line.turn() // oxlint-disable-line no-await-in-loop -- see above
    }
  })().finally(() => {
    done = true
  })
  await time.run(() => done)
  await requests
  expect(Math.max(...counts)).toBeLessThanOrEqual(1 + 3 * limit)
  expect(counts.at(-1)).toBe(1)
})
