import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { connectionNamed, event, someone } from './records.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
  await db.ledger.commit(someone, async (tx) => {
    await tx.writeConnection.insert(connectionNamed('hsm'))
    return { value: null, audit: [event()] }
  })
})
afterAll(() => db.close())

const pin = new Secret('1234')

test('one process tries at a time, and a credential that was refused is tried by none', async () => {
  const [one, two] = [1, 1].map((revision) => db.logins({ name: 'hsm', revision }))
  expect(await one?.claim(pin)).toBe('try')
  expect(await two?.claim(pin)).toBe('busy')
  await one?.ended(pin, 'accepted')
  expect(await two?.claim(pin)).toBe('try')
  await two?.ended(pin, 'refused')
  expect(await one?.claim(pin)).toBe('refused')
  // Another credential, or the connection put again, has not been refused.
  expect(await one?.claim(new Secret('5678'))).toBe('try')
  expect(await db.logins({ name: 'hsm', revision: 2 }).claim(pin)).toBe('try')
})

test('whoever died in the middle is told to the next', async () => {
  const logins = db.logins({ name: 'hsm', revision: 9 })
  expect(await logins.claim(pin)).toBe('try')
  await db.clock.advance(31_000)
  expect(await logins.claim(pin)).toBe('tryAfterDeath')
  expect(await logins.claim(pin)).toBe('busy')
})

test('of two that claim at once one tries', async () => {
  const logins = db.logins({ name: 'hsm', revision: 20 })
  const claims = await Promise.all(Array.from({ length: 5 }, () => logins.claim(pin)))
  expect(claims.toSorted()).toEqual(['busy', 'busy', 'busy', 'busy', 'try'])
})

test('without a connection there is nobody to keep it for', async () => {
  expect(await db.logins({ name: 'gone', revision: 1 }).claim(pin)).toBe('try')
})
