import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import { boundedLedger } from '#runtime/bounded-ledger.ts'
import { type Engine, openEngine } from '#test/support/engine.ts'
import { withIncidents } from '#test/support/incidents.ts'

let engine: Engine
beforeAll(async () => {
  engine = await openEngine()
})
afterAll(() => engine.close())

test('no more than so many are at the database at once, and one that fails gives its turn on', async () => {
  const bounded = boundedLedger(engine.ledger, 2)
  let [now, most] = [0, 0]
  const ends = await Promise.allSettled(
    Array.from({ length: 12 }, (_, n) =>
      bounded.read(async (db) => {
        now += 1
        most = Math.max(most, now)
        await db.keys.count()
        now -= 1
        if (n % 3 === 0) throw new Error('it fails')
        return n
      }),
    ),
  )
  expect(most).toBe(2)
  expect(ends.map(({ status }) => status === 'fulfilled')).toEqual(
    Array.from({ length: 12 }, (_, n) => n % 3 !== 0),
  )
})

test('rotations and emergencies ask nothing of their ledger from within a transaction: one at a time is enough', async () => {
  const ledger = boundedLedger(engine.ledger, 1)
  await engine.policy('alone')
  await engine.key('alone')
  const id = await engine.rotate('alone')
  await engine.worker('w-alone', { ledger })(id)
  expect((await engine.rotation(id)).phase).toBe('completed')
  await engine.key('leaked')
  const incidents = withIncidents({ ...engine, ledger })
  const incident = await incidents.settle(await incidents.begin('revokeFirst', ['leaked']))
  expect(incident.state).toBe('contained')
  await ledger.note(systemActor('system', 'test'), {
    action: 'installation.started',
    target: { id: 'test', name: 'test' },
    outcome: 'succeeded',
  })
})
