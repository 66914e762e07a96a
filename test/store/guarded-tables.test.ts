// No guarded table can be written without an event: tried on each of them, as the catalogue lists them.

import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import {
  connectionNamed,
  containedKey,
  event,
  evidenceOf,
  incidentKeyOf,
  incidentOf,
  intentOf,
  keyNamed,
  planOf,
  rotationOf,
  someone,
  versionOf,
} from './records.ts'

let db: TestDatabase

beforeAll(async () => {
  db = await openTestDatabase()
  const { ids } = db
  const at = db.clock.now()
  const key = keyNamed(ids.next(), 'k')
  const rotation = rotationOf(ids.next(), key)
  // One row in each guarded table.
  await db.ledger.commit(someone, async (tx) => {
    await tx.writeConnection.insert(connectionNamed('vault'))
    await tx.writeKey.insert(key)
    await tx.writeVersion.insert(versionOf(key.id, 1))
    await tx.writeBrowserSession.takeBack('https://id.example.com#a', at)
    const named = { name: 'n', labels: {}, revision: 1, createdAt: at, updatedAt: at }
    const author = { id: 'a', name: 'a' }
    // The store does not look into a spec.
    await tx.writePolicy.put(
      { ...named, annotations: {}, spec: {} as never, author, managedBy: null },
      null,
    )
    await tx.writeConsumer.put(
      { ...named, owner: 'o', keys: [], reload: null, managedBy: null },
      null,
    )
    const sealedId = await tx.writeSealed.insert(new Secret('x'), 'test')
    await tx.writeSink.put(
      {
        name: 's',
        type: 'webhook',
        url: 'https://example.com',
        sealedId,
        events: null,
        disabledReason: null,
        revision: 1,
        createdAt: at,
        updatedAt: at,
      },
      null,
    )
    await tx.writeFreeze.put(
      { until: at, reason: 'r', selector: null, setBy: 'a', revision: 1, updatedAt: at },
      null,
    )
    const apiKey = ids.next()
    await tx.writeApiKey.insert({
      id: apiKey,
      name: 'n',
      type: 'pat',
      roles: ['viewer'],
      scope: null,
      consumer: null,
      keys: null,
      addresses: null,
      hash: ids.random(32),
      expiresAt: null,
      createdBy: 'a',
      createdAt: at,
      deletedAt: null,
    })
    await tx.writeBrowserSession.insert({
      id: ids.next(),
      hash: ids.random(32),
      loginId: ids.next(),
      issuer: 'https://i.example',
      clientId: 'c',
      subject: 's',
      claims: {},
      source: '127.0.0.1',
      createdAt: at,
      expiresAt: at,
      endedAt: null,
    })
    const frozen = {
      name: 'brk:a:s',
      type: 'webhook',
      url: 'https://example.com',
      sealedId,
    } as const
    await tx.writeBreakGlass.insert(apiKey, [frozen])
    await tx.writeRotation.insert(rotation)
    const intent = intentOf(rotation)
    await tx.writeIntent.insert(intent)
    await tx.writeConfirmation.insert({
      operationId: intent.operationId,
      keyId: key.id,
      effect: 'mint',
      done: true,
      version: '1',
      became: 'enabled',
      fingerprint: null,
      evidence: null,
      principalId: 'a',
      principalName: 'a',
      at,
    })
    await tx.writeApproval.insert({
      rotationId: rotation.id,
      kind: 'approval',
      gate: null,
      phase: 'planned',
      passageAt: at,
      principalId: 'a',
      principalName: 'a',
      approver: true,
      reason: 'r',
      at,
    })
    await tx.writeAcknowledgement.insert({
      keyId: key.id,
      consumer: 'n',
      version: 1,
      rotationId: rotation.id,
      evidence: null,
      principalId: 'a',
      at,
    })
    await tx.writeKek.activate('k', at)
    await tx.writePepper.activate({ number: 1, id: 'p' }, at)
    await tx.writeRecovery.identify({
      id: ids.next(),
      incarnation: ids.next(),
      cluster: 'c',
      pepperId: 'p',
      restoredFrom: null,
      createdAt: at,
      updatedAt: at,
    })
    await tx.writeRecovery.insert({
      id: ids.next(),
      reason: 'regress',
      detail: 'd',
      evidence: {},
      incarnation: ids.next(),
      ledTo: null,
      beganAt: at,
      reconciledAt: null,
      endedAt: null,
      endedBy: null,
    })
    const incident = incidentOf(ids.next())
    const contained = incidentKeyOf(incident, containedKey(key, 1))
    await tx.writeIncident.insert(incident)
    await tx.writeIncident.putPreview(incident.id, {
      hash: 'h',
      at,
      expiresAt: at,
      keys: [contained.plan],
      consumers: [],
      warnings: [],
      approvalsNeeded: 1,
    })
    await tx.writeIncident.insertKeys([contained], [evidenceOf(contained, 1)])
    await tx.writeIncident.approve({
      incidentId: incident.id,
      previewHash: 'h',
      principalId: 'a',
      principalName: 'a',
      roles: [],
      at,
    })
    await tx.writePlaybook.put(
      {
        ...named,
        spec: {} as never,
        managedBy: null,
        author,
        review: null,
        reviewDueAt: at,
        overdueSince: null,
      },
      null,
    )
    await tx.writeIncident.tick({
      id: ids.next(),
      incidentId: incident.id,
      step: 1,
      outcome: 'done',
      note: null,
      principalId: 'a',
      principalName: 'a',
      at,
    })
    await tx.writeIncident.note({
      id: ids.next(),
      incidentId: incident.id,
      kind: 'fact',
      text: 't',
      corrects: null,
      principalId: 'a',
      principalName: 'a',
      at,
    })
    const plan = planOf(ids.next())
    await tx.writePlan.insert(plan)
    await tx.writePlan.approve({
      planId: plan.id,
      principalId: 'a',
      principalName: 'a',
      roles: [],
      at,
    })
    return { value: null, audit: [event()] }
  })
})
afterAll(() => db.close())

const guardedTables = async (): Promise<readonly string[]> => {
  const rows = await db.sql(`SELECT tgrelid::regclass::text AS name FROM pg_trigger
    WHERE tgname = 'must_be_audited' AND tgrelid::regclass::text LIKE 'app.%' ORDER BY 1`)
  return rows.map((row) => String(row['name']))
}

const commitOf = async (session: pg.Client, statement: string): Promise<string> => {
  await session.query('BEGIN')
  try {
    const { rowCount } = await session.query(statement)
    expect(rowCount, statement).toBeGreaterThan(0)
    await session.query('COMMIT')
    return 'committed'
  } catch (e) {
    await session.query('ROLLBACK')
    if (e instanceof pg.DatabaseError) return e.code ?? ''
    throw e
  }
}

const guardedByDesign = [
  'app."freeze"',
  'app.acknowledgement',
  'app.api_key',
  'app.approval',
  'app.break_glass',
  'app.break_glass_sink',
  'app.browser_session',
  'app.confirmation',
  'app.connection',
  'app.consumer',
  'app.floors',
  'app.incident',
  'app.incident_approval',
  'app.incident_key',
  'app.incident_note',
  'app.incident_preview',
  'app.incident_step',
  'app.incident_version',
  'app.installation',
  'app.intent',
  'app.issuers',
  'app.kek',
  'app.key',
  'app.pepper',
  'app.plan',
  'app.plan_approval',
  'app.playbook',
  'app.policy',
  'app.policy_revision',
  'app.recovery',
  'app.rotation',
  'app.sink',
  'app.taken_back',
  'app.version',
]

test('every table of app says whether it is guarded, and the guarded ones are those of the architecture', async () => {
  const rows =
    await db.sql(`SELECT c.oid::regclass::text AS name, obj_description(c.oid, 'pg_class') AS says FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'app' AND c.relkind = 'r'`)
  for (const row of rows)
    expect(row['says'], String(row['name'])).toMatch(/^(Guarded|Not guarded): /)
  const said = rows
    .filter((row) => String(row['says']).startsWith('Guarded'))
    .map((row) => String(row['name']))
  expect(said.toSorted()).toEqual(await guardedTables())
  expect(said.toSorted()).toEqual(guardedByDesign)
})

test('an INSERT, UPDATE or DELETE of any guarded table without an event fails at COMMIT', async () => {
  const tables = await guardedTables()
  expect(tables.length).toBeGreaterThanOrEqual(13)
  const session = await db.session('superuser')
  for (const table of tables) {
    const columns = await db.sql(
      'SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum',
      [table],
    )
    const first = `"${String(columns[0]?.['name'])}"`
    const trivial = `UPDATE ${table} SET ${first} = ${first}`
    expect(await commitOf(session, trivial), trivial).toBe('RK002')
    // Insert and delete in one: what it says about the row does not matter, only that it was written.
    await session.query('SET session_replication_role = replica')
    expect(await commitOf(session, trivial), `${trivial} in replica mode`).toBe('RK002')
    expect(await commitOf(session, `DELETE FROM ${table}`), `DELETE FROM ${table}`).toBe('RK002')
    await session.query('SET session_replication_role = origin')
    await session.query('BEGIN')
    await session.query(`CREATE TEMP TABLE copy ON COMMIT DROP AS SELECT * FROM ${table}`)
    await session.query('SET LOCAL session_replication_role = replica')
    await session.query(`SAVEPOINT s`)
    const inserted = await session
      .query(`DELETE FROM ${table}`)
      .then(() => session.query(`INSERT INTO ${table} SELECT * FROM copy`))
    expect(inserted.rowCount, `INSERT INTO ${table}`).toBeGreaterThan(0)
    await expect(session.query('SET CONSTRAINTS ALL IMMEDIATE')).rejects.toMatchObject({
      code: 'RK002',
    })
    await session.query('ROLLBACK')
  }
})

test('as the role that serves, the same row is refused without an event and taken with one', async () => {
  const session = await db.session('app')
  expect(await commitOf(session, "UPDATE app.connection SET labels = '{}'")).toBe('RK002')
  const event = `WITH e AS (INSERT INTO audit.event (id, body, writer_kid, writer_sig)
    VALUES (gen_random_uuid(), '{}', '\\x00000000', decode(repeat('00', 64), 'hex')) RETURNING 1)
    UPDATE app.connection SET labels = '{}'`
  expect(await commitOf(session, event)).toBe('committed')
})

test('an event of another transaction does not count', async () => {
  const other = await db.session('app')
  await other.query(`INSERT INTO audit.event (id, body, writer_kid, writer_sig)
    VALUES (gen_random_uuid(), '{}', '\\x00000000', decode(repeat('00', 64), 'hex'))`)
  expect(await commitOf(await db.session('app'), "UPDATE app.connection SET labels = '{}'")).toBe(
    'RK002',
  )
})

test('a guarded table is not truncated, not even by its owner in replica mode', async () => {
  const session = await db.session('superuser')
  await session.query('SET session_replication_role = replica')
  for (const table of await guardedTables()) {
    await expect(session.query(`TRUNCATE ${table} CASCADE`), table).rejects.toMatchObject({
      code: 'RK001',
    })
  }
})
