// What it costs that nothing is written without an audit event: one changed row and one event of about 600 bytes.
//
// The floor of the commit is the same interactive transaction of the same client, in a database whose row is not guarded,
// with a plain insert of the same bytes (body, key id, signature made beforehand) into a table with a primary key only.
// The audit row alone is one statement without a transaction block, against the same insert into that table.

import pg from 'pg'
import { noTelemetry } from '#domain/telemetry.ts'
import { systemActor } from '#domain/actor.ts'
import type { LedgerEvent } from '#domain/ports.ts'
import type { Version } from '#domain/key.ts'
import { makeTx } from '#store/reads.ts'
import { makeFleet } from './fleet.ts'
import { type Benchmark, figure, inTurns, type Line, perSecond } from './measure.ts'
import { type BenchDatabase, lowerGuard, openPlace } from './place.ts'

const clients = 8
/** Many short turns: on a busy machine the load changes within seconds. */
const ms = 800
const rounds = 21
const actor = systemActor('worker', 'bench')
/** With the fields that every event has, a body of about 600 bytes. */
const note = 'x'.repeat(180)

export const auditedCommit: Benchmark = {
  name: 'audited-commit',
  about: 'an audited commit against a plain insert, 8 clients',
  run: async ({ say }) => {
    const place = await openPlace()
    try {
      const [few, many, bare] = [
        await place.database(),
        await place.database(),
        await place.database(),
      ]
      for (const db of [few, many, bare]) await makeFleet(db, clients, false)
      await partitionsUpTo(few, 4)
      await partitionsUpTo(many, 40)
      await bareDatabase(bare)
      const body = await sampleBody(few)
      say(`  an event has ${Buffer.byteLength(body)} bytes`)

      const commits = await inTurns(
        rounds,
        {
          plain: await plainTransaction(bare, body),
          'audited, 4 partitions': await audited(few, false),
          'audited, 40 partitions': await audited(many, false),
          'audited, in a stream': await audited(few, true),
        },
        say,
      )
      const rows = await inTurns(
        rounds,
        { 'plain row': plainRow(bare, body), 'audit row': auditRow(few, body) },
        say,
      )
      const line = (what: string, ours: number, floor: number, goal: number | null): Line => ({
        what,
        ours: `${figure(ours)} tx/s`,
        floor: `${figure(floor)} tx/s`,
        ratio: ours / floor,
        goal: goal === null ? '' : `≥ ${goal}`,
        met: goal === null ? null : ours / floor >= goal,
      })
      return [
        line('audited commit, 4 partitions', commits['audited, 4 partitions'], commits.plain, 0.7),
        line(
          'audited commit, 40 partitions',
          commits['audited, 40 partitions'],
          commits.plain,
          0.7,
        ),
        line(
          'audited commit, in a stream (rotations)',
          commits['audited, in a stream'],
          commits.plain,
          null,
        ),
        line('audit row alone', rows['audit row'], rows['plain row'], 0.75),
      ]
    } finally {
      await place.close()
    }
  },
}

/** Months before this one; those that the product makes begin with the present month. */
const partitionsUpTo = async ({ sql }: BenchDatabase, count: number): Promise<void> => {
  await sql.query('SELECT audit.ensure_partitions($1)', [Math.min(count - 1, 36)])
  await lowerGuard(sql)
  const { rows } = await sql.query<{ n: string }>('SELECT count(*) AS n FROM audit.partition')
  for (let n = Number(rows[0]?.n); n < count; n++) {
    await sql.query(`DO $$
      DECLARE starts timestamptz := (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '${count - n} months') AT TIME ZONE 'UTC';
      BEGIN
        EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.event FOR VALUES FROM (%L) TO (%L)',
          'event_' || to_char(starts AT TIME ZONE 'UTC', 'YYYY_MM'), starts, (starts AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
      END $$`)
  }
}

const bareDatabase = async ({ sql }: BenchDatabase): Promise<void> => {
  await lowerGuard(sql)
  await sql.query('ALTER TABLE app.version DISABLE TRIGGER must_be_audited')
  await sql.query(`CREATE TABLE app.bare (id uuid PRIMARY KEY, body text NOT NULL, writer_kid bytea NOT NULL, writer_sig bytea NOT NULL);
    GRANT INSERT ON app.bare TO rekey_app`)
}

const event = (client: number, streamed: boolean): LedgerEvent => ({
  action: 'key.put',
  target: { id: idOf(client), name: `key-${client}` },
  outcome: 'succeeded',
  after: { note },
  ...(streamed ? { correlationId: idOf(client) } : {}),
})

const idOf = (client: number): string =>
  `00000000-0000-7000-8000-${(client + 1).toString(16).padStart(12, '0')}`

const sampleBody = async (db: BenchDatabase): Promise<string> => {
  await db.ledger.note(actor, event(0, false))
  const { rows } = await db.sql.query<{ body: string }>(
    "SELECT body FROM audit.event WHERE (facets).action = 'key.put' ORDER BY id DESC LIMIT 1",
  )
  const body = rows[0]?.body
  if (body === undefined) throw new Error('no event was written')
  return body
}

/** Every client changes a row of its own, as rotations do. */
const versionsOf = async (db: BenchDatabase): Promise<readonly Version[]> =>
  db.ledger.read((reads) =>
    reads.versions.primaries(Array.from({ length: clients }, (_, n) => idOf(n))),
  )

const changed = (versions: readonly Version[], client: number, at: number): Version => {
  const version = versions[client]
  if (!version) throw new Error(`client ${client} has no row`)
  return { ...version, verifiedAt: new Date(1_700_000_000_000 + at) }
}

const audited = async (db: BenchDatabase, streamed: boolean): Promise<() => Promise<number>> => {
  const versions = await versionsOf(db)
  let at = 0
  return () =>
    perSecond(clients, ms, (client) =>
      db.ledger.commit(actor, async (tx) => {
        await tx.writeVersion.update(changed(versions, client, at++), 'active')
        return { value: null, audit: [event(client, streamed)] }
      }),
    )
}

const plainTransaction = async (
  db: BenchDatabase,
  body: string,
): Promise<() => Promise<number>> => {
  const versions = await versionsOf(db)
  const signature = db.writer.sign(body)
  let at = 0
  return () =>
    perSecond(clients, ms, (client) =>
      db.database.client.$transaction(async (prisma) => {
        const tx = makeTx(prisma, { ...db, trace: noTelemetry.tracer }, new Map(), () => {})
        await tx.writeVersion.update(changed(versions, client, at++), 'active')
        await prisma.$executeRaw`INSERT INTO app.bare (id, body, writer_kid, writer_sig)
          VALUES (${db.ids.next()}::uuid, ${body}, ${db.writer.kid}::bytea, ${signature}::bytea)`
      }),
    )
}

const inserts = (db: BenchDatabase, table: string, body: string) => async (): Promise<number> => {
  const pool = new pg.Pool({ connectionString: db.urls.app, max: clients })
  const signature = Buffer.from(db.writer.sign(body))
  const kid = Buffer.from(db.writer.kid)
  try {
    return await perSecond(clients, ms, () =>
      pool.query({
        name: 'insert',
        text: `INSERT INTO ${table} (id, body, writer_kid, writer_sig) VALUES ($1, $2, $3, $4)`,
        values: [db.ids.next(), body, kid, signature],
      }),
    )
  } finally {
    await pool.end()
  }
}

const plainRow = (db: BenchDatabase, body: string) => inserts(db, 'app.bare', body)
const auditRow = (db: BenchDatabase, body: string) => inserts(db, 'audit.event', body)
