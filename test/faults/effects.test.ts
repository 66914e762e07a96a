// Every effect of a rotation × every fault of one call: in the end exactly one new version, one served version throughout,
// nothing half done, and a log in which every intent has one terminal outcome.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import {
  type FaultKind,
  faultKinds,
  type FaultyMethod,
  makeFaultPlan,
} from '#test/support/faults.ts'

const plan = makeFaultPlan()
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ wrap: plan.wrap })
  await engine.policy('quick', {
    selector: { connection: 'vault' },
    retire: 'destroy',
    retry: { initial: '1s', max: '5s' },
  })
})
afterAll(() => engine.close())

let count = 0
const freshKey = () => engine.key(`k${++count}`)

/** Runs until the fault was met; a killed worker is left hanging, and another takes over once the lease has expired. */
const meet = async (kind: FaultKind, id: string): Promise<void> => {
  const met = plan.met()
  if (!kind.startsWith('killed')) return
  const dying = engine.worker(`dying-${id}`)
  for (let n = 0; n < 50; n++) {
    const run = dying(id)
    const winner = await Promise.race([run.then(() => 'ran'), met.then(() => 'met')])
    if (winner === 'met') break
    await engine.clock.advance(1_000)
  }
  await engine.clock.advance(30_000)
}

const checkLog = async (id: string): Promise<void> => {
  const bodies = (await engine.events(id)).map(({ body }) => body)
  for (const intent of bodies.filter(({ outcome }) => outcome === 'intent')) {
    const outcomes = bodies
      .filter(({ causationId }) => causationId === intent.id)
      .map(({ outcome }) => outcome)
    const terminal = outcomes.filter((outcome) => outcome !== 'unknown')
    expect(terminal, `${intent.action} ${JSON.stringify(outcomes)}`).toHaveLength(1)
    expect(outcomes.at(-1)).toBe(terminal[0])
  }
}

describe.each(['mint', 'promote', 'suspend', 'retire'] as const satisfies readonly FaultyMethod[])(
  '%s',
  (method) => {
    test.each(faultKinds)(
      '%s: the rotation completes with exactly one new version',
      async (kind) => {
        const key = await freshKey()
        const id = await engine.rotate(key.name)
        plan.arm(method, kind)
        await meet(kind, id)
        const rotation = await engine.until(id, 'end')
        expect(rotation.phase, rotation.stalledReason ?? '').toBe('completed')
        expect(rotation.epoch).toBe(kind.startsWith('killed') ? 2 : 1)
        expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
          'destroyed',
          'enabled',
        ])
        expect(await engine.vault.current(key.id)).toBe(2)
        expect(
          (await engine.versions(key.id)).map(({ state, primary }) => [state, primary]),
        ).toEqual([
          ['destroyed', false],
          ['active', true],
        ])
        await checkLog(id)
      },
    )
  },
)

describe.each(['promote', 'retire', 'reinstate'] as const)('undo, %s', (method) => {
  test.each(faultKinds)(
    '%s: the old version serves again and the new one is gone',
    async (kind) => {
      const key = await freshKey()
      const policy = `undo-${key.name}`
      await engine.policy(policy, {
        selector: { type: 'local.secret', connection: 'vault' },
        priority: 1 + count,
        soak: '1h',
      })
      const id = await engine.rotate(key.name)
      await engine.until(id, ['soaking'])
      await engine.steer.rollback(admin, id, { reason: 'a test' })
      plan.arm(method, kind)
      await meet(kind, id)
      const rotation = await engine.until(id, 'end')
      expect(rotation.phase, rotation.stalledReason ?? '').toBe('rolledBack')
      expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
        'enabled',
        'destroyed',
      ])
      expect(await engine.vault.current(key.id)).toBe(1)
      await checkLog(id)
    },
  )
})

test('rollback while the mint is under way: its late effect is found and removed', async () => {
  const key = await freshKey()
  const id = await engine.rotate(key.name)
  plan.arm('mint', 'killed after')
  const met = plan.met()
  void engine.worker('slow')(id)
  await met
  await engine.steer.rollback(admin, id, { reason: 'stop it' })
  await engine.clock.advance(30_000)
  const rotation = await engine.until(id, 'end')
  expect(rotation.phase).toBe('rolledBack')
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual([
    'enabled',
    'destroyed',
  ])
  await checkLog(id)
})

test('a provider that refuses for ever stalls after the tries of its policy, says what a person can do, and resumes', async () => {
  const key = await freshKey()
  await engine.policy('stubborn', {
    selector: { connection: 'vault', type: 'local.secret' },
    priority: 900,
    retry: { attempts: 3 },
  })
  const id = await engine.rotate(key.name)
  for (let n = 0; n < 3; n++) {
    plan.arm('promote', 'refused')
    await engine.drain()
    await engine.clock.advance(16 * 60_000)
  }
  await engine.drain()
  expect((await engine.rotation(id)).phase).toBe('stalled')
  const timer = await engine.ledger.read((db) => db.timers.get(id))
  expect(timer?.waitingFor).toMatchObject({
    gate: 'person',
    missing: ['resume', 'rollback', 'abandon'],
  })
  await engine.steer.resume(admin, id, { reason: 'quota raised' })
  expect((await engine.until(id, 'end')).phase).toBe('completed')
})
