// The comparison of every key with its provider, at a size: what it costs to notice new keys, how many keys a second one worker
// looks at, whether its memory stays flat, and whether any of its statements reads a big table from end to end.
//
// The keys are of the built-in vault, so that nothing but Rekey is measured; a provider over the network adds its own time, two
// keys of a connection at once. The floor of a look is what it cannot do without: one read where the value is, one write of the
// row, two at once, with plain pg in a table without a constraint. That of noticing is one statement over all keys.

import { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import pg from 'pg'
import { keyTypes, providers } from '#providers/registry.ts'
import { systemClock } from '#runtime/clock.ts'
import { createLooks } from '#store/looks.ts'
import { createVaultStore } from '#store/vault-store.ts'
import { makeCompareKeys } from '#usecases/compare-keys.ts'
import { makeFleet } from './fleet.ts'
import { type Benchmark, figure, type Line, seconds } from './measure.ts'
import { type BenchDatabase, openPlace } from './place.ts'
import { scansOf } from './scans.ts'

const unlessSaid = 50_000
/** Looked at: at the size of the table each costs the same, and a million of them take hours. With --large all of them. */
const sample = 5_000
const hourMs = 3_600_000
const stepOf = 1_000
/** The others are empty here. */
const big = new Set(['key', 'version', 'drift', 'key_schedule'])

export const sweep: Benchmark = {
  name: 'sweep',
  about: 'all keys compared with their provider, and the query plans (--keys=N)',
  run: async ({ large, keys, say }) => {
    const count = keys ?? unlessSaid
    const looked = large ? count : Math.min(count, sample)
    const place = await openPlace()
    const db = await place.database()
    try {
      await makeFleet(db, count, true)
      await db.sql.query('INSERT INTO app.key_schedule (key_id) SELECT id FROM app.key')
      await db.sql.query('ANALYZE app.key_schedule')
      say(`  ${count.toLocaleString('en')} keys are there`)
      const begin = await walk(db)
      await db.sql.query('ANALYZE app.drift')
      const again = await walk(db)
      const beginFloor = await beginAll(db)
      say(`  noticed in ${figure(begin)} s, walked once more in ${figure(again)} s`)

      const compare = comparing(db)
      await makeDue(db, count)
      const scans = await scansOf(db, big, async () => {
        await compare(1)
      })
      const { perSecond, heap } = await measured(compare, looked, say)
      const floor = await lookFloor(db, Math.min(looked, 2_000))
      const rest = { floor: '', ratio: null, goal: '', met: null } as const
      const size = count.toLocaleString('en')
      const hours = count / perSecond / 3_600
      return [
        line(`noticing ${size} new keys`, begin, beginFloor),
        { what: `walking through ${size} known ones`, ours: `${figure(again)} s`, ...rest },
        {
          what: `keys compared a second, one worker, among ${size}`,
          ours: `${figure(perSecond)} (all of them in ${figure(hours)} h)`,
          floor: figure(floor),
          ratio: perSecond / floor,
          goal: '',
          met: null,
        },
        {
          ...rest,
          what: `heap after ${looked.toLocaleString('en')} looks, against that after a fifth of them`,
          ours: `${figure(heap.end / 2 ** 20)} MB against ${figure(heap.early / 2 ** 20)} MB`,
          goal: '≤ 5 MB more',
          met: heap.end - heap.early <= 5 * 2 ** 20,
        },
        {
          ...rest,
          what: `sequential scans of big tables, ${scans.asked} statements explained`,
          ours: scans.found.length === 0 ? '0' : scans.found.join('; '),
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

const line = (what: string, ours: number, floor: number): Line => ({
  what,
  ours: `${figure(ours)} s`,
  floor: `${figure(floor)} s`,
  ratio: floor / ours,
  goal: '',
  met: null,
})

/** All the steps of a walk; seconds. */
const walk = ({ database }: BenchDatabase): Promise<number> => {
  const looks = createLooks(database)
  return seconds(async () => {
    let last: string | null = null
    do last = await looks.enrol(last, stepOf, hourMs)
    while (last !== null)
  })
}

const beginAll = ({ sql }: BenchDatabase): Promise<number> =>
  seconds(() =>
    sql.query(`CREATE SCHEMA bare; CREATE TABLE bare.drift (LIKE app.drift INCLUDING ALL);
      INSERT INTO bare.drift (key_id, look_at) SELECT id, now() + random() * interval '1 hour' FROM app.key`),
  )

/** As if the interval of all of them were over, those of small ids first. */
const makeDue = async ({ sql }: BenchDatabase, count: number): Promise<void> => {
  await sql.query(
    `UPDATE app.drift d SET look_at = now() - ($1::integer - o.n) * interval '1 millisecond'
     FROM (SELECT key_id, row_number() OVER (ORDER BY key_id) AS n FROM app.drift) o WHERE o.key_id = d.key_id`,
    [count + 1],
  )
  await sql.query('VACUUM ANALYZE app.drift')
}

/** Looks at no fewer than so many, as a worker does. */
const comparing = ({ database, ledger, keyring, ids }: BenchDatabase) => {
  const vault = createVaultStore({ database, keyring })
  const local = providers.find(({ id }) => id === 'local')
  if (!local) throw new Error('there is no built-in vault')
  const session = local.connect({
    connection: 'vault',
    externalId: 'x',
    settings: {},
    credential: null,
    ports: {
      now: () => systemClock.now(),
      random: (n) => ids.random(n),
      fetch,
      vault,
      socket: () => new Socket(),
      confirmations: async () => [],
      nameOf: () => '',
      publishDir: null,
      nativeModules: [],
      nativeProcess: () => {
        throw new Error('the built-in vault needs none')
      },
      logins: { claim: async () => 'try', ended: async () => undefined },
    },
  })
  const sessions = { open: async () => session, enter: async () => null }
  const looks = createLooks(database)
  const deps = { ledger, looks, sessions, types: keyTypes, keyring, clock: systemClock }
  // Nothing new comes: the walk was measured by itself.
  const pass = makeCompareKeys({ ...deps, looks: { ...looks, enrol: async () => null } }, hourMs)
  return async (atLeast: number): Promise<number> => {
    let done = 0
    while (done < atLeast) {
      const more = await pass(() => false)
      if (more === 0) break
      done += more
    }
    return done
  }
}

const measured = async (
  compare: (atLeast: number) => Promise<number>,
  looked: number,
  say: (line: string) => void,
): Promise<{
  readonly perSecond: number
  readonly heap: { readonly early: number; readonly end: number }
}> => {
  const fifth = Math.ceil(looked / 5)
  await compare(fifth)
  const early = heapNow()
  let done = 0
  const took = await seconds(async () => {
    for (let part = 0; part < 4; part++) {
      done += await compare(Math.min(fifth, looked - fifth - done))
      say(`  ${done.toLocaleString('en')} looked at, heap ${figure(heapNow() / 2 ** 20)} MB`)
    }
  })
  return { perSecond: done / took, heap: { early, end: heapNow() } }
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What is still held: garbage says when it was last collected, and nothing of a leak. */
const heapNow = (): number => {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Keys a second. */
const lookFloor = async ({ urls, sql }: BenchDatabase, count: number): Promise<number> => {
  const { rows } = await sql.query<{ key_id: string }>(
    'SELECT key_id FROM bare.drift ORDER BY key_id LIMIT $1',
    [count],
  )
  const ids = rows.map((row) => row.key_id)
  const client = async (): Promise<void> => {
    const one = new pg.Client({ connectionString: urls.superuser })
    await one.connect()
    try {
      for (let id = ids.shift(); id !== undefined; id = ids.shift()) {
        await one.query('SELECT * FROM vault.material WHERE object = $1', [id])
        await one.query(
          `UPDATE bare.drift SET state = 'equal', looked_at = now(), look_at = now() + interval '1 hour' WHERE key_id = $1`,
          [id],
        )
      }
    } finally {
      await one.end()
    }
  }
  const took = await seconds(() => Promise.all([client(), client()]))
  return rows.length / took
}
