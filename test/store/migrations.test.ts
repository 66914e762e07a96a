// Our migrator and Prisma's, in turns, on databases of their own. One file: the owners are lent to one role of the server.

import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import {
  lendOwners,
  prepareDatabase,
  takeOwnersBack,
  withClient,
  withDatabase,
  type DatabaseUrls,
} from '#store/bootstrap.ts'
import { migrate, MigrationRefused, pendingMigrations, readMigrations } from '#store/migrate.ts'
import { apply, diagnose, drift } from '#test/support/prisma-engine.ts'

const server = inject('database')
const anyDatabase = withDatabase(server.superuser, 'postgres')
const made: string[] = []

const create = async (more = ''): Promise<DatabaseUrls> => {
  const name = `m_${randomBytes(6).toString('hex')}`
  made.push(name)
  await withClient(anyDatabase, (db) => db.query(`CREATE DATABASE ${name} ${more}`))
  return {
    app: withDatabase(server.app, name),
    migration: withDatabase(server.migration, name),
    superuser: withDatabase(server.superuser, name),
  }
}

const freshDatabase = async (): Promise<DatabaseUrls> => {
  const urls = await create()
  await prepareDatabase(urls.superuser)
  return urls
}

let migrated = ''
/** What ours has applied to a fresh one, as a copy: it takes a fifth of the time. */
const migratedDatabase = (): Promise<DatabaseUrls> =>
  create(`TEMPLATE ${migrated} STRATEGY FILE_COPY`)

beforeAll(async () => {
  const urls = await freshDatabase()
  await ours(urls)
  migrated = made.pop() ?? ''
})
afterEach(async () => {
  await withClient(anyDatabase, async (db) => {
    for (const name of made.splice(0)) await db.query(`DROP DATABASE ${name} WITH (FORCE)`)
  })
})
afterAll(() => withClient(anyDatabase, (db) => db.query(`DROP DATABASE ${migrated} WITH (FORCE)`)))

const ours = (urls: DatabaseUrls, folder?: URL) =>
  migrate({ superuserUrl: urls.superuser, migrationUrl: urls.migration, ...(folder && { folder }) })

const query = (urls: DatabaseUrls, text: string): Promise<Record<string, unknown>[]> =>
  withClient(urls.superuser, async (db) => (await db.query<Record<string, unknown>>(text)).rows)

/** A copy of the migrations to which a test may do what it likes. */
const folderWith = async (
  change: (path: string) => Promise<void>,
): Promise<{ readonly url: URL; readonly remove: () => Promise<void> }> => {
  const path = await mkdtemp(join(tmpdir(), 'rekey-migrations-'))
  await cp(new URL('../../prisma/migrations', import.meta.url), path, { recursive: true })
  await change(path)
  return { url: pathToFileURL(`${path}/`), remove: () => rm(path, { recursive: true }) }
}

const addMigration = (path: string, name: string, sql: string): Promise<void> =>
  cp(join(path, '20261123000200_vault'), join(path, name), { recursive: true }).then(() =>
    writeFile(join(path, name, 'migration.sql'), sql),
  )

const tableShape = (urls: DatabaseUrls) =>
  query(
    urls,
    `SELECT column_name, data_type, character_maximum_length, is_nullable, column_default, ordinal_position
    FROM information_schema.columns WHERE table_name = '_prisma_migrations' ORDER BY ordinal_position`,
  )

describe('what ours has applied', () => {
  test('Prisma’s engine finds whole', async () => {
    const urls = await freshDatabase()
    expect((await ours(urls)).applied).toEqual((await readMigrations()).map((file) => file.name))
    expect(await diagnose({ url: urls.migration })).toMatchObject({
      hasMigrationsTable: true,
      history: null,
      editedMigrationNames: [],
      failedMigrationNames: [],
    })
    expect((await apply({ url: urls.migration })).appliedMigrationNames).toEqual([])
    expect((await ours(urls)).applied).toEqual([])
  })

  test('is what schema.prisma says', async () => {
    const [urls, shadow] = [await migratedDatabase(), await freshDatabase()]
    // As the superuser: the engine reads information_schema, which shows a role only what it has rights on.
    expect(await drift({ url: urls.superuser, shadowUrl: shadow.superuser })).toMatch(
      /^\s*(-- This is an empty migration\.)?\s*$/,
    )
  })

  test('once, when two run at the same time', async () => {
    const urls = await freshDatabase()
    const both = await Promise.all([ours(urls), ours(urls)])
    expect(both.flatMap((run) => run.applied)).toEqual(
      (await readMigrations()).map((file) => file.name),
    )
  })

  test('leaves no login role a member of an owner', async () => {
    const urls = await migratedDatabase()
    const rows = await query(
      urls,
      `SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles o ON o.oid = a.roleid
      WHERE o.rolname IN ('rekey_owner', 'rk_audit_owner') AND NOT m.rolsuper`,
    )
    expect(rows).toEqual([])
  })
})

describe('what Prisma’s engine has begun', () => {
  test('ours goes on with, and the rows look alike', async () => {
    const files = await readMigrations()
    const urls = await freshDatabase()
    await lendOwners(anyDatabase)
    try {
      const first = await apply({ url: urls.migration }, files.slice(0, 2))
      expect(first.appliedMigrationNames).toHaveLength(2)
    } finally {
      await takeOwnersBack(anyDatabase)
    }
    expect((await ours(urls)).applied).toEqual(files.slice(2).map((file) => file.name))
    const rows = await query(
      urls,
      `SELECT checksum, finished_at >= started_at AS finished, logs, rolled_back_at, applied_steps_count, length(id) AS id
      FROM public._prisma_migrations ORDER BY migration_name`,
    )
    expect(rows).toEqual(
      files.map((file) => ({
        checksum: file.checksum,
        finished: true,
        logs: null,
        rolled_back_at: null,
        applied_steps_count: 1,
        id: 36,
      })),
    )
    expect(await tableShape(await migratedDatabase())).toEqual(await tableShape(urls))
  })

  test('and left failed, ours refuses', async () => {
    const urls = await migratedDatabase()
    await query(
      urls,
      "UPDATE public._prisma_migrations SET finished_at = NULL, logs = 'it broke' WHERE migration_name LIKE '%vault'",
    )
    expect((await diagnose({ url: urls.migration })).failedMigrationNames).toEqual([
      '20261123000200_vault',
    ])
    await expect(ours(urls)).rejects.toThrow(/20261123000200_vault failed earlier/)
  })
})

test('what is pending is told to any role, and nothing is changed', async () => {
  const urls = await freshDatabase()
  const all = (await readMigrations()).map((file) => file.name)
  expect(await pendingMigrations({ migrationUrl: urls.app })).toEqual(all)
  await ours(urls)
  expect(await pendingMigrations({ migrationUrl: urls.app })).toEqual([])
  const folder = await folderWith((path) => addMigration(path, '20991231000000_next', 'SELECT 1;'))
  const next = { migrationUrl: urls.app, folder: folder.url }
  expect(await pendingMigrations(next)).toEqual(['20991231000000_next'])
  expect(await pendingMigrations(next)).toEqual(['20991231000000_next'])
  await ours(urls, folder.url)
  await expect(pendingMigrations({ migrationUrl: urls.app })).rejects.toThrow(/newer/)
  await folder.remove()
})

describe('ours refuses', () => {
  test('a migration that was edited after it had been applied', async () => {
    const urls = await migratedDatabase()
    await query(
      urls,
      "UPDATE public._prisma_migrations SET checksum = repeat('0', 64) WHERE migration_name LIKE '%app'",
    )
    expect((await diagnose({ url: urls.migration })).editedMigrationNames).toEqual([
      '20261123000100_app',
    ])
    await expect(ours(urls)).rejects.toThrow(MigrationRefused)
  })

  test('a database that is newer', async () => {
    const folder = await folderWith((path) =>
      addMigration(path, '20991231000000_future', 'SELECT 1;'),
    )
    const urls = await freshDatabase()
    await ours(urls, folder.url)
    await expect(ours(urls)).rejects.toThrow(/20991231000000_future.*newer/)
    await folder.remove()
  })

  test('a migration that appeared before ones that were applied', async () => {
    const urls = await migratedDatabase()
    const folder = await folderWith((path) =>
      addMigration(path, '20261123000050_late', 'SELECT 1;'),
    )
    await expect(ours(urls, folder.url)).rejects.toThrow(/20261123000050_late is missing/)
    await folder.remove()
  })

  test('to go on when the guards report that somebody was at the log', async () => {
    const urls = await migratedDatabase()
    await query(urls, 'ALTER EVENT TRIGGER rekey_guard DISABLE')
    await query(urls, 'ALTER TABLE audit.event DISABLE TRIGGER refuse_change')
    await query(urls, 'ALTER EVENT TRIGGER rekey_guard ENABLE ALWAYS')
    await expect(ours(urls)).rejects.toThrow(/refuse_change on audit.event is not what it was/)
  })
})

test('a migration that fails leaves nothing, and the ones before it stay', async () => {
  const folder = await folderWith((path) =>
    addMigration(
      path,
      '20991201000000_broken',
      'CREATE TABLE public.half (id integer); SELECT 1 / 0;',
    ),
  )
  const urls = await freshDatabase()
  await expect(ours(urls, folder.url)).rejects.toThrow(
    /20991201000000_broken failed and left nothing behind/,
  )
  expect(await query(urls, "SELECT to_regclass('public.half') AS half")).toEqual([{ half: null }])
  expect((await ours(urls)).applied).toEqual([])
  expect(await diagnose({ url: urls.migration })).toMatchObject({
    history: null,
    failedMigrationNames: [],
  })
  await folder.remove()
})

test('a migration may change what is guarded: the guards take the new picture', async () => {
  const folder = await folderWith((path) =>
    addMigration(
      path,
      '20991201000000_column',
      'SET LOCAL ROLE rekey_owner; ALTER TABLE app.key ADD COLUMN note text; RESET ROLE;',
    ),
  )
  const urls = await migratedDatabase()
  expect((await ours(urls, folder.url)).applied).toEqual(['20991201000000_column'])
  expect(await query(urls, 'SELECT * FROM rekey_guard.faults()')).toEqual([])
  await expect(query(urls, 'ALTER TABLE app.key DROP COLUMN note')).rejects.toMatchObject({
    code: 'RK003',
  })
  await folder.remove()
})

test('guards that a crash left lowered are raised by the next run', async () => {
  const urls = await migratedDatabase()
  await query(urls, 'ALTER EVENT TRIGGER rekey_guard DISABLE')
  await ours(urls)
  expect(
    await query(urls, "SELECT evtenabled FROM pg_event_trigger WHERE evtname = 'rekey_guard'"),
  ).toEqual([{ evtenabled: 'A' }])
})

test('every migration is a folder with a time and a name, in order', async () => {
  const names = (
    await readdir(new URL('../../prisma/migrations', import.meta.url), { withFileTypes: true })
  )
    .filter((e) => e.isDirectory())
    .map((e) => e.name)
  for (const name of names) expect(name).toMatch(/^\d{14}_[a-z][a-z_]*$/)
})
