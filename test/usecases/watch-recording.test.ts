import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import { noTelemetry } from '#domain/telemetry.ts'
import { makeRecordTrial } from '#store/ledger.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { makeWatchRecording } from '#usecases/watch-recording.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
  // The guards of the log would not let this happen.
  await db.sql('SET event_triggers = off')
  await db.sql(`CREATE FUNCTION audit.full() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$`)
})
afterAll(() => db.close())

const actor = systemActor('system', 'test')
const note = {
  action: 'installation.started',
  target: { id: 'test', name: 'test' },
  outcome: 'succeeded',
} as const

test('a full disk is said from the first refusal until a record could be written again, and trying leaves none', async () => {
  const deps = { ...db, bell: { ring: async () => undefined }, trace: noTelemetry.tracer }
  const { watching, ready } = makeWatchRecording({
    tryRecord: makeRecordTrial(deps, actor),
    clock: db.clock,
  })
  const ledger = watching(db.ledger)
  const records = async () => (await db.sql('SELECT count(*) AS n FROM audit.event'))[0]?.['n']
  await ledger.note(actor, note)
  const before = await records()

  await db.sql(
    'CREATE TRIGGER full_disk BEFORE INSERT ON audit.event FOR EACH ROW EXECUTE FUNCTION audit.full()',
  )
  // Nobody has written anything yet.
  expect(await ready()).toBe(true)
  await expect(ledger.note(actor, note)).rejects.toMatchObject({ code: 'audit.unavailable' })
  expect(await ready()).toContain('the disk of the database is full')
  await db.sql('DROP TRIGGER full_disk ON audit.event')
  // It was tried a moment ago.
  expect(await ready()).toContain('the disk of the database is full')
  db.clock.turnProcess(1_000)
  expect(await ready()).toBe(true)
  expect(await records()).toBe(before)
})
