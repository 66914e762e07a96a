// The planner, by two at once, on rows and policies that it cannot read, and where only a person may go on.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AuditBody } from '#domain/audit.ts'
import { noticeOf } from '#domain/notice.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { makeStartRotation } from '#usecases/start-rotation.ts'
import { makeCancel } from '#usecases/steer-rotation.ts'
import { admin, codeOf, type House, openHouse } from '../support/house.ts'

let house: House
let planners: readonly (() => Promise<number>)[]
let cancel: ReturnType<typeof makeCancel>

beforeAll(async () => {
  house = await openHouse()
  await house.connection('vault')
  cancel = makeCancel({ ledger: house.ledger })
})
beforeEach(() => {
  const deps = { ...house.deps, timers: house.timers }
  planners = ['w1', 'w2'].map((name) => makePlanRotations(deps, name))
})
afterAll(() => house.shut())

const minutely = { schedule: { cron: '* * * * *', timezone: 'UTC' } }
const select = (set: string) => ({ selector: { matchLabels: { set } } })
const minute = 60_000

const fleet = async (set: string, size: number): Promise<readonly string[]> => {
  const ids: string[] = []
  for (let n = 0; n < size; n++)
    ids.push((await house.register(`${set}-${n}`, { labels: { set } })).value.id) // oxlint-disable-line no-await-in-loop -- few
  return ids
}

/** One planner, until nothing is due. */
const plan = async (): Promise<void> => {
  const [first] = planners
  for (let pass = 0; pass < 20; pass++) if ((await first?.()) === 0) return
  throw new Error('the planner does not come to rest')
}

const told = async (key: string): Promise<readonly AuditBody[]> => {
  const rows = await house.sql(
    `SELECT body::jsonb AS body FROM audit.event WHERE body::jsonb -> 'after' ->> 'key' = $1 ORDER BY id`,
    [key],
  )
  return rows.map(({ body }) => body as AuditBody)
}
const planned = async (key: string): Promise<number> =>
  (await told(key)).filter(({ action }) => action === 'rotation.planned').length
const news = async (key: string): Promise<readonly string[]> =>
  (await told(key)).flatMap((event) => noticeOf(event) ?? [])
const openOf = (id: string) => house.ledger.read((db) => db.rotations.openOf(id))

const endAll = async (ids: readonly string[]): Promise<void> => {
  for (const id of ids) {
    const open = await openOf(id)
    if (open) await cancel(admin, open.id, { reason: 'make room' })
  }
}

describe('two planners on one database', () => {
  test('an occurrence gets one answer and overdue is raised once, whatever the clock does', async () => {
    const ids = await fleet('pair', 4)
    await house.policy('pair', { ...select('pair'), ...minutely, maxAge: '3m' })
    for (const jump of [minute, 90_000, -45_000, 5 * minute, -5 * minute, 6 * minute]) {
      await house.clock.advance(jump)
      await Promise.all([...planners, ...planners].map((pass) => pass()))
      await Promise.all([
        ...planners.map((pass) => pass()),
        house.replacePolicy('pair', {
          ...select('pair'),
          ...minutely,
          maxAge: '3m',
          description: String(jump),
        }),
      ])
      if (jump > minute) await endAll(ids)
    }
    for (const [n] of ids.entries()) {
      const events = await told(`pair-${n}`)
      const occurrences = events.flatMap(({ action, after }) =>
        ['rotation.planned', 'rotation.coalesced', 'rotation.occurrenceSkipped'].includes(action)
          ? [(after as Record<string, unknown>)['occurrence']]
          : [],
      )
      expect(occurrences.length).toBeGreaterThan(1)
      expect(occurrences.length).toBe(new Set(occurrences).size)
      expect(events.filter(({ action }) => action === 'key.overdue')).toHaveLength(1)
    }
  })

  test('a policy that is written while they plan is what the schedule follows afterwards', async () => {
    const ids = await fleet('moving', 3)
    const hourly = (n: number) => ({
      ...select('moving'),
      schedule: { cron: `${n} * * * *`, timezone: 'UTC' },
    })
    await house.policy('moving', { ...select('moving'), ...minutely })
    for (let n = 1; n <= 4; n++) {
      await house.replacePolicy('moving', { ...select('moving'), ...minutely })
      await house.clock.advance(2 * minute)
      await Promise.all([
        ...planners.map((pass) => pass()),
        house.replacePolicy('moving', hourly(n)),
      ])
      await endAll(ids)
      const rows = await house.ledger.read((db) => db.schedule.getMany(ids))
      expect(rows.map(({ dueAt }) => dueAt?.getUTCMinutes())).toEqual(ids.map(() => n))
    }
  })

  test('what a planner read before somebody else took it is not taken again', async () => {
    const [id = ''] = await fleet('stale', 1)
    await house.policy('stale', { ...select('stale'), ...minutely })
    await house.clock.advance(minute)
    // Both have read that it is due when the first one takes it.
    const holder = await house.session('app')
    await holder.query('BEGIN')
    await holder.query('SELECT FROM app.key WHERE id = $1 FOR NO KEY UPDATE', [id])
    const passes = planners.map((pass) => pass())
    await holder.query('ROLLBACK')
    await Promise.all(passes)
    await plan()
    const answers = (await told('stale-0')).filter(({ action }) =>
      ['rotation.planned', 'rotation.coalesced', 'key.rescheduled'].includes(action),
    )
    expect(answers.map(({ action }) => action)).toEqual(['rotation.planned'])
  })
})

describe('one that cannot be planned holds up no other, is told once, and tried again later and later', () => {
  test('an occurrence that cannot be read', async () => {
    const [bad = '', good = ''] = await fleet('unread', 2)
    await house.policy('unread', { ...select('unread'), ...minutely })
    await house.sql(
      `UPDATE app.key_schedule SET last_occurrence = 'rubbish', due_at = due_at - interval '1 hour' WHERE key_id = $1`,
      [bad],
    )
    await house.clock.advance(minute)
    await plan()
    expect(await openOf(good)).not.toBeNull()
    expect(await openOf(bad)).toBeNull()
    const { status } = await house.key('unread-0')
    expect(status.why).toContain('cannot be read')
    expect(status.why).toContain('rekey rotate key/unread-0')
    const pauses: number[] = []
    for (let n = 0; n < 4; n++) {
      const row = await house.ledger.read((db) => db.schedule.get(bad))
      const now = await house.timers.now()
      const pause = (row?.dueAt?.getTime() ?? 0) - now.getTime()
      pauses.push(pause)
      await house.clock.advance(pause + 1_000)
      await plan()
    }
    expect(pauses.every((pause, n) => n === 0 || pause > 1.5 * (pauses[n - 1] ?? 0))).toBe(true)
    expect(await news('unread-0')).toEqual(['stalled'])
    // A rotation by hand is not held up, and mends it.
    const begun = await makeStartRotation(house.deps)(admin, { key: 'unread-0', reason: 'mend it' })
    expect(begun.value.phase).toBe('planned')
    await endAll([bad, good])
  })

  test('a policy that this version cannot read', async () => {
    const [bad = ''] = await fleet('broken', 1)
    const [good = ''] = await fleet('whole', 1)
    await house.policy('broken', { ...select('broken'), ...minutely })
    await house.policy('whole', { ...select('whole'), ...minutely })
    await house.sql('BEGIN')
    await house.sql(
      `INSERT INTO audit.event (id, body, writer_kid, writer_sig)
       VALUES ($1, '{"action":"policy.put","target":{"kind":"policy"},"outcome":"succeeded"}', decode(repeat('00', 4), 'hex'), decode(repeat('00', 64), 'hex'))`,
      [house.ids.next()],
    )
    await house.sql(
      `UPDATE app.policy SET spec = jsonb_set(spec, '{schedule,timezone}', '"Mars/Olympus"') WHERE name = 'broken'`,
    )
    await house.sql('COMMIT')
    await house.clock.advance(minute)
    await plan()
    expect(await openOf(good)).not.toBeNull()
    expect(await openOf(bad)).toBeNull()
    await house.clock.advance(10 * minute)
    await plan()
    expect(await news('broken-0')).toEqual(['stalled'])
    expect((await house.key('broken-0')).status.why).toContain('broken')
    // Everything else goes on, and a person is told rather than failed.
    await house.register('beside-broken')
    const start = makeStartRotation(house.deps)
    expect(await codeOf(start(admin, { key: 'broken-0', reason: 'x' }))).toBe('policy.impossible')
    await house.replacePolicy('broken', { ...select('broken'), ...minutely })
    await house.clock.advance(minute)
    await plan()
    expect(await openOf(bad)).not.toBeNull()
    expect((await house.key('broken-0')).status.why).toContain('under way')
    await endAll([bad, good])
  })

  test('one whose row the database refuses', async () => {
    const [bad = '', good = ''] = await fleet('refused', 2)
    await house.policy('refused', { ...select('refused'), ...minutely })
    await house.sql(`CREATE FUNCTION app.refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF (SELECT key_name FROM app.rotation WHERE id = NEW.rotation_id) = 'refused-0' THEN RAISE EXCEPTION 'not this one'; END IF;
        RETURN NEW;
      END $$`)
    await house.sql(
      `CREATE TRIGGER refuse_one BEFORE INSERT ON app.rotation_timer FOR EACH ROW EXECUTE FUNCTION app.refuse_one()`,
    )
    await house.clock.advance(minute)
    const [first] = planners
    for (let pass = 0; pass < 3; pass++) await first?.().catch(() => undefined)
    expect(await openOf(good)).not.toBeNull()
    await plan()
    expect(await news('refused-0')).toEqual(['stalled'])
    await house.sql(`DROP TRIGGER refuse_one ON app.rotation_timer`)
    await house.clock.advance(10 * minute)
    await plan()
    expect(await openOf(bad)).not.toBeNull()
    await endAll([bad, good])
  })
})

test('after two that were undone only a person starts the next, who is told once', async () => {
  const [id = ''] = await fleet('undone', 1)
  await house.policy('undone', { ...select('undone'), ...minutely })
  for (let n = 0; n < 2; n++) {
    await house.clock.advance(minute)
    await plan()
    const open = await openOf(id)
    if (!open) throw new Error('nothing was planned')
    // As undo leaves it, without going through all of it.
    await house.ledger.commit(admin, async (tx) => {
      const now = await tx.now()
      let row = open
      for (const phase of ['preflight', 'minting', 'rollingBack', 'rolledBack'] as const) {
        const next = { ...row, phase, ...(phase === 'rolledBack' ? { endedAt: now } : {}) }
        await tx.writeRotation.move(next, { phase: row.phase, epoch: row.epoch })
        row = next
      }
      return {
        value: null,
        audit: [
          {
            action: 'rotation.advanced',
            target: { id: open.id, name: open.keyName },
            outcome: 'succeeded',
          },
        ],
      }
    })
  }
  for (let n = 0; n < 4; n++) {
    await house.clock.advance(minute)
    await plan()
  }
  expect(await openOf(id)).toBeNull()
  expect(await planned('undone-0')).toBe(2)
  expect(await news('undone-0')).toEqual(['stalled'])
  const { status } = await house.key('undone-0')
  expect(status.why).toContain('two rotations')
  expect(status.why).toContain('rekey rotate key/undone-0')
  expect(status.nextRotationAt).toBeNull()
  // A cancelled one in between proves nothing.
  const begun = await makeStartRotation(house.deps)(admin, { key: 'undone-0', reason: 'try' })
  await cancel(admin, begun.value.id, { reason: 'not now' })
  await house.putKey('undone-0', (body) => ({ ...body, owner: 'another' }))
  await house.clock.advance(minute)
  await plan()
  expect(await openOf(id)).toBeNull()
  expect(await news('undone-0')).toEqual(['stalled'])
})
