import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { nextFires } from '#domain/fires.ts'
import { resolvePolicy, type PolicySpec } from '#domain/policy.ts'
import { nextDue } from '#domain/schedule.ts'
import { blackoutAt, inWindow, pauseAt } from '#domain/windows.ts'

const at = (text: string) => new Date(text)
const policy = (spec: Partial<PolicySpec>) =>
  resolvePolicy({ selector: { type: 'local.secret' }, manual: true, ...spec })
const nightly = policy({ schedule: { cron: '0 3 * * *', timezone: 'Europe/Paris', window: '2h' } })

describe('windows', () => {
  test('is open from the occurrence until its length is over, the end not included', () => {
    expect(inWindow(nightly, null, at('2026-02-01T01:59:59Z'))).toEqual({
      open: false,
      opensAt: at('2026-02-01T02:00:00Z'),
    })
    expect(inWindow(nightly, null, at('2026-02-01T02:00:00Z'))).toEqual({
      open: true,
      until: at('2026-02-01T04:00:00Z'),
    })
    expect(inWindow(nightly, null, at('2026-02-01T03:59:59Z')).open).toBe(true)
    expect(inWindow(nightly, null, at('2026-02-01T04:00:00Z'))).toEqual({
      open: false,
      opensAt: at('2026-02-02T02:00:00Z'),
    })
  })

  test('follows summer time', () => {
    expect(inWindow(nightly, null, at('2026-03-28T12:00:00Z'))).toEqual({
      open: false,
      opensAt: at('2026-03-29T01:00:00Z'),
    })
  })

  test('a rotation that a later day finally allows runs in that day’s window', () => {
    expect(inWindow(nightly, at('2026-02-01T02:00:00Z'), at('2026-02-04T02:30:00Z')).open).toBe(
      true,
    )
    expect(inWindow(nightly, at('2026-02-01T02:00:00Z'), at('2026-02-04T12:00:00Z'))).toEqual({
      open: false,
      opensAt: at('2026-02-05T02:00:00Z'),
    })
  })

  test('no rotation begins before its nominal time, even if the clock jumped back', () => {
    expect(inWindow(nightly, at('2026-02-04T02:00:00Z'), at('2026-02-01T02:30:00Z'))).toEqual({
      open: false,
      opensAt: at('2026-02-04T02:00:00Z'),
    })
    const free = policy({ schedule: { cron: '0 3 * * *', timezone: 'UTC' } })
    expect(inWindow(free, at('2026-02-04T03:00:00Z'), at('2026-02-01T00:00:00Z'))).toEqual({
      open: false,
      opensAt: at('2026-02-04T03:00:00Z'),
    })
  })

  test('without a window, or without a schedule, it is always open', () => {
    expect(
      inWindow(
        policy({ schedule: { cron: '0 3 * * *', timezone: 'UTC' } }),
        null,
        at('2026-02-01T12:00:00Z'),
      ),
    ).toEqual({ open: true, until: null })
    expect(
      inWindow(policy({ maxAge: '30d' }), at('2026-01-01T00:00:00Z'), at('2026-02-01T12:00:00Z')),
    ).toEqual({ open: true, until: null })
  })

  test('a window of 0s is no window', () => {
    expect(
      policy({ schedule: { cron: '0 3 * * *', timezone: 'UTC', window: '0s' } }).schedule?.windowMs,
    ).toBeNull()
  })

  test('a window longer than the interval ends where the next opens', () => {
    const hourly = policy({ schedule: { cron: '0 * * * *', timezone: 'UTC', window: '3h' } })
    expect(inWindow(hourly, null, at('2026-02-01T12:30:00Z'))).toEqual({
      open: true,
      until: at('2026-02-01T13:00:00Z'),
    })
  })

  test('what is due by schedule or age in a windowed policy is due in a window', () => {
    const arbitrary = fc.record({
      hours: fc.integer({ min: 1, max: 30 }),
      days: fc.integer({ min: 1, max: 90 }),
      minutes: fc.integer({ min: 0, max: 500_000 }),
      jitter: fc.integer({ min: 0, max: 90 }),
      id: fc.uuid(),
    })
    fc.assert(
      fc.property(arbitrary, ({ hours, days, minutes, jitter, id }) => {
        const rules = policy({
          schedule: {
            cron: '0 3 1,15 * *',
            timezone: 'America/New_York',
            window: `${hours}h`,
            jitter: `${jitter}m`,
          },
          maxAge: `${days}d`,
        })
        const now = new Date(Date.parse('2026-01-01T00:00:00Z') + minutes * 60_000)
        const due = nextDue(
          rules,
          { id, activatedAt: at('2025-12-20T00:00:00Z'), selectedAt: at('2025-12-25T00:00:00Z') },
          { lastOccurrence: null, now },
        )
        expect(due).not.toBeNull()
        if (due !== null)
          expect(
            inWindow(rules, due.nominal, new Date(Math.max(due.at.getTime(), now.getTime()))).open,
          ).toBe(true)
      }),
    )
  })
})

describe('blackouts', () => {
  const closing = policy({
    blackouts: [
      {
        name: 'quarter-close',
        cron: '0 0 25 3,6,9,12 *',
        duration: '10d',
        timezone: 'Europe/Paris',
      },
      { name: 'year-end', from: '2026-12-18T00:00:00Z', to: '2027-01-04T00:00:00Z' },
    ],
  })

  test('one that began before now and still lasts counts, across a change to summer time', () => {
    expect(blackoutAt(closing, at('2026-03-30T12:00:00Z'))).toEqual({
      name: 'quarter-close',
      until: at('2026-04-03T23:00:00Z'),
    })
  })

  test('its begin counts and its end does not', () => {
    expect(blackoutAt(closing, at('2026-06-24T21:59:59Z'))).toBeNull()
    expect(blackoutAt(closing, at('2026-06-24T22:00:00Z'))?.name).toBe('quarter-close')
    expect(blackoutAt(closing, at('2026-07-04T21:59:59Z'))?.name).toBe('quarter-close')
    expect(blackoutAt(closing, at('2026-07-04T22:00:00Z'))).toBeNull()
    expect(blackoutAt(closing, at('2026-12-18T00:00:00Z'))?.name).toBe('year-end')
    expect(blackoutAt(closing, at('2027-01-04T00:00:00Z'))).toBeNull()
  })

  test('of several the one that ends last is named', () => {
    expect(blackoutAt(closing, at('2026-12-26T00:00:00Z'))).toEqual({
      name: 'year-end',
      until: at('2027-01-04T00:00:00Z'),
    })
    expect(
      blackoutAt({ blackouts: [...closing.blackouts].toReversed() }, at('2026-12-26T00:00:00Z'))
        ?.name,
    ).toBe('year-end')
  })

  test('recurring ones that overlap hold until the last is over', () => {
    const daily = policy({
      blackouts: [{ name: 'long', cron: '0 0 * * *', duration: '30h', timezone: 'UTC' }],
    })
    expect(blackoutAt(daily, at('2026-02-01T01:00:00Z'))?.until).toEqual(at('2026-02-02T06:00:00Z'))
  })

  test('one of no length, or none at all, closes nothing', () => {
    expect(
      blackoutAt(
        policy({
          blackouts: [{ name: 'none', cron: '* * * * *', duration: '0s', timezone: 'UTC' }],
        }),
        at('2026-02-01T00:00:00Z'),
      ),
    ).toBeNull()
    expect(blackoutAt(policy({}), at('2026-02-01T00:00:00Z'))).toBeNull()
  })
})

test('a pause holds until its end and says why', () => {
  const paused = policy({ pause: { until: '2026-12-01T00:00:00Z', reason: 'audit in progress' } })
  expect(pauseAt(paused, at('2026-11-30T23:59:59Z'))).toEqual({
    until: at('2026-12-01T00:00:00Z'),
    reason: 'audit in progress',
  })
  expect(pauseAt(paused, at('2026-12-01T00:00:00Z'))).toBeNull()
  expect(pauseAt(policy({}), at('2026-11-30T23:59:59Z'))).toBeNull()
})

describe('the next fire times', () => {
  test('are written in the zone of the policy, with the offset of their day', () => {
    const weekly = policy({ schedule: { cron: '30 2 * * SUN', timezone: 'Europe/Paris' } })
    expect(nextFires(weekly, null, at('2026-10-15T00:00:00Z'), 3).map(({ text }) => text)).toEqual([
      'Sun 2026-10-18 02:30 +02:00 Europe/Paris',
      'Sun 2026-10-25 02:30 +02:00 Europe/Paris',
      'Sun 2026-11-01 02:30 +01:00 Europe/Paris',
    ])
    expect(nextFires(weekly, null, at('2026-03-25T00:00:00Z'), 1)[0]).toEqual({
      occurrence: 'cron:2026-03-29T02:30[Europe/Paris]',
      nominal: at('2026-03-29T01:00:00Z'),
      at: at('2026-03-29T01:00:00Z'),
      local: '2026-03-29T03:00',
      offset: '+02:00',
      text: 'Sun 2026-03-29 03:00 +02:00 Europe/Paris',
    })
  })

  test('say for a key the moments at which it will really be due', () => {
    const jittered = policy({
      schedule: { cron: '0 3 1 * *', timezone: 'America/St_Johns', jitter: '20m', window: '2h' },
    })
    const [first, second] = nextFires(jittered, 'key-1', at('2026-01-15T00:00:00Z'), 5)
    const who = { id: 'key-1', activatedAt: null, selectedAt: at('2026-01-01T12:00:00Z') }
    const due = nextDue(jittered, who, { lastOccurrence: null, now: at('2026-01-15T00:00:00Z') })
    expect(due?.at).toEqual(first?.at)
    expect(
      nextDue(jittered, who, {
        lastOccurrence: first?.occurrence ?? null,
        now: at('2026-01-15T00:00:00Z'),
      })?.at,
    ).toEqual(second?.at)
    expect(first?.offset).toBe('-03:30')
  })

  test('are as many as asked for, and none without a schedule or when nothing fires', () => {
    expect(nextFires(nightly, null, at('2026-01-01T00:00:00Z'), 5)).toHaveLength(5)
    expect(nextFires(policy({}), null, at('2026-01-01T00:00:00Z'), 5)).toEqual([])
    expect(
      nextFires(
        policy({ schedule: { cron: '0 0 31 2 *', timezone: 'UTC' } }),
        null,
        at('2026-01-01T00:00:00Z'),
        5,
      ),
    ).toEqual([])
  })

  test('grow strictly, in every zone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('*/10 * * * *', '30 2 * * *', '0 0 L * *'),
        fc.constantFrom(
          'Europe/Paris',
          'America/New_York',
          'Australia/Lord_Howe',
          'America/Santiago',
          'UTC',
        ),
        fc.integer({ min: 0, max: 500_000 }),
        (cron, timezone, minutes) => {
          const from = new Date(Date.parse('2026-01-01T00:00:00Z') + minutes * 60_000)
          const times = nextFires(policy({ schedule: { cron, timezone } }), null, from, 8).map(
            ({ nominal }) => nominal.getTime(),
          )
          expect(
            [from.getTime(), ...times].every((time, i, all) => i === 0 || time > (all[i - 1] ?? 0)),
          ).toBe(true)
        },
      ),
    )
  })
})
