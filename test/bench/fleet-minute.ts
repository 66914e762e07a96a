// A fleet that is due in one minute, without jitter, over four connections with limits: 2,000 KV secrets of a real Vault
// (`--large`: 20,000), two workers. Every connection goes through a proxy of its own, which counts what arrives: no second, wherever
// it begins, may see more requests than the limit. Ten seconds later three keys of another policy become due; they do not
// wait for the fleet.
//
// The floor of the throughput is what the limits allow: their sum, divided by the requests that a rotation was seen to take.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '#runtime/clock.ts'
import { maxRequestDuration, startVault } from '#test/peers/vault.ts'
import { busiestSecond, countingProxy } from './counting-proxy.ts'
import { makeFleet, putBenchConnections, putBenchPolicy, untilCompleted } from './fleet.ts'
import { type Benchmark, figure, seconds } from './measure.ts'
import { type BenchDatabase, openPlace, unguarded } from './place.ts'
import { startRole } from './processes.ts'

const connections = ['one', 'two', 'three', 'four'] as const
/** Requests a second over each. */
const limits = { one: 40, two: 30, three: 20, four: 10 } as const
const credential = 'REKEY_CREDENTIAL_BENCH'

export const fleetMinute: Benchmark = {
  name: 'fleet-minute',
  about: 'all keys of four limited connections due in one minute, two workers, a real Vault',
  run: async ({ large, keys: asked, say }) => {
    const keys = asked ?? (large ? 20_000 : 2_000)
    const vault = await startVault()
    const place = await openPlace()
    const proxies = await Promise.all(connections.map(() => countingProxy(vault.address)))
    const db = await place.database()
    const env = {
      REKEY_DATA_DIR: place.dataDir,
      REKEY_DATABASE_URL: db.urls.app,
      [credential]: vault.token,
      [`${credential}_HOSTS`]: '127.0.0.1',
    }
    try {
      await makeFleet(db, 3, true)
      await arrange(db, keys, vault.api, (n) => proxies[n]?.address ?? '')
      await rm(join(place.dataDir, 'high-water.json'), { force: true })
      const workers = await Promise.all(
        [1, 2].map(() => startRole('worker', env, 'the worker runs')),
      )
      try {
        await putBenchPolicy(db, 'many', {
          selector: { type: 'vault.kv2.secret' },
          rotateOnEnable: true,
        })
        const few = systemClock.pause(10_000).then(async () => {
          await putBenchPolicy(db, 'few', {
            selector: { connection: 'vault' },
            rotateOnEnable: true,
          })
          return seconds(() => untilCompleted(db, 3, `r.policy = 'few'`))
        })
        const took = await seconds(() => untilCompleted(db, keys, `r.policy = 'many'`))
        const sent = proxies.map(({ arrived }) => arrived.length)
        const requests = sent.reduce((sum, n) => sum + n, 0)
        say(`  ${figure(requests / keys)} requests a rotation; sent: ${sent.join(', ')}`)
        const allowed = connections.reduce((sum, name) => sum + limits[name], 0)
        // Shares are equal, limits are not: the slowest connection decides when all are done.
        const floor = Math.max(...connections.map((name, n) => (sent[n] ?? 0) / limits[name]))
        say(`  ${figure(requests / took)} of ${allowed} requests a second`)
        const delay = await planningDelay(db)
        const waited = await few
        return [
          ...connections.map((name, n) => {
            const busiest = busiestSecond(proxies[n]?.arrived ?? [])
            return {
              what: `busiest second of a connection with ${limits[name]} requests a second`,
              ours: `${busiest} requests`,
              floor: '',
              ratio: null,
              goal: `≤ ${limits[name]}`,
              met: busiest <= limits[name],
            }
          }),
          {
            what: `${keys.toLocaleString('en')} keys due at once, until all are rotated`,
            ours: `${figure(took)} s`,
            floor: `${figure(floor)} s (what the slowest connection allows)`,
            ratio: floor / took,
            goal: '',
            met: null,
          },
          {
            what: 'planning delay, 99th percentile',
            ours: `${figure(delay)} s`,
            floor: '',
            ratio: null,
            goal: '',
            met: null,
          },
          {
            what: 'three keys of another policy, due 10 s after the fleet',
            ours: `${figure(waited)} s`,
            floor: '',
            ratio: null,
            goal: '≤ 30 s',
            met: waited <= 30,
          },
        ]
      } finally {
        await Promise.all(workers.map((worker) => worker.stop()))
      }
    } finally {
      await Promise.all(proxies.map((proxy) => proxy.stop()))
      await db.drop()
      await vault.stop()
      await place.close()
    }
  },
}

/** A connection for each proxy, and its share of the secrets, at Vault and here. */
const arrange = async (
  db: BenchDatabase,
  keys: number,
  api: Awaited<ReturnType<typeof startVault>>['api'],
  addressOf: (n: number) => string,
): Promise<void> => {
  const at = connections.map((name, n) => ({
    name,
    settings: {
      address: addressOf(n),
      auth: { method: 'token' },
      maxRequestDuration,
      requestsPerSecond: limits[name],
    },
  }))
  await putBenchConnections(db, 'vault', at, { from: 'env', name: credential })
  const numbers = Array.from({ length: keys }, (_, n) => n + 1)
  const write = async (): Promise<void> => {
    for (let n = numbers.pop(); n !== undefined; n = numbers.pop())
      await api('POST', `secret/data/bench/${n}`, { data: { password: `first of ${n}` } })
  }
  await Promise.all(Array.from({ length: 8 }, write))
  await unguarded(db, ['app.key', 'app.version'], async () => {
    await db.sql.query(
      `INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at)
       SELECT ('10000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'kv-' || lpad(n::text, 6, '0'), ($2::text[])[1 + n % 4],
         'vault.kv2.secret', jsonb_build_object('mount', 'secret', 'path', 'bench/' || n, 'field', 'password'), 'bench:' || n,
         'bench', 'team', 'test', '{}', '{}', '{}', 1, now(), now()
       FROM generate_series(1, $1::integer) n`,
      [keys, connections],
    )
    await db.sql.query(
      `INSERT INTO app.version (key_id, version, state, is_primary, provider_versions, material_known, created_at, activated_at)
       SELECT id, 1, 'active', true, '{1}', true, now(), now() FROM app.key WHERE type = 'vault.kv2.secret'`,
    )
  })
  await db.sql.query('ANALYZE')
}

/** From the moment when they are due to that of their rotation's plan. */
const planningDelay = async ({ sql }: BenchDatabase): Promise<number> => {
  const { rows } = await sql.query<{ delay: number }>(
    `SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM r.created_at - p.updated_at))::double precision AS delay
     FROM app.rotation r JOIN app.policy p ON p.name = r.policy WHERE r.policy = 'many'`,
  )
  return rows[0]?.delay ?? Number.NaN
}
