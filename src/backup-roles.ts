// `rekey backup` and `rekey restore`: they work on the database itself, as it is or before there is one, so they are roles
// and not verbs that ask a server. See src/store/backup.ts and src/store/restore.ts.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { makeWriter } from '#audit/writer.ts'
import { systemActor } from '#domain/actor.ts'
import {
  BackupRefused,
  type BackupSink,
  type BackupSource,
  type Manifest,
  missingPeppers,
} from '#domain/backup.ts'
import type { PepperName } from '#domain/pepper.ts'
import type { LedgerEvent } from '#domain/ports.ts'
import { openBackupSink, openBackupSource } from '#runtime/backup-files.ts'
import { systemClock } from '#runtime/clock.ts'
import { endOnSignal, Interrupted } from '#runtime/end-on-signal.ts'
import { startEmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { makeIds } from '#runtime/ids.ts'
import { keyringIds, openKeyring } from '#runtime/keyring.ts'
import { holdDirectory } from '#runtime/run-file.ts'
import { openWriterKey } from '#runtime/writer-key.ts'
import { takeBackup } from '#store/backup.ts'
import { bootstrap, type DatabaseUrls } from '#store/bootstrap.ts'
import { type Database, openDatabase } from '#store/database.ts'
import { type RestoreBackup, restoreBackup, verifyBackup } from '#store/restore.ts'
import { type Finding, selfCheck } from '#store/self-check.ts'
import { enrolWriter, noteAlone } from '#store/writer-keys.ts'
import { version } from './version.ts'
import { type Config, keyFiles } from './config.ts'
import { migrationUrls, required, runningDatabase } from './roles.ts'
import { skipSamples } from './samples.ts'

type Say = (line: string) => void

const ids = makeIds(systemClock)

/** Returns what it took. The intent is in the backup itself, the outcome only in the database. */
export const backupRole = (config: Config, to: string, say: Say): Promise<Manifest> =>
  endOnSignal(say, async (mustGoOn) => {
    const work = { config, say, mustGoOn }
    const url = config.databaseUrl?.reveal() ?? (await runningDatabase(config))
    if (url !== undefined) return backup(work, url, to)
    await access(join(config.dataDir, 'postgres', 'PG_VERSION')).catch(() =>
      required(undefined, 'REKEY_DATABASE_URL', `there is no database in ${config.dataDir} either`),
    )
    return withEmbedded(work, (urls) => backup(work, urls.app, to))
  })

interface Work {
  readonly config: Config
  readonly say: Say
  /** Throws where the process was told to end. Asked before each part of a backup, and with each line that is said. */
  readonly mustGoOn: () => void
}

const sayWhile =
  ({ say, mustGoOn }: Work): Say =>
  (line) => {
    mustGoOn()
    say(line)
  }

const backup = async (work: Work, url: string, to: string): Promise<Manifest> => {
  const { config, mustGoOn } = work
  const file = await openBackupSink(to)
  const sink: BackupSink = {
    ...file,
    put: async (name, bytes) => {
      mustGoOn()
      await file.put(name, bytes)
    },
  }
  const database = openDatabase({ url, poolSize: 2 })
  try {
    const record = await recorder(config, database)
    const began = await record({ outcome: 'intent' })
    try {
      const manifest = await takeBackup({ url, sink, version, onProgress: sayWhile(work) })
      await record({ outcome: 'succeeded', causationId: began, after: told(manifest) })
      return manifest
    } catch (error) {
      const ours = error instanceof BackupRefused || error instanceof Interrupted
      const reason = ours ? error.message : nameOf(error)
      await record({ outcome: 'failed', causationId: began, reason }).catch(() => undefined)
      throw error
    }
  } finally {
    await sink.discard().catch(() => undefined)
    await database.close()
  }
}

const told = ({ createdAt, highWater, log, tables }: Manifest) => ({
  createdAt,
  highWater,
  log,
  rows: tables.reduce((sum, table) => sum + table.rows, 0),
})

/** Writes events of the backup, signed by this host. */
const recorder = async (config: Config, database: Database) => {
  const writer = makeWriter(await openWriterKey(config.writerKeyFile))
  const deps = { database, writer, ids, clock: systemClock, trace: { current: () => null } }
  const actor = systemActor('system', 'backup')
  await enrolWriter(deps, actor)
  return (event: Omit<LedgerEvent, 'action' | 'target'>): Promise<string> =>
    noteAlone(deps, actor, {
      action: 'installation.backedUp',
      target: { id: 'rekey', name: 'rekey' },
      ...event,
    })
}

/** Into an empty database: the one of REKEY_MIGRATION_DATABASE_URL, or a new one in the data directory. */
export const restoreRole = (config: Config, from: string, say: Say): Promise<Manifest> =>
  endOnSignal(say, (mustGoOn) => restore({ config, say, mustGoOn }, from))

const restore = async (work: Work, from: string): Promise<Manifest> => {
  const { config, say, mustGoOn } = work
  const file = await openBackupSource(from)
  const source: BackupSource = {
    parts: async function* () {
      for await (const part of file.parts()) {
        mustGoOn()
        yield part
      }
    },
  }
  say('comparing every part with its checksum')
  const manifest = await verifyBackup(source)
  say(`a backup of ${manifest.createdAt}, ${manifest.log.events} events in its log`)
  mustHaveKeys(config, manifest)
  const writer = makeWriter(await openWriterKey(config.writerKeyFile))
  const load = async (
    urls: Pick<RestoreBackup, 'migrationUrl' | 'superuserUrl'>,
    appUrl: string | null,
  ): Promise<void> => {
    const { guards } = await restoreBackup({
      ...urls,
      source,
      manifest,
      writer,
      ids,
      clock: systemClock,
      onProgress: sayWhile(work),
    })
    if (!guards) say('the guards of the audit log were not raised: that needs a superuser')
    if (appUrl !== null) await mustBeSound(config, appUrl)
  }
  const external = config.migrationDatabaseUrl?.reveal()
  if (external !== undefined) {
    await load(await migrationUrls(external), config.databaseUrl?.reveal() ?? null)
    return manifest
  }
  if (config.databaseUrl) {
    required(
      undefined,
      'REKEY_MIGRATION_DATABASE_URL',
      'the connection string of a superuser, or of rekey_migrate with the owner roles granted to it',
    )
  }
  await withEmbedded(work, ({ migration, superuser, app }) =>
    load({ migrationUrl: migration, superuserUrl: superuser }, app),
  )
  // The samples of a first start have no place among what was restored.
  await skipSamples(config.dataDir, systemClock.now())
  return manifest
}

/** What was sealed under another key-encryption key would never be opened again, and nobody would notice before it is needed. */
const mustHaveKeys = (config: Config, manifest: Manifest): void => {
  const { kekIds, peppers } = keyringIds(keyFiles(config))
  const other = manifest.keks.find((kek) => !kekIds.includes(kek))
  if (other !== undefined) {
    throw new BackupRefused(
      'keys',
      `rows of the backup are sealed under the key-encryption key ${other}, and ${kekIds.length === 0 ? 'there is none here' : `here is ${kekIds.join(', ')}`}`,
      `Put that key into ${config.kekFile} (mode 0600) first, beside what is in it. It is in no backup: it comes from where you keep it.`,
    )
  }
  const missing = missingPeppers(manifest, peppers)
  if (missing.length > 0) {
    const told = (all: readonly PepperName[]): string =>
      all.map(({ number, id }) => `${number} (${id})`).join(', ')
    throw new BackupRefused(
      'keys',
      `fingerprints of the backup were made with the pepper ${told(missing)}, and ${peppers.length === 0 ? 'there is none here' : `here is ${told(peppers)}`}`,
      `Put its line into ${keyFiles(config).pepperFile} (mode 0600) first, beside what is in it. It is in no backup: it comes from where you keep it.`,
    )
  }
}

/** The rights, the guards and the keys, as every start asks them. */
const mustBeSound = async (config: Config, appUrl: string): Promise<void> => {
  const database = openDatabase({ url: appUrl, poolSize: 2 })
  try {
    const findings = await selfCheck(database, await openKeyring(keyFiles(config)))
    if (findings.length > 0) throw new Error(sentence(findings))
  } finally {
    await database.close()
  }
}

const sentence = (findings: readonly Finding[]): string =>
  `it is restored, and the database is not as it must be: ${findings.map(({ check, detail }) => `${check}: ${detail}`).join('; ')}`

const withEmbedded = async <T>(work: Work, use: (urls: DatabaseUrls) => Promise<T>): Promise<T> => {
  const { config, mustGoOn } = work
  const startedAt = systemClock.now().toISOString()
  const held = await holdDirectory(config.dataDir, {
    pid: process.pid,
    instance: '',
    url: '',
    startedAt,
    database: null,
  })
  try {
    const progress = sayWhile(work)
    const server = await startEmbeddedPostgres({ dataDir: config.dataDir, progress })
    try {
      mustGoOn()
      return await use(await bootstrap({ superuserUrl: server.superuserUrl }))
    } finally {
      await server.stop()
    }
  } finally {
    await held.release()
  }
}

/** Of an error that may quote a row: its name and code. */
const nameOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? `${error.name} ${String(error.code)}` : 'unknown'
