import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { leafHash } from '#audit/canonical.ts'
import { verifyRow } from '#audit/writer.ts'
import type { AuditBody } from '#domain/audit.ts'
import { isRekeyError } from '#domain/errors.ts'
import type { LedgerEvent, Outcome } from '#domain/ports.ts'
import { noTelemetry } from '#domain/telemetry.ts'
import { openDatabase } from '#store/database.ts'
import { createLedger } from '#store/ledger.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { connectionNamed, event, openRotation, someone, write } from './records.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
})
afterAll(() => db.close())

const get = (name: string) => db.ledger.read((read) => read.connections.get(name))

describe('commit', () => {
  test('writes the change and its event in one transaction, and returns a receipt that can be checked', async () => {
    const { value, receipts } = await db.ledger.commit(someone, async (tx) => {
      await tx.writeConnection.insert(connectionNamed('one'))
      return {
        value: 'done',
        audit: [event({ action: 'connection.put', target: { id: 'one', name: 'one' } })],
      }
    })
    expect(value).toBe('done')
    const [row] = await db.sql(
      `SELECT body, leaf_hash, writer_kid, writer_sig, (facets).action, (facets).actor_id, db_user,
      txid = (SELECT xmin::text::xid8 FROM app.connection WHERE name = 'one') AS same FROM audit.event WHERE id = $1`,
      [receipts[0].eventId],
    )
    const body = String(row?.['body'])
    expect(row).toMatchObject({
      action: 'connection.put',
      actor_id: someone.id,
      db_user: 'rekey_app',
      same: true,
    })
    expect(Buffer.from(row?.['leaf_hash'] as Buffer).toString('hex')).toBe(receipts[0].leafHash)
    expect(Buffer.from(leafHash(body)).toString('hex')).toBe(receipts[0].leafHash)
    expect(verifyRow(db.writer.publicKey, body, Buffer.from(receipts[0].writerSig, 'base64'))).toBe(
      true,
    )
    expect(
      verifyRow(db.writer.publicKey, `${body} `, Buffer.from(receipts[0].writerSig, 'base64')),
    ).toBe(false)
  })

  test('work that returns no event does not compile, and does not commit when it is forced to', async () => {
    // @ts-expect-error: an empty list is no audit
    const none: Outcome<null> = { value: null, audit: [] }
    // @ts-expect-error: neither is nothing
    const missing: Outcome<null> = { value: null }
    expect(missing).toBeDefined()
    const forced = db.ledger.commit(someone, async (tx) => {
      await tx.writeConnection.insert(connectionNamed('silent'))
      return none
    })
    await expect(forced).rejects.toThrow()
    expect(await get('silent')).toBeNull()
  })

  test('leaves nothing of work that throws', async () => {
    const boom = db.ledger.commit(someone, async (tx) => {
      await tx.writeConnection.insert(connectionNamed('thrown'))
      throw new RangeError('boom')
    })
    await expect(boom).rejects.toThrow(RangeError)
    expect(await get('thrown')).toBeNull()
  })

  test('rings for what should wake after the commit, and not when there was none', async () => {
    const before = db.rung.length
    await db.ledger.commit(someone, async () => ({
      value: null,
      audit: [event()],
      wake: ['a', 'b'],
    }))
    expect(db.rung.slice(before)).toEqual(['a', 'b'])
    await db.ledger
      .commit(someone, async () => {
        throw new Error('no')
      })
      .catch(() => null)
    await db.ledger.rehearse(someone, async () => ({ value: null, audit: [event()], wake: ['c'] }))
    expect(db.rung.slice(before)).toEqual(['a', 'b'])
  })

  test('sees its own writes, and nobody else does before the commit', async () => {
    await write(db, async (tx) => {
      await tx.writeConnection.insert(connectionNamed('own'))
      expect(await tx.connections.get('own')).not.toBeNull()
      expect(await get('own')).toBeNull()
    })
    expect(await get('own')).not.toBeNull()
  })

  test('runs work again after a deadlock, and both get through', async () => {
    await write(db, async (tx) => {
      await tx.writeConnection.insert(connectionNamed('left'))
      await tx.writeConnection.insert(connectionNamed('right'))
    })
    let waiting = 0
    let go: () => void = () => undefined
    const both = new Promise<void>((resolve) => {
      go = resolve
    })
    let runs = 0
    const touch = (first: string, second: string) =>
      write(db, async (tx) => {
        runs += 1
        const a = await tx.connections.get(first)
        if (a) await tx.writeConnection.update({ ...a, labels: { by: second } }, a.revision)
        waiting += 1
        if (waiting === 2) go()
        await both
        const b = await tx.connections.get(second)
        if (b) await tx.writeConnection.update({ ...b, labels: { by: first } }, b.revision)
      })
    await Promise.all([touch('left', 'right'), touch('right', 'left')])
    expect(runs).toBeGreaterThan(2)
  })

  test('an update that finds another revision writes nothing and says so', async () => {
    await write(db, (tx) => tx.writeConnection.insert(connectionNamed('cas')))
    const stale = await write(db, (tx) =>
      tx.writeConnection.update(connectionNamed('cas', { labels: { a: 'b' }, revision: 3 }), 2),
    )
    expect(stale).toBe(false)
    expect((await get('cas'))?.labels).toEqual({})
  })

  test('a name that is taken is the caller’s conflict', async () => {
    await write(db, (tx) => tx.writeConnection.insert(connectionNamed('twice')))
    const second = await write(db, (tx) =>
      tx.writeConnection.insert(connectionNamed('twice')),
    ).catch((e: unknown) => e)
    expect(isRekeyError(second, 'resource.exists')).toBe(true)
  })

  test('a backend that is killed under it is audit.unavailable, and the next commit goes through', async () => {
    const killed = await write(db, async (tx) => {
      await tx.writeConnection.insert(connectionNamed('killed'))
      await db.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rekey_app' AND datname = current_database() AND state LIKE 'idle in transaction%'",
      )
      await tx.writeConnection.insert(connectionNamed('never'))
    }).catch((e: unknown) => e)
    expect(isRekeyError(killed, 'audit.unavailable')).toBe(true)
    expect(await get('killed')).toBeNull()
    await write(db, (tx) => tx.writeConnection.insert(connectionNamed('after')))
  })

  test('a session that died in the pool is nobody’s failure', async () => {
    await Promise.all(Array.from({ length: 8 }, () => db.ledger.note(someone, event())))
    const ended = await db.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rekey_app' AND datname = current_database()",
    )
    expect(ended.length).toBeGreaterThan(1)
    await Promise.all(Array.from({ length: 8 }, () => db.ledger.note(someone, event())))
  })

  test('a commit whose fate is unknown is never reported as done', async () => {
    // The backend is killed inside COMMIT, in a deferred trigger that waits: the reply to COMMIT is lost.
    await db.sql(`CREATE FUNCTION app.wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$`)
    await db.sql(`CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON app.stream_head DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW WHEN (NEW.stream = 'gate') EXECUTE FUNCTION app.wait_at_gate()`)
    const told = db.ledger.note(someone, event({ correlationId: 'gate' })).catch((e: unknown) => e)
    const sleeping =
      "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    await expect.poll(async () => (await db.sql(`SELECT ${sleeping}`)).length).toBe(1)
    await db.sql(`SELECT pg_terminate_backend(pid) ${sleeping}`)
    expect(isRekeyError(await told, 'audit.unavailable')).toBe(true)
  })
})

describe('rehearse', () => {
  test('shows what would happen, leaves nothing, and says only that it was rehearsed', async () => {
    const { value, receipts } = await db.ledger.rehearse(someone, async (tx) => {
      await tx.writeConnection.insert(connectionNamed('rehearsed'))
      return {
        value: (await tx.connections.get('rehearsed'))?.name,
        audit: [event({ action: 'connection.put' })],
      }
    })
    expect(value).toBe('rehearsed')
    expect(await get('rehearsed')).toBeNull()
    const stored = await db.ledger.read((read) => read.audit.get(receipts[0].eventId))
    expect(stored?.body).toMatchObject({
      action: 'request.rehearsed',
      after: { actions: ['connection.put'] },
    })
  })

  test('fails where the commit would fail', async () => {
    await write(db, (tx) => tx.writeConnection.insert(connectionNamed('there')))
    const taken = await db.ledger
      .rehearse(someone, async (tx) => {
        await tx.writeConnection.insert(connectionNamed('there'))
        return { value: null, audit: [event()] }
      })
      .catch((e: unknown) => e)
    expect(isRekeyError(taken, 'resource.exists')).toBe(true)
  })
})

describe('events', () => {
  test('hold every member, null where there is nothing, and the key’s name for the filter', async () => {
    const { key, rotation } = await openRotation(db, 'told')
    const receipt = await db.ledger.note(
      { ...someone, requestId: 'r-1' },
      event({
        action: 'rotation.advanced',
        target: { id: rotation.id, name: key.name },
        correlationId: rotation.id,
      }),
    )
    const found = await db.ledger.read((read) =>
      read.audit.list({ key: 'told' }, { limit: 10, after: null }),
    )
    const body = found.items.find((item) => item.body.id === receipt.eventId)?.body
    expect(body).toMatchObject({
      requestId: 'r-1',
      reason: null,
      before: null,
      target: { kind: 'rotation', name: 'told' },
      stream: { id: rotation.id, seq: 1, prev: null },
    })
  })

  test('keep the id that was chosen before, so that an outcome can name its intent', async () => {
    const id = db.ids.next()
    const receipt = await db.ledger.note(someone, event({ id }))
    expect(receipt.eventId).toBe(id)
  })

  test('too much before and after becomes a digest, and the event is still written', async () => {
    const receipt = await db.ledger.note(someone, event({ after: { text: 'x'.repeat(40_000) } }))
    const stored = await db.ledger.read((read) => read.audit.get(receipt.eventId))
    expect(stored?.body.after).toMatchObject({ omitted: 'too large', bytes: 40_011 })
  })

  test.each(['a\u0000b', 'half \ud800 pair'])(
    'a text that no record can hold is the caller’s fault: %j',
    async (reason) => {
      const refused = await db.ledger.note(someone, event({ reason })).catch((e: unknown) => e)
      expect(isRekeyError(refused, 'request.invalid')).toBe(true)
    },
  )

  test('the database computes the same leaf hash for any text', async () => {
    const texts = ['é', '漢字', '😀', 'e\u0301', '"\\/\b\f\n\r\t', '\u2028']
    for (const reason of texts) {
      const receipt = await db.ledger.note(someone, event({ reason }))
      const [row] = await db.sql(
        "SELECT encode(leaf_hash, 'hex') AS leaf FROM audit.event WHERE id = $1",
        [receipt.eventId],
      )
      expect(row?.['leaf']).toBe(receipt.leafHash)
    }
  })

  test('are found by actor, action, outcome and time, page by page, newest first', async () => {
    const actor = { ...someone, id: 'system:pages' }
    const from = db.clock.now()
    const made: string[] = []
    for (let i = 0; i < 5; i += 1)
      made.unshift(
        (await db.ledger.note(actor, event({ action: 'audit.read', outcome: 'denied' }))).eventId,
      )
    await db.clock.advance(10)
    const filter = {
      actor: actor.id,
      action: 'audit.read',
      outcome: 'denied',
      from,
      to: db.clock.now(),
    }
    const seen: string[] = []
    let after: string | null = null
    do {
      const page = await db.ledger.read((read) => read.audit.list(filter, { limit: 2, after }))
      seen.push(...page.items.map((item) => item.body.id))
      after = page.next
    } while (after !== null)
    expect(seen).toEqual(made)
    const later = await db.ledger.read((read) =>
      read.audit.list({ ...filter, from: db.clock.now() }, { limit: 2, after: null }),
    )
    expect(later.items).toEqual([])
  })
})

describe('streams', () => {
  test('are contiguous and chained, also under many writers at once', async () => {
    const stream = db.ids.next()
    const other = db.ids.next()
    const events = (n: number): readonly [LedgerEvent, ...LedgerEvent[]] => [
      event({ correlationId: n % 2 ? stream : other }),
      event({ correlationId: n % 2 ? other : stream }),
      event({ correlationId: stream }),
    ]
    await Promise.all(
      Array.from({ length: 24 }, (_, n) =>
        db.ledger.commit(someone, async () => ({ value: n, audit: events(n) })),
      ),
    )
    for (const id of [stream, other]) {
      const rows = await db.sql(
        `SELECT body, leaf_hash FROM audit.event WHERE (facets).correlation_id = $1 ORDER BY (body::jsonb #>> '{stream,seq}')::integer`,
        [id],
      )
      expect(rows.length).toBe(id === stream ? 48 : 24)
      let prev: string | null = null
      for (const [index, row] of rows.entries()) {
        const body = JSON.parse(String(row['body'])) as AuditBody
        expect(body.stream).toEqual({ id, seq: index + 1, prev })
        prev = Buffer.from(row['leaf_hash'] as Buffer).toString('hex')
      }
    }
  })

  test('a transaction that is rolled back leaves no gap', async () => {
    const stream = db.ids.next()
    const say = () => db.ledger.note(someone, event({ correlationId: stream }))
    await say()
    await db.ledger.rehearse(someone, async () => ({
      value: null,
      audit: [event({ correlationId: stream })],
    }))
    await say()
    const stored = await db.ledger.read((read) => read.audit.after(stream, null, 10))
    expect(stored.map((item) => item.body.stream?.seq)).toEqual([1, 2])
    const [first] = stored
    const rest = await db.ledger.read((read) =>
      read.audit.after(stream, first?.body.id ?? null, 10),
    )
    expect(rest.map((item) => item.body.stream?.seq)).toEqual([2])
  })
})

test('without a database every write is audit.unavailable and every read service.unavailable', async () => {
  const url = new URL(db.urls.app)
  url.port = '1'
  const database = openDatabase({ url: url.toString() })
  const { keyring, writer, ids, clock } = db
  const ledger = createLedger({
    database,
    keyring,
    writer,
    ids,
    clock,
    bell: { ring: async () => undefined },
    trace: noTelemetry.tracer,
  })
  const written = await ledger.note(someone, event()).catch((e: unknown) => e)
  expect(isRekeyError(written, 'audit.unavailable')).toBe(true)
  const read = await ledger.read((r) => r.connections.get('x')).catch((e: unknown) => e)
  expect(isRekeyError(read, 'service.unavailable')).toBe(true)
  await database.close()
})

test('a process that stands still in a transaction holds its locks for a minute, whatever the server allows others', async () => {
  const rows = await db.database.client.$queryRaw<{ readonly ours: string }[]>`
    SELECT current_setting('idle_in_transaction_session_timeout') AS ours`
  expect(rows).toEqual([{ ours: '1min' }])
  const [others] = await db.sql(
    "SELECT current_setting('idle_in_transaction_session_timeout') AS theirs",
  )
  expect(others?.['theirs']).toBe('0')
})
