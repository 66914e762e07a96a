// The table of foundation: where each kind of call puts what PostgreSQL said. Each line is made to happen.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ProviderError } from '#domain/provider.ts'
import { openDatabase } from '#store/database.ts'
import { notFound } from '#usecases/rights.ts'
import {
  isConflict,
  isUnavailable,
  orUnavailable,
  prismaCode,
  sqlState,
  violatedIndex,
} from '#store/sql-state.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'

let db: TestDatabase
const client = () => db.database.client
beforeAll(async () => {
  db = await openTestDatabase()
  await db.sql(`INSERT INTO app.stream_head (stream, seq) VALUES ('s', 1), ('u', 1)`)
  await db.sql(`CREATE FUNCTION app.refuse_here() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = 'RK042'; END $$`)
  // 'now' is refused by its statement, 'later' at COMMIT.
  await db.sql(
    `CREATE TRIGGER now BEFORE UPDATE ON app.stream_head FOR EACH ROW WHEN (NEW.seq = 42) EXECUTE FUNCTION app.refuse_here()`,
  )
  await db.sql(`CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON app.stream_head DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.seq = 43) EXECUTE FUNCTION app.refuse_here()`)
})
afterAll(() => db.close())

const seen = (attempt: Promise<unknown>): Promise<unknown> =>
  attempt.then(
    () => 'nothing',
    (e: unknown) => e,
  )
const setSeq = (seq: number) => ({ where: { stream: 's' }, data: { seq } })

describe('our own SQLSTATE', () => {
  test('of a model call', async () => {
    const e = await seen(client().streamHead.update(setSeq(42)))
    expect([sqlState(e), prismaCode(e)]).toEqual(['RK042', 'P2039'])
  })
  test('of raw SQL', async () => {
    const e = await seen(client().$executeRaw`UPDATE app.stream_head SET seq = 42`)
    expect([sqlState(e), prismaCode(e)]).toEqual(['RK042', 'P2010'])
  })
  test('at COMMIT of an interactive transaction', async () => {
    const e = await seen(client().$transaction(async (tx) => tx.streamHead.update(setSeq(43))))
    expect([sqlState(e), prismaCode(e)]).toEqual(['RK042', null])
  })
  test('at COMMIT of a list of calls', async () => {
    const e = await seen(client().$transaction([client().streamHead.update(setSeq(43))]))
    expect([sqlState(e), prismaCode(e)]).toEqual(['RK042', 'P2039'])
  })
  test('at COMMIT of a single call', async () => {
    const e = await seen(client().streamHead.update(setSeq(43)))
    expect([sqlState(e), prismaCode(e)]).toEqual(['RK042', 'P2039'])
  })
})

test('a unique violation names its index', async () => {
  const e = await seen(client().streamHead.create({ data: { stream: 's', seq: 1 } }))
  expect([prismaCode(e), violatedIndex(e)]).toEqual(['P2002', 'stream_head_pkey'])
})

test('a serialization failure is a conflict', async () => {
  const conflict = client().$transaction(
    async (tx) => {
      await tx.streamHead.findMany()
      await db.sql("UPDATE app.stream_head SET seq = seq + 1 WHERE stream = 'u'")
      await tx.streamHead.update({ where: { stream: 'u' }, data: { seq: 9 } })
    },
    { isolationLevel: 'Serializable' },
  )
  const e = await seen(conflict)
  expect([prismaCode(e), sqlState(e), isConflict(e), isUnavailable(e)]).toEqual([
    'P2034',
    '40001',
    true,
    false,
  ])
})

describe('the database is unavailable when', () => {
  test('a transaction takes too long', async () => {
    const slow = client().$transaction(
      async (tx) => {
        await tx.$executeRaw`SELECT pg_sleep(0.3)`
        await tx.streamHead.findMany()
      },
      { timeout: 100 },
    )
    const e = await seen(slow)
    expect([prismaCode(e), isUnavailable(e)]).toEqual(['P2028', true])
  })
  test('no session becomes free', async () => {
    const one = openDatabase({ url: db.urls.app, poolSize: 1 })
    const held = one.client.$transaction((tx) => tx.$executeRaw`SELECT pg_sleep(0.5)`)
    const e = await seen(one.client.$transaction(async () => 1, { maxWait: 50 }))
    await held
    await one.close()
    expect([prismaCode(e), isUnavailable(e)]).toEqual(['P2028', true])
  })
  test('the pool has no session in time', async () => {
    const one = openDatabase({ url: db.urls.app, poolSize: 1, waitMs: 1_000 })
    const holder = await db.session('superuser')
    await holder.query('SELECT pg_advisory_lock(1)')
    // Prisma begins when somebody asks for the result.
    const held = seen(one.client.$executeRaw`SELECT pg_advisory_lock(1)`)
    const e = await seen(one.client.streamHead.findMany())
    await holder.end()
    await held
    await one.close()
    expect(e).toBeInstanceOf(Error)
    expect(isUnavailable(e)).toBe(true)
  })
  const elsewhere = async (change: (url: URL) => void): Promise<unknown> => {
    const url = new URL(db.urls.app)
    change(url)
    const other = openDatabase({ url: url.toString() })
    const e = await seen(other.client.streamHead.findMany())
    await other.close()
    return e
  }
  test('nobody listens', async () => {
    const e = await elsewhere((url) => {
      url.port = '1'
    })
    expect([prismaCode(e), isUnavailable(e)]).toEqual(['P1001', true])
  })
  test('the password is wrong', async () => {
    const e = await elsewhere((url) => {
      url.password = 'wrong'
    })
    expect([prismaCode(e), sqlState(e), isUnavailable(e)]).toEqual(['P1000', '28P01', true])
  })
  test('another transaction holds a lock for longer than one may wait', async () => {
    const holder = await db.session('app')
    await holder.query('BEGIN')
    await holder.query(`SELECT FROM app.stream_head WHERE stream = 's' FOR UPDATE`)
    const e = await seen(
      client().$transaction(async (tx) => {
        await tx.$executeRaw`SET LOCAL lock_timeout = 50`
        await tx.$executeRaw`SELECT FROM app.stream_head WHERE stream = 's' FOR UPDATE`
      }),
    )
    await holder.query('ROLLBACK')
    expect([sqlState(e), isUnavailable(e)]).toEqual(['55P03', true])
  })

  test('the backend is killed inside a transaction', async () => {
    const killed = client().$transaction(async (tx) => {
      const [row] = await tx.$queryRaw<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`
      await db.sql('SELECT pg_terminate_backend($1)', [row?.pid])
      await tx.streamHead.findMany()
    })
    const e = await seen(killed)
    expect(e).toBeInstanceOf(Error)
    expect(isUnavailable(e)).toBe(true)
  })
})

test('an error of our own code is none of these', () => {
  const e = new TypeError('x is not a function')
  expect([sqlState(e), prismaCode(e), violatedIndex(e), isConflict(e), isUnavailable(e)]).toEqual([
    null,
    null,
    null,
    false,
    false,
  ])
})

test('a name that sounds like a broken connection is no broken connection', async () => {
  for (const error of [
    notFound('key', 'store-epipe'),
    new ProviderError('forbidden', 'none', 'the connection "econnreset" does not let it'),
  ])
    expect(await seen(orUnavailable(() => Promise.reject(error)))).toBe(error)
})
