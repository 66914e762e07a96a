// Floors: what no policy may undercut, by the labels of keys. They bind texts when they are written, and plans always.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { floorsFor, type Floor } from '#domain/floor.ts'
import { getFloors, putFloors } from '#usecases/floors.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { makeCancel } from '#usecases/steer-rotation.ts'
import { makeStartRotation } from '#usecases/start-rotation.ts'
import {
  admin,
  codeOf,
  type House,
  openHouse,
  operator,
  refusal,
  rehearsing,
  scoped,
} from '../support/house.ts'

let house: House
let n = 0
let app: string
let labels: Readonly<Record<string, string>>

beforeAll(async () => {
  house = await openHouse()
  await house.connection('vault', { grants: [{ matchLabels: { team: 'a' }, refs: ['*'] }] })
})
afterAll(() => house.shut())
beforeEach(async () => {
  n += 1
  app = `app-${n}`
  labels = { team: 'a', app }
  await set([])
})

const set = (items: readonly Floor[], actor = admin) =>
  putFloors(house.deps)(actor, { items, precondition: { match: 'any', absent: false } })
const floor = (spec: Floor['spec']): Floor => ({ matchLabels: { app }, spec })
const spec = (more: Readonly<Record<string, unknown>> = {}) => ({
  selector: { matchLabels: { app } },
  manual: true,
  ...more,
})
const day: Floor['spec'] = { overlap: { min: '48h' }, approval: { required: 1 } }

describe('a policy', () => {
  test('that says less than a floor of its keys is refused with floor, field, bound and value', async () => {
    await house.register(app, { labels: { ...labels, tier: app } })
    await set([{ matchLabels: { tier: app }, spec: day }])
    const error = await refusal(house.policy(app, { spec: spec() }))
    expect(error.code).toBe('policy.belowFloor')
    expect(error.message).toContain(`the floor for tier=${app}, which holds for the key "${app}"`)
    expect(error.places).toEqual([
      {
        pointer: '/spec/approval/required',
        detail: `the floor for tier=${app} asks for 1, this says 0`,
      },
      {
        pointer: '/spec/overlap/min',
        detail: `the floor for tier=${app} asks for 2d, this says 1d`,
      },
    ])
    expect(error.extra['floors']).toMatchObject([
      {
        policy: app,
        matchLabels: { tier: app },
        pointer: '/approval/required',
        bound: '1',
        value: '0',
      },
      { pointer: '/overlap/min' },
    ])
    await house.policy(app, spec({ overlap: { min: '48h' }, approval: { required: 2 } }))
  })

  test('is refused before it has keys, when its selector demands the labels of the floor', async () => {
    await set([floor(day)])
    expect(await codeOf(house.policy(app, spec()))).toBe('policy.belowFloor')
  })

  test('of other keys is not asked', async () => {
    await set([{ matchLabels: { app: 'else' }, spec: day }])
    await house.policy(app, spec())
  })

  test('that was there before a floor is not changed without rising to it', async () => {
    await house.register(app, { labels })
    await house.policy(app, spec())
    await set([floor(day)])
    await house.replacePolicy(app, spec())
    expect(await codeOf(house.replacePolicy(app, spec({ description: 'x' })))).toBe(
      'policy.belowFloor',
    )
    await house.replacePolicy(app, spec({ overlap: { min: '48h' }, approval: { required: 1 } }))
  })
})

describe('a key', () => {
  test('is not registered under a policy below its floor', async () => {
    await house.policy(app, spec())
    await set([{ matchLabels: { tier: app }, spec: day }])
    const error = await refusal(house.register(app, { labels: { ...labels, tier: app } }))
    expect([error.code, error.places[0]?.pointer]).toEqual(['policy.belowFloor', '/labels'])
    await house.register(app, { labels })
  })

  test('does not come under a policy below its floor by its labels', async () => {
    await house.policy(app, spec())
    await house.register(app, { labels: { team: 'a', tier: app } })
    await set([{ matchLabels: { tier: app }, spec: day }])
    const error = await refusal(
      house.putKey(app, (body) => ({ ...body, labels: { ...labels, tier: app } })),
    )
    expect([error.code, error.places[0]?.pointer]).toEqual(['policy.belowFloor', '/labels'])
  })

  test('does not fall to a policy below its floor', async () => {
    await house.register(app, { labels })
    await house.policy(`${app}-low`, spec({ priority: -1 }))
    await house.policy(app, spec({ overlap: { min: '48h' } }))
    await set([floor({ overlap: { min: '48h' } })])
    expect(await codeOf(house.dropPolicy(app))).toBe('policy.belowFloor')
  })

  test('whose policy was below before the floor is written as before', async () => {
    await house.register(app, { labels })
    await house.policy(app, spec())
    await set([floor(day)])
    await house.putKey(app, (body) => ({
      ...body,
      purpose: 'other',
      labels: { ...labels, x: 'y' },
    }))
  })

  test('keeps a label that a floor looks at: an admin changes it', async () => {
    await house.register(app, { labels }, operator)
    await set([floor(day)])
    const escape = (actor = operator) =>
      house.putKey(app, (body) => ({ ...body, labels: { team: 'a' } }), actor)
    const error = await refusal(escape())
    expect([error.code, error.places[0]?.pointer]).toEqual(['auth.denied', '/labels/app'])
    await escape(admin)
  })
})

describe('a plan', () => {
  const start = () =>
    makeStartRotation(house.deps)(operator, { key: app, reason: 'now' }).then(({ value }) => value)

  test('obeys the floors that hold when it is made, not those of yesterday', async () => {
    await house.register(app, { labels })
    await house.policy(app, spec())
    const before = await start()
    expect(before.phase).toBe('planned')
    expect(before.plan.policy.approval.required).toBe(0)
    await set([floor(day)])
    const same = await house.ledger.read((db) => db.rotations.get(before.id))
    expect(same?.plan).toEqual(before.plan)
    await makeCancel(house)(operator, before.id, { reason: 'a floor was set' })
    const after = await start()
    expect(after.plan.policy).toMatchObject({
      approval: { required: 1 },
      overlap: { minMs: 48 * 3_600_000 },
    })
    expect(after.plan.phases).toContain('awaitingApproval')
    expect(after.plan.raised).toEqual([
      { pointer: '/approval/required', from: '0', to: '1' },
      { pointer: '/overlap/min', from: '1d', to: '2d' },
    ])
    const [event] = await house.events({ action: 'rotation.planned' })
    expect(event?.after).toMatchObject({ raised: after.plan.raised })
  })

  test('of a key without a policy obeys them too', async () => {
    await house.register(app, { labels })
    await set([floor({ ...day, retire: 'keep' })])
    const rotation = await start()
    expect(rotation.plan.policy).toMatchObject({ retire: 'keep', approval: { required: 1 } })
  })

  test('of the schedule obeys them too', async () => {
    await house.register(app, { labels })
    await house.policy(app, {
      selector: { matchLabels: { app } },
      schedule: { cron: '* * * * *', timezone: 'UTC' },
    })
    await set([floor(day)])
    await house.clock.advance(120_000)
    await makePlanRotations({ ...house.deps, timers: house.timers }, 'w')()
    const found = await house.ledger.read((db) =>
      db.rotations.list({ policy: app }, { limit: 1, after: null }),
    )
    expect(found.items[0]?.plan.phases).toContain('awaitingApproval')
  })
})

describe('the list', () => {
  test('is the admin’s; one with a scope writes none of it', async () => {
    const error = await refusal(set([floor(day)], scoped({ matchLabels: { team: 'a' } }, 'admin')))
    expect(error.code).toBe('auth.denied')
  })

  test('that policies undercut is accepted, and says whom it overrules', async () => {
    await house.register(app, { labels })
    await house.register(`${app}-b`, { labels: { ...labels, other: 'x' } })
    await house.policy(app, {
      ...spec(),
      selector: {
        matchLabels: { app },
        matchExpressions: [{ key: 'other', operator: 'DoesNotExist' }],
      },
    })
    const { value } = await set([floor({ soak: '2h' })])
    expect(value.overruled).toMatchObject([
      { policy: app, keys: 1, undercuts: [{ pointer: '/soak', from: '2h', to: '1h' }] },
      { policy: null, keys: 1, undercuts: [{ pointer: '/soak' }] },
    ])
    const [event] = await house.events({ action: 'floors.put' })
    expect(event).toMatchObject({
      before: { items: [] },
      after: {
        items: [{ spec: { soak: '2h' } }],
        overruled: [{ policy: app, keys: 1 }, { policy: null }],
      },
    })
  })

  test('put again changes nothing; on a dry run neither', async () => {
    const { value } = await set([floor(day)])
    expect((await set([floor(day)])).value.floors.revision).toBe(value.floors.revision)
    await putFloors({ ledger: rehearsing(house.ledger) })(admin, {
      items: [],
      precondition: { match: [value.floors.revision], absent: false },
    })
    expect((await getFloors(house.deps)(admin)).floors).toMatchObject({
      items: [floor(day)],
      revision: value.floors.revision,
      setBy: 'ada',
    })
  })

  test('is shown to a scope as far as it may hold there', async () => {
    await set([
      { matchLabels: { team: 'a' }, spec: { soak: '2h' } },
      { matchLabels: { tier: '1' }, spec: { soak: '3h' } },
      { matchLabels: { team: 'b' }, spec: { soak: '4h' } },
    ])
    const seen = await getFloors(house.deps)(scoped({ matchLabels: { team: 'a' } }))
    expect(seen.floors.items.map(({ spec: { soak } }) => soak)).toEqual(['2h', '3h'])
  })

  test('is read for a key by all of its labels', () => {
    const one = { matchLabels: { a: '1', b: '2' }, spec: { soak: '1h' } }
    expect(floorsFor([one], { a: '1', b: '2', c: '3' })).toEqual([one])
    expect(floorsFor([one], { a: '1' })).toEqual([])
  })
})
