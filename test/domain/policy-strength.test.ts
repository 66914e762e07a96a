import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { resolvePolicy, type PolicySpec } from '#domain/policy.ts'
import {
  approvalsRemoved,
  boundFields,
  strengthFields,
  weakenings,
} from '#domain/policy-strength.ts'
import { basePolicy, policy, publishTarget } from './policies.ts'

const resolve = (more: Partial<PolicySpec>) => resolvePolicy({ ...basePolicy, ...more })
const target = publishTarget
const ack = (required: 'all' | 'any') => ({ acknowledgement: { required } })

describe('a weakening', () => {
  test.each<[string, Partial<PolicySpec>, Partial<PolicySpec>, string]>([
    [
      'fewer approvals',
      { approval: { required: 2 } },
      { approval: { required: 1 } },
      '/approval/required',
    ],
    ['no approvals', { approval: { required: 1 } }, {}, '/approval/required'],
    [
      'another role that may approve',
      { approval: { required: 1 } },
      { approval: { required: 1, roles: ['approver', 'operator'] } },
      '/approval/roles',
    ],
    ['a shorter overlap', {}, { overlap: { min: '23h' } }, '/overlap/min'],
    [
      'less silence',
      { overlap: { unusedFor: '12h' } },
      { overlap: { unusedFor: '1h' } },
      '/overlap/unusedFor',
    ],
    ['a shorter soak', {}, { soak: '59m' }, '/soak'],
    ['a harsher end', { retire: 'keep' }, {}, '/retire'],
    ['destruction', {}, { retire: 'destroy' }, '/retire'],
    ['a gap', {}, { acceptGap: true }, '/acceptGap'],
    ['an older age', { maxAge: '30d' }, { maxAge: '31d' }, '/maxAge'],
    ['no age', { maxAge: '30d' }, {}, '/maxAge'],
    ['switched off', {}, { enabled: false }, '/enabled'],
    ['nobody is asked', { consumers: ack('any') }, {}, '/consumers/acknowledgement/required'],
    [
      'one is enough',
      { consumers: ack('all') },
      { consumers: ack('any') },
      '/consumers/acknowledgement/required',
    ],
    [
      'fewer consumers are asked',
      { consumers: { ...ack('all'), matchLabels: { uses: 'x' } } },
      { consumers: { ...ack('all'), matchLabels: { uses: 'x', tier: '1' } } },
      '/consumers/matchLabels',
    ],
    [
      'only named consumers are asked',
      { consumers: { ...ack('all'), matchLabels: { uses: 'x' } } },
      { consumers: ack('all') },
      '/consumers/matchLabels',
    ],
    ['another target', {}, { publish: [target] }, '/publish'],
    [
      'another object under the name of a target',
      { publish: [target] },
      { publish: [{ ...target, ref: { path: 'b' } }] },
      '/publish',
    ],
    [
      'a check that is dropped',
      { verify: [{ type: 'roundTrip' }, { type: 'webhook', url: 'https://a.example' }] },
      { verify: [{ type: 'roundTrip' }] },
      '/verify',
    ],
    [
      'a check that asks somebody else',
      { verify: [{ type: 'webhook', url: 'https://a.example' }] },
      { verify: [{ type: 'webhook', url: 'https://b.example' }] },
      '/verify',
    ],
    ['fewer emergency approvals', {}, { emergency: { approvals: 0 } }, '/emergency/approvals'],
    [
      'blackouts ignored',
      { emergency: { ignoreBlackouts: false } },
      {},
      '/emergency/ignoreBlackouts',
    ],
    [
      'revocation by itself',
      {},
      { emergency: { onLeak: 'automatic', mode: 'disable' } },
      '/emergency/onLeak',
    ],
    [
      'harsher revocation by itself',
      { emergency: { onLeak: 'automatic', mode: 'disable' } },
      { emergency: { onLeak: 'automatic', mode: 'revokeOnly' } },
      '/emergency/onLeak',
    ],
  ])('%s', (_name, before, after, pointer) => {
    const found = weakenings(resolve(before), resolve(after))
    expect(found.map((one) => one.pointer)).toEqual([pointer])
    expect(weakenings(resolve(after), resolve(before)).map((one) => one.to)).not.toContain(
      found[0]?.to,
    )
  })

  test.each<[string, Partial<PolicySpec>, Partial<PolicySpec>]>([
    [
      'words, times and labels of the pace',
      {},
      {
        description: 'other',
        schedule: { cron: '0 4 * * *', timezone: 'Europe/Paris', window: '1h' },
        blackouts: [{ name: 'x', from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' }],
        concurrency: { max: 9 },
        retry: { attempts: 1 },
      },
    ],
    [
      'defaults that are written out',
      {},
      { overlap: { min: '24h' }, soak: '1h', retire: 'disable' },
    ],
    [
      'a schedule in place of an age that is kept',
      { maxAge: '9d' },
      { maxAge: '9d', manual: true },
    ],
    ['roles, where nobody is asked', {}, { approval: { required: 0, roles: ['operator'] } }],
    [
      'the role admin, which always may',
      { approval: { required: 1 } },
      { approval: { required: 1, roles: ['admin', 'approver'] } },
    ],
    ['a mode that a person chooses by preview', {}, { emergency: { mode: 'revokeOnly' } }],
    [
      'a target under another name',
      { publish: [target] },
      { publish: [{ ...target, name: 'other' }] },
    ],
    ['a target less', { publish: [target] }, {}],
    [
      'a reference in another order',
      { publish: [{ ...target, ref: { mount: 'm', path: 'a' } }] },
      { publish: [{ ...target, ref: { path: 'a', mount: 'm' } }] },
    ],
    ['roles of an approval that is new', {}, { approval: { required: 1, roles: ['operator'] } }],
    ['labels of consumers, where nobody is asked', { consumers: { matchLabels: { a: 'b' } } }, {}],
    [
      'more consumers',
      { consumers: ack('all') },
      { consumers: { ...ack('all'), matchLabels: { a: 'b' } } },
    ],
  ])('is not: %s', (_name, before, after) => {
    expect(weakenings(resolve(before), resolve(after))).toEqual([])
  })

  test('is not that only people rotate from now on, as long as a maximum age remains', () => {
    expect(
      weakenings(resolve({ maxAge: '9d' }), resolvePolicy({ selector: {}, maxAge: '9d' })),
    ).toEqual([])
    expect(weakenings(resolve({}), resolvePolicy({ selector: {}, manual: true }))).toMatchObject([
      { pointer: '/enabled', to: 'only by hand' },
    ])
  })

  test.each<[Partial<PolicySpec>, Partial<PolicySpec>, object]>([
    [{}, { enabled: false }, { from: 'rotates by itself', to: 'disabled' }],
    [{}, { acceptGap: true }, { from: 'false', to: 'true' }],
    [{ consumers: ack('any') }, {}, { from: 'any', to: 'none' }],
    [{ maxAge: '30d' }, {}, { from: '30d', to: 'none' }],
    [
      { verify: [{ type: 'roundTrip' }, { type: 'webhook', url: 'https://a.example' }] },
      { verify: [{ type: 'webhook', url: 'https://a.example' }] },
      { from: 'verified', to: 'without roundTrip' },
    ],
    [
      { verify: [{ type: 'roundTrip' }, { type: 'webhook', url: 'https://a.example' }] },
      { verify: [{ type: 'roundTrip' }] },
      { from: 'verified', to: 'without webhook https://a.example' },
    ],
    [
      { approval: { required: 1, roles: ['approver'] } },
      { approval: { required: 0, roles: ['operator'] } },
      { pointer: '/approval/required', from: '1', to: '0' },
    ],
    [
      { consumers: { ...ack('all'), matchLabels: { uses: 'x' } } },
      { consumers: { matchLabels: { uses: 'x', tier: '1' } } },
      { pointer: '/consumers/acknowledgement/required', from: 'all', to: 'none' },
    ],
  ])('of %o by %o is told in words, once', (before, after, words) => {
    expect(weakenings(resolve(before), resolve(after))).toMatchObject([words])
  })

  test('is told of a maximum age that was all that rotated', () => {
    const before = resolvePolicy({ selector: {}, maxAge: '9d' })
    expect(weakenings(before, resolvePolicy({ selector: {}, manual: true }))).toMatchObject([
      { pointer: '/enabled', from: 'rotates by itself', to: 'only by hand' },
      { pointer: '/maxAge', from: '9d', to: 'none' },
    ])
  })

  test('takes away the approvals that the policy asked for, its emergency ones where those are touched', () => {
    const before = resolve({ approval: { required: 1 }, emergency: { approvals: 2 } })
    const removed = (after: Partial<PolicySpec>) =>
      approvalsRemoved(
        before,
        weakenings(
          before,
          resolve({ approval: { required: 1 }, emergency: { approvals: 2 }, ...after }),
        ),
      )
    expect(removed({})).toBe(0)
    expect(removed({ soak: '0s' })).toBe(1)
    expect(removed({ emergency: { approvals: 1 } })).toBe(2)
    expect(removed({ soak: '0s', emergency: { approvals: 1 } })).toBe(2)
  })
})

describe('for all policies', () => {
  test('nothing weakens itself', () => {
    fc.assert(
      fc.property(policy, (one) => {
        expect(weakenings(one, one)).toEqual([])
      }),
    )
  })

  test('a weakening undone is none: what one way weakens, the way back does not', () => {
    fc.assert(
      fc.property(policy, policy, (a, b) => {
        const there = weakenings(a, b)
        const back = weakenings(b, a)
        const ranked = strengthFields.map(({ path }) => `/${path.join('/')}`)
        const pointers = back.map(({ pointer }) => pointer)
        const items = back.map(({ pointer, to }) => `${pointer} ${to}`)
        for (const { pointer, to } of there) {
          expect(ranked.includes(pointer) ? pointers : items).not.toContain(
            ranked.includes(pointer) ? pointer : `${pointer} ${to}`,
          )
        }
      }),
    )
  })

  test('each field has one order: every value has a rank, and what reads the same ranks the same', () => {
    fc.assert(
      fc.property(policy, policy, (a, b) => {
        for (const { rank, say } of strengthFields) {
          expect(rank(a)).not.toBeNaN()
          if (say(a) === say(b)) expect(rank(a)).toBe(rank(b))
        }
      }),
    )
  })

  test('two steps weaken nothing that neither of them does', () => {
    fc.assert(
      fc.property(policy, policy, policy, (a, b, c) => {
        const ranked = (from: typeof a, to: typeof a) =>
          strengthFields
            .filter(({ rank }) => rank(to) < rank(from))
            .map(({ path }) => path.join('.'))
        const steps = new Set([...ranked(a, b), ...ranked(b, c)])
        for (const field of ranked(a, c)) expect(steps).toContain(field)
      }),
    )
  })

  test('a field taken from another policy has its rank, and no other field moves', () => {
    fc.assert(
      fc.property(policy, policy, (a, b) => {
        for (const field of boundFields) {
          const taken = field.take(a, b)
          for (const other of boundFields) {
            // How harsh automatic revocation is depends on the mode too, which a floor does not set: it bounds it by asking.
            if (other.path.join() === 'emergency,onLeak') continue
            expect(other.rank(taken)).toBe(other.rank(other === field ? b : a))
          }
        }
      }),
    )
  })
})
