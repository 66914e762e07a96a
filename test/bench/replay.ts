// The floor of a run of rotations: its rows, read from the database that it left, written again with plain pg.
// One transaction of the run is one transaction here: BEGIN, one statement a row, COMMIT, with prepared statements.

import pg from 'pg'
import { seconds } from './measure.ts'
import type { BenchDatabase } from './place.ts'

export interface Replay {
  readonly commits: number
  /** How long it took, in seconds. */
  readonly write: (db: BenchDatabase) => Promise<number>
}

type Row = Readonly<Record<string, unknown>>
type Statement = pg.QueryConfig

/** As many sessions as a worker has. */
const sessions = 12
const tables = ['app.rotation', 'app.version', 'app.intent', 'audit.event'] as const
const eventColumns = 'id, body, writer_kid, writer_sig'

interface Event extends Row {
  readonly txid: string
  readonly action: string
  readonly outcome: string
  readonly rotation: string
  readonly operation: string | null
}

export const recordRun = async ({ sql }: BenchDatabase): Promise<Replay> => {
  const { rows: events } = await sql.query<Event>(
    `SELECT txid::text, ${eventColumns}, (facets).action, (facets).outcome, (facets).correlation_id AS rotation,
       body::jsonb #>> '{provider,operationId}' AS operation
     FROM audit.event WHERE (facets).correlation_id IN (SELECT id::text FROM app.rotation) ORDER BY txid, id`,
  )
  const rotation = await byKey(sql, 'SELECT id AS place, * FROM app.rotation')
  const intent = await byKey(sql, 'SELECT operation_id AS place, * FROM app.intent')
  const version = await byKey(
    sql,
    'SELECT rotation_id AS place, * FROM app.version WHERE rotation_id IS NOT NULL',
  )
  const { rows: old } = await sql.query<Row>(
    `SELECT * FROM app.version WHERE version = 1
     AND key_id IN (SELECT key_id FROM app.version WHERE rotation_id IS NOT NULL)`,
  )

  const statementsOf = (event: Event, first: boolean): readonly Statement[] => {
    const row = rotation.get(event.rotation)
    const effect = event.operation === null ? undefined : intent.get(event.operation)
    if (!row) throw new Error(`no rotation ${event.rotation}`)
    const all: Statement[] = [insertEvent(event)]
    if (event.action === 'rotation.planned') return [...all, insert('rotation', row)]
    if (first) all.push(updateRotation(row))
    if (effect && event.outcome === 'intent') all.push(insert('intent', effect))
    else if (effect) all.push(settle(effect))
    const made = version.get(event.rotation)
    if (effect?.['effect'] === 'mint' && event.outcome === 'succeeded' && made)
      all.push(insert('version', made))
    // The new version becomes primary and the old one steps back; later the old one is switched off, and retired.
    const changes =
      event.action === 'rotation.promoted'
        ? [2, 1]
        : effect && effect['effect'] !== 'mint' && event.outcome === 'succeeded'
          ? [1]
          : []
    return [...all, ...changes.map((number) => updateVersion(row['key_id'], number))]
  }

  const commits = new Map<string, { readonly rotation: string; readonly statements: Statement[] }>()
  for (const event of events) {
    const commit = commits.get(event.txid)
    if (commit) commit.statements.push(...statementsOf(event, false))
    else
      commits.set(event.txid, {
        rotation: event.action === 'rotation.planned' ? '' : event.rotation,
        statements: [...statementsOf(event, true)],
      })
  }
  // A rotation's commits one after the other; the planner's, many rotations each, before them.
  const lanes = new Map<string, (readonly Statement[])[]>()
  for (const { rotation: id, statements } of commits.values()) {
    const lane = lanes.get(id)
    if (lane) lane.push(statements)
    else lanes.set(id, [statements])
  }
  const planned = lanes.get('') ?? []
  lanes.delete('')
  const rest = [...lanes.values()]
  return {
    commits: commits.size,
    write: async (db) => {
      await copies(db, old)
      const pool = new pg.Pool({ connectionString: db.urls.superuser, max: sessions })
      try {
        return await seconds(async () => {
          await writeAll(
            pool,
            planned.map((statements) => [statements]),
          )
          await writeAll(pool, rest)
        })
      } finally {
        await pool.end()
      }
    },
  }
}

/** Tables of the same columns and indexes, without triggers, foreign keys and partitions. */
const copies = async ({ sql }: BenchDatabase, old: readonly Row[]): Promise<void> => {
  await sql.query('CREATE SCHEMA floor')
  for (const name of tables) {
    const [, table] = name.split('.')
    await sql.query(`CREATE TABLE floor.${table} (LIKE ${name} INCLUDING ALL)`)
  }
  for (const row of old) await sql.query(insert('version', row))
  await sql.query('ANALYZE')
}

const writeAll = async (
  pool: pg.Pool,
  lanes: readonly (readonly (readonly Statement[])[])[],
): Promise<void> => {
  let next = 0
  const session = async (): Promise<void> => {
    const client = await pool.connect()
    try {
      for (let lane = lanes[next++]; lane; lane = lanes[next++]) {
        for (const statements of lane) {
          await client.query('BEGIN')
          for (const statement of statements) await client.query(statement)
          await client.query('COMMIT')
        }
      }
    } finally {
      client.release()
    }
  }
  await Promise.all(Array.from({ length: sessions }, session))
}

const byKey = async (sql: pg.Client, text: string): Promise<ReadonlyMap<string, Row>> => {
  const { rows } = await sql.query<Row>(text)
  return new Map(rows.map(({ place, ...row }) => [String(place), row]))
}

const insert = (table: string, row: Row): Statement => {
  const columns = Object.keys(row)
  return {
    name: `insert ${table}`,
    text: `INSERT INTO floor.${table} (${columns.join(', ')}) VALUES (${columns.map((_, n) => `$${n + 1}`).join(', ')})`,
    values: Object.values(row),
  }
}

const insertEvent = ({ id, body, writer_kid, writer_sig }: Row): Statement =>
  insert('event', { id, body, writer_kid, writer_sig })

const updateRotation = (row: Row): Statement => ({
  name: 'update rotation',
  text: 'UPDATE floor.rotation SET phase = $2, epoch = $3, pre_image = $4, to_version = $5, phase_observed_ms = $6, phase_entered_at = now(), ended_at = $7 WHERE id = $1',
  values: ['id', 'phase', 'epoch', 'pre_image', 'to_version', 'phase_observed_ms', 'ended_at'].map(
    (column) => row[column],
  ),
})

const settle = (row: Row): Statement => ({
  name: 'settle intent',
  text: 'UPDATE floor.intent SET outcome = $2, closed = true, result = $3, detail = $4, ended_at = now() WHERE operation_id = $1',
  values: ['operation_id', 'outcome', 'result', 'detail'].map((column) => row[column]),
})

const updateVersion = (keyId: unknown, version: number): Statement => ({
  name: 'update version',
  text: "UPDATE floor.version SET state = 'active', is_primary = version > 1, activated_at = now() WHERE key_id = $1 AND version = $2",
  values: [keyId, version],
})
