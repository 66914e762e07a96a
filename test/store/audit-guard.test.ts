// What people might try on the audit log, each tried by a real login of the role in question.

import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { event, someone } from './records.ts'

let db: TestDatabase
let partition: string

beforeAll(async () => {
  db = await openTestDatabase()
  await db.ledger.note(someone, event())
  const [row] = await db.sql('SELECT tableoid::regclass::text AS name FROM audit.event LIMIT 1')
  partition = String(row?.['name'])
})
afterAll(() => db.close())

const stateOf = async (attempt: Promise<unknown>): Promise<string | undefined> => {
  try {
    await attempt
    return undefined
  } catch (e) {
    if (e instanceof pg.DatabaseError) return e.code
    throw e
  }
}

const insert = `INSERT INTO audit.event (id, body, writer_kid, writer_sig%COLUMNS%)
  VALUES (gen_random_uuid(), '{}', '\\x00000000', decode(repeat('00', 64), 'hex')%VALUES%)`
const insertWith = (column = '', value = ''): string =>
  insert.replace('%COLUMNS%', column && `, ${column}`).replace('%VALUES%', value && `, ${value}`)

describe('the role that serves', () => {
  const refused = (name: string, text: () => string): void => {
    test(`may not ${name}`, async () => {
      expect(await stateOf(db.sql(text(), [], 'app'))).toBe('42501')
    })
  }
  refused('update an event', () => `UPDATE audit.event SET body = '{}'`)
  refused('update an event in its partition', () => `UPDATE ${partition} SET body = '{}'`)
  refused('delete an event', () => 'DELETE FROM audit.event')
  refused('delete an event in its partition', () => `DELETE FROM ${partition}`)
  refused('truncate the log', () => 'TRUNCATE audit.event')
  refused('truncate a partition', () => `TRUNCATE ${partition}`)
  refused('insert straight into a partition', () => insertWith().replace('audit.event', partition))
  refused('read a partition', () => `SELECT FROM ${partition}`)
  refused('name its own txid', () => insertWith('txid', "'1'::xid8"))
  refused('name its own db_user', () => insertWith('db_user', "'somebody'"))
  refused('name its own recorded_at', () => insertWith('recorded_at', 'now()'))
  refused(
    'turn an insert into an update',
    () => `${insertWith()} ON CONFLICT (id, recorded_at) DO UPDATE SET body = '{}'`,
  )
  refused('switch triggers off', () => 'ALTER TABLE audit.event DISABLE TRIGGER ALL')
  refused('drop the log', () => 'DROP TABLE audit.event')
  refused('detach a partition', () => `ALTER TABLE audit.event DETACH PARTITION ${partition}`)
  refused('become the owner', () => 'SET ROLE rk_audit_owner')
  refused('become the owner of the tables', () => 'SET ROLE rekey_owner')
  refused('hide in replica mode', () => 'SET session_replication_role = replica')
  refused('change a writer key', () => `UPDATE audit.writer_key SET public_key = '\\x00'`)
  refused('remove a partition from the list', () => 'DELETE FROM audit.partition')
  refused('truncate a guarded table', () => 'TRUNCATE app.key')
  refused('delete a key', () => 'DELETE FROM app.key')
  refused(
    'replace a guard',
    () =>
      'CREATE OR REPLACE FUNCTION audit.must_be_audited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
  )

  test('may insert an event, and the database fills in the rest', async () => {
    const session = await db.session('app')
    await session.query('BEGIN')
    await session.query(insertWith())
    const { rows } = await session.query(
      "SELECT db_user, txid = pg_current_xact_id() AS own, leaf_hash FROM audit.event WHERE body = '{}'",
    )
    await session.query('ROLLBACK')
    expect(rows[0]).toMatchObject({ db_user: 'rekey_app', own: true })
  })

  test('may make partitions of the months ahead, and they are guarded like the others', async () => {
    await db.sql('SELECT audit.ensure_partitions(6)', [], 'app')
    const rows = await db.sql(`SELECT inhrelid::regclass::text AS name,
        (SELECT count(*) FROM pg_trigger WHERE tgrelid = inhrelid AND tgenabled = 'A')::integer AS guards
      FROM pg_inherits WHERE inhparent = 'audit.event'::regclass`)
    expect(rows).toHaveLength(7)
    expect(new Set(rows.map((row) => row['guards']))).toEqual(new Set([2]))
    expect(await db.sql('SELECT * FROM rekey_guard.faults()')).toEqual([])
  })
})

describe('the owner and a superuser in replica mode', () => {
  const attempts = {
    'UPDATE of the log': () => `UPDATE audit.event SET body = '{}'`,
    'DELETE from the log': () => 'DELETE FROM audit.event',
    'TRUNCATE of the log': () => 'TRUNCATE audit.event',
    'UPDATE of a partition': () => `UPDATE ${partition} SET body = '{}'`,
    'DELETE from a partition': () => `DELETE FROM ${partition}`,
    'TRUNCATE of a partition': () => `TRUNCATE ${partition}`,
    'DELETE of a writer key': () => 'DELETE FROM audit.writer_key',
    'DELETE from the list of partitions': () => 'DELETE FROM audit.partition',
    'TRUNCATE of the list of partitions': () => 'TRUNCATE audit.partition',
  }
  for (const [name, text] of Object.entries(attempts)) {
    test(`${name} is refused to both`, async () => {
      const session = await db.session('superuser')
      await session.query('SET ROLE rk_audit_owner')
      expect(await stateOf(session.query(text()))).toBe('RK001')
      await session.query('RESET ROLE')
      await session.query('SET session_replication_role = replica')
      expect(await stateOf(session.query(text()))).toBe('RK001')
    })
  }
})

describe('DDL by owner and superuser', () => {
  beforeEach(async () => {
    // Each attempt is refused, so the state is whole before the next one.
    expect(await db.sql('SELECT * FROM rekey_guard.faults()')).toEqual([])
  })
  const attempts = {
    'switch a trigger off': () => 'ALTER TABLE audit.event DISABLE TRIGGER refuse_change',
    'make a trigger ordinary': () => 'ALTER TABLE audit.event ENABLE TRIGGER refuse_change',
    'switch a trigger of a partition off': () =>
      `ALTER TABLE ${partition} DISABLE TRIGGER refuse_truncate`,
    'drop a trigger': () => 'DROP TRIGGER refuse_truncate ON audit.event',
    'drop the check of a guarded table': () => 'DROP TRIGGER must_be_audited ON app.rotation',
    'switch the check of a guarded table off': () =>
      'ALTER TABLE app.key DISABLE TRIGGER must_be_audited',
    'replace the body of a guard': () =>
      'CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$',
    'replace the body of the check': () =>
      'CREATE OR REPLACE FUNCTION audit.must_be_audited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
    'add a trigger that swallows events': () =>
      'CREATE TRIGGER aaa BEFORE INSERT ON audit.event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'drop the log': () => 'DROP TABLE audit.event CASCADE',
    'drop a partition': () => `DROP TABLE ${partition}`,
    'detach a partition': () => `ALTER TABLE audit.event DETACH PARTITION ${partition}`,
    'drop the schema': () => 'DROP SCHEMA audit CASCADE',
    'rename the schema': () => 'ALTER SCHEMA audit RENAME TO old_audit',
    'move the log away': () => 'ALTER TABLE audit.event SET SCHEMA public',
    'rename the log': () => 'ALTER TABLE audit.event RENAME TO event_old',
    'rewrite inserts by a rule': () =>
      'CREATE RULE nothing AS ON INSERT TO audit.event DO INSTEAD NOTHING',
    'rewrite updates of a guarded table by a rule': () =>
      'CREATE RULE nothing AS ON UPDATE TO app.key DO INSTEAD NOTHING',
    'drop a column': () => 'ALTER TABLE audit.event DROP COLUMN leaf_hash',
    'change a generated column': () =>
      'ALTER TABLE audit.event ALTER COLUMN facets SET EXPRESSION AS (NULL)',
    'change a default': () => 'ALTER TABLE audit.event ALTER COLUMN txid DROP DEFAULT',
    'grant UPDATE on the log': () => 'GRANT UPDATE ON audit.event TO rekey_app',
    'grant INSERT of every column': () => 'GRANT INSERT ON audit.event TO rekey_app',
    'grant rights on a partition': () => `GRANT DELETE ON ${partition} TO rekey_app`,
    'hand the log to another owner': () => 'ALTER TABLE audit.event OWNER TO rekey_app',
    'do it inside a block': () =>
      "DO $$ BEGIN EXECUTE 'ALTER TABLE audit.event DISABLE TRIGGER ALL'; END $$",
  }
  for (const [name, text] of Object.entries(attempts)) {
    test(`refuses to ${name}`, async () => {
      const session = await db.session('superuser')
      expect(await stateOf(session.query(text()))).toBe('RK003')
    })
  }

  test('lets the rest of the database change', async () => {
    await db.sql('CREATE TABLE app.elsewhere (id integer)')
    await db.sql('DROP TABLE app.elsewhere')
  })
})
