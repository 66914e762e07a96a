// Loads a backup into an empty database: a declared step of the owners of the tables, while nobody serves.
//
//   1. every part is compared with its checksum; nothing is touched before that
//   2. the schema is made as it was when the backup was taken
//   3. one transaction loads all rows and writes the event that says so, signed by this host. The guards of the log stay in
//      place: rows are only inserted, and the commit is refused without that event. A crash leaves an empty schema
//   4. the migrations that came later run, as on any upgrade, and the guards are raised
//
// The installation remembers that it was restored: its first start is in recovery mode, wherever that is.

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { Writer } from '#audit/writer.ts'
import { systemActor } from '#domain/actor.ts'
import {
  BackupRefused,
  type BackupSource,
  type Manifest,
  manifestName,
  readManifest,
} from '#domain/backup.ts'
import type { Clock, Ids, LedgerEvent } from '#domain/ports.ts'
import { logDigest, sha256 } from './backup.ts'
import { inOneTransaction, roleNames, withClient } from './bootstrap.ts'
import { keepLogOrder } from './log-order.ts'
import { migrate, type MigrateOptions, type Migrated, readMigrations } from './migrate.ts'
import { tablesInOrder } from './table-shapes.ts'
import { signedEvent } from './write-events.ts'
import { enrolment } from './writer-keys.ts'

export interface RestoreBackup extends Pick<MigrateOptions, 'superuserUrl' | 'migrationUrl'> {
  readonly source: BackupSource
  readonly manifest: Manifest
  readonly writer: Writer
  readonly ids: Ids
  readonly clock: Pick<Clock, 'now'>
  readonly onProgress: (line: string) => void
}

/** Reads all of it once. Throws BackupRefused where a part is missing, unknown or another than it was. */
export const verifyBackup = async (source: BackupSource): Promise<Manifest> => {
  const found = new Map<string, string>()
  let manifest: Manifest | null = null
  for await (const { name, bytes } of source.parts()) {
    if (name === manifestName) manifest = readManifest(Buffer.from(bytes).toString('utf8'))
    else found.set(name, sha256(bytes))
  }
  if (manifest === null) {
    throw new BackupRefused(
      'notBackup',
      'there is no whole backup: its manifest is missing or of another form',
      'A backup that was interrupted has none. Take another one, or use the version of Rekey that took it.',
    )
  }
  const damage = damageOf(manifest, found)
  if (damage !== null) {
    throw new BackupRefused(
      'damaged',
      damage,
      'Nothing was changed. Use another copy, or another backup.',
    )
  }
  return manifest
}

const damageOf = (manifest: Manifest, found: ReadonlyMap<string, string>): string | null => {
  const expected = manifest.tables.flatMap((table) => table.parts)
  for (const part of expected) {
    const there = found.get(part.name)
    if (there === undefined) return `the part ${part.name} is missing`
    if (there !== part.sha256) return `the part ${part.name} is not what the manifest says`
  }
  const unknown = [...found.keys()].find((name) => !expected.some((part) => part.name === name))
  return unknown === undefined ? null : `the part ${unknown} is not in the manifest`
}

export const restoreBackup = async (options: RestoreBackup): Promise<Migrated> => {
  const { manifest, migrationUrl, superuserUrl, onProgress } = options
  await mustKnowSchema(manifest)
  await withClient(superuserUrl ?? migrationUrl, (db) => mustBeEmpty(db, manifest))
  return migrate({
    migrationUrl,
    ...(superuserUrl === undefined ? {} : { superuserUrl }),
    onProgress,
    load: {
      after: manifest.migrations.map(({ name }) => name),
      run: (db) => inOneTransaction(db, () => load(db, options)),
    },
  })
}

/** Its migrations are the first of ours, with the same text. */
const mustKnowSchema = async (manifest: Manifest): Promise<void> => {
  const files = await readMigrations()
  for (const [n, { name, checksum }] of manifest.migrations.entries()) {
    const file = files.find((one) => one.name === name)
    if (file === undefined) {
      throw new BackupRefused(
        'newer',
        `the backup has the migration ${name}, which this version of Rekey does not know`,
        `It was taken by version ${manifest.version}: restore it with that version or a newer one.`,
      )
    }
    if (file.checksum !== checksum || files[n]?.name !== name) {
      throw new BackupRefused(
        'newer',
        `the migration ${name} of the backup is another than that of this version`,
        `It was taken by version ${manifest.version}: restore it with that version.`,
      )
    }
  }
}

/** Nothing of ours, or the schema of the backup without a single event: what an interrupted restore leaves. */
const mustBeEmpty = async (db: pg.Client, manifest: Manifest): Promise<void> => {
  const hint =
    'A backup is restored into an empty database only: make a new one, or set REKEY_DATA_DIR to a new directory.'
  const { rows } = await db.query<{ schemas: string[]; log: boolean; migrated: boolean }>(`
    SELECT array(SELECT nspname::text FROM pg_namespace WHERE nspname IN ('app', 'audit', 'vault', 'queue') ORDER BY 1) AS schemas,
           to_regclass('audit.event') IS NOT NULL AS log, to_regclass('public._prisma_migrations') IS NOT NULL AS migrated`)
  const there = rows[0]
  if (!there || (there.schemas.length === 0 && !there.migrated)) return
  const events = there.log ? (await db.query('SELECT FROM audit.event LIMIT 1')).rowCount : 0
  if (events !== 0)
    throw new BackupRefused('notEmpty', 'the database belongs to a Rekey already', hint)
  const applied = there.migrated
    ? (
        await db.query<{ name: string }>(
          'SELECT migration_name AS name FROM public._prisma_migrations WHERE rolled_back_at IS NULL',
        )
      ).rows
    : []
  const known = new Set(manifest.migrations.map(({ name }) => name))
  if (applied.some(({ name }) => !known.has(name))) {
    throw new BackupRefused(
      'notEmpty',
      'the database was migrated beyond the schema of the backup, and rows that come after would miss what the migrations do to them',
      hint,
    )
  }
}

const load = async (db: pg.Client, options: RestoreBackup): Promise<void> => {
  const { manifest, source, onProgress } = options
  await db.query(
    "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET LOCAL client_encoding = 'UTF8'",
  )
  await as(db, 'audit', async () => {
    for (const month of manifest.months)
      await db.query('SELECT audit.make_partition($1::timestamp)', [`${month}-01`])
  })
  await mustFit(db, manifest)
  const parts = source.parts()[Symbol.asyncIterator]()
  try {
    for (const table of manifest.tables) {
      await as(db, table.name, () => copyIn(db, table, parts))
      onProgress(`${table.name}: ${table.rows} rows`)
    }
  } finally {
    // Whether all were taken or one failed: a file is held open for it.
    await parts.return?.()
  }
  for (const { name, last, called } of manifest.sequences)
    await as(db, name, () => db.query('SELECT setval($1::regclass, $2, $3)', [name, last, called]))
  const log = await as(db, 'audit', () => logDigest(db))
  if (log.events !== manifest.log.events || log.digest !== manifest.log.digest)
    throw new BackupRefused(
      'damaged',
      'the audit log is not the one that was backed up',
      'Nothing was changed.',
    )
  await keepLogOrder(db)
  await remember(db, options)
}

/** The schema that the migrations have just made is the one that the rows are of. */
const mustFit = async (db: pg.Client, manifest: Manifest): Promise<void> => {
  const shapes = new Map((await tablesInOrder(db)).map(({ name, columns }) => [name, columns]))
  for (const { name, columns } of manifest.tables) {
    const known = shapes.get(name)
    const stranger = columns.find((column) => known?.includes(column) !== true)
    if (stranger !== undefined) {
      throw new BackupRefused(
        'damaged',
        `the backup has ${name}.${stranger}, which its own migrations do not make`,
        'Somebody changed the schema by hand. Nothing was changed here.',
      )
    }
  }
}

/** As the owner of the table's schema. */
const as = async <T>(db: pg.Client, name: string, work: () => Promise<T>): Promise<T> => {
  const role = name.startsWith('audit') ? roleNames.auditOwner : roleNames.owner
  await db.query(`SET LOCAL ROLE ${role}`)
  const value = await work()
  await db.query('RESET ROLE')
  return value
}

const copyIn = async (
  db: pg.Client,
  table: Manifest['tables'][number],
  parts: AsyncIterator<{ readonly name: string; readonly bytes: Uint8Array }>,
): Promise<void> => {
  // Rows that migrations put there come back with the backup. The log has none, and refuses.
  await db.query(`DELETE FROM ${table.name}`)
  const columns = table.columns.map((column) => `"${column}"`).join(', ')
  const into = db.query(copyFrom(`COPY ${table.name} (${columns}) FROM STDIN`))
  await pipeline(Readable.from(partsOf(table, parts)), createGunzip(), into)
  if (into.rowCount !== table.rows)
    throw new BackupRefused(
      'damaged',
      `${table.name} has ${into.rowCount} rows and not ${table.rows}`,
      'Nothing was changed.',
    )
}

/** Compared once more: between the two readings the file lay open to anybody. */
async function* partsOf(
  table: Manifest['tables'][number],
  parts: AsyncIterator<{ readonly name: string; readonly bytes: Uint8Array }>,
): AsyncGenerator<Uint8Array> {
  for (const expected of table.parts) {
    const { value, done } = await parts.next() // oxlint-disable-line no-await-in-loop -- in order
    if (done === true || value.name !== expected.name || sha256(value.bytes) !== expected.sha256)
      throw new BackupRefused(
        'damaged',
        `the part ${expected.name} changed while it was read`,
        'Nothing was changed.',
      )
    yield value.bytes
  }
}

const remember = async (db: pg.Client, options: RestoreBackup): Promise<void> => {
  const { manifest, writer, clock } = options
  const restoredFrom = { takenAt: manifest.createdAt, restoredAt: clock.now().toISOString() }
  const id = manifest.installation?.id ?? 'unknown'
  const events: LedgerEvent[] = [
    {
      action: 'installation.restored',
      target: { id, name: 'rekey' },
      outcome: 'succeeded',
      after: {
        ...restoredFrom,
        version: manifest.version,
        highWater: manifest.highWater,
        log: manifest.log,
        rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
      },
    },
  ]
  await as(db, 'app', async () => {
    await db.query('UPDATE app.installation SET restored_from = $1::jsonb', [
      JSON.stringify(restoredFrom),
    ])
    // One that was open when the backup was taken ends here: the next start opens its own.
    await db.query(
      `UPDATE app.recovery SET ended_at = clock_timestamp(), ended_by = 'restore' WHERE ended_at IS NULL`,
    )
  })
  await as(db, 'audit', async () => {
    const kid = Buffer.from(writer.kid)
    const { rowCount } = await db.query(
      'INSERT INTO audit.writer_key (kid, public_key) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      [kid, Buffer.from(writer.publicKey)],
    )
    if (rowCount === 1) events.push(enrolment(writer))
    for (const event of events) {
      const signed = signedEvent(options, systemActor('system', 'restore'), event)
      await db.query(
        'INSERT INTO audit.event (id, body, writer_kid, writer_sig) VALUES ($1, $2, $3, $4)',
        [signed.id, signed.text, kid, Buffer.from(signed.signature)],
      )
    }
  })
}
