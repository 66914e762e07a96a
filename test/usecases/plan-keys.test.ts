// The keys of a plan: what a refusal, a lost reply or a crash between them leaves, and that applying the same plan again, or
// another of the same files, finishes it. One object a key, whatever happened.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { faultKinds, makeFaultPlan } from '../support/faults.ts'
import { codeOf, type House, openHouse } from '../support/house.ts'
import { actions, item, keyOf, plansOf, policyOf, texts } from '../support/plans.ts'

const faults = makeFaultPlan()
let house: House
let plans: ReturnType<typeof plansOf>
let n = 0
let app: string

beforeAll(async () => {
  house = await openHouse({ wrap: faults.wrap })
  plans = plansOf(house)
  await house.connection('vault')
})
beforeEach(() => {
  n += 1
  app = `app${n}`
})
afterAll(() => house.shut())

const files = () => [
  policyOf(`p-${app}`, app),
  ...['a', 'b', 'c'].map((name) => keyOf(`${name}-${app}`, app)),
]
const objectsOf = async (name: string): Promise<number> => {
  const key = await house.ledger.read((db) => db.keys.byName(name))
  const rows = await house.sql('SELECT count(*)::int AS n FROM vault.material WHERE object = $1', [
    key?.id ?? '',
  ])
  return Number(rows[0]?.['n'])
}
const mustBeWhole = async (): Promise<void> => {
  for (const name of ['a', 'b', 'c']) {
    const { key, status } = await house.key(`${name}-${app}`)
    expect([name, key.policy, status.primaryVersion, await objectsOf(`${name}-${app}`)]).toEqual([
      name,
      `p-${app}`,
      1,
      1,
    ])
  }
}

describe.each(faultKinds)('%s while the second key is made', (kind) => {
  test('leaves the first one registered, and the plan says what is pending; applied again, it is whole', async () => {
    const plan = await plans.plan(files())
    // The first key is made before the fault is armed for the next.
    const first = await plans.planAndApply([keyOf(`a-${app}`, app)])
    expect(first.plan.finishedAt).not.toBeNull()
    const again = await plans.plan(files())
    expect(await codeOf(plans.apply(plan))).toBe('plan.stale')
    faults.arm('create', kind)
    const dies = kind.startsWith('killed')
    const applying = plans.apply(again)
    if (dies) {
      await faults.met()
    } else {
      const applied = await applying
      // A lost reply is asked about, and found.
      if (kind === 'refused') {
        expect([...applied.refused.keys()]).toEqual([`b-${app}`])
        expect([...applied.pending]).toEqual([`b-${app}`])
      }
    }
    const seen = await plans.see(again.id)
    expect(seen.plan.appliedAt).not.toBeNull()
    if (dies) expect([...seen.pending]).toEqual([`b-${app}`, `c-${app}`])
    await house.clock.advance(60_000)
    const finished = await plans.apply(again)
    expect([finished.plan.finishedAt === null, finished.pending.size]).toEqual([false, 0])
    await mustBeWhole()
    expect((await plans.plan(files())).items.every(({ action }) => action === 'unchanged')).toBe(
      true,
    )
  })
})

test('another plan of the same files finishes what a crash left, in the middle of a key', async () => {
  faults.arm('create', 'killed after')
  const plan = await plans.plan(files())
  void plans.apply(plan)
  await faults.met()
  await house.clock.advance(60_000)
  const next = await plans.plan(files())
  expect(actions(next)).toEqual([
    `unchanged Key a-${app}`,
    `create Key b-${app}`,
    `create Key c-${app}`,
    `unchanged RotationPolicy p-${app}`,
  ])
  expect(texts(item(next, 'Key', `a-${app}`))).toEqual([
    'its object is still being made: applying finds out and finishes',
  ])
  const applied = await plans.apply(next)
  expect(applied.plan.finishedAt).not.toBeNull()
  await mustBeWhole()
  // The first plan has nothing left to do.
  expect((await plans.apply(plan)).plan.finishedAt).not.toBeNull()
})

test('two who apply one plan at the same moment make each key once', async () => {
  const plan = await plans.plan(files())
  const both = await Promise.all([plans.apply(plan), plans.apply(plan)])
  const pending = both.map((applied) => applied.pending.size)
  if (Math.max(...pending) > 0) await plans.apply(plan)
  await mustBeWhole()
  const events = await house.events({ action: 'policy.put' })
  expect(events.filter(({ target }) => target.name === `p-${app}`)).toHaveLength(1)
})

test('a key that somebody else took the name of is refused, and the plan stays open', async () => {
  const plan = await plans.plan(files())
  faults.arm('create', 'killed before')
  void plans.apply(plan)
  await faults.met()
  await house.connection(`other-${app}`)
  await house.register(`c-${app}`, { connection: `other-${app}` })
  await house.clock.advance(60_000)
  const applied = await plans.apply(plan)
  expect(applied.refused.get(`c-${app}`)?.code).toBe('resource.exists')
  expect([...applied.pending]).toEqual([`c-${app}`])
})

test('a present version is adopted without a write at the provider', async () => {
  await house.register(`old-${app}`, {})
  const { key } = await house.key(`old-${app}`)
  await house.deleteKey(`old-${app}`)
  expect(key.objectId).not.toBe('')
  const document = keyOf(`new-${app}`, app, { create: false })
  const applied = await plans.apply(await plans.plan([document]))
  // The built-in vault names objects by their key, so there is nothing to adopt.
  expect(applied.refused.get(`new-${app}`)?.code).toBe('key.noObject')
})
