// A database of a test file's own, a clone of the template, with everything that talks to it.

import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { makeWriter, type Writer } from '#audit/writer.ts'
import { systemActor } from '#domain/actor.ts'
import type {
  LastUses,
  Bell,
  HashJson,
  Idempotency,
  Ids,
  Ledger,
  Outbox,
  Timers,
  Whereabouts,
  Paces,
  Processes,
} from '#domain/ports.ts'
import type { VaultStore } from '#domain/provider.ts'
import { noTelemetry, type Tracer } from '#domain/telemetry.ts'
import { Secret } from '#domain/secret.ts'
import { hashJson } from '#runtime/hash.ts'
import { makeIds } from '#runtime/ids.ts'
import { keyringOver, type OpenKeyring } from '#runtime/keyring.ts'
import { createApiKeyUses, createSessionUses } from '#store/last-uses.ts'
import { withClient, withDatabase, type DatabaseUrls } from '#store/bootstrap.ts'
import { openDatabase, type Database } from '#store/database.ts'
import { createIdempotency } from '#store/idempotency.ts'
import { createLedger } from '#store/ledger.ts'
import { createOutbox } from '#store/outbox.ts'
import { createTimers } from '#store/timers.ts'
import { createLogins } from '#store/logins.ts'
import { createPaces } from '#store/paces.ts'
import { createProcesses } from '#store/processes.ts'
import { createVaultStore } from '#store/vault-store.ts'
import { createWhereabouts } from '#store/whereabouts.ts'
import { enrolWriter } from '#store/writer-keys.ts'
import { makeHandClock, type HandClock } from './clock.ts'
import { templateName } from './global-setup.ts'

export interface TestDatabase {
  readonly ledger: Ledger
  readonly timers: Timers
  readonly vault: VaultStore
  readonly paces: Paces
  readonly logins: ReturnType<typeof createLogins>
  readonly processes: Processes
  readonly whereabouts: Whereabouts
  readonly idempotency: Idempotency
  readonly apiKeyUses: LastUses
  readonly sessionUses: LastUses
  readonly outbox: Outbox
  readonly keyring: OpenKeyring
  /** Another pepper makes fingerprints from now on, in the keyring alone; the ones before are still known. */
  exchangePepper(): void
  /** All but the one that makes fingerprints are forgotten, in the keyring alone. */
  forgetPeppers(): void
  readonly writer: Writer
  readonly ids: Ids
  readonly clock: HandClock
  readonly hashJson: HashJson
  readonly database: Database
  /** Ids that the ledger rang for, oldest first. */
  readonly rung: readonly string[]
  readonly urls: DatabaseUrls
  /** SQL by hand. `superuser` by default; `app` is the role that serves. Rows as pg gives them. */
  sql(
    text: string,
    values?: readonly unknown[],
    as?: keyof DatabaseUrls,
  ): Promise<readonly Record<string, unknown>[]>
  /** A session of its own, ended by `close`. */
  session(as: keyof DatabaseUrls): Promise<pg.Client>
  /** Drops the database. */
  close(): Promise<void>
}

export interface TestDatabaseOptions {
  readonly bell?: Bell
  readonly poolSize?: number
  readonly trace?: Pick<Tracer, 'current'>
}

/** Once a file (`beforeAll`), or once a test where one must not see another's rows: a clone takes 50 to 100 ms. */
export const openTestDatabase = async (
  options: TestDatabaseOptions = {},
): Promise<TestDatabase> => {
  const template = inject('database')
  const name = `t_${randomBytes(6).toString('hex')}`
  const server = withDatabase(template.superuser, 'postgres')
  await withClient(server, (db) =>
    db.query(`CREATE DATABASE ${name} TEMPLATE ${templateName} STRATEGY FILE_COPY`),
  )
  const urls: DatabaseUrls = {
    app: withDatabase(template.app, name),
    migration: withDatabase(template.migration, name),
    superuser: withDatabase(template.superuser, name),
  }
  const sessions: pg.Client[] = []
  const session = async (as: keyof DatabaseUrls): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: nearby(urls[as]) })
    client.on('error', () => undefined)
    await client.connect()
    sessions.push(client)
    return client
  }
  const kept = new Map<keyof DatabaseUrls, Promise<pg.Client>>()
  const sql: TestDatabase['sql'] = async (text, values = [], as = 'superuser') => {
    const client = await (kept.get(as) ?? keep(kept, as, session(as)))
    const result = await client.query<Record<string, unknown>>(text, [...values])
    return result.rows
  }
  const clock = makeHandClock(async (ms) => {
    await sql('UPDATE app.test_clock SET shift_ms = $1', [ms])
  })
  const ids = makeIds(clock)
  const kek = randomBytes(32)
  const peppers: (readonly [number, Uint8Array])[] = [[1, randomBytes(32)]]
  const keyring = keyringOver(
    () => [kek],
    () => peppers,
  )
  const writer = makeWriter(new Secret(new Uint8Array(randomBytes(32))))
  const database = openDatabase({
    url: nearby(urls.app),
    poolSize: options.poolSize ?? 8,
    // A session is long in coming on a machine that has other things to do.
    waitMs: 60_000,
  })
  const rung: string[] = []
  const bell = options.bell ?? {
    ring: async (rotations) => {
      rung.push(...rotations)
    },
  }
  const trace = options.trace ?? noTelemetry.tracer
  const deps = { database, keyring, writer, ids, clock, bell, trace }
  await enrolWriter(deps, systemActor('system', 'test'))
  return {
    ledger: createLedger(deps),
    timers: createTimers(database),
    vault: createVaultStore({ database, keyring }),
    paces: createPaces(database),
    logins: createLogins(database, keyring),
    processes: createProcesses(database),
    whereabouts: createWhereabouts(database),
    idempotency: createIdempotency(database),
    apiKeyUses: createApiKeyUses(database),
    sessionUses: createSessionUses(database),
    outbox: createOutbox(database),
    keyring,
    exchangePepper: () => {
      const before = keyring.peppers.all
      peppers.push([peppers.length + 1, randomBytes(32)])
      keyring.peppers.reread()
      const makes = keyring.peppers.inFile.at(-1) ?? null
      keyring.peppers.obey({ makes, inUse: before, retired: [] })
    },
    forgetPeppers: () => {
      const [makes = null, ...retired] = keyring.peppers.all
      keyring.peppers.obey({ makes, inUse: [], retired })
    },
    writer,
    ids,
    clock,
    hashJson,
    database,
    rung,
    urls,
    sql,
    session,
    close: async () => {
      await database.close()
      await Promise.all(sessions.map((client) => client.end()))
      await withClient(server, (db) => db.query(`DROP DATABASE ${name} WITH (FORCE)`))
    },
  }
}

const keep = (
  kept: Map<keyof DatabaseUrls, Promise<pg.Client>>,
  as: keyof DatabaseUrls,
  client: Promise<pg.Client>,
): Promise<pg.Client> => {
  kept.set(as, client)
  return client
}

/** The same over the server's socket. */
const nearby = (url: string): string => {
  const directory = inject('socketDirectory')
  return directory === null ? url : `${url}?host=${encodeURIComponent(directory)}`
}
