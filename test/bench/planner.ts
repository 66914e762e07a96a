// The planner among 100,000 keys: a pass when 1,000 of them are due, the write of a policy that selects all of them, and
// whether anything that a worker asks every second reads a big table from end to end.
//
// The floor of the pass writes the same rotations and events, in the same commits, with plain pg into tables without guards.
// The floor of the policy is two statements: the policy of every key, and a schedule row of every key.

import { enableOccurrence } from '#domain/occurrences.ts'
import { systemClock } from '#runtime/clock.ts'
import { keyTypes } from '#providers/registry.ts'
import { hashJson } from '#runtime/hash.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { makeFleet, putFleetPolicy } from './fleet.ts'
import { type Benchmark, figure, inTurns, type Line, seconds } from './measure.ts'
import { type BenchDatabase, openPlace } from './place.ts'
import { recordRun } from './replay.ts'
import { scansOf } from './scans.ts'

const fleet = 100_000
const due = 1_000
const rounds = 3

const big = new Set(['key', 'key_schedule', 'rotation', 'rotation_timer'])

export const planner: Benchmark = {
  name: 'planner',
  about: 'planning and policies with 100,000 keys, and the query plans',
  run: async ({ say }) => {
    const place = await openPlace()
    const db = await place.database()
    try {
      await makeFleet(db, fleet, false)
      const policy = await seconds(() => putFleetPolicy(db, { rotateOnEnable: false }))
      say(`  a policy over ${figure(fleet)} keys: ${figure(policy)} s`)
      // Nothing that decides who is due: the keys stay as they are.
      const words = await seconds(() =>
        putFleetPolicy(db, { rotateOnEnable: false, description: 'all of them' }),
      )
      await putFleetPolicy(db, { rotateOnEnable: true })
      const policyFloor = await writeSelection(db)
      say(`  the same rows in two statements: ${figure(policyFloor)} s`)
      await db.sql.query('ANALYZE')

      const { timers, ledger, ids } = db
      const plan = makePlanRotations({ timers, ledger, ids, types: keyTypes, hashJson }, 'bench')
      let next = 0
      const pass = await inTurns(
        rounds,
        {
          pass: async () => {
            await makeDue(db, next)
            next += due
            return seconds(async () => {
              while ((await plan()) > 0);
            })
          },
          idle: () => seconds(() => plan()),
          floor: async () => {
            const other = await place.database()
            try {
              const replay = await recordRun(db)
              return (await replay.write(other)) * (due / next)
            } finally {
              await other.drop()
            }
          },
        },
        say,
      )
      const scans = await scansOf(db, big, async () => {
        await makeDue(db, next)
        while ((await plan()) > 0);
        await timers.due(500)
        await ledger.read((reads) => reads.rotations.group('policy:fleet'))
      })
      const line = (what: string, ours: number, floor: number | null): Line => ({
        what,
        ours: `${figure(ours * 1000)} ms`,
        floor: floor === null ? '' : `${figure(floor * 1000)} ms`,
        ratio: floor === null ? null : floor / ours,
        goal: '',
        met: null,
      })
      return [
        line(`planner pass, 1,000 of 100,000 keys due`, pass.pass, pass.floor),
        line('planner pass, nothing due', pass.idle, null),
        line('PUT of a policy that selects 100,000 keys', policy, policyFloor),
        line('PUT of its description alone', words, null),
        {
          what: `sequential scans of big tables, ${scans.asked} statements explained`,
          ours: scans.found.length === 0 ? '0' : scans.found.join('; '),
          floor: '',
          ratio: null,
          goal: '0',
          met: scans.found.length === 0,
        },
      ]
    } finally {
      await db.drop()
      await place.close()
    }
  },
}

/** As `rotateOnEnable` leaves them. */
const makeDue = async ({ sql }: BenchDatabase, from: number): Promise<void> => {
  const now = systemClock.now()
  await sql.query(
    `UPDATE app.key_schedule s SET due_at = $1, nominal = $1, occurrence = $2, trigger = 'schedule'
     FROM (SELECT id FROM app.key ORDER BY id LIMIT $3 OFFSET $4) k WHERE s.key_id = k.id`,
    [now, enableOccurrence(1, now), due, from],
  )
}

const writeSelection = async ({ sql }: BenchDatabase): Promise<number> => {
  await sql.query(`CREATE SCHEMA bare;
    CREATE TABLE bare.key (LIKE app.key INCLUDING ALL);
    INSERT INTO bare.key SELECT * FROM app.key;
    UPDATE bare.key SET policy = NULL, policy_selected_at = NULL;
    CREATE TABLE bare.key_schedule (LIKE app.key_schedule INCLUDING ALL);
    ANALYZE bare.key`)
  const took = await seconds(() =>
    sql.query(`UPDATE bare.key SET policy = 'fleet', policy_selected_at = now();
      INSERT INTO bare.key_schedule SELECT * FROM app.key_schedule`),
  )
  await sql.query('DROP SCHEMA bare CASCADE')
  return took
}
