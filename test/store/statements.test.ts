import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase } from '#store/database.ts'
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
