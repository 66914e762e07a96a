// Emergencies at systems that are not Rekey's: 1,000 KV secrets of a real Vault over one connection that declares a limit, and
// 1,000 pairs of users of a PostgreSQL. Each against a script, in the same run, that makes the same calls of the same adapter on as
// many others, one after the other, without a limit, and writes nothing down; and `emergency-local`, the built-in vault without
// added latency, for what people wait for (running-emergency.ts).
//
// What arrives at Vault is counted by a proxy in front of it: no second, wherever it begins, may see more than the limit. The type
// for PostgreSQL has no such setting; its pool of four sessions is its bound.

import { systemActor } from '#domain/actor.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Material, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { postgres } from '#providers/postgres/provider.ts'
import { vault as vaultProvider } from '#providers/vault/provider.ts'
import { systemClock } from '#runtime/clock.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { maxRequestDuration, startVault } from '#test/peers/vault.ts'
import { busiestSecond, countingProxy } from './counting-proxy.ts'
import { makeFleet, putBenchConnections } from './fleet.ts'
import { type Benchmark, figure, type Line, seconds } from './measure.ts'
import { type BenchDatabase, openPlace, unguarded } from './place.ts'
import { linesOf, type Ran, runEmergency } from './running-emergency.ts'

const credential = 'REKEY_CREDENTIAL_BENCH'
const limit = 200
const callers = 8

export const emergencyLocal: Benchmark = {
  name: 'emergency-local',
  about: 'keys of the built-in vault revoked over REST: preview, execution, other routes beside it',
  run: async ({ large, keys: asked, say }) => {
    const keys = asked ?? (large ? 10_000 : 1_000)
    const place = await openPlace()
    try {
      const db = await place.database()
      await makeFleet(db, keys, true)
      const ran = await runEmergency(place, db, { connection: 'vault', keys, env: {}, say })
      return [refusedLine('built-in vault', keys, ran, null), ...linesOf(keys, ran)]
    } finally {
      await place.close()
    }
  },
}

export const emergencyVault: Benchmark = {
  name: 'emergency-vault',
  about: `KV secrets of a real Vault revoked over a connection with ${limit} requests a second, against a script`,
  run: async ({ keys: asked, say }) => {
    const keys = asked ?? 1_000
    const vault = await startVault()
    const proxy = await countingProxy(vault.address)
    const place = await openPlace()
    try {
      const db = await place.database()
      await atOnce(keys * 2, (n) =>
        vault.api('POST', `secret/data/${n < keys ? 'ours' : 'script'}/${n % keys}`, {
          data: { password: `first of ${n}` },
        }),
      )
      const settings = { address: proxy.address, auth: { method: 'token' }, maxRequestDuration }
      await putConnection(db, 'vault', { ...settings, requestsPerSecond: limit })
      const kv = (n: number, of: string) => ({
        mount: 'secret',
        path: `${of}/${n}`,
        field: 'password',
      })
      await putKeys(db, {
        type: 'vault.kv2.secret',
        refs: numbered(keys).map((n) => kv(n, 'ours')),
        versions: numbered(keys).map(() => '1'),
        sealed: null,
      })
      const session = vaultProvider.connect({
        connection: 'script',
        externalId: 'x',
        settings: { ...settings, address: vault.address },
        credential: new Secret(vault.token),
        ports: plainPorts(),
      })
      const theirs = await script(session, 'vault.kv2.secret', keys, (n) => ({
        ref: kv(n, 'script'),
        version: '1',
        material: null,
      }))
      say(`  script: first ${figure(theirs.firstS)} s, last ${figure(theirs.lastS)} s`)
      const env = { [credential]: vault.token, [`${credential}_HOSTS`]: '127.0.0.1' }
      const ran = await runEmergency(place, db, { connection: 'peer', keys, env, say })
      const busiest = busiestSecond(proxy.arrived)
      say(`  ${proxy.arrived.length} requests arrived`)
      return [
        refusedLine('Vault KV', keys, ran, theirs),
        {
          what: `busiest second of the connection, which declares ${limit} requests a second`,
          ours: `${busiest} requests`,
          floor: '',
          ratio: null,
          goal: `≤ ${limit}`,
          met: busiest <= limit,
        },
        ...linesOf(keys, ran),
      ]
    } finally {
      await place.close()
      await proxy.stop()
      await vault.stop()
    }
  },
}

export const emergencyPostgres: Benchmark = {
  name: 'emergency-postgres',
  about: 'pairs of users of a PostgreSQL revoked over REST, against a script',
  run: async ({ keys: asked, say }) => {
    const keys = asked ?? 1_000
    const place = await openPlace()
    try {
      const db = await place.database()
      const { hostname: host, port } = new URL(db.urls.superuser)
      const login = { user: 'bench_rekey', password: 'of-the-bench-alone' }
      const made = numbered(keys * 2).map(
        (n) =>
          `CREATE ROLE ${userOf(n, 'a')} LOGIN PASSWORD 'first'; CREATE ROLE ${userOf(n, 'b')} NOLOGIN`,
      )
      made.push(`CREATE ROLE ${login.user} SUPERUSER LOGIN PASSWORD '${login.password}'`)
      await db.sql.query(made.join(';'))
      const settings = { host, port: Number(port), database: 'postgres' }
      const session = postgres.connect({
        connection: 'script',
        externalId: 'x',
        settings,
        credential: new Secret(JSON.stringify(login)),
        ports: plainPorts(),
      })
      const present = await presentVersions(session, keys * 2)
      await putConnection(db, 'postgres', settings)
      await putKeys(db, {
        type: 'postgres.user',
        refs: numbered(keys).map(pairOf),
        versions: present.slice(0, keys),
        sealed: 'first',
      })
      const theirs = await script(session, 'postgres.user', keys, (n) => ({
        ref: pairOf(keys + n),
        version: present[keys + n] ?? '',
        material: new Secret('first'),
      }))
      await session.close()
      say(`  script: first ${figure(theirs.firstS)} s, last ${figure(theirs.lastS)} s`)
      const env = { [credential]: JSON.stringify(login), [`${credential}_HOSTS`]: host }
      const ran = await runEmergency(place, db, { connection: 'peer', keys, env, say })
      return [refusedLine('users of PostgreSQL', keys, ran, theirs), ...linesOf(keys, ran)]
    } finally {
      await place.close()
    }
  },
}

interface Theirs {
  readonly firstS: number
  readonly lastS: number
}

const refusedLine = (what: string, keys: number, ran: Ran, theirs: Theirs | null): Line => ({
  what: `${keys.toLocaleString('en')} keys (${what}), from the request to execute to the first and the last refused`,
  ours: `${figure(ran.firstS)} s, ${figure(ran.lastS)} s`,
  floor: theirs
    ? `${figure(theirs.firstS)} s, ${figure(theirs.lastS)} s (a script, one call after the other)`
    : '',
  ratio: theirs ? theirs.lastS / ran.lastS : null,
  goal: '',
  met: null,
})

const numbered = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n)

const userOf = (n: number, half: 'a' | 'b'): string => `u${n}_${half}`
const pairOf = (n: number): JsonObject => ({ users: [userOf(n, 'a'), userOf(n, 'b')] })

const atOnce = async (count: number, work: (n: number) => Promise<unknown>): Promise<void> => {
  const left = numbered(count).toReversed()
  const caller = async (): Promise<void> => {
    for (let n = left.pop(); n !== undefined; n = left.pop()) await work(n)
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

/** Switches each off and tries it, as an emergency does, and throws where one is accepted still. */
const script = async (
  session: Session,
  type: string,
  keys: number,
  keyOf: (n: number) => {
    readonly ref: JsonObject
    readonly version: string
    readonly material: Material | null
  },
): Promise<Theirs> => {
  let firstS = 0
  const began = performance.now()
  const lastS = await seconds(async () => {
    for (const n of numbered(keys)) {
      const { ref, version, material } = keyOf(n)
      const object = { type, ref, keyId: `script-${n}`, keyName: `script-${n}` }
      const call = { signal: systemClock.deadline(12_000), incident: true }
      await session.suspend(object, version, call)
      const order = { object, providerVersion: version, material, preImage: {} }
      const verdict = await session.verify({ ...order, how: 'refused' }, call)
      if (!verdict.ok) throw new Error(`it is accepted still: ${verdict.detail}`)
      if (n === 0) firstS = (performance.now() - began) / 1_000
    }
  })
  return { firstS, lastS }
}

/** As registering would find them. */
const presentVersions = async (session: Session, count: number): Promise<readonly string[]> => {
  const found: string[] = []
  await atOnce(count, async (n) => {
    const object = { type: 'postgres.user', ref: pairOf(n), keyId: '', keyName: '' }
    const { versions } = await session.describe(object, { signal: systemClock.deadline(60_000) })
    found[n] = versions.find(({ state }) => state === 'enabled')?.id ?? ''
  })
  return found
}

const bench = systemActor('system', 'bench')

const putConnection = (db: BenchDatabase, provider: string, settings: JsonObject): Promise<void> =>
  putBenchConnections(db, provider, [{ name: 'peer', settings }], { from: 'env', name: credential })

const putKeys = async (
  db: BenchDatabase,
  {
    type,
    refs,
    versions,
    sealed,
  }: {
    readonly type: string
    readonly refs: readonly JsonObject[]
    readonly versions: readonly string[]
    /** The value that is kept of each; null: none. */
    readonly sealed: string | null
  },
): Promise<void> => {
  const { value: kept } = await db.ledger.commit(bench, async (tx) => {
    const value: (string | null)[] = []
    for (const _ref of refs)
      value.push(sealed === null ? null : await tx.writeSealed.insert(new Secret(sealed), 'bench'))
    const target = { id: 'bench', name: 'bench' }
    return { value, audit: [{ action: 'request.rehearsed', target, outcome: 'succeeded' }] }
  })
  await unguarded(db, ['app.key', 'app.version'], async () => {
    await db.sql.query(
      `INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at)
       SELECT ('30000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'peer-' || lpad(n::text, 6, '0'), 'peer', $1, ref::jsonb,
         'bench:' || n, 'bench', 'team', 'test', '{}', '{}', '{}', 1, now(), now()
       FROM unnest($2::text[]) WITH ORDINALITY t (ref, n)`,
      [type, refs.map((ref) => JSON.stringify(ref))],
    )
    await db.sql.query(
      `INSERT INTO app.version (key_id, version, state, is_primary, provider_versions, material_known, sealed_id, created_at, activated_at)
       SELECT ('30000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1, 'active', true, ARRAY[v], true, s, now(), now()
       FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY t (v, s, n)`,
      [versions, kept],
    )
  })
  await db.sql.query('ANALYZE')
}
