// Users of a PostgreSQL, all due at once: one worker of ours rotates pairs, and the real Vault rotates as many static roles, on
// the same server, in one run. Ours makes, logs in with, hands over, switches off and tries each, and records all of it; Vault
// sets a password and keeps it. Vault is asked by `rotate-role`, by as many callers at once as a worker has rotations.
//
// Vault has its storage in memory and an audit file; ours writes to the same server that it rotates users of.

import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { postgres } from '#providers/postgres/provider.ts'
import { Secret } from '#domain/secret.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { makeFleet, putBenchConnections, putBenchPolicy, untilCompleted } from './fleet.ts'
import { type Benchmark, figure, seconds } from './measure.ts'
import { type BenchDatabase, openPlace, unguarded } from './place.ts'
import { startRole } from './processes.ts'

const credential = 'REKEY_CREDENTIAL_BENCH'
const callers = 16
const goal = 2

export const postgresUser: Benchmark = {
  name: 'postgres-user',
  about:
    'users of a PostgreSQL due at once, against a real Vault rotating as many static roles there',
  run: async ({ keys: asked, say }) => {
    const keys = asked ?? 1_000
    const vault = await startVault()
    const place = await openPlace()
    const db = await place.database()
    try {
      await makeFleet(db, 1, true)
      const at = await arrange(db, vault, keys)
      const env = {
        REKEY_DATA_DIR: place.dataDir,
        REKEY_DATABASE_URL: db.urls.app,
        [credential]: JSON.stringify(at.login),
        [`${credential}_HOSTS`]: at.host,
      }
      const theirs = await seconds(() => rotateRoles(vault, keys))
      say(`  Vault: ${figure(keys / theirs)} a second`)
      await rm(join(place.dataDir, 'high-water.json'), { force: true })
      const worker = await startRole('worker', env, 'the worker runs')
      try {
        const ours = await seconds(async () => {
          await putBenchPolicy(db, 'users', {
            selector: { type: 'postgres.user' },
            rotateOnEnable: true,
          })
          await untilCompleted(db, keys, `r.policy = 'users'`)
        })
        say(`  ours: ${figure(keys / ours)} a second`)
        await mustBeSwitched(db, keys)
        return [
          {
            what: `${keys.toLocaleString('en')} users of one PostgreSQL due at once, one worker`,
            ours: `${figure(ours)} s`,
            floor: `${figure(theirs)} s (Vault, ${keys.toLocaleString('en')} static roles, ${callers} callers)`,
            ratio: theirs / ours,
            goal: `≥ ${goal}`,
            met: theirs / ours >= goal,
          },
        ]
      } finally {
        await worker.stop()
      }
    } finally {
      await db.drop()
      await vault.stop()
      await place.close()
    }
  },
}

const numbered = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n)

/** `callers` at once, each with the next one. */
const eachOf = async (count: number, work: (n: number) => Promise<unknown>): Promise<void> => {
  const left = numbered(count).toReversed()
  const caller = async (): Promise<void> => {
    for (let n = left.pop(); n !== undefined; n = left.pop()) await work(n)
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

const rotateRoles = (vault: VaultPeer, keys: number): Promise<void> =>
  eachOf(keys, (n) => vault.api('POST', `database/rotate-role/st${n}`, {}))

/** Users in the server, roles in Vault, keys here; a superuser for each of the two. */
const arrange = async (db: BenchDatabase, vault: VaultPeer, keys: number) => {
  const { hostname: host, port } = new URL(db.urls.superuser)
  const password = randomBytes(18).toString('base64url')
  const login = { user: 'bench_rekey', password }
  const made = numbered(keys).map(
    (n) =>
      `CREATE ROLE st${n} LOGIN; CREATE ROLE u${n}_a LOGIN PASSWORD 'first'; CREATE ROLE u${n}_b NOLOGIN`,
  )
  for (const user of [login.user, 'bench_vault'])
    made.push(`CREATE ROLE ${user} SUPERUSER LOGIN PASSWORD ${pg.escapeLiteral(password)}`)
  await db.sql.query(made.join(';'))
  await vault.api('POST', 'sys/mounts/database', { type: 'database' })
  await vault.api('POST', 'database/config/bench', {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/postgres?sslmode=disable`,
    username: 'bench_vault',
    password,
    password_authentication: 'scram-sha-256',
    max_open_connections: callers,
  })
  await eachOf(keys, (n) =>
    vault.api('POST', `database/static-roles/st${n}`, {
      db_name: 'bench',
      username: `st${n}`,
      rotation_period: '8760h',
    }),
  )
  const settings = { host, port: Number(port), database: 'postgres' }
  await putBenchConnections(db, 'postgres', [{ name: 'users', settings }], {
    from: 'env',
    name: credential,
  })
  await insertKeys(db, await presentVersions(settings, login, keys))
  return { host, login }
}

/** As registering would find them. */
const presentVersions = async (
  settings: { readonly host: string; readonly port: number; readonly database: string },
  login: object,
  keys: number,
): Promise<readonly string[]> => {
  const session = postgres.connect({
    connection: 'users',
    externalId: 'x',
    settings,
    credential: new Secret(JSON.stringify(login)),
    ports: plainPorts(),
  })
  const found: string[] = []
  await eachOf(keys, async (n) => {
    const object = {
      type: 'postgres.user',
      ref: { users: [`u${n}_a`, `u${n}_b`] },
      keyId: '',
      keyName: '',
    }
    const { versions } = await session.describe(object, { signal: AbortSignal.timeout(60_000) })
    found[n] = versions.find(({ state }) => state === 'enabled')?.id ?? ''
  })
  await session.close()
  return found
}

const insertKeys = (db: BenchDatabase, versions: readonly string[]): Promise<void> =>
  unguarded(db, ['app.key', 'app.version'], async () => {
    await db.sql.query(
      `INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at)
       SELECT ('20000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'user-' || n, 'users', 'postgres.user',
         jsonb_build_object('users', jsonb_build_array('u' || n || '_a', 'u' || n || '_b')), 'bench-user:' || n,
         'bench', 'team', 'test', '{}', '{}', '{}', 1, now(), now()
       FROM generate_series(0, $1::integer - 1) n`,
      [versions.length],
    )
    await db.sql.query(
      `INSERT INTO app.version (key_id, version, state, is_primary, provider_versions, material_known, created_at, activated_at)
       SELECT ('20000000-0000-7000-8000-' || lpad(to_hex(n - 1), 12, '0'))::uuid, 1, 'active', true, ARRAY[v], false, now(), now()
       FROM unnest($1::text[]) WITH ORDINALITY t (v, n)`,
      [versions],
    )
    await db.sql.query('ANALYZE')
  })

/** The other user of each pair logs in now, and the one of before does not: asked of the server. */
const mustBeSwitched = async ({ sql }: BenchDatabase, keys: number): Promise<void> => {
  const { rows } = await sql.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM pg_authid a JOIN pg_authid b ON b.rolname = replace(a.rolname, '_a', '_b')
     WHERE a.rolname ~ '^u[0-9]+_a$' AND NOT a.rolcanlogin AND b.rolcanlogin AND b.rolpassword LIKE 'SCRAM-SHA-256$%'`,
  )
  if (rows[0]?.n !== keys) throw new Error(`${rows[0]?.n} of ${keys} users were rotated`)
}
