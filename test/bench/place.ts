// A PostgreSQL for benchmarks, as `rekey up` starts it: fsync on, its own settings. A template with the migrations in it;
// every measurement gets a clone, so that none works on what another left.

import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { makeWriter, type Writer } from '#audit/writer.ts'
import { systemActor } from '#domain/actor.ts'
import type { Ids, Ledger, Timers } from '#domain/ports.ts'
import { noTelemetry } from '#domain/telemetry.ts'
import { systemClock } from '#runtime/clock.ts'
import { startEmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { makeIds } from '#runtime/ids.ts'
import { type OpenKeyring, openKeyring } from '#runtime/keyring.ts'
import { openWriterKey } from '#runtime/writer-key.ts'
import { bootstrap, type DatabaseUrls, withClient, withDatabase } from '#store/bootstrap.ts'
import { type Database, openDatabase } from '#store/database.ts'
import { createLedger } from '#store/ledger.ts'
import { migrate } from '#store/migrate.ts'
import { createTimers } from '#store/timers.ts'
import { enrolWriter } from '#store/writer-keys.ts'

export interface Place {
  /** Holds the key files; what a worker process gets as REKEY_DATA_DIR. */
  readonly dataDir: string
  readonly database: () => Promise<BenchDatabase>
  close(): Promise<void>
}

export interface BenchDatabase {
  readonly urls: DatabaseUrls
  readonly database: Database
  readonly ledger: Ledger
  readonly timers: Timers
  readonly keyring: OpenKeyring
  readonly writer: Writer
  readonly ids: Ids
  /** The superuser's session. */
  readonly sql: pg.Client
  drop(): Promise<void>
}

const template = 'bench_template'

export const openPlace = async (): Promise<Place> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'rekey-bench-'))
  await chmod(dataDir, 0o711)
  const server = await startEmbeddedPostgres({ dataDir })
  const urls = await bootstrap({ superuserUrl: server.superuserUrl, database: template })
  await migrate({ superuserUrl: urls.superuser, migrationUrl: urls.migration })
  const keyring = await openKeyring({
    kekFile: join(dataDir, 'kek'),
    pepperFile: join(dataDir, 'pepper'),
  })
  const writer = makeWriter(await openWriterKey(join(dataDir, 'writer-key')))
  let made = 0
  const open = new Set<BenchDatabase>()
  return {
    dataDir,
    async database() {
      made += 1
      const name = `bench_${made}`
      await withClient(server.superuserUrl, (db) =>
        db.query(`CREATE DATABASE ${name} TEMPLATE ${template}`),
      )
      const own: DatabaseUrls = {
        app: withDatabase(urls.app, name),
        migration: withDatabase(urls.migration, name),
        superuser: withDatabase(urls.superuser, name),
      }
      const database = openDatabase({ url: own.app, poolSize: 12 })
      const ids = makeIds(systemClock)
      const bell = { ring: async () => undefined }
      const deps = {
        database,
        keyring,
        writer,
        ids,
        clock: systemClock,
        bell,
        trace: noTelemetry.tracer,
      }
      await enrolWriter(deps, systemActor('system', 'bench'))
      const sql = new pg.Client({ connectionString: own.superuser })
      await sql.connect()
      const bench: BenchDatabase = {
        urls: own,
        database,
        ledger: createLedger(deps),
        timers: createTimers(database),
        keyring,
        writer,
        ids,
        sql,
        async drop() {
          open.delete(bench)
          await database.close()
          await sql.end()
          await withClient(server.superuserUrl, (db) =>
            db.query(`DROP DATABASE ${name} WITH (FORCE)`),
          )
        },
      }
      open.add(bench)
      return bench
    },
    async close() {
      for (const bench of open) await bench.drop()
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** Fills tables without the checks of a guarded commit, which cost more than the rows. They are up again afterwards, or a
 *  worker would refuse to start. */
export const unguarded = async (
  { sql }: Pick<BenchDatabase, 'sql'>,
  tables: readonly string[],
  work: () => Promise<void>,
): Promise<void> => {
  await lowerGuard(sql)
  for (const name of tables) await sql.query(`ALTER TABLE ${name} DISABLE TRIGGER must_be_audited`)
  await work()
  for (const name of tables)
    await sql.query(`ALTER TABLE ${name} ENABLE ALWAYS TRIGGER must_be_audited`)
  await sql.query('ALTER EVENT TRIGGER rekey_guard ENABLE ALWAYS')
}

export const lowerGuard = async (sql: pg.Client): Promise<void> => {
  await sql.query('ALTER EVENT TRIGGER rekey_guard DISABLE')
}

/** User and system time of a process, in clock ticks of 10 ms. */
export const cpuMs = async (pid: number): Promise<number> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** Of the sessions of the application. */
export const serverMs = async ({ sql }: Pick<BenchDatabase, 'sql'>): Promise<number> => {
  const { rows } = await sql.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  )
  const times = await Promise.all(rows.map(({ pid }) => cpuMs(pid)))
  return times.reduce((sum, ms) => sum + ms, 0)
}
