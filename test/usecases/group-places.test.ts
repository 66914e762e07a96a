// Places in a group (`concurrency`), taken by several workers at once: `max` and `minimumSpacing` hold at every moment (I17).

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Key } from '#domain/key.ts'
import { AtLimit } from '#domain/provider.ts'
import { aroundSession } from '#runtime/around-session.ts'
import { Full } from '#usecases/rotation-scene.ts'
import { makeByHand } from '#test/support/by-hand.ts'
import { admin, type Engine, openEngine, person } from '#test/support/engine.ts'

let engine: Engine
/** The connection has no room for a request now. */
let full = false
/** There is room when a step begins, and none for its requests: how often each operation was refused. */
let crowded: Map<string, number> | null = null
/** More often than a policy tries. */
const refusals = 8
beforeAll(async () => {
  engine = await openEngine({
    opening: () => {
      if (full) throw new Full({ afterMs: 1_000, why: 'the connection vault is at its limit' })
    },
    wrap: (session) =>
      aroundSession(session, async (operation, call) => {
        const before = crowded?.get(operation) ?? 0
        if (crowded === null || before >= refusals) return call()
        crowded.set(operation, before + 1)
        throw new AtLimit('throttled', 'the connection vault is at its limit', 500)
      }),
  })
})
afterAll(() => engine.close())

const minute = 60_000

const fleet = async (
  set: string,
  size: number,
  concurrency: { readonly max: number; readonly minimumSpacing?: string },
): Promise<readonly Key[]> => {
  const keys: Key[] = []
  for (let n = 0; n < size; n++) keys.push(await engine.key(`${set}-${n}`, { labels: { set } }))
  await engine.policy(set, {
    selector: { matchLabels: { set } },
    overlap: { min: '1m' },
    concurrency,
  })
  return keys
}

const group = async (set: string) => {
  const rows = await engine.sql(
    `SELECT phase, mint_entered_at AS minted FROM app.rotation WHERE group_id = $1 ORDER BY mint_entered_at`,
    [`policy:${set}`],
  )
  return {
    phases: rows.map(({ phase }) => String(phase)),
    running: rows.filter(
      ({ phase }) => !['planned', 'awaitingApproval', 'completed'].includes(String(phase)),
    ).length,
    minted: rows.flatMap(({ minted }) => (minted instanceof Date ? [minted.getTime()] : [])),
  }
}

/** Two workers advance all that is open, all at once. */
const rush = async (ids: readonly string[]): Promise<void> => {
  const workers = ['a', 'b'].map((name) => engine.worker(name))
  await Promise.all(workers.flatMap((work) => ids.map((id) => work(id))))
}

test('workers that rush for places keep max and minimumSpacing at every step', async () => {
  const keys = await fleet('rush', 4, { max: 2, minimumSpacing: '30m' })
  const ids = await Promise.all(keys.map(({ name }) => engine.rotate(name)))
  for (let step = 0; step < 20; step++) {
    await rush(ids)
    const { running, minted, phases } = await group('rush')
    expect(running).toBeLessThanOrEqual(2)
    for (const [n, at] of minted.entries())
      expect(at - (minted[n - 1] ?? -Infinity)).toBeGreaterThanOrEqual(30 * minute)
    if (phases.every((phase) => phase === 'completed')) break
    await engine.clock.advance(15 * minute)
  }
  expect((await group('rush')).phases).toEqual(keys.map(() => 'completed'))
  expect(engine.faults).toEqual([])
})

test('after a downtime each key catches up once, and those that wait for a place in the group only wait', async () => {
  const size = 5
  await engine.policy('daily', {
    selector: { matchLabels: { set: 'daily' } },
    schedule: { cron: '0 3 * * *', timezone: 'UTC' },
    overlap: { min: '1m' },
    concurrency: { max: 1 },
  })
  for (let n = 0; n < size; n++) await engine.key(`daily-${n}`, { labels: { set: 'daily' } })
  await engine.clock.advance(3 * 24 * 60 * minute)
  while ((await engine.plan()) > 0);
  const looks: number[] = []
  for (let step = 0; step < 40; step++) {
    let looked = 0
    for (
      let due = await engine.timers.due(100);
      due.length > 0;
      due = await engine.timers.due(100)
    ) {
      looked += due.length
      for (const id of due) await engine.advance(id)
    }
    looks.push(looked)
    const { running, phases } = await group('daily')
    expect(running).toBeLessThanOrEqual(1)
    if (phases.every((phase) => phase === 'completed')) break
    await engine.clock.advance(30_000)
  }
  // Three occurrences were missed; each key makes up for one.
  expect((await group('daily')).phases).toEqual(Array.from({ length: size }, () => 'completed'))
  // All look once when they are planned. After that: the one that runs, the first in line, and whoever took a place that was left.
  expect(Math.max(...looks.slice(1))).toBeLessThanOrEqual(4)
})

test('a rotation that prepares keeps its place: the next one waits until it has minted or ended', async () => {
  await fleet('prepares', 2, { max: 5, minimumSpacing: '30m' })
  await engine.freeze('an audit', { matchLabels: { set: 'prepares' } })
  const first = await engine.rotate('prepares-0')
  const second = await engine.rotate('prepares-1')
  await engine.drain()
  expect((await engine.rotation(first)).phase).toBe('preflight')
  expect((await engine.rotation(second)).phase).toBe('planned')
  await engine.steer.cancel(admin, first, { reason: 'not now' })
  await engine.until(second, ['preflight'], 10 * minute, minute)
})

test('the retirement of an adopted version takes a place too', async () => {
  const [key] = await fleet('retire', 2, { max: 1 })
  const old = await makeByHand(engine.vault, key?.id ?? '', 'old')
  const running = await engine.rotate('retire-1')
  await engine.until(running, ['overlapping'])
  const retirement = await engine.retire('retire-0', old)
  await engine.drain()
  expect((await engine.rotation(retirement)).phase).toBe('planned')
  await engine.until(running, 'end', 3 * 60 * minute, minute)
  await engine.until(retirement, 'end', 3 * 60 * minute, minute)
})

test('a retirement asks for the approvals of the policy', async () => {
  const key = await engine.key('asked', { labels: { set: 'asked' } })
  await engine.policy('asked', {
    selector: { matchLabels: { set: 'asked' } },
    approval: { required: 1 },
  })
  const id = await engine.retire('asked', await makeByHand(engine.vault, key.id, 'old'))
  const { planHash } = await engine.until(id, ['awaitingApproval'])
  await engine.clock.advance(minute)
  await engine.drain()
  expect((await engine.rotation(id)).phase).toBe('awaitingApproval')
  await engine.steer.approve(person('bob', 'approver'), id, { planHash })
  expect((await engine.until(id, 'end', 60 * minute, minute)).phase).toBe('completed')
})

test('a rotation whose connection is at its limit waits, has done nothing, and never fails of it', async () => {
  await fleet('limited', 1, { max: 1 })
  const id = await engine.rotate('limited-0')
  full = true
  for (let n = 0; n < 12; n++) {
    await engine.drain()
    await engine.clock.advance(20_000)
  }
  expect((await engine.rotation(id)).phase).toBe('preflight')
  expect(await engine.waitsFor(id)).toMatchObject({
    gate: 'limit',
    text: 'the connection vault is at its limit',
  })
  expect(await engine.intents(id)).toEqual([])
  full = false
  await engine.until(id, ['overlapping'], 5 * minute, 20_000)
  const waited = await engine.waitsFor(id)
  full = true
  await engine.clock.advance(2 * minute)
  await engine.drain()
  // Which gate it waits for, and since when, is not lost by it.
  const now = await engine.waitsFor(id)
  expect(now === null || now.gate === 'limit' || now.since === waited?.since).toBe(true)
  full = false
  expect((await engine.until(id, 'end', 60 * minute, minute)).phase).toBe('completed')
  expect(engine.faults).toEqual([])
})

test('requests within a step for which there is no room are no tries, whatever is asked', async () => {
  await fleet('crowded', 1, { max: 1 })
  const id = await engine.rotate('crowded-0')
  const refused = new Map<string, number>()
  crowded = refused
  const waits = new Set<string>()
  for (let n = 0; n < 200 && (await engine.rotation(id)).phase !== 'completed'; n++) {
    await engine.drain()
    waits.add((await engine.waitsFor(id))?.gate ?? '')
    await engine.clock.advance(20_000)
  }
  crowded = null
  expect((await engine.rotation(id)).phase).toBe('completed')
  expect(waits).toContain('limit')
  for (const operation of ['prepare', 'mint', 'verify', 'suspend'])
    expect([operation, refused.get(operation)]).toEqual([operation, refusals])
  expect(engine.faults).toEqual([])
})
