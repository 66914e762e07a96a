import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import { type Database, openDatabase } from '#store/database.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
})
afterAll(() => db.close())

/** What the session of a process has prepared, by name, once each statement came often. */
const preparedBy = async (statements: readonly string[]): Promise<ReadonlyMap<string, string>> => {
  const database = openDatabase({ url: db.urls.app, poolSize: 1 })
  try {
    for (const statement of statements)
      for (let n = 0; n < 25; n++) await database.client.$queryRawUnsafe(statement)
    const rows = await database.client.$queryRawUnsafe<{ name: string; statement: string }[]>(
      'SELECT name, statement FROM pg_prepared_statements',
    )
    return new Map(rows.map(({ name, statement }) => [name, statement]))
  } finally {
    await database.close()
  }
}

test('a name stands for the same statement in every process: a pooler may give them one session', async () => {
  const [one, other] = ['SELECT 1 AS one', 'SELECT 2 AS other']
  const here = await preparedBy([one, other])
  const there = await preparedBy([other, one])
  expect(new Set(here.values())).toEqual(new Set([one, other]))
  expect(there).toEqual(here)
})

describe('a session that refuses what was prepared', () => {
  const often = async (client: Database['client'], statement: string): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- one session
    for (let n = 0; n < 25; n++) await client.$queryRawUnsafe(statement)
  }
  const alone = async (work: (client: Database['client']) => Promise<void>): Promise<void> => {
    const database = openDatabase({ url: db.urls.app, poolSize: 1 })
    try {
      await work(database.client)
    } finally {
      await database.close()
    }
  }
  const prepared = (client: Database['client']): Promise<readonly unknown[]> =>
    client.$queryRawUnsafe('SELECT name FROM pg_prepared_statements')

  test('because it has none of that name is asked without, and so is every other from then on', () =>
    alone(async (client) => {
      await often(client, 'SELECT 3 AS n')
      await client.$executeRawUnsafe('DEALLOCATE ALL')
      expect(await client.$queryRawUnsafe('SELECT 3 AS n')).toEqual([{ n: 3 }])
      await often(client, 'SELECT 4 AS n')
      expect(await prepared(client)).toEqual([])
    }))

  test('because it has one of that name already is asked without', () =>
    alone(async (client) => {
      const statement = 'SELECT 5 AS n'
      const name = `rekey_${createHash('sha256').update(statement).digest('hex').slice(0, 40)}`
      await client.$executeRawUnsafe(`PREPARE ${name} AS ${statement}`)
      await often(client, statement)
    }))

  test('because a migration changed what it returns is asked without', () =>
    alone(async (client) => {
      await db.sql('CREATE TABLE public.changing AS SELECT 1 AS n')
      await db.sql('GRANT SELECT ON public.changing TO rekey_app')
      await often(client, 'SELECT * FROM public.changing')
      await db.sql('ALTER TABLE public.changing ALTER COLUMN n TYPE text')
      expect(await client.$queryRawUnsafe('SELECT * FROM public.changing')).toEqual([{ n: '1' }])
    }))

  test('in the middle of a transaction has it run again, and is of use afterwards', async () => {
    const one = await openTestDatabase({ poolSize: 1 })
    try {
      const commit = () =>
        one.ledger.commit(systemActor('system', 'test'), async (tx) => {
          await tx.now()
          const target = { id: 'x', name: 'x' }
          return { value: 'done', audit: [{ action: 'sink.put', target, outcome: 'succeeded' }] }
        })
      // oxlint-disable-next-line no-await-in-loop -- one session
      for (let n = 0; n < 25; n++) await commit()
      expect(await prepared(one.database.client)).not.toEqual([])
      await one.database.client.$executeRawUnsafe('DEALLOCATE ALL')
      expect((await commit()).value).toBe('done')
      expect((await commit()).value).toBe('done')
    } finally {
      await one.close()
    }
  })
})
