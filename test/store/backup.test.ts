// A backup and its restore on real databases: what comes back, what does not get in, what a failure leaves.

import { randomBytes } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { verifyRow } from '#audit/writer.ts'
import { systemActor } from '#domain/actor.ts'
import { type Manifest, manifestName, mostPartBytes } from '#domain/backup.ts'
import { openBackupSink, openBackupSource } from '#runtime/backup-files.ts'
import { takeBackup } from '#store/backup.ts'
import { prepareDatabase, raiseGuards, withClient, withDatabase } from '#store/bootstrap.ts'
import { openDatabase } from '#store/database.ts'
import { createLedger } from '#store/ledger.ts'
import { migrate, readMigrations } from '#store/migrate.ts'
import { createOutbox } from '#store/outbox.ts'
import { restoreBackup, verifyBackup } from '#store/restore.ts'
import { selfCheck } from '#store/self-check.ts'
import { manifestOf, memoryBackup, type MemoryBackup } from '#test/support/backups.ts'
import { systemClock } from '#runtime/clock.ts'
import { openHouse, type House } from '#test/support/house.ts'
import { goBack } from '#test/support/recovery.ts'

let house: House
let taken: MemoryBackup
let manifest: Manifest
const secret = `whsec_${randomBytes(32).toString('base64')}`

beforeAll(async () => {
  house = await openHouse()
  await house.connection('vault')
  await house.policy('monthly', {
    selector: { connection: 'vault' },
    schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris' },
  })
  await house.consumer('shop', { labels: { quote: `it's "quoted"\t\\ and ünï` } })
  await house.register('orders')
  await house.register('data', { type: 'local.key' })
  await house.sink('oncall', { type: 'webhook', url: 'https://sink.example.com/x', secret })
  await goBack(house)
  // Months ago, and from a server that had counted further than the one that it is restored into.
  await house.sql('SET ROLE rk_audit_owner')
  await house.sql("SELECT audit.make_partition('2026-03-01')")
  await house.sql('RESET ROLE')
  const old = { action: 'key.put', outcome: 'succeeded', after: { note: 'ages ago' } }
  await house.sql(
    `INSERT INTO audit.event (id, body, writer_kid, writer_sig, recorded_at, txid, db_user)
     VALUES (gen_random_uuid(), $1, '\\x00000000', decode(repeat('00', 64), 'hex'), '2026-03-15', '9000000000', 'somebody')`,
    [JSON.stringify(old)],
  )
  taken = memoryBackup()
  manifest = await takeBackup({
    url: house.urls.app,
    sink: taken.sink,
    version: '0.0.0',
    onProgress: () => undefined,
  })
})
afterAll(() => house.shut())

const made: string[] = []
afterEach(async () => {
  const server = withDatabase(inject('database').superuser, 'postgres')
  await withClient(server, async (db) => {
    for (const name of made.splice(0)) await db.query(`DROP DATABASE ${name} WITH (FORCE)`)
  })
})

/** An empty database, as the superuser, who needs no owners lent: other files lend and take them at the same time. */
const emptyDatabase = async () => {
  const server = inject('database')
  const name = `b_${randomBytes(6).toString('hex')}`
  made.push(name)
  await withClient(withDatabase(server.superuser, 'postgres'), (db) =>
    db.query(`CREATE DATABASE ${name}`),
  )
  const superuser = withDatabase(server.superuser, name)
  await prepareDatabase(superuser)
  return { superuser, app: withDatabase(server.app, name) }
}

const restoreInto = async (superuser: string, from: MemoryBackup) =>
  restoreBackup({
    migrationUrl: superuser,
    source: from.source,
    manifest: await verifyBackup(from.source),
    writer: house.writer,
    ids: house.ids,
    clock: systemClock,
    onProgress: () => undefined,
  })

const rowsOf = (url: string, table: Manifest['tables'][number], where = 'true') =>
  withClient(url, async (db) => {
    const { rows } = await db.query<{ row: string }>(
      `SELECT t::text AS row FROM (SELECT ${table.columns.map((c) => `"${c}"`).join(', ')} FROM ${table.name} WHERE ${where}) t ORDER BY 1`,
    )
    return rows.map(({ row }) => row)
  })

describe('a restored database', () => {
  let urls: { readonly superuser: string; readonly app: string }
  beforeAll(async () => {
    urls = await emptyDatabase()
    made.pop()
    await restoreInto(urls.superuser, taken)
    await raiseGuards(urls.superuser)
  })

  test('has every row of every table, to the last byte', async () => {
    expect(manifest.tables.length).toBeGreaterThan(20)
    for (const table of manifest.tables) {
      const only =
        table.name === 'audit.event'
          ? `(facets).action NOT IN ('installation.restored')`
          : table.name === 'app.installation' || table.name === 'app.recovery'
            ? 'false'
            : 'true'
      expect(await rowsOf(urls.superuser, table, only), table.name).toEqual(
        await rowsOf(house.urls.superuser, table, only),
      )
    }
    const filled = manifest.tables.filter(({ rows }) => rows > 0).map(({ name }) => name)
    expect(filled).toEqual(
      expect.arrayContaining(['app.key', 'app.sealed', 'audit.event', 'vault.material']),
    )
  })

  test('has a log that whoever has the keys finds whole: leaves, signatures, partitions, its own event', async () => {
    const events = await withClient(urls.app, async (db) => {
      const { rows } = await db.query<{
        body: string
        kid: string
        sig: Buffer
        leaf: string
        place: string
      }>(`SELECT body, encode(writer_kid, 'hex') AS kid, writer_sig AS sig, encode(leaf_hash, 'hex') AS leaf,
            tableoid::regclass::text AS place FROM audit.event ORDER BY txid, id`)
      return rows
    })
    expect(events).toHaveLength(manifest.log.events + 1)
    const ours = events.filter(({ kid }) => kid !== '00000000')
    for (const { body, sig } of ours)
      expect(verifyRow(house.writer.publicKey, body, sig), body).toBe(true)
    expect(events.some(({ place }) => place === 'audit.event_2026_03')).toBe(true)
    expect(JSON.parse(events.at(-1)?.body ?? '')).toMatchObject({
      action: 'installation.restored',
      after: { takenAt: manifest.createdAt, log: manifest.log },
    })
  })

  test('passes the self-check, and its guards are awake', async () => {
    const database = openDatabase({ url: urls.app })
    const found = await selfCheck(database, house.keyring)
    // The server of the tests forgets what it promised, for speed.
    expect(found.filter(({ check }) => check !== 'server.durable')).toEqual([])
    await database.close()
    const refused = (text: string) => withClient(urls.superuser, (db) => db.query(text))
    await expect(refused('DELETE FROM audit.event')).rejects.toMatchObject({ code: 'RK001' })
    await expect(refused("UPDATE app.key SET owner = 'x'")).rejects.toMatchObject({ code: 'RK002' })
    await expect(refused('ALTER TABLE audit.event DISABLE TRIGGER ALL')).rejects.toMatchObject({
      code: 'RK003',
    })
  })

  test('goes on above the transaction numbers of the other server, so that sinks hear of what is new', async () => {
    const database = openDatabase({ url: urls.app })
    const ledger = createLedger({
      database,
      keyring: house.keyring,
      writer: house.writer,
      ids: house.ids,
      clock: house.clock,
      bell: { ring: async () => undefined },
      trace: { current: () => null },
    })
    const outbox = createOutbox(database)
    const hear = async (): Promise<readonly string[]> => {
      const heard: string[] = []
      const choose = async (events: readonly { readonly action: string }[]) => {
        heard.push(...events.map(({ action }) => action))
        return []
      }
      while ((await outbox.advance('oncall', ['key.overdue', 'recovery.began'], choose)) > 0);
      return heard
    }
    await hear()
    await ledger.note(systemActor('system', 'test'), {
      action: 'key.overdue',
      target: { id: 'k', name: 'k' },
      outcome: 'failed',
    })
    // A transaction of another database of this server may hold it back for a moment.
    const heard: string[] = []
    await expect
      .poll(async () => {
        heard.push(...(await hear()))
        return heard
      })
      .toEqual(['key.overdue'])
    const [row] = await withClient(urls.superuser, async (db) => {
      const { rows } = await db.query<{ last: boolean; own: boolean }>(`
        SELECT (facets).action = 'key.overdue' AS last, txid::text::numeric > 9000000000 AS own FROM audit.event
        ORDER BY txid DESC, id DESC LIMIT 1`)
      return rows
    })
    expect(row).toEqual({ last: true, own: true })
    await database.close()
  })

  test('opens what was sealed, with the key that is not in the backup', async () => {
    const database = openDatabase({ url: urls.app })
    const sealed = await database.client.sink.findUniqueOrThrow({ where: { name: 'oncall' } })
    const box = await database.client.sealed.findUniqueOrThrow({ where: { id: sealed.sealedId } })
    expect(box.kekId).toBe(manifest.keks[0])
    const text = [...taken.parts].flatMap(([name, bytes]) =>
      name === manifestName ? [Buffer.from(bytes)] : [gunzipSync(bytes)],
    )
    const all = Buffer.concat(text).toString('latin1')
    expect(all).not.toContain(secret)
    expect(all).not.toContain(secret.slice('whsec_'.length))
    await database.close()
  })

  test('knows that it was restored, and that the recovery of then is over', async () => {
    const [row] = await withClient(urls.superuser, async (db) => {
      const { rows } = await db.query<Record<string, unknown>>(`
        SELECT restored_from->>'takenAt' AS at, (SELECT count(*)::int FROM app.recovery WHERE ended_at IS NULL) AS open,
               (SELECT count(*)::int FROM app.recovery) AS all FROM app.installation`)
      return rows
    })
    expect(row).toEqual({ at: manifest.createdAt, open: 0, all: 1 })
  })
})

test('what is committed while a backup is taken is wholly in it or not at all', async () => {
  let other: Promise<unknown> = Promise.resolve()
  const backup = memoryBackup(async (name) => {
    if (!name.startsWith('001.')) return
    other = house.consumer('meanwhile')
    await other
  })
  const late = await takeBackup({
    url: house.urls.app,
    sink: backup.sink,
    version: '0.0.0',
    onProgress: () => undefined,
  })
  await other
  const count = (name: string, in_: Manifest) =>
    in_.tables.find((table) => table.name === name)?.rows
  for (const name of ['app.consumer', 'audit.event'])
    expect(count(name, late), name).toBe(count(name, manifest))
  expect(late.log).toEqual(manifest.log)
})

test('a large table passes in parts that fit into memory, and comes back', async () => {
  const big = await openHouse()
  try {
    for (let n = 0; n < 3; n++) {
      await big.sql(
        `INSERT INTO app.idempotency (principal, method, path, key, request_hash, state, response, created_at, expires_at)
         VALUES ('p', 'POST', '/', $1, 'h', 'done', to_jsonb($2::text), now(), now())`,
        [String(n), randomBytes(2_000_000).toString('base64')],
      )
    }
    const backup = memoryBackup()
    const { tables } = await takeBackup({
      url: big.urls.app,
      sink: backup.sink,
      version: '0.0.0',
      onProgress: () => undefined,
    })
    const table = tables.find(({ name }) => name === 'app.idempotency')
    expect(table?.rows).toBe(3)
    expect(table?.parts.map(({ bytes }) => bytes <= mostPartBytes)).toEqual([true, true])
    const { superuser } = await emptyDatabase()
    await restoreInto(superuser, backup)
    if (table)
      expect(await rowsOf(superuser, table)).toEqual(await rowsOf(big.urls.superuser, table))
  } finally {
    await big.shut()
  }
})

describe('refused, and nothing is changed', () => {
  const changed = (change: (parts: Map<string, Uint8Array>) => void): MemoryBackup => {
    const copy = memoryBackup()
    for (const [name, bytes] of taken.parts) copy.parts.set(name, bytes)
    change(copy.parts)
    return copy
  }
  const withManifest = (change: (value: Manifest) => void): MemoryBackup =>
    changed((parts) => {
      const value = manifestOf(parts)
      change(value)
      parts.set(manifestName, Buffer.from(JSON.stringify(value)))
    })
  const keyPart = () => manifest.tables.find(({ name }) => name === 'app.key')?.parts[0]?.name ?? ''

  test.each<[string, () => MemoryBackup, string]>([
    [
      'a part of which a bit changed',
      () => changed((p) => p.set(keyPart(), flip(p.get(keyPart())))),
      'damaged',
    ],
    ['a missing part', () => changed((p) => p.delete(keyPart())), 'damaged'],
    [
      'a part too many',
      () => changed((p) => p.set('999.app.key.000001.copy.gz', new Uint8Array())),
      'damaged',
    ],
    ['no manifest: it was interrupted', () => changed((p) => p.delete(manifestName)), 'notBackup'],
    [
      'a manifest of another form',
      () => withManifest((m) => Object.assign(m, { format: 'v2' })),
      'notBackup',
    ],
    [
      'a table name that is more than a name',
      () => withManifest((m) => Object.assign(m.tables[0] ?? {}, { name: 'app.key; DROP' })),
      'notBackup',
    ],
  ])('%s', async (_what, backup, why) => {
    await expect(verifyBackup(backup().source)).rejects.toMatchObject({ why })
  })

  test.each<[string, (m: Manifest) => void, string]>([
    [
      'a newer schema',
      (m) => void m.migrations.push({ name: '20991231000000_future', checksum: '0'.repeat(64) }),
      'newer',
    ],
    [
      'a migration with another text',
      (m) => void Object.assign(m.migrations[0] ?? {}, { checksum: '0'.repeat(64) }),
      'newer',
    ],
    [
      'a column that no migration makes',
      (m) => void m.tables[0]?.columns.push('made_by_hand'),
      'damaged',
    ],
    [
      'fewer rows than it says',
      (m) => void Object.assign(m.tables[0] ?? {}, { rows: 77 }),
      'damaged',
    ],
    [
      'another log than it says',
      (m) => void Object.assign(m.log, { digest: '0'.repeat(64) }),
      'damaged',
    ],
  ])('%s', async (_what, change, why) => {
    // What is of another schema is refused before a database is asked for anything.
    const { superuser } =
      why === 'newer' ? { superuser: 'postgresql://127.0.0.1:1/none' } : await emptyDatabase()
    await expect(restoreInto(superuser, withManifest(change))).rejects.toMatchObject({ why })
    if (why === 'newer') return
    await withClient(superuser, async (db) => {
      const { rows } = await db.query("SELECT to_regclass('audit.event') IS NOT NULL AS there")
      if (rows[0].there) expect((await db.query('SELECT FROM audit.event')).rowCount).toBe(0)
    })
  })

  test('a database that belongs to a Rekey, or that was migrated beyond the backup', async () => {
    await expect(restoreInto(house.urls.superuser, taken)).rejects.toMatchObject({
      why: 'notEmpty',
      message: 'the database belongs to a Rekey already',
    })
    const { superuser } = await emptyDatabase()
    await migrate({ migrationUrl: superuser })
    const older = withManifest((m) => void m.migrations.pop())
    await expect(restoreInto(superuser, older)).rejects.toMatchObject({ why: 'notEmpty' })
    // The very schema of the backup, and nothing in it, is as good as empty.
    await restoreInto(superuser, taken)
  })
})

const flip = (bytes: Uint8Array = new Uint8Array()): Uint8Array => {
  const copy = new Uint8Array(bytes)
  copy[copy.length - 9] = (copy[copy.length - 9] ?? 0) ^ 1
  return copy
}

test('a restore that dies in the middle leaves no row, and the next one works', async () => {
  const { superuser } = await emptyDatabase()
  const verified = await verifyBackup(taken.source)
  const dying = restoreBackup({
    migrationUrl: superuser,
    source: {
      parts: async function* () {
        let n = 0
        for await (const part of taken.source.parts()) {
          if (++n > 15) throw new Error('the disk is gone')
          yield part
        }
      },
    },
    manifest: verified,
    writer: house.writer,
    ids: house.ids,
    clock: systemClock,
    onProgress: () => undefined,
  })
  await expect(dying).rejects.toThrow('the disk is gone')
  await withClient(superuser, async (db) => {
    for (const table of ['app.key', 'audit.event', 'audit.writer_key'])
      expect((await db.query(`SELECT FROM ${table}`)).rowCount, table).toBe(0)
  })
  await restoreInto(superuser, taken)
})

test('a restore lets go of the file, however it ends', async () => {
  const { superuser } = await emptyDatabase()
  let closed = false
  const changing = restoreBackup({
    migrationUrl: superuser,
    source: {
      parts: async function* () {
        try {
          for await (const { name, bytes } of taken.source.parts())
            yield { name, bytes: name.startsWith('003.') ? flip(bytes) : bytes }
        } finally {
          closed = true
        }
      },
    },
    manifest: await verifyBackup(taken.source),
    writer: house.writer,
    ids: house.ids,
    clock: systemClock,
    onProgress: () => undefined,
  })
  await expect(changing).rejects.toMatchObject({ why: 'damaged' })
  expect(closed).toBe(true)
})

test('a database from before there were backups is told to migrate, not backed up into what nobody can restore', async () => {
  const { superuser } = await emptyDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'rekey-older-'))
  try {
    for (const { name } of (await readMigrations()).filter((one) => one.name < '20261125000700')) {
      const from = new URL(`../../prisma/migrations/${name}`, import.meta.url)
      await cp(from, join(folder, name), { recursive: true })
      const { sink, state } = memoryBackup()
      const older = async () =>
        takeBackup({ url: superuser, sink, version: '0.0.0', onProgress: () => undefined })
      await migrate({ migrationUrl: superuser, folder: pathToFileURL(`${folder}/`) })
      await expect(older()).rejects.toMatchObject({
        why: 'older',
        hint: expect.stringContaining('rekey migrate'),
      })
      expect(state()).toBe('discarded')
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a backup that fails leaves nothing', async () => {
  const full = memoryBackup(async (name) => {
    if (name.startsWith('005.')) throw new Error('ENOSPC')
  })
  const failing = takeBackup({
    url: house.urls.app,
    sink: full.sink,
    version: '0.0.0',
    onProgress: () => undefined,
  })
  await expect(failing).rejects.toThrow('ENOSPC')
  expect(full.state()).toBe('discarded')
  // Nor a session that holds its snapshot.
  await expect
    .poll(() =>
      house.sql(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state <> 'idle'",
      ),
    )
    .toEqual([{ n: 0 }])
})

describe('on disk', () => {
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'rekey-backups-'))
  })
  afterAll(() => rm(dir, { recursive: true }))

  const write = async (name: string): Promise<string> => {
    const sink = await openBackupSink(join(dir, name))
    for (const [part, bytes] of [...taken.parts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
      await sink.put(part, bytes)
    await sink.commit()
    return join(dir, name)
  }

  test.each(['directory', 'file.tar'])(
    '%s: what was put in comes out, for its owner only',
    async (name) => {
      const path = await write(name)
      expect(await verifyBackup(await openBackupSource(path))).toEqual(manifest)
      expect((await stat(path)).mode & 0o077).toBe(0)
      await expect(openBackupSink(path)).rejects.toMatchObject({ why: 'target' })
      expect((await readdir(dir)).filter((file) => file.includes('partial'))).toEqual([])
    },
  )

  test.each(['given-up', 'given-up.tar'])(
    '%s: nothing is left of what is discarded',
    async (name) => {
      const sink = await openBackupSink(join(dir, name))
      await sink.put('001.app.key.000001.copy.gz', randomBytes(100_000))
      await sink.discard()
      await sink.discard()
      expect((await readdir(dir)).filter((file) => file.includes('given-up'))).toEqual([])
    },
  )

  test('a file that was cut, is no backup or is not there is refused in words', async () => {
    const path = await write('cut.tar')
    await truncate(path, 20_000)
    await expect(verifyBackup(await openBackupSource(path))).rejects.toMatchObject({
      why: 'notBackup',
    })
    await writeFile(join(dir, 'noise.tar'), randomBytes(10_000))
    await expect(
      verifyBackup(await openBackupSource(join(dir, 'noise.tar'))),
    ).rejects.toMatchObject({ why: 'notBackup' })
    await expect(openBackupSource(join(dir, 'nowhere'))).rejects.toMatchObject({ why: 'notBackup' })
    await expect(openBackupSink(join(path, 'below-a-file'))).rejects.toMatchObject({
      why: 'target',
    })
  })

  test('a directory with something else in it is refused in words', async () => {
    const path = await write('mixed')
    await mkdir(join(path, '000.folder'))
    await expect(verifyBackup(await openBackupSource(path))).rejects.toMatchObject({
      why: 'notBackup',
      message: expect.stringContaining('EISDIR'),
    })
  })
})

test('the role that serves may read all that there is to back up, whatever tables come', async () => {
  const client = new pg.Client({ connectionString: house.urls.app })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(`
      SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname IN ('app', 'audit', 'vault') AND c.relkind IN ('r', 'p', 'S') AND NOT c.relispartition
        AND NOT has_table_privilege(c.oid, 'SELECT')`)
    expect(rows).toEqual([])
  } finally {
    await client.end()
  }
})
