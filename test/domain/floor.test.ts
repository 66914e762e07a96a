import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Floor, floorsFor, sayFloor, tighten, undercuts } from '#domain/floor.ts'
import { resolvePolicy, type PolicySpec } from '#domain/policy.ts'
import { weakenings } from '#domain/policy-strength.ts'
import { basePolicy, duration, policy } from './policies.ts'

const resolve = (more: Partial<PolicySpec>) => resolvePolicy({ ...basePolicy, ...more })
const floor: fc.Arbitrary<Floor> = fc.record({
  matchLabels: fc.constant({ team: 'a' }),
  spec: fc.record(
    {
      approval: fc.record({
        required: fc.integer({ min: 1, max: 3 }),
        roles: fc.subarray(['approver', 'responder', 'operator', 'admin'] as const, {
          minLength: 1,
        }),
      }),
      overlap: fc.record({ min: duration }),
      soak: duration,
      retire: fc.constantFrom('keep' as const, 'disable' as const),
      acceptGap: fc.constant(false as const),
      consumers: fc.record({
        acknowledgement: fc.record({ required: fc.constantFrom('all' as const, 'any' as const) }),
      }),
      emergency: fc.record({
        approvals: fc.integer({ min: 1, max: 3 }),
        onLeak: fc.constant('ask' as const),
      }),
    },
    { requiredKeys: [] },
  ),
})

describe('for all policies and floors', () => {
  test('what is tightened to floors undercuts none of them, and weakens nothing', () => {
    fc.assert(
      fc.property(policy, fc.array(floor, { maxLength: 3 }), (one, floors) => {
        const tightened = tighten(one, floors)
        for (const each of floors) expect(undercuts(tightened, each)).toEqual([])
        expect(
          weakenings(one, tightened).filter(({ pointer }) => pointer !== '/consumers/matchLabels'),
        ).toEqual([])
        expect(tighten(tightened, floors)).toEqual(tightened)
      }),
    )
  })

  test('a policy that undercuts no floor is left as it is', () => {
    fc.assert(
      fc.property(policy, floor, (one, each) => {
        if (undercuts(one, each).length === 0) expect(tighten(one, [each])).toEqual(one)
      }),
    )
  })
})

describe('a floor', () => {
  const least: Floor = {
    matchLabels: { team: 'a' },
    spec: { overlap: { min: '48h' }, approval: { required: 2, roles: ['approver'] } },
  }
  test('bounds what it names and nothing else', () => {
    expect(undercuts(resolve({ soak: '0s' }), least)).toMatchObject([
      { pointer: '/approval/required', from: '2', to: '0' },
      { pointer: '/overlap/min', from: '2d', to: '1d' },
    ])
  })
  test('is for what has its labels, and is told by them', () => {
    const both = { ...least, matchLabels: { team: 'a', tier: '1' } }
    expect(floorsFor([least, both], { team: 'a' })).toEqual([least])
    expect(floorsFor([least, both], { team: 'a', tier: '1', more: 'x' })).toEqual([least, both])
    expect(floorsFor([least, both], { tier: '1' })).toEqual([])
    expect(sayFloor(both)).toBe('the floor for team=a, tier=1')
  })
  test('without a word on roles leaves them to the policy', () => {
    const silent = { ...least, spec: { approval: { required: 1 } } }
    const mine = resolve({ approval: { required: 1, roles: ['operator'] } })
    expect(undercuts(mine, silent)).toEqual([])
    expect(tighten(mine, [silent])).toBe(mine)
  })
  test('names all who may approve', () => {
    const two: Floor = { ...least, spec: { approval: { roles: ['approver', 'responder'] } } }
    const mine = resolve({ approval: { required: 1, roles: ['operator'] } })
    expect(undercuts(mine, two)).toMatchObject([
      { pointer: '/approval/roles', from: 'approver, responder', to: 'operator' },
    ])
  })
  test('says who may approve', () => {
    const mine = resolve({
      overlap: { min: '48h' },
      approval: { required: 2, roles: ['operator', 'approver'] },
    })
    expect(undercuts(mine, least)).toMatchObject([
      { pointer: '/approval/roles', from: 'approver', to: 'operator, approver' },
    ])
    expect(tighten(mine, [least]).approval.roles).toEqual(['approver'])
    expect(tighten(resolve({ approval: { roles: ['operator'] } }), [least]).approval).toEqual({
      required: 2,
      roles: ['admin'],
    })
  })
})
