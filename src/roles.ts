// The roles that need the database: `up` (everything in one process, with an embedded Postgres where none is named),
// `api`, `worker`, `migrate`, `admin-key reset`. They are loaded only when one of them is asked for.

import { mkdir } from 'node:fs/promises'
import closeWithGrace from 'close-with-grace'
import type { JsonObject } from '#domain/json.ts'
import { checkBind } from '#http/check-bind.ts'
import { adminKeyFile } from '#runtime/admin-key-file.ts'
import { assertFree } from '#runtime/assert-free.ts'
import { systemClock } from '#runtime/clock.ts'
import { startEmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { every } from '#runtime/ticker.ts'
import { makeIds } from '#runtime/ids.ts'
import { holdDirectory, type HeldDirectory } from '#runtime/run-file.ts'
import { sha256 } from '#runtime/sha256.ts'
import { bootstrap, type DatabaseUrls, isSuperuser } from '#store/bootstrap.ts'
import { migrate, type Migrated, pendingMigrations } from '#store/migrate.ts'
import { ensureAdminKey, resetAdminKey } from '#usecases/admin-key.ts'
import { type App, bindOf, type House, loadProviders, startApp } from './app.ts'
import { type Config, ConfigError } from './config.ts'
import { applySamples } from './samples.ts'

type Say = (line: string) => void

/** Where the database is, and how to let go of it. */
interface Place {
  readonly databaseUrl: string
  /** For run.json; null for a database of somebody else's. */
  readonly urls: DatabaseUrls | null
  close(): Promise<void>
}

export const up = async (config: Config, say: Say): Promise<void> => {
  // What is wrong with one, or with the address, is told before a database is made.
  await loadProviders(config)
  checkBind(bindOf(config))
  const started = systemClock.now().toISOString()
  const instance = `worker-${makeIds(systemClock).next()}`
  const run = { pid: process.pid, instance, url: '', startedAt: started, database: null }
  const held = await holdDirectory(config.dataDir, run)
  let place: Place | null = null
  let app: App | null = null
  const close = async (): Promise<void> => {
    await app?.close()
    await place?.close()
    await held.release()
  }
  // Before anything is started: a Ctrl-C in the middle of a start ends what was started.
  const grace = closeOn(close, say)
  try {
    await assertFree(config.host, config.port)
    place = await openPlace(config, say)
    const { databaseUrl, urls } = place
    let firstKey = false
    app = await startApp({
      config,
      databaseUrl,
      roles: { api: true, worker: true },
      instance,
      // Its leases keep others off for 20 s. No fence hangs on them: whoever takes over raises the epoch and probes first.
      ...(held.died?.instance ? { successorOf: held.died.instance } : {}),
      prepare: async (house) => {
        firstKey = (await ensureAdminKey(adminKey(config, house))).made
        if (
          config.samples &&
          (await applySamples(house, config.dataDir, new URL('../policies/', import.meta.url)))
        ) {
          say('applied the samples of policies/ (REKEY_SAMPLES=off leaves them out)')
        }
      },
    })
    await tell(held, { ...run, url: app.url ?? '' }, urls)
    const kept = (await adminKeyFile(config.dataDir).read()) !== null
    welcome(config, app, firstKey ? 'made' : kept ? 'kept' : 'away', say)
  } catch (error) {
    grace.uninstall()
    await close().catch(() => undefined)
    throw error
  }
}

/** `rekey api` and `rekey worker`: for production, any number of each, on a migrated database. */
export const serve = async (
  config: Config,
  roles: { readonly api: boolean; readonly worker: boolean },
  say: Say,
): Promise<void> => {
  const databaseUrl = required(
    config.databaseUrl?.reveal(),
    'REKEY_DATABASE_URL',
    'or use `rekey up`, which brings a Postgres of its own',
  )
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 })
  const app = await startApp({
    config,
    databaseUrl,
    roles,
    prepare: async (house) => {
      if (roles.api && (await ensureAdminKey(adminKey(config, house))).made)
        say(`the admin key is in ${adminKeyFile(config.dataDir).path}`)
    },
  })
  closeOn(() => app.close(), say)
  if (app.metricsUrl !== null) say(`metrics are at ${app.metricsUrl}/metrics`)
  say(app.url ? `Rekey serves ${app.url}` : 'the worker runs')
}

/** `rekey migrate`: brings a database up to date, as the migration role; with a superuser also roles and guards. */
export const migrateRole = async (config: Config, say: Say): Promise<void> => {
  const migrationUrl = required(
    config.migrationDatabaseUrl?.reveal(),
    'REKEY_MIGRATION_DATABASE_URL',
    'the connection string of a superuser, or of rekey_migrate with the owner roles granted to it',
  )
  const { applied } = await migrateOutside(migrationUrl, say)
  say(
    applied.length === 0
      ? 'nothing to apply'
      : `applied ${applied.length} migration${applied.length === 1 ? '' : 's'}`,
  )
}

/** A database of somebody else's. */
const migrateOutside = async (url: string, say: Say): Promise<Migrated> => {
  const migrated = await migrate({ ...(await migrationUrls(url)), onProgress: say })
  if (!migrated.guards) say('the guards of the audit log were not raised: that needs a superuser')
  return migrated
}

export const resetAdminKeyRole = async (config: Config, say: Say): Promise<void> => {
  const databaseUrl = config.databaseUrl?.reveal() ?? (await runningDatabase(config))
  const app = await startApp({
    config,
    databaseUrl: required(
      databaseUrl,
      'REKEY_DATABASE_URL',
      'or start Rekey with `rekey up` first',
    ),
    roles: { api: false, worker: false },
    prepare: async (house) => resetAdminKey(adminKey(config, house)),
  })
  await app.close()
  say(`a new admin key is in ${adminKeyFile(config.dataDir).path}; the old one is dead`)
}

/** `rekey migrate --check`: what would be applied. Changes nothing, and any role of the database may ask. */
export const pendingRole = async (config: Config): Promise<readonly string[]> => {
  const url = (config.migrationDatabaseUrl ?? config.databaseUrl)?.reveal()
  return pendingMigrations({
    migrationUrl: required(
      url ?? (await runningDatabase(config)),
      'REKEY_DATABASE_URL',
      'or start Rekey with `rekey up` first',
    ),
  })
}

/** A superuser's connection string is good for the guards too. */
export const migrationUrls = async (
  url: string,
): Promise<{ readonly migrationUrl: string; readonly superuserUrl?: string }> =>
  (await isSuperuser(url)) ? { migrationUrl: url, superuserUrl: url } : { migrationUrl: url }

const openPlace = async (config: Config, say: Say): Promise<Place> => {
  if (config.databaseUrl) {
    if (config.migrationDatabaseUrl) {
      await migrateOutside(config.migrationDatabaseUrl.reveal(), say)
    }
    return { databaseUrl: config.databaseUrl.reveal(), urls: null, close: async () => {} }
  }
  const server = await startEmbeddedPostgres({ dataDir: config.dataDir, progress: say })
  try {
    const urls = await bootstrap({ superuserUrl: server.superuserUrl })
    await migrate({ superuserUrl: urls.superuser, migrationUrl: urls.migration, onProgress: say })
    const reviving = every(
      2_000,
      async () => {
        if (await server.revive()) say('the database server had ended, and was started again')
      },
      (error) => say(`the database server has ended: ${String(error)}`),
    )
    const close = async (): Promise<void> => {
      await reviving.stop()
      await server.stop()
    }
    return { databaseUrl: urls.app, urls, close }
  } catch (error) {
    await server.stop()
    throw error
  }
}

const tell = (
  held: HeldDirectory,
  run: Parameters<HeldDirectory['tell']>[0],
  urls: DatabaseUrls | null,
): Promise<void> => {
  if (!urls) return held.tell(run)
  const at = new URL(urls.app)
  const database: JsonObject = {
    host: at.hostname,
    port: Number(at.port),
    name: at.pathname.slice(1),
    roles: { app: urls.app, migration: urls.migration, superuser: urls.superuser },
  }
  return held.tell({ ...run, database })
}

/** The app role's connection string of a Rekey that runs in this directory. */
export const runningDatabase = async (config: Config): Promise<string | undefined> => {
  const { readFile } = await import('node:fs/promises')
  const { join } = await import('node:path')
  try {
    const run: { readonly database?: { readonly roles?: { readonly app?: string } } } = JSON.parse(
      await readFile(join(config.dataDir, 'run.json'), 'utf8'),
    )
    return run.database?.roles?.app
  } catch {
    return undefined
  }
}

const adminKey = (config: Config, { ledger, ids }: House) => ({
  ledger,
  ids,
  sha256,
  file: adminKeyFile(config.dataDir),
})

export const required = (value: string | undefined, name: string, hint: string): string => {
  if (value !== undefined) return value
  throw new ConfigError([`${name} is needed: ${hint}`])
}

/** Ctrl-C and SIGTERM: steps under way are finished, waits are parked in their rows. A second signal ends at once. */
const closeOn = (close: () => Promise<void>, say: Say) =>
  closeWithGrace({ delay: 25_000, logger: false }, async ({ err, signal }) => {
    if (signal) say(`${signal}: finishing what is under way; nothing is lost if you do not wait`)
    if (err) say(`stopping: ${err.name}`)
    await close()
    say('stopped')
  })

const welcome = (config: Config, app: App, key: 'made' | 'kept' | 'away', say: Say): void => {
  const { path } = adminKeyFile(config.dataDir)
  say('')
  say(`Rekey serves ${app.url}`)
  if (app.metricsUrl !== null) say(`Metrics for Prometheus are at ${app.metricsUrl}/metrics`)
  if (key === 'away')
    say(`The admin key is no longer in ${path}: \`rekey admin-key reset\` makes another.`)
  else say(`The admin key is in ${path}${key === 'made' ? ' (readable by you only)' : ''}.`)
  say('')
  say('Try, in another terminal:')
  say('  npm run -s rekey -- get rotations')
  say('  npm run -s rekey -- describe key/sample-api-token')
  say('  npm run -s rekey -- rotate key/sample-api-token --reason "my first rotation" --follow')
  say('')
  say('Ctrl-C stops it; the next start goes on where it was.')
}
