import { describe, expect, test } from 'vitest'
import { checkPolicy } from '#domain/policy-rules.ts'
import { checkPolicyAgainstType } from '#domain/policy-type-rules.ts'
import type { PolicySpec } from '#domain/policy.ts'

const now = new Date('2026-11-23T00:00:00Z')
const base: PolicySpec = { selector: { type: 'local.secret' }, manual: true }
const scheduled = (more: Partial<NonNullable<PolicySpec['schedule']>>): PolicySpec => ({
  ...base,
  schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris', ...more },
})
const found = (spec: PolicySpec) =>
  checkPolicy(spec, now).issues.map(({ code, pointer }) => [code, pointer])

describe('rules', () => {
  test.each<[string, PolicySpec]>([
    ['a policy for people only', base],
    ['a schedule', { selector: base.selector, schedule: { cron: '0 3 1 * *', timezone: 'UTC' } }],
    ['an age', { selector: base.selector, maxAge: '40d' }],
    [
      'acknowledgement without matchLabels: keys name consumers too',
      { ...base, consumers: { acknowledgement: { required: 'any' } } },
    ],
    [
      'a pause that has ended: the file is applied again every week',
      { ...base, pause: { until: '2020-01-01T00:00:00Z' } },
    ],
    [
      'a blackout that is over',
      {
        ...base,
        blackouts: [{ name: 'old', from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' }],
      },
    ],
    ['jitter as long as the window', scheduled({ jitter: '2h', window: '2h' })],
    ['jitter without a window', scheduled({ jitter: '2h' })],
    ['jitter beside a window of 0s, which is none', scheduled({ jitter: '2h', window: '0s' })],
    [
      '0s for every duration',
      {
        ...scheduled({ jitter: '0s', window: '0s' }),
        maxAge: '0s',
        overlap: { min: '0s', unusedFor: '0s' },
        soak: '0s',
        retry: { initial: '0s', max: '0s' },
        concurrency: { minimumSpacing: '0s' },
        blackouts: [{ name: 'none', cron: '0 0 1 1 *', duration: '0s', timezone: 'UTC' }],
      },
    ],
    [
      'automatic revocation with a mode',
      { ...base, emergency: { onLeak: 'automatic', mode: 'disable' } },
    ],
    ['a leap day', scheduled({ cron: '0 0 29 2 *' })],
  ])('%s is legal', (_, spec) => {
    expect(checkPolicy(spec, now).issues).toEqual([])
  })

  test.each<[string, PolicySpec, string, string]>([
    ['nothing that starts a rotation', { selector: base.selector }, 'request.invalid', ''],
    ['manual: false alone', { selector: base.selector, manual: false }, 'request.invalid', ''],
    [
      'a cron line that never fires',
      scheduled({ cron: '0 0 31 2 *' }),
      'policy.neverFires',
      '/schedule/cron',
    ],
    [
      'a cron line that cannot be read',
      scheduled({ cron: '0 0 32 * *' }),
      'request.invalid',
      '/schedule/cron',
    ],
    ['six fields', scheduled({ cron: '0 0 3 1 * *' }), 'request.invalid', '/schedule/cron'],
    [
      'a zone that does not exist',
      scheduled({ timezone: 'Mars/Base' }),
      'request.invalid',
      '/schedule/timezone',
    ],
    [
      'an offset, which knows no summer time',
      scheduled({ timezone: '+01:00' }),
      'request.invalid',
      '/schedule/timezone',
    ],
    [
      'jitter longer than the window',
      scheduled({ jitter: '3h', window: '2h' }),
      'request.impossible',
      '/schedule/jitter',
    ],
    [
      'a blackout of neither kind',
      { ...base, blackouts: [{ name: 'x' }] },
      'request.invalid',
      '/blackouts/0',
    ],
    [
      'a blackout of both kinds',
      {
        ...base,
        blackouts: [
          {
            name: 'x',
            cron: '0 0 1 1 *',
            duration: '1d',
            timezone: 'UTC',
            from: '2026-01-01T00:00:00Z',
          },
        ],
      },
      'request.invalid',
      '/blackouts/0',
    ],
    [
      'a recurring blackout without a zone',
      { ...base, blackouts: [{ name: 'x', cron: '0 0 1 1 *', duration: '1d' }] },
      'request.invalid',
      '/blackouts/0',
    ],
    [
      'a blackout with a begin only',
      { ...base, blackouts: [{ name: 'x', from: '2026-01-01T00:00:00Z' }] },
      'request.invalid',
      '/blackouts/0',
    ],
    [
      'a blackout that ends before it begins',
      {
        ...base,
        blackouts: [{ name: 'x', from: '2026-01-02T00:00:00Z', to: '2026-01-01T00:00:00Z' }],
      },
      'request.impossible',
      '/blackouts/0/to',
    ],
    [
      'a blackout that ends when it begins',
      {
        ...base,
        blackouts: [{ name: 'x', from: '2026-01-02T00:00:00Z', to: '2026-01-02T01:00:00+01:00' }],
      },
      'request.impossible',
      '/blackouts/0/to',
    ],
    [
      'a blackout on 30 February',
      {
        ...base,
        blackouts: [{ name: 'x', from: '2026-02-30T00:00:00Z', to: '2026-04-01T00:00:00Z' }],
      },
      'request.invalid',
      '/blackouts/0/from',
    ],
    [
      'a blackout whose cron never fires',
      { ...base, blackouts: [{ name: 'x', cron: '0 0 31 2 *', duration: '1d', timezone: 'UTC' }] },
      'policy.neverFires',
      '/blackouts/0/cron',
    ],
    [
      'a blackout in no zone',
      {
        ...base,
        blackouts: [{ name: 'x', cron: '0 0 1 1 *', duration: '1d', timezone: 'Nowhere' }],
      },
      'request.invalid',
      '/blackouts/0/timezone',
    ],
    [
      'two blackouts of one name',
      {
        ...base,
        blackouts: [1, 2].map(() => ({
          name: 'x',
          from: '2026-01-01T00:00:00Z',
          to: '2026-01-02T00:00:00Z',
        })),
      },
      'request.invalid',
      '/blackouts/1/name',
    ],
    [
      'a pause until a day that does not exist',
      { ...base, pause: { until: '2026-11-31T00:00:00Z' } },
      'request.invalid',
      '/pause/until',
    ],
    [
      'a first wait longer than the longest',
      { ...base, retry: { initial: '30m' } },
      'request.impossible',
      '/retry/initial',
    ],
    [
      'a longest wait shorter than the default first',
      { ...base, retry: { max: '5s' } },
      'request.impossible',
      '/retry/max',
    ],
    [
      'automatic revocation without a mode',
      { ...base, emergency: { onLeak: 'automatic' } },
      'request.invalid',
      '/emergency',
    ],
    [
      'a verify webhook without a url',
      { ...base, verify: [{ type: 'webhook' }] },
      'request.invalid',
      '/verify/0',
    ],
    [
      'a url for a round trip',
      { ...base, verify: [{ type: 'roundTrip', url: 'https://x.example' }] },
      'request.invalid',
      '/verify/0/url',
    ],
    [
      'publishing without a connection',
      { ...base, publish: [{ name: 'x', type: 'vault.kv2.secret', ref: {} }] },
      'request.invalid',
      '/publish/0',
    ],
    [
      'publishing to a file without a connection',
      { ...base, publish: [{ name: 'x', type: 'file', ref: { path: 'p' } }] },
      'request.invalid',
      '/publish/0',
    ],
    [
      'nested parameters',
      { ...base, generate: { length: { a: 1 } } },
      'request.invalid',
      '/generate/length',
    ],
    [
      'nested parameters of a target',
      { ...base, publish: [{ name: 'x', connection: 'c', type: 'a.b', ref: { users: [['a']] } }] },
      'request.invalid',
      '/publish/0/ref/users',
    ],
    [
      'In without values',
      { ...base, selector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
      'request.invalid',
      '/selector/matchExpressions/0',
    ],
  ])('%s is refused where it stands', (_, spec, code, pointer) => {
    expect(found(spec)).toEqual([[code, pointer]])
  })

  test('an unknown zone gets the nearest known one, or the form of one', () => {
    const hint = (timezone: string) => checkPolicy(scheduled({ timezone }), now).issues[0]?.hint
    expect(hint('Europe/Pariss')).toBe('did you mean Europe/Paris?')
    expect(hint('europe/paris')).toBe('did you mean Europe/Paris?')
    expect(hint('Mars/Base')).toBe('use an IANA name, e.g. Europe/Paris')
  })

  test('all faults are told at once', () => {
    expect(
      found({
        ...scheduled({ cron: 'x', timezone: 'y' }),
        retry: { initial: '1h' },
        emergency: { onLeak: 'automatic' },
      }),
    ).toHaveLength(4)
  })
})

describe('warnings', () => {
  const warnings = (spec: PolicySpec) => checkPolicy(spec, now).warnings

  test('overlap and soak longer than the interval is a warning, by schedule and by age', () => {
    expect(warnings(scheduled({ cron: '0 * * * *' }))).toEqual([
      expect.stringContaining('overlap.min and soak'),
    ])
    expect(warnings({ ...base, maxAge: '12h' })).toEqual([
      expect.stringContaining('overlap.min and soak'),
    ])
    expect(
      warnings({ ...scheduled({ cron: '* * * * *' }), overlap: { min: '2s' }, soak: '2s' }),
    ).toEqual([])
    expect(warnings(scheduled({}))).toEqual([])
  })

  test('the shortest interval counts, not the next one', () => {
    expect(
      warnings({ ...scheduled({ cron: '0 0 1,2 * *' }), overlap: { min: '20h' }, soak: '5h' }),
    ).toHaveLength(1)
  })

  test('windows further apart than maxAge are a warning', () => {
    expect(warnings({ ...scheduled({ window: '2h' }), maxAge: '20d' })).toEqual([
      expect.stringContaining('further apart than maxAge'),
    ])
    expect(warnings({ ...scheduled({}), maxAge: '20d' })).toEqual([])
  })

  test('a window or a jitter longer than the interval is a warning', () => {
    const short = { overlap: { min: '0s' }, soak: '0s' }
    expect(warnings({ ...scheduled({ cron: '0 * * * *', window: '2h' }), ...short })).toEqual([
      expect.stringContaining('schedule.window'),
    ])
    expect(warnings({ ...scheduled({ cron: '0 * * * *', jitter: '2h' }), ...short })).toEqual([
      expect.stringContaining('schedule.jitter'),
    ])
  })
})

describe('a policy against a key type', () => {
  const traits = {
    slot: 'multi',
    staging: 'overlap',
    usage: { source: 'cloudtrail', lagMs: 0 },
    suspend: true,
    undo: 'pointer',
    limits: {},
    publishable: true,
    verifies: ['roundTrip'],
  } as const
  const codes = (spec: Partial<PolicySpec>, more: object = {}) =>
    checkPolicyAgainstType(
      { ...base, ...spec },
      { type: 'x.y', traits: { ...traits, ...more } },
    ).issues.map(({ code, pointer }) => [code, pointer])

  test('a single slot needs an accepted gap', () => {
    expect(codes({}, { slot: 'single' })).toEqual([['policy.gapNotAccepted', '']])
    expect(codes({ acceptGap: false }, { slot: 'single' })).toEqual([
      ['policy.gapNotAccepted', '/acceptGap'],
    ])
    expect(codes({ acceptGap: true }, { slot: 'single' })).toEqual([])
    expect(codes({ acceptGap: false })).toEqual([])
  })

  test('unusedFor needs a source of usage, but 0s asks for nothing', () => {
    expect(codes({ overlap: { unusedFor: '12h' } }, { usage: null })).toEqual([
      ['policy.impossible', '/overlap/unusedFor'],
    ])
    expect(codes({ overlap: { unusedFor: '0s' } }, { usage: null })).toEqual([])
    expect(codes({ overlap: { unusedFor: '12h' } })).toEqual([])
  })

  test('destroying without a suspension before it needs an approval', () => {
    expect(codes({ retire: 'destroy' }, { suspend: false })).toEqual([
      ['policy.impossible', '/retire'],
    ])
    expect(codes({ retire: 'destroy', approval: { required: 1 } }, { suspend: false })).toEqual([])
    expect(codes({ retire: 'destroy' })).toEqual([])
    expect(codes({ retire: 'disable' }, { suspend: false })).toEqual([])
    expect(codes({ retire: 'destroy' }, { suspend: false, slot: 'internal' })).toEqual([])
  })

  test('what never leaves its provider is not published', () => {
    const publish = [{ name: 'out', connection: 'c', type: 'x.y', ref: {} }]
    expect(codes({ publish }, { publishable: false })).toEqual([['policy.impossible', '/publish']])
    expect(codes({ publish })).toEqual([])
    expect(codes({}, { publishable: false })).toEqual([])
  })

  test('only checks that the type knows can be asked for, and webhooks', () => {
    const verify: PolicySpec['verify'] = [
      { type: 'webhook', url: 'https://orders.example.com/selftest' },
      { type: 'roundTrip' },
      { type: 'login' },
    ]
    expect(codes({ verify })).toEqual([['policy.impossible', '/verify/2']])
  })

  test('a type that cannot be rolled back is a warning', () => {
    expect(
      checkPolicyAgainstType(base, { type: 'x.y', traits: { ...traits, undo: 'none' } }).warnings,
    ).toHaveLength(1)
  })

  test('of two places the old version must leave one, which is a warning until the policy says so', () => {
    const warnings = (retire: 'keep' | 'disable' | 'destroy' | undefined, more: object = {}) =>
      checkPolicyAgainstType(retire === undefined ? base : { ...base, retire }, {
        type: 'x.y',
        traits: { ...traits, limits: { maxLiveVersions: 2 }, ...more },
      }).warnings
    for (const retire of ['keep', 'disable', undefined] as const)
      expect(warnings(retire)).toEqual([expect.stringContaining('write retire: destroy')])
    expect(warnings('destroy')).toEqual([])
    expect(warnings('keep', { staging: 'none' })).toEqual([])
    expect(warnings('keep', { limits: { maxLiveVersions: 3 } })).toEqual([])
  })

  test('every refusal says what to do', () => {
    const all = checkPolicyAgainstType(
      { ...base, retire: 'destroy', overlap: { unusedFor: '1h' } },
      {
        type: 'x.y',
        traits: { ...traits, slot: 'single', usage: null, suspend: false, undo: 'none' },
      },
    ).issues
    expect(all).toHaveLength(3)
    expect(all.every(({ hint }) => hint !== undefined && hint !== '')).toBe(true)
  })
})
