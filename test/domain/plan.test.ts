// What a plan leads to: nothing is told of nothing, and what is told as data is what the sentence says.

import { describe, expect, test } from 'vitest'
import { planStateOf } from '#domain/plan.ts'
import {
  dueAtOnce,
  keysGained,
  keysLost,
  lasting,
  loosened,
  newObject,
  nextRun,
  overdue,
  ownerChanged,
  policyOfKey,
  tightened,
  warning,
} from '#domain/plan-effects.ts'

const at = new Date('2026-01-01T00:00:00Z')
const later = new Date('2026-02-01T00:00:00Z')

test('a plan is open until it is applied, and applying until its new keys are there', () => {
  expect(planStateOf({ appliedAt: null, finishedAt: null })).toBe('open')
  expect(planStateOf({ appliedAt: at, finishedAt: null })).toBe('applying')
  expect(planStateOf({ appliedAt: at, finishedAt: later })).toBe('applied')
})

describe('of nothing nothing is told', () => {
  test.each([
    ['no key gained', keysGained({ count: 0, names: [] })],
    ['no key lost', keysLost({ count: 0, names: [] })],
    ['none overdue', overdue(0)],
    ['none due', dueAtOnce(0)],
    ['the same next run', nextRun({ before: at, after: new Date(at) })],
    ['never a next run', nextRun({ before: null, after: null })],
    ['the same owner', ownerChanged('a', 'a')],
    ['never an owner', ownerChanged(null, null)],
    ['the same policy', policyOfKey('a', 'a')],
  ])('%s', (_what, effects) => {
    expect(effects).toEqual([])
  })
})

describe('what is told', () => {
  const names = (count: number) => Array.from({ length: count }, (_, n) => `k${n}`)
  const told = (count: number, named: number) =>
    keysGained({ count, names: names(named) }).map(({ text }) => text)

  test('of keys names five, and counts the rest', () => {
    expect(told(1, 1)).toEqual(['1 key gains this policy: k0'])
    expect(told(5, 5)).toEqual(['5 keys gain this policy: k0, k1, k2, k3, k4'])
    expect(told(6, 6)).toEqual(['6 keys gain this policy: k0, k1, k2, k3, k4 and 1 more'])
    // Of many keys only some have been named at all.
    expect(told(20_000, 2)).toEqual(['20000 keys gain this policy: k0, k1 and 19998 more'])
    expect(keysLost({ count: 2, names: names(2) })).toEqual([
      { type: 'keysLost', text: '2 keys lose this policy: k0, k1', count: 2, names: names(2) },
    ])
    expect(keysLost({ count: 1, names: names(1) })[0]?.text).toBe('1 key loses this policy: k0')
  })

  test('of keys that are due or overdue is their number', () => {
    expect(dueAtOnce(1)).toEqual([
      { type: 'dueAtOnce', text: '1 key becomes due at once', count: 1 },
    ])
    expect(dueAtOnce(2)[0]?.text).toBe('2 keys become due at once')
    expect(overdue(1)[0]).toMatchObject({ count: 1, text: expect.stringMatching(/^1 is overdue/) })
    expect(overdue(2)[0]).toMatchObject({ count: 2, text: expect.stringMatching(/^2 are overdue/) })
  })

  test('of the next run is when it was and when it will be', () => {
    const [from, to] = [at.toISOString(), later.toISOString()]
    expect(nextRun({ before: at, after: later })).toEqual([
      { type: 'nextRun', text: `the next run moves from ${from} to ${to}`, from, to },
    ])
    expect(nextRun({ before: null, after: at })[0]).toMatchObject({ from: null, to: from })
    expect(nextRun({ before: null, after: at })[0]?.text).toContain(`is at ${from}`)
    expect(nextRun({ before: at, after: null })[0]).toMatchObject({ from, to: null })
    expect(nextRun({ before: at, after: null })[0]?.text).toContain(`was at ${from}`)
  })

  test('of a guard says what it was and what it becomes, whichever of the two is stricter', () => {
    const guard = { pointer: '/overlap/min', from: '24h', to: '1h' }
    expect(loosened([guard])).toEqual([
      { ...guard, type: 'loosened', text: 'overlap.min is loosened from 24h to 1h' },
    ])
    // Stricter is told by what the other direction would loosen.
    expect(tightened([guard])).toEqual([
      {
        type: 'tightened',
        text: 'overlap.min is tightened from 1h to 24h',
        pointer: '/overlap/min',
        from: '1h',
        to: '24h',
      },
    ])
  })

  test('of owners and policies names both sides, where there are two', () => {
    expect(ownerChanged('a', 'b')[0]).toMatchObject({ type: 'owner', from: 'a', to: 'b' })
    expect(ownerChanged('a', 'b')[0]?.text).toContain('from a to b')
    expect(ownerChanged(null, 'b')[0]?.text).toContain('to b from now on')
    expect(policyOfKey('a', 'b')).toEqual([
      { type: 'policy', text: 'the policy b applies instead of a', from: 'a', to: 'b' },
    ])
    expect(policyOfKey(null, 'b')[0]?.text).toBe('the policy b applies')
    expect(policyOfKey('a', null)[0]?.text).toContain('no policy applies any more')
  })

  test('of a new object says whether anything is written at the provider', () => {
    expect(newObject(false, false).text).toContain('nothing is written')
    expect(newObject(true, false).text).toContain('it is made')
    expect(newObject(true, true).text).toContain('finishes')
    expect(newObject(false, true)).toEqual(newObject(true, true))
  })
})

test('what depends on the moment of looking is no part of what a plan is held to', () => {
  const held = [...keysGained({ count: 1, names: ['a'] }), ...ownerChanged('a', 'b')]
  const momentary = [...overdue(1), ...dueAtOnce(1), ...nextRun({ before: null, after: at })]
  expect(lasting([...momentary, ...held, warning('look out')])).toEqual(held)
})
