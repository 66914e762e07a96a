// Applies prisma/migrations in order and keeps `_prisma_migrations` exactly as `prisma migrate deploy` does, so that either
// tool goes on where the other stopped. (Prisma's own tool downloads an engine first and cannot run offline.)
//
// One difference, on purpose: a file and its row are one transaction, so that a failure leaves nothing behind.
// What a crash leaves: the database at the last whole file; guards lowered until the next run (the self-check sees it).

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type pg from 'pg'
import {
  inOneTransaction,
  lendOwners,
  lowerGuards,
  prepareDatabase,
  raiseGuards,
  roleNames,
  takeOwnersBack,
  withClient,
} from './bootstrap.ts'
import { keepLogOrder, logIsAhead } from './log-order.ts'
import { migrateQueue } from './migrate-queue.ts'

export interface MigrateOptions {
  /** With it the owners are lent and taken back, and the guards are raised; without it an administrator did both. */
  readonly superuserUrl?: string
  readonly migrationUrl: string
  readonly onProgress?: (line: string) => void
  /** A restore: runs once exactly these migrations are applied, and before all that follow. */
  readonly load?: {
    readonly after: readonly string[]
    readonly run: (db: pg.Client) => Promise<void>
  }
  /** For tests. */
  readonly folder?: URL
}

export interface Migrated {
  /** Names of the files that were applied now. */
  readonly applied: readonly string[]
  readonly guards: boolean
}

export class MigrationRefused extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MigrationRefused'
  }
}

export const migrate = async (options: MigrateOptions): Promise<Migrated> => {
  const say = options.onProgress ?? (() => undefined)
  const { superuserUrl } = options
  if (superuserUrl === undefined) return { applied: await applyAll(options, say), guards: false }
  // Alone from here on: another run must not take the owners back while this one needs them.
  return withClient(superuserUrl, async (alone) => {
    await alone.query('SELECT pg_advisory_lock(72707371)')
    await prepareDatabase(superuserUrl)
    await lendOwners(superuserUrl)
    try {
      // The picture is taken anew only after a migration, and only from a state that was whole before it: otherwise a run
      // of this command would bless whatever somebody had changed.
      await assertGuardsIntact(alone)
      const changes =
        options.load !== undefined ||
        (await pendingFiles(options)).length > 0 ||
        (await logIsAhead(alone))
      if (changes) await lowerGuards(superuserUrl)
      const applied = await applyAll(options, say)
      if (changes || !(await guardsAreUp(alone))) await raiseGuards(superuserUrl)
      return { applied, guards: true }
    } finally {
      await takeOwnersBack(superuserUrl)
    }
  })
}

/** Names of what `migrate` would apply, in order. Throws MigrationRefused where it would refuse. Any role may ask. */
export const pendingMigrations = async (
  options: Pick<MigrateOptions, 'migrationUrl' | 'folder'>,
): Promise<readonly string[]> => (await pendingFiles(options)).map(({ name }) => name)

/** Refuses on what the guard would refuse. A guard that a crash left lowered is no fault here: it is raised at the end. */
const assertGuardsIntact = async (db: pg.Client): Promise<void> => {
  const { rows: there } = await db.query<{ yes: boolean }>(
    "SELECT to_regclass('rekey_guard.expected') IS NOT NULL AS yes",
  )
  if (there[0]?.yes !== true || !(await guardsAreUp(db))) return
  const { rows } = await db.query<{ fault: string }>('SELECT fault FROM rekey_guard.faults() fault')
  if (rows.length === 0) return
  throw new MigrationRefused(
    `the guards of the audit log report: ${rows.map((row) => row.fault).join('; ')}. Find out who did that before anything is migrated`,
  )
}

const guardsAreUp = async (db: pg.Client): Promise<boolean> => {
  const { rowCount } = await db.query(
    "SELECT FROM pg_event_trigger WHERE evtname = 'rekey_guard' AND evtenabled = 'A'",
  )
  return rowCount !== 0
}

const pendingFiles = (
  options: Pick<MigrateOptions, 'migrationUrl' | 'folder'>,
): Promise<readonly File[]> =>
  withClient(options.migrationUrl, async (db) => {
    const { rows } = await db.query<{ there: boolean }>(
      "SELECT to_regclass('public._prisma_migrations') IS NOT NULL AS there",
    )
    const files = await readMigrations(options.folder)
    return rows[0]?.there === true ? findPending(files, await appliedRows(db)) : files
  })

interface File {
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

interface Row {
  readonly migration_name: string
  readonly checksum: string
  readonly finished_at: Date | null
  readonly rolled_back_at: Date | null
}

const applyAll = (
  options: MigrateOptions,
  say: (line: string) => void,
): Promise<readonly string[]> =>
  withClient(options.migrationUrl, async (db) => {
    // Prisma's lock: its own tool and ours never run together. Held by the session; a crash frees it.
    await db.query('SELECT pg_advisory_lock(72707369)')
    await db.query(migrationsTable)
    const files = await readMigrations(options.folder)
    const pending = findPending(files, await appliedRows(db))
    const before = options.load
      ? pending.filter(({ name }) => options.load?.after.includes(name))
      : pending
    for (const file of before) await applyOne(db, file, say)
    if (options.load) {
      await options.load.run(db)
      for (const file of pending.filter((one) => !before.includes(one)))
        await applyOne(db, file, say)
    }
    await inOneTransaction(db, () => keepLogOrder(db))
    await db.query(`GRANT SELECT ON public._prisma_migrations TO ${roleNames.app}`)
    await migrateQueue(db)
    return pending.map((file) => file.name)
  })

/** Refuses where going on would hide something: a failed, an edited or an unknown migration. */
const findPending = (files: readonly File[], rows: readonly Row[]): readonly File[] => {
  const done = new Map<string, Row>()
  for (const row of rows) {
    if (row.rolled_back_at !== null) continue
    if (row.finished_at === null) {
      throw new MigrationRefused(
        `migration ${row.migration_name} failed earlier: repair it, then mark it with "prisma migrate resolve"`,
      )
    }
    done.set(row.migration_name, row)
  }
  for (const name of done.keys()) {
    if (!files.some((file) => file.name === name)) {
      throw new MigrationRefused(
        `the database has migration ${name}, which this version of Rekey does not know: it is newer`,
      )
    }
  }
  for (const file of files) {
    const row = done.get(file.name)
    if (row !== undefined && row.checksum !== file.checksum) {
      throw new MigrationRefused(`migration ${file.name} was edited after it had been applied`)
    }
  }
  const firstPending = files.findIndex((file) => !done.has(file.name))
  const late =
    firstPending === -1 ? undefined : files.slice(firstPending).find((file) => done.has(file.name))
  if (late !== undefined) {
    throw new MigrationRefused(
      `migration ${files[firstPending]?.name ?? ''} is missing although the later ${late.name} was applied`,
    )
  }
  return files.filter((file) => !done.has(file.name))
}

const applyOne = async (db: pg.Client, file: File, say: (line: string) => void): Promise<void> => {
  say(`applying ${file.name}`)
  try {
    await inOneTransaction(db, async () => {
      const startedAt = (await db.query<{ at: Date }>('SELECT clock_timestamp() AS at')).rows[0]?.at
      // One simple-protocol message: bodies with $$ and ; stay whole.
      await db.query(file.sql)
      await db.query('RESET ROLE')
      await db.query(
        `INSERT INTO public._prisma_migrations (id, checksum, started_at, finished_at, migration_name, logs, rolled_back_at, applied_steps_count)
         VALUES (gen_random_uuid(), $1, $2, clock_timestamp(), $3, NULL, NULL, 1)`,
        [file.checksum, startedAt, file.name],
      )
    })
  } catch (e) {
    throw new Error(
      `migration ${file.name} failed and left nothing behind: ${e instanceof Error ? e.message : 'unknown'}`,
      { cause: e },
    )
  }
}

export const readMigrations = async (folder?: URL): Promise<readonly File[]> => {
  const at = folder ?? new URL('../../prisma/migrations/', import.meta.url)
  const entries = await readdir(at, { withFileTypes: true })
  const names = entries
    .filter((e) => e.isDirectory())
    .map((e) => e.name)
    .toSorted()
  return Promise.all(
    names.map(async (name) => {
      const bytes = await readFile(new URL(`${name}/migration.sql`, at))
      return {
        name,
        sql: bytes.toString('utf8'),
        checksum: createHash('sha256').update(bytes).digest('hex'),
      }
    }),
  )
}

const appliedRows = async (db: pg.Client): Promise<readonly Row[]> =>
  (
    await db.query<Row>(
      'SELECT migration_name, checksum, finished_at, rolled_back_at FROM public._prisma_migrations ORDER BY started_at',
    )
  ).rows

/** Column by column what Prisma's engine creates. */
const migrationsTable = `CREATE TABLE IF NOT EXISTS public._prisma_migrations (
  id                  VARCHAR(36) PRIMARY KEY NOT NULL,
  checksum            VARCHAR(64) NOT NULL,
  finished_at         TIMESTAMPTZ,
  migration_name      VARCHAR(255) NOT NULL,
  logs                TEXT,
  rolled_back_at      TIMESTAMPTZ,
  started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_steps_count INTEGER NOT NULL DEFAULT 0
)`
