// Takes a backup: all tables in one snapshot, by COPY, over one session of the role that serves. Nothing is loaded whole: a
// table of any size passes through in parts of a few megabytes. Nobody is held up: a snapshot takes no lock that writers meet.

import { createHash } from 'node:crypto'
import { Transform, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import {
  BackupRefused,
  type BackupSink,
  type Manifest,
  manifestName,
  mostPartBytes,
} from '#domain/backup.ts'
import { withClient } from './bootstrap.ts'
import { tablesInOrder, type TableShape } from './table-shapes.ts'

export interface TakeBackup {
  /** Of the role that serves. */
  readonly url: string
  readonly sink: BackupSink
  /** Of Rekey. */
  readonly version: string
  readonly onProgress: (line: string) => void
}

/** Everything is in the sink, and committed, when it resolves; else nothing is left of it. */
export const takeBackup = async ({
  url,
  sink,
  version,
  onProgress,
}: TakeBackup): Promise<Manifest> => {
  try {
    const manifest = await withClient(url, async (db) => {
      await db.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await db.query(textForm)
      await mustBeRestorable(db)
      const facts = await readFacts(db)
      const tables: Manifest['tables'] = []
      for (const [n, shape] of (await tablesInOrder(db)).entries()) {
        const table = await copyOut(db, sink, shape, n + 1)
        tables.push(table)
        onProgress(`${table.name}: ${table.rows} rows`)
      }
      await db.query('COMMIT')
      return { format: 'rekey-backup-v1' as const, version, ...facts, tables }
    })
    await sink.put(manifestName, Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`))
    await sink.commit()
    return manifest
  } catch (error) {
    await sink.discard().catch(() => undefined)
    throw error
  }
}

/** What COPY writes does not depend on whose session it is; a slow disk is no reason to be thrown out. */
const textForm = `
  SET LOCAL client_encoding = 'UTF8'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres';
  SET LOCAL timezone = 'UTC'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1;
  SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;`

const copyOut = async (
  db: pg.Client,
  sink: BackupSink,
  { name, columns }: TableShape,
  number: number,
): Promise<Manifest['tables'][number]> => {
  const parts: Manifest['tables'][number]['parts'] = []
  const source = db.query(
    copyTo(
      `COPY (SELECT ${columns.map((column) => `"${column}"`).join(', ')} FROM ${name}) TO STDOUT`,
    ),
  )
  const put = async (bytes: Uint8Array): Promise<void> => {
    const part = `${place(number)}.${name}.${place(parts.length + 1, 6)}.copy.gz`
    await sink.put(part, bytes)
    parts.push({ name: part, bytes: bytes.byteLength, sha256: sha256(bytes) })
  }
  await pipeline(source as Readable, createGzip(), inParts(mostPartBytes), async (stream) => {
    for await (const bytes of stream) await put(bytes as Uint8Array)
  })
  return { name, columns: [...columns], rows: source.rowCount, parts }
}

/** Gathers what comes into pieces of `size` bytes; the last one is what is left. */
const inParts = (size: number): Transform => {
  let held: Buffer[] = []
  let bytes = 0
  const flush = (stream: Transform): void => {
    if (bytes > 0) stream.push(Buffer.concat(held))
    held = []
    bytes = 0
  }
  return new Transform({
    readableObjectMode: true,
    readableHighWaterMark: 1,
    transform(chunk: Buffer, _encoding, done) {
      let rest = chunk
      while (bytes + rest.byteLength >= size) {
        held.push(rest.subarray(0, size - bytes))
        rest = rest.subarray(size - bytes)
        bytes = size
        flush(this)
      }
      if (rest.byteLength > 0) held.push(rest)
      bytes += rest.byteLength
      done()
    },
    flush(done) {
      flush(this)
      done()
    },
  })
}

/** A restore migrates an empty database as far as the backup was, then makes the months of its log and notes where it came
 *  from. A schema without a place for that gives a backup that nobody could restore. */
const mustBeRestorable = async (db: pg.Client): Promise<void> => {
  const { rows } = await db.query<{ able: boolean }>(`
    SELECT to_regprocedure('audit.make_partition(timestamp)') IS NOT NULL AND EXISTS (
      SELECT FROM pg_attribute
      WHERE attrelid = to_regclass('app.installation') AND attname = 'restored_from' AND NOT attisdropped
    ) AS able`)
  if (rows[0]?.able === true) return
  throw new BackupRefused(
    'older',
    'the schema of the database is older than backups are: it could not be restored',
    'Run `rekey migrate` with this version first. For a copy of the state before it, use pg_dump.',
  )
}

const readFacts = async (
  db: pg.Client,
): Promise<Omit<Manifest, 'format' | 'version' | 'tables'>> => {
  const rows = async <T extends pg.QueryResultRow>(text: string): Promise<readonly T[]> =>
    (await db.query<T>(text)).rows
  const one = async <T extends pg.QueryResultRow>(text: string): Promise<T> => {
    const row = (await rows<T>(text))[0]
    if (row === undefined) throw new Error('the database did not answer')
    return row
  }
  const [installation] = await rows<{
    id: string
    incarnation: string
    cluster: string
    pepper: string
  }>(
    'SELECT installation_id AS id, incarnation, cluster, pepper_id AS pepper FROM app.installation',
  )
  // A database that this version has not migrated yet is backed up before it does.
  const [named] = await rows<{ keks: boolean; peppers: boolean }>(
    "SELECT to_regclass('app.kek') IS NOT NULL AS keks, to_regclass('app.pepper') IS NOT NULL AS peppers",
  )
  const peppers =
    named?.peppers === true
      ? await rows<{ number: number; id: string; state: string }>(
          "SELECT number, id, state FROM app.pepper WHERE state <> 'retired' ORDER BY number",
        )
      : []
  const [highWater] = await rows<{ id: string; leafHash: string; at: string }>(`
    SELECT id, encode(leaf_hash, 'hex') AS "leafHash", ${moment('recorded_at')} AS at
    FROM audit.event ORDER BY txid DESC, id DESC LIMIT 1`)
  const server = await one<{ version: string; now: string }>(
    `SELECT current_setting('server_version') AS version, ${moment('clock_timestamp()')} AS now`,
  )
  return {
    postgres: server.version,
    createdAt: server.now,
    migrations: [
      ...(await rows<{ name: string; checksum: string }>(`
        SELECT migration_name AS name, checksum FROM public._prisma_migrations
        WHERE rolled_back_at IS NULL ORDER BY migration_name`)),
    ],
    installation: installation
      ? {
          id: installation.id,
          incarnation: installation.incarnation,
          cluster: installation.cluster,
        }
      : null,
    keks: (
      await rows<{ kek: string }>(`
        SELECT DISTINCT kek_id AS kek FROM app.sealed WHERE erased_at IS NULL
        UNION SELECT DISTINCT kek_id FROM vault.material WHERE state <> 'destroyed'
        ${named?.keks === true ? "UNION SELECT id FROM app.kek WHERE state = 'active'" : ''} ORDER BY 1`)
    ).map(({ kek }) => kek),
    pepper: peppers.find(({ state }) => state === 'active')?.id ?? installation?.pepper ?? null,
    peppers: peppers.map(({ number, id }) => ({ number, id })),
    highWater: highWater ?? null,
    log: await logDigest(db),
    months: (
      await rows<{ month: string }>(
        "SELECT to_char(from_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month FROM audit.partition ORDER BY 1",
      )
    ).map(({ month }) => month),
    sequences: [...(await rows<Manifest['sequences'][number]>(sequences))],
  }
}

const moment = (of: string): string =>
  `to_char(${of} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

const sequences = `
  SELECT schemaname || '.' || sequencename AS name, coalesce(last_value, start_value)::text AS last,
         last_value IS NOT NULL AS called
  FROM pg_sequences WHERE schemaname IN ('app', 'audit', 'vault') ORDER BY 1`

/** The exclusive or of all leaf hashes: whatever the order, one event more, less or other gives another. */
export const logDigest = async (db: pg.Client): Promise<Manifest['log']> => {
  const quarters = [1, 9, 17, 25].map(
    (from) =>
      `lpad(to_hex(coalesce(bit_xor(('x' || encode(substr(leaf_hash, ${from}, 8), 'hex'))::bit(64)::bigint), 0)), 16, '0')`,
  )
  const { rows } = await db.query<{ events: string; digest: string }>(
    `SELECT count(*) AS events, ${quarters.join(' || ')} AS digest FROM audit.event`,
  )
  return { events: Number(rows[0]?.events ?? 0), digest: rows[0]?.digest ?? '' }
}

const place = (n: number, width = 3): string => String(n).padStart(width, '0')

export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')
