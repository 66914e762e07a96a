// An upgrade migrates first and then replaces processes one by one, so the code of the last release runs for a while on the
// schema of the next (docs/how-to/upgrade.md). A migration may therefore only add what the code of before can ignore; what is
// taken away was let go of one release earlier, and the migration says so: `-- contract: app.key.note: unused since 0.3.0`.

import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { prepareDatabase, withClient, withDatabase } from '#store/bootstrap.ts'
import { migrate, readMigrations } from '#store/migrate.ts'
import { breakages, pictureOf, type SchemaPicture } from '#test/support/schema-picture.ts'

const server = withDatabase(inject('database').superuser, 'postgres')
const root = new URL('../../prisma/', import.meta.url)
let name: string
let url: string
let released: SchemaPicture

/** The migration with which the last release ended. */
const lastReleased = async (): Promise<string> => {
  const all = JSON.parse(await readFile(new URL('released.json', root), 'utf8')) as Record<
    string,
    string
  >
  return Object.values(all).at(-1) ?? ''
}

beforeAll(async () => {
  name = `e_${randomBytes(6).toString('hex')}`
  await withClient(server, (db) => db.query(`CREATE DATABASE ${name}`))
  url = withDatabase(server, name)
  await prepareDatabase(url)
  const folder = await mkdtemp(join(tmpdir(), 'rekey-released-'))
  const last = await lastReleased()
  for (const file of (await readMigrations()).filter((one) => one.name <= last))
    await cp(new URL(`migrations/${file.name}`, root), join(folder, file.name), { recursive: true })
  await migrate({ migrationUrl: url, folder: pathToFileURL(`${folder}/`) })
  await rm(folder, { recursive: true })
  released = await withClient(url, pictureOf)
})
afterAll(() => withClient(server, (db) => db.query(`DROP DATABASE ${name} WITH (FORCE)`)))

test('the code of the last release runs on the schema of this one, but for what was let go of before', async () => {
  const last = await lastReleased()
  const files = await readMigrations()
  expect(files.map((file) => file.name)).toContain(last)
  const contracts = files
    .filter((file) => file.name > last)
    .flatMap(({ sql }) =>
      [...sql.matchAll(/^-- contract: (.+?): \S.*$/gm)].map((match) => match[1]),
    )
  await withClient(url, async (db) => {
    await db.query('BEGIN')
    for (const { sql } of files.filter((file) => file.name > last)) {
      await db.query(sql)
      await db.query('RESET ROLE')
    }
    const found = breakages(released, await pictureOf(db))
    await db.query('ROLLBACK')
    expect(
      found.filter((line) => !contracts.some((thing) => line.startsWith(`${thing}:`))),
    ).toEqual([])
  })
})

test.each([
  ['ALTER TABLE app.key DROP COLUMN purpose', 'app.key.purpose: it is gone'],
  ['ALTER TABLE app.key RENAME COLUMN purpose TO aim', 'app.key.purpose: it is gone'],
  ['ALTER TABLE app.consumer RENAME TO client', 'app.consumer.name: it is gone'],
  [
    'ALTER TABLE app.key ALTER COLUMN owner TYPE varchar(10)',
    'app.key.owner: it was text and is character varying(10)',
  ],
  [
    'ALTER TABLE app.key ALTER COLUMN policy SET NOT NULL',
    'app.key.policy: it may be null no longer',
  ],
  [
    'ALTER TABLE app.sealed ALTER COLUMN created_at DROP DEFAULT',
    'app.sealed.created_at: it must be given now',
  ],
  ['ALTER TABLE app.key ADD COLUMN note text NOT NULL', 'app.key.note: new rows need it'],
  ['REVOKE UPDATE ON app.key FROM rekey_app', 'app.key: UPDATE is no longer granted'],
  [
    'REVOKE INSERT (body) ON audit.event FROM rekey_app',
    'audit.event.body: INSERT is no longer granted',
  ],
  [
    `ALTER TABLE app.key ADD CONSTRAINT short CHECK (length(owner) < 5)`,
    'app.key: short: rows of before are restricted',
  ],
  [
    'CREATE UNIQUE INDEX one_owner ON app.key (owner)',
    'app.key: one_owner: rows of before are restricted',
  ],
  [
    'ALTER TABLE app.version ADD FOREIGN KEY (sealed_id) REFERENCES app.sealed (id)',
    'app.version: version_sealed_id_fkey',
  ],
  ['ALTER FUNCTION app.now() RENAME TO clock', 'app.now() → timestamp with time zone: it is gone'],
])('%s would break it', async (sql, breakage) => {
  const found = await rolledBack(sql)
  expect(
    found.some((line) => line.startsWith(breakage)),
    JSON.stringify(found),
  ).toBe(true)
})

test.each([
  'ALTER TABLE app.key ADD COLUMN note text',
  `ALTER TABLE app.key ADD COLUMN note text NOT NULL DEFAULT ''`,
  'CREATE TABLE app.extra (id uuid PRIMARY KEY, key_id uuid NOT NULL REFERENCES app.key (id))',
  'ALTER TABLE app.key ALTER COLUMN purpose DROP NOT NULL',
  'CREATE INDEX by_owner ON app.key (owner)',
])('%s would not', async (sql) => {
  expect(await rolledBack(sql)).toEqual([])
})

const rolledBack = (sql: string): Promise<readonly string[]> =>
  withClient(url, async (db: pg.Client) => {
    await db.query('BEGIN')
    await db.query(sql)
    const found = breakages(released, await pictureOf(db))
    await db.query('ROLLBACK')
    return found
  })
