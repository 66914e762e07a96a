// One policy over a large fleet. The time is not asserted tightly: the machine is shared; that it ends within the ledger's
// own limit is what counts.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { type House, openHouse } from '../support/house.ts'

const size = Number(process.env['FLEET'] ?? 5_000)
let house: House

beforeAll(async () => {
  house = await openHouse()
  await house.connection('vault')
  // The database refuses rows without an audit event, by hand too.
  await house.sql('BEGIN')
  await house.sql(
    `INSERT INTO audit.event (id, body, writer_kid, writer_sig)
     VALUES ($1, $2, decode(repeat('00', 4), 'hex'), decode(repeat('00', 64), 'hex'))`,
    [
      house.ids.next(),
      JSON.stringify({ action: 'key.registered', target: { kind: 'key' }, outcome: 'succeeded' }),
    ],
  )
  await house.sql(
    `INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at)
     SELECT md5('k' || n)::uuid, 'k-' || n, 'vault', 'local.secret', '{}', 'fleet-' || n, 'p', 'o', 'test',
            jsonb_build_object('fleet', 'yes', 'half', CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END), '{}', '{}', 1, now(), now()
     FROM generate_series(1, $1::int) n`,
    [size],
  )
  await house.sql(
    `INSERT INTO app.version (key_id, version, state, is_primary, provider_versions, material_known, created_at, activated_at, verified_at)
     SELECT id, 1, 'active', true, '{1}', true, now(), now(), now() FROM app.key`,
  )
  await house.sql('COMMIT')
})
afterAll(() => house.shut())

const fleet = {
  selector: { matchLabels: { fleet: 'yes' } },
  schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris', jitter: '20m' },
}

test('a policy over a whole fleet is one transaction, and every key knows when it is due', async () => {
  const { value } = await house.policy('fleet', fleet)
  expect(value.selected).toBe(size)
  const rows = await house.sql(
    `SELECT count(*)::int AS n, count(DISTINCT due_at)::int AS moments FROM app.key_schedule WHERE due_at IS NOT NULL`,
  )
  expect(rows[0]?.['n']).toBe(size)
  expect(Number(rows[0]?.['moments'])).toBeGreaterThan(size / 10)
})

test('another policy with a higher priority takes half of it, and gives it back', async () => {
  await house.policy('even', { ...fleet, selector: { matchLabels: { half: 'even' } }, priority: 1 })
  const counts = async () => {
    const rows = await house.sql(
      `SELECT policy, count(*)::int AS n FROM app.key GROUP BY policy ORDER BY policy`,
    )
    return Object.fromEntries(rows.map(({ policy, n }) => [String(policy), Number(n)]))
  }
  expect(await counts()).toEqual({ even: Math.floor(size / 2), fleet: Math.ceil(size / 2) })
  await house.dropPolicy('even')
  expect(await counts()).toEqual({ fleet: size })
})

test('a page of keys with their status costs the same in a large fleet', async () => {
  const first = await house.keys(undefined, { policy: 'fleet' }, 50)
  expect(first.items).toHaveLength(50)
  expect(
    first.items.every(({ status }) => status.policy === 'fleet' && status.nextRotationAt !== null),
  ).toBe(true)
})

test('three keys of another policy that are due later do not wait for the fleet: not to be planned, not to be rung for', async () => {
  const few: string[] = []
  for (let n = 0; n < 3; n++)
    few.push((await house.register(`few-${n}`, { labels: { few: 'yes' } })).value.id) // oxlint-disable-line no-await-in-loop -- few
  await house.policy('few', {
    selector: { matchLabels: { few: 'yes' } },
    schedule: { cron: '0 5 1 * *', timezone: 'Europe/Paris' },
  })
  const [last] = await house.sql('SELECT max(due_at) AS at FROM app.key_schedule')
  if (!(last?.['at'] instanceof Date)) throw new Error('nothing is due')
  await house.clock.advance(last['at'].getTime() - house.clock.now().getTime() + 1_000)
  const plan = makePlanRotations({ ...house.deps, timers: house.timers }, 'w1')

  expect(await plan()).toBe(50)
  const open = await house.ledger.read((db) => db.rotations.openOfKeys(few))
  expect(open).toHaveLength(3)

  for (let pass = 0; pass < 3; pass++) await plan() // oxlint-disable-line no-await-in-loop -- one after the other
  const ofFleet = (await house.timers.due(200)).length - 3
  expect(ofFleet).toBeGreaterThan(100)
  // Those of the fleet became due in the same moment, and some before.
  const first = await house.timers.due(6)
  expect(open.every(({ id }) => first.includes(id))).toBe(true)
  expect(new Set(first).size).toBe(6)
})
