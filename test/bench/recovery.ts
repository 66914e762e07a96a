// How long it takes until all is at rest after `kill -9` of a worker in the middle of 500 rotations (`--large`: 2,000): beside
// another one that runs, and alone, with a new process started in its place. Two times are told: until the rotations that the
// dead one held are completed, which wait for its leases to expire, and until all of them are.
//
// The floor is the same number of rotations, from the same point on, with as many workers as are left, and nobody killed.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '#runtime/clock.ts'
import { leaseMs } from '#usecases/advance-rotation.ts'
import { makeFleet, putFleetPolicy, untilCompleted } from './fleet.ts'
import { type Benchmark, figure, type Line, seconds } from './measure.ts'
import { type BenchDatabase, openPlace, type Place } from './place.ts'
import { type Running, startRole } from './processes.ts'

export const recovery: Benchmark = {
  name: 'recovery',
  about: 'until all is at rest after kill -9 of a worker, with and without another',
  run: async ({ large, keys: asked, say }) => {
    const keys = asked ?? (large ? 2_000 : 500)
    const place = await openPlace()
    try {
      const floor = await round(place, keys, 'nobody is killed', say)
      const beside = await round(place, keys, 'another goes on', say)
      const alone = await round(place, keys, 'a new one is started', say)
      const line = (what: string, took: number, against: number | null): Line => ({
        what,
        ours: `${figure(took)} s`,
        floor: against === null ? '' : `${figure(against)} s`,
        ratio: against === null ? null : against / took,
        goal: '',
        met: null,
      })
      const held = (what: string, { ofDead }: Round): Line => ({
        ...line(`${what}: what it held is at rest`, ofDead, null),
        // The lease, a sweep, and the work itself beside all the others.
        goal: `≤ ${leaseMs / 1000 + 10} s`,
        met: ofDead <= leaseMs / 1000 + 10,
      })
      return [
        held(`kill -9 of one of two workers, ${keys} open`, beside),
        line('  all are at rest', beside.all, floor.all),
        held(`kill -9 of the only worker, ${keys} open`, alone),
        line('  all are at rest', alone.all, floor.all),
      ]
    } finally {
      await place.close()
    }
  },
}

type Case = 'nobody is killed' | 'another goes on' | 'a new one is started'
interface Round {
  readonly ofDead: number
  readonly all: number
}

const round = async (
  place: Place,
  keys: number,
  what: Case,
  say: (line: string) => void,
): Promise<Round> => {
  const db = await place.database()
  const running: Running[] = []
  const start = async (): Promise<Running> => {
    // Another database than the one that this directory remembers would be taken for a restored one: recovery mode.
    const env = { REKEY_DATA_DIR: place.dataDir, REKEY_DATABASE_URL: db.urls.app }
    const worker = await startRole('worker', env, 'the worker runs')
    running.push(worker)
    return worker
  }
  try {
    await makeFleet(db, keys, true)
    await rm(join(place.dataDir, 'high-water.json'), { force: true })
    const first = await start()
    await putFleetPolicy(db, { rotateOnEnable: true })
    // All are planned, a tenth is done, and the worker is in the middle of as many as it advances at once.
    await until(db, keys, keys / 10)
    if (what === 'another goes on') await start()
    const held = what === 'nobody is killed' ? [] : await heldBy(db)
    if (what !== 'nobody is killed') {
      running.shift()
      await first.kill()
    }
    if (what === 'a new one is started') await start()
    let ofDead = 0
    const all = await seconds(async () => {
      const ids = held.map((id) => `'${id}'`).join(', ')
      const dead = seconds(() =>
        untilCompleted(db, held.length, held.length === 0 ? 'true' : `r.id IN (${ids})`),
      )
      await untilCompleted(db, keys)
      ofDead = await dead
    })
    say(
      `  ${what}: ${held.length} were held, at rest after ${figure(ofDead)} s; all after ${figure(all)} s`,
    )
    return { ofDead, all }
  } finally {
    await Promise.all(running.map((worker) => worker.stop()))
    await db.drop()
  }
}

const until = async ({ sql }: BenchDatabase, planned: number, done: number): Promise<void> => {
  for (;;) {
    const { rows } = await sql.query<{ planned: string; done: string }>(
      `SELECT count(*) AS planned, count(*) FILTER (WHERE phase = 'completed') AS done FROM app.rotation`,
    )
    if (Number(rows[0]?.planned) >= planned && Number(rows[0]?.done) >= done) return
    await systemClock.pause(50)
  }
}

const heldBy = async ({ sql }: BenchDatabase): Promise<readonly string[]> => {
  const { rows } = await sql.query<{ id: string }>(
    'SELECT rotation_id AS id FROM app.rotation_timer WHERE lease_owner IS NOT NULL',
  )
  return rows.map(({ id }) => id)
}
