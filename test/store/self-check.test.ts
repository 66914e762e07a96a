// Every fault that the start-up self-check looks for, made by hand on a database of its own.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { ensureAuditPartitions } from '#store/audit-partitions.ts'
import { openDatabase } from '#store/database.ts'
import { selfCheck, type Finding } from '#store/self-check.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { write } from './records.ts'

let db: TestDatabase
beforeEach(async () => {
  db = await openTestDatabase()
})
afterEach(() => db.close())

// The server of the tests does without these on purpose.
const known = new Set([
  'the server runs with fsync = off',
  'the server runs with full_page_writes = off',
])
const check = async (): Promise<readonly Finding[]> =>
  (await selfCheck(db.database, db.keyring)).filter((finding) => !known.has(finding.detail))
const details = async (name: string): Promise<readonly string[]> =>
  (await check()).filter((finding) => finding.check === name).map((finding) => finding.detail)

const unguarded = async (text: string): Promise<void> => {
  await db.sql('ALTER EVENT TRIGGER rekey_guard DISABLE')
  await db.sql(text)
  await db.sql('ALTER EVENT TRIGGER rekey_guard ENABLE ALWAYS')
}

test('a database as the migrations leave it has no finding, but for a server that forgets', async () => {
  expect(await check()).toEqual([])
  expect(
    (await selfCheck(db.database, db.keyring)).map((finding) => finding.detail).toSorted(),
  ).toEqual([...known].toSorted())
})

describe('finds', () => {
  const faults: Readonly<Record<string, readonly [check: string, sql: string, detail: RegExp]>> = {
    'a trigger of the log that is off': [
      'audit.triggers',
      'ALTER TABLE audit.event DISABLE TRIGGER refuse_change',
      /refuse_change on audit\.event/,
    ],
    'a trigger of the log that is ordinary': [
      'audit.triggers',
      'ALTER TABLE audit.event ENABLE TRIGGER refuse_truncate',
      /refuse_truncate on audit\.event/,
    ],
    'a guarded table whose check is off': [
      'app.guarded',
      'ALTER TABLE app.rotation DISABLE TRIGGER must_be_audited',
      /must_be_audited on app\.rotation/,
    ],
    'a guarded table whose check is ordinary': [
      'app.guarded',
      'ALTER TABLE app.key ENABLE TRIGGER must_be_audited',
      /must_be_audited on app\.key/,
    ],
    'a table that does not say whether it is guarded': [
      'app.guarded',
      'CREATE TABLE app.silent (id integer)',
      /app\.silent does not say/,
    ],
    'a right to change the log': [
      'audit.rights',
      'GRANT UPDATE ON audit.event TO rekey_app',
      /may UPDATE audit\.event/,
    ],
    'a right to truncate a guarded table': [
      'audit.rights',
      'GRANT TRUNCATE ON app.key TO rekey_app',
      /may TRUNCATE app\.key/,
    ],
    'a right to name one’s own txid': [
      'audit.rights',
      'GRANT INSERT (txid) ON audit.event TO rekey_app',
      /may insert audit\.event\.txid/,
    ],
    'a right to create in a schema': [
      'audit.rights',
      'GRANT CREATE ON SCHEMA app TO rekey_app',
      /may create in the schema app/,
    ],
    'a replaced function of the log': [
      'audit.state',
      'CREATE OR REPLACE FUNCTION audit.facets_of(body text) RETURNS audit.facets LANGUAGE sql IMMUTABLE STRICT RETURN null::audit.facets',
      /facets_of\(text\) is not what it was/,
    ],
    'a rule': [
      'audit.state',
      'CREATE RULE r AS ON INSERT TO audit.event DO INSTEAD NOTHING',
      /rule r on audit\.event/,
    ],
    'a row of another KEK': [
      'kek.ours',
      `INSERT INTO app.sealed (id, purpose, kek_id, wrapped_key, ciphertext) VALUES (gen_random_uuid(), 'p', 'feedfacefeedface', '\\x00', '\\x00')`,
      /feedfacefeedface/,
    ],
    'a migration that was not applied': [
      'migrations',
      "DELETE FROM public._prisma_migrations WHERE migration_name LIKE '%vault'",
      /_vault was not applied/,
    ],
    'a migration that it does not know': [
      'schema.newer',
      "INSERT INTO public._prisma_migrations (id, checksum, migration_name, finished_at) VALUES ('x', 'x', '2099_future', now())",
      /2099_future, which this version does not know/,
    ],
  }
  for (const [name, [expected, text, detail]] of Object.entries(faults)) {
    test(name, async () => {
      await unguarded(text)
      expect(await details(expected)).toContainEqual(expect.stringMatching(detail))
    })
  }

  test('a partition that was detached, and one that is missing', async () => {
    const [row] = await db.sql('SELECT name FROM audit.partition ORDER BY name LIMIT 1')
    await unguarded(`ALTER TABLE audit.event DETACH PARTITION audit.${String(row?.['name'])}`)
    expect(await details('audit.partitions')).toEqual([
      expect.stringContaining('no partition of audit.event'),
      expect.stringContaining('is not attached'),
    ])
  })

  test('a sleeping event trigger', async () => {
    await db.sql('ALTER EVENT TRIGGER rekey_guard DISABLE')
    expect(await details('server.guards')).toHaveLength(1)
  })

  test('a role that serves and is a superuser', async () => {
    const database = openDatabase({ url: db.urls.superuser })
    const found = (await selfCheck(database, db.keyring)).filter(
      (finding) => finding.check === 'role.plain',
    )
    await database.close()
    expect(found.map((finding) => finding.detail)).toContain(
      'the role rekey_superuser has the attribute SUPERUSER',
    )
  })

  test('the wrong KEK, naming both fingerprints', async () => {
    await write(db, (tx) => tx.writeSealed.insert(new Secret('x'), 'test'))
    const [found] = (
      await selfCheck(db.database, { ...db.keyring, kekIds: ['0000000000000000'] })
    ).filter((finding) => finding.check === 'kek.ours')
    expect(found?.detail).toContain(db.keyring.kekId)
    expect(found?.detail).toContain('0000000000000000')
  })

  test('a schema that is newer, and what else is wrong with it', async () => {
    await write(db, (tx) => tx.writeSealed.insert(new Secret('x'), 'test'))
    await db.sql(`INSERT INTO public._prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count)
      VALUES ('later', repeat('0', 64), now(), '20991231000000_future', 1)`)
    try {
      const [newer, ...others] = await selfCheck(db.database, {
        ...db.keyring,
        kekIds: ['0000000000000000'],
      })
      expect(newer).toMatchObject({
        check: 'schema.newer',
        detail:
          'the database has the migration 20991231000000_future, which this version does not know',
        hint: expect.stringContaining('start that version'),
      })
      // A process that goes on during an upgrade is still told the rest.
      expect(others.map(({ check }) => check)).toContain('kek.ours')
    } finally {
      await db.sql("DELETE FROM public._prisma_migrations WHERE id = 'later'")
    }
  })

  test('another pepper than the one that fingerprints were made with', async () => {
    await write(db, (tx) =>
      tx.writeRecovery.identify({
        id: db.ids.next(),
        incarnation: db.ids.next(),
        cluster: 'c',
        pepperId: db.keyring.peppers.making.id,
        restoredFrom: null,
        createdAt: db.clock.now(),
        updatedAt: db.clock.now(),
      }),
    )
    expect(await check()).toEqual([])
    const found = (
      await selfCheck(db.database, {
        ...db.keyring,
        peppers: { all: [{ number: 1, id: '0000000000000000' }] },
      })
    ).at(-1)
    expect(found).toMatchObject({ check: 'pepper.ours' })
  })
})

test('partitions are made ahead, and making them again makes none', async () => {
  expect(await ensureAuditPartitions(db.database, 5)).toBe(2)
  expect(await ensureAuditPartitions(db.database, 5)).toBe(0)
  expect(await check()).toEqual([])
})
