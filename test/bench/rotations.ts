// Rotations a second from end to end: all keys are due at once, and real worker processes plan and rotate them in the
// built-in vault. Counted from the commit that makes them due to the last one completed.
//
// The floor writes what such a run left (rotations, versions, intents, audit events: the same rows in the same commits) with
// plain pg, from one process, into copies of the tables that have their indexes and none of their guards. It reads nothing,
// decides nothing, signs nothing and touches no vault.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFleet, putFleetPolicy, untilCompleted } from './fleet.ts'
import { type Benchmark, figure, inTurns, type Line, seconds } from './measure.ts'
import { type BenchDatabase, openPlace, type Place } from './place.ts'
import { startRole } from './processes.ts'
import { type Replay, recordRun } from './replay.ts'

export const rotations: Benchmark = {
  name: 'rotations',
  about: 'rotations a second with the built-in vault, one and two workers',
  run: async ({ large, keys: asked, say }) => {
    const place = await openPlace()
    try {
      const lines: Line[] = []
      for (const keys of asked ? [asked] : large ? [1_000, 20_000] : [1_000]) {
        lines.push(...(await measure(place, keys, asked || keys > 1_000 ? 1 : 3, say)))
      }
      return lines
    } finally {
      await place.close()
    }
  },
}

const measure = async (
  place: Place,
  keys: number,
  rounds: number,
  say: (line: string) => void,
): Promise<readonly Line[]> => {
  let replay: Replay | null = null
  const found = await inTurns(
    rounds,
    {
      'one worker': async () => {
        const db = await place.database()
        try {
          const rate = await rotate(place, db, keys, 1)
          replay ??= await recordRun(db)
          return rate
        } finally {
          await db.drop()
        }
      },
      'two workers': async () => {
        const db = await place.database()
        try {
          return await rotate(place, db, keys, 2)
        } finally {
          await db.drop()
        }
      },
      floor: async () => {
        const db = await place.database()
        try {
          if (!replay) throw new Error('there is nothing to write again')
          return keys / (await replay.write(db))
        } finally {
          await db.drop()
        }
      },
    },
    say,
  )
  const line = (what: string, ours: number): Line => ({
    what: `${what}, ${keys.toLocaleString('en')} keys due at once`,
    ours: `${figure(ours)} rotations/s`,
    floor: `${figure(found.floor)} rotations/s`,
    ratio: ours / found.floor,
    goal: '',
    met: null,
  })
  return [line('one worker', found['one worker']), line('two workers', found['two workers'])]
}

const rotate = async (
  place: Place,
  db: BenchDatabase,
  keys: number,
  workers: number,
): Promise<number> => {
  await makeFleet(db, keys, true)
  // Another database than the one that this directory remembers would be taken for a restored one: recovery mode.
  await rm(join(place.dataDir, 'high-water.json'), { force: true })
  const env = { REKEY_DATA_DIR: place.dataDir, REKEY_DATABASE_URL: db.urls.app }
  const running = await Promise.all(
    Array.from({ length: workers }, () => startRole('worker', env, 'the worker runs')),
  )
  try {
    await putFleetPolicy(db, { rotateOnEnable: true })
    return keys / (await seconds(() => untilCompleted(db, keys)))
  } finally {
    await Promise.all(running.map((worker) => worker.stop()))
  }
}
