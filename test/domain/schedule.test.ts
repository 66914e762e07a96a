import { describe, expect, test } from 'vitest'
import { hash53, unitHash } from '#domain/hash.ts'
import { enableOccurrence } from '#domain/occurrences.ts'
import { resolvePolicy, type PolicySpec } from '#domain/policy.ts'
import { isOverdue, nextDue, overdueAt, type ScheduledKey } from '#domain/schedule.ts'

const day = 86_400_000
const at = (text: string) => new Date(text)
const policy = (spec: Partial<PolicySpec>) =>
  resolvePolicy({ selector: { type: 'local.secret' }, ...spec })
const monthly = { cron: '0 3 1 * *', timezone: 'Europe/Paris' }
const key = (more: Partial<ScheduledKey> = {}): ScheduledKey => ({
  id: 'key-1',
  activatedAt: at('2026-01-10T00:00:00Z'),
  selectedAt: at('2026-01-10T00:00:00Z'),
  ...more,
})
const ask = (
  spec: Partial<PolicySpec>,
  now: string,
  lastOccurrence: string | null = null,
  who = key(),
) => nextDue(policy(spec), who, { lastOccurrence, now: at(now) })

describe('by schedule', () => {
  test('a key is due at the next occurrence in the zone of the policy', () => {
    expect(ask({ schedule: monthly }, '2026-01-15T00:00:00Z')).toEqual({
      at: at('2026-02-01T02:00:00Z'),
      occurrence: 'cron:2026-02-01T03:00[Europe/Paris]',
      nominal: at('2026-02-01T02:00:00Z'),
      trigger: 'schedule',
      windowEnd: null,
    })
  })

  test('it is due from that moment on until it is taken', () => {
    for (const now of ['2026-02-01T02:00:00Z', '2026-02-01T02:00:01Z', '2026-02-20T00:00:00Z']) {
      expect(ask({ schedule: monthly }, now)?.occurrence).toBe(
        'cron:2026-02-01T03:00[Europe/Paris]',
      )
    }
  })

  test('once taken, the next one follows, also when the rotation led to no new version', () => {
    expect(
      ask({ schedule: monthly }, '2026-02-01T02:00:05Z', 'cron:2026-02-01T03:00[Europe/Paris]')
        ?.occurrence,
    ).toBe('cron:2026-03-01T03:00[Europe/Paris]')
  })

  test('of several missed occurrences the latest is made up for, at once and once', () => {
    const due = ask({ schedule: monthly }, '2026-05-20T00:00:00Z')
    expect(due?.occurrence).toBe('cron:2026-05-01T03:00[Europe/Paris]')
    expect(due?.at.getTime()).toBeLessThan(at('2026-05-20T00:00:00Z').getTime())
    expect(ask({ schedule: monthly }, '2026-05-20T00:00:00Z', due?.occurrence)?.occurrence).toBe(
      'cron:2026-06-01T03:00[Europe/Paris]',
    )
  })

  test('missed: skip makes up for none, but a sweep that comes a little late is not a miss', () => {
    const schedule = { ...monthly, missed: 'skip' as const }
    expect(ask({ schedule }, '2026-02-01T02:10:00Z')?.occurrence).toBe(
      'cron:2026-02-01T03:00[Europe/Paris]',
    )
    expect(ask({ schedule }, '2026-02-01T03:00:00Z')?.occurrence).toBe(
      'cron:2026-03-01T03:00[Europe/Paris]',
    )
  })

  test('with a window, the occurrence is due while the window is open', () => {
    const schedule = { ...monthly, window: '2h' }
    const due = ask({ schedule }, '2026-02-01T03:59:59Z')
    expect(due?.occurrence).toBe('cron:2026-02-01T03:00[Europe/Paris]')
    expect(due?.windowEnd).toEqual(at('2026-02-01T04:00:00Z'))
  })

  test.each(['runInNextWindow', 'skip'] as const)(
    'a missed window (%s) is followed by one rotation in the next',
    (missed) => {
      const schedule = { ...monthly, window: '2h', missed }
      const due = ask({ schedule }, '2026-02-01T04:00:00Z')
      expect(due?.at).toEqual(at('2026-03-01T02:00:00Z'))
      expect(ask({ schedule }, '2026-03-01T02:00:01Z', due?.occurrence)?.at).toEqual(
        at('2026-04-01T01:00:00Z'),
      )
    },
  )

  test('nothing before the selection is made up for: enabling never rotates at once', () => {
    const who = key({ selectedAt: at('2026-02-01T02:30:00Z') })
    for (const window of ['0s', '2h']) {
      expect(
        ask({ schedule: { ...monthly, window } }, '2026-02-01T02:30:00Z', null, who)?.at,
      ).toEqual(at('2026-03-01T02:00:00Z'))
    }
  })

  test('an occurrence before the last activation has been served by whatever activated it', () => {
    const who = key({ activatedAt: at('2026-02-05T00:00:00Z') })
    expect(ask({ schedule: monthly }, '2026-02-06T00:00:00Z', null, who)?.at).toEqual(
      at('2026-03-01T02:00:00Z'),
    )
  })

  test('a key without an active version is due by schedule, not by age', () => {
    const who = key({ activatedAt: null })
    expect(
      ask({ schedule: monthly, maxAge: '1d' }, '2026-01-15T00:00:00Z', null, who)?.trigger,
    ).toBe('schedule')
    expect(ask({ maxAge: '1d' }, '2026-01-15T00:00:00Z', null, who)).toBeNull()
  })

  test('a clock that stands before what was taken yields what comes after it, never it again', () => {
    expect(
      ask({ schedule: monthly }, '2025-12-15T00:00:00Z', 'cron:2026-02-01T03:00[Europe/Paris]')
        ?.occurrence,
    ).toBe('cron:2026-03-01T03:00[Europe/Paris]')
  })

  test('a policy that moves to another zone goes on after the moment of the last occurrence', () => {
    const due = ask(
      { schedule: { cron: '0 3 1 * *', timezone: 'Asia/Tokyo' } },
      '2026-02-01T02:00:05Z',
      'cron:2026-02-01T03:00[Europe/Paris]',
    )
    expect(due?.occurrence).toBe('cron:2026-03-01T03:00[Asia/Tokyo]')
  })

  test('after rotateOnEnable only later occurrences follow', () => {
    const taken = enableOccurrence(3, at('2026-03-05T00:00:00Z'))
    expect(ask({ schedule: monthly }, '2026-03-06T00:00:00Z', taken)?.occurrence).toBe(
      'cron:2026-04-01T03:00[Europe/Paris]',
    )
  })

  test('a disabled policy, one for people only, and a line that never fires yield nothing', () => {
    expect(ask({ schedule: monthly, enabled: false }, '2026-05-20T00:00:00Z')).toBeNull()
    expect(ask({ manual: true }, '2026-05-20T00:00:00Z')).toBeNull()
    expect(
      ask({ schedule: { cron: '0 0 31 2 *', timezone: 'UTC' } }, '2026-05-20T00:00:00Z'),
    ).toBeNull()
  })

  test('a last occurrence that cannot be read stops this key rather than rotate it twice', () => {
    expect(() => ask({ schedule: monthly }, '2026-05-20T00:00:00Z', 'garbage')).toThrow(
      expect.objectContaining({ code: 'internal' }),
    )
  })
})

describe('jitter', () => {
  test('the hash is cyrb53, by its published values', () => {
    expect(hash53('a')).toBe(7929297801672961)
    expect(hash53('b')).toBe(8684336938537663)
    expect(hash53('revenge')).toBe(4051478007546757)
    expect(hash53('revenue')).toBe(8309097637345594)
  })

  test('ten thousand keys spread evenly', () => {
    const tenths = Array.from({ length: 10 }, () => 0)
    for (let i = 0; i < 10_000; i++) {
      const tenth = Math.floor(unitHash(`key-${i}`, 'cron:2026-02-01T03:00[Europe/Paris]') * 10)
      tenths[tenth] = (tenths[tenth] ?? 0) + 1
    }
    expect(Math.min(...tenths)).toBeGreaterThan(850)
    expect(Math.max(...tenths)).toBeLessThan(1150)
  })

  test('a key waits the same time whenever it is asked, and another key another time', () => {
    const schedule = { ...monthly, jitter: '20m' }
    const first = ask({ schedule }, '2026-01-15T00:00:00Z')
    const later = ask({ schedule }, '2026-02-01T02:10:00Z')
    const other = ask({ schedule }, '2026-01-15T00:00:00Z', null, key({ id: 'key-2' }))
    expect(later?.at).toEqual(first?.at)
    expect(other?.at).not.toEqual(first?.at)
    expect(other?.occurrence).toBe(first?.occurrence)
  })

  test('jitter longer than the interval is cut, so that no key waits for ever', () => {
    const schedule = { cron: '* * * * *', timezone: 'UTC', jitter: '20m' }
    for (let i = 0; i < 200; i++) {
      const due = ask({ schedule }, '2026-02-01T00:00:00.500Z', null, key({ id: `key-${i}` }))
      expect(due?.nominal).toEqual(at('2026-02-01T00:00:00Z'))
      expect(due?.at.getTime()).toBeLessThan(at('2026-02-01T00:01:00Z').getTime())
    }
  })
})

describe('by age', () => {
  const limit = at('2026-01-10T00:00:00Z').getTime() + 40 * day

  test('a key is due up to a tenth before it is too old, each at its own time', () => {
    const dues = Array.from({ length: 50 }, (_, i) =>
      ask({ maxAge: '40d' }, '2026-01-15T00:00:00Z', null, key({ id: `key-${i}` })),
    )
    for (const due of dues) {
      expect(due?.trigger).toBe('maxAge')
      expect(due?.at.getTime()).toBeLessThanOrEqual(limit)
      expect(due?.at.getTime()).toBeGreaterThan(limit - 4 * day)
      expect(due?.occurrence).toBe(`maxAge:2026-01-10T00:00:00.000Z@${due?.nominal.toISOString()}`)
    }
    expect(new Set(dues.map((due) => due?.at.getTime())).size).toBe(50)
  })

  test('a key that is too old when it is selected is overdue at once and due within a day, not at once', () => {
    const selectedAt = at('2026-06-01T00:00:00Z')
    expect(isOverdue(policy({ maxAge: '40d' }), key(), selectedAt)).toBe(true)
    const waits = Array.from({ length: 50 }, (_, i) => {
      const due = ask(
        { maxAge: '40d' },
        '2026-06-01T00:00:00Z',
        null,
        key({ id: `key-${i}`, selectedAt }),
      )
      return (due?.at.getTime() ?? 0) - selectedAt.getTime()
    })
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...waits)).toBeLessThan(day)
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(day / 2)
  })

  test('a key that is nearly too old when it is selected is due before it is too old', () => {
    const selectedAt = new Date(limit - 3_600_000)
    for (let i = 0; i < 50; i++) {
      const due = ask(
        { maxAge: '40d' },
        selectedAt.toISOString(),
        null,
        key({ id: `key-${i}`, selectedAt }),
      )
      expect(due?.at.getTime()).toBeGreaterThanOrEqual(selectedAt.getTime() - 4 * day)
      expect(due?.at.getTime()).toBeLessThanOrEqual(limit)
    }
  })

  test('a key that is too old when it is selected waits for the next window where there are windows', () => {
    const spec = { maxAge: '40d', schedule: { ...monthly, window: '2h' } }
    const selectedAt = at('2026-06-10T00:00:00Z')
    const due = ask(spec, '2026-06-10T00:00:00Z', null, key({ selectedAt }))
    expect(due?.at).toEqual(at('2026-07-01T01:00:00Z'))
    expect(due?.windowEnd).toEqual(at('2026-07-01T03:00:00Z'))
  })

  test('a window that was open when the key was selected is not the next one', () => {
    const spec = { maxAge: '40d', schedule: { ...monthly, window: '2h' } }
    const selectedAt = at('2026-06-01T01:30:00Z')
    expect(ask(spec, '2026-06-01T01:31:00Z', null, key({ selectedAt }))?.at).toEqual(
      at('2026-07-01T01:00:00Z'),
    )
  })

  test('a failed rotation is followed by another a tenth later, neither at once nor never', () => {
    const first = ask({ maxAge: '40d' }, '2026-02-20T00:00:00Z')
    const second = ask({ maxAge: '40d' }, '2026-02-20T00:00:00Z', first?.occurrence)
    expect((second?.nominal.getTime() ?? 0) - (first?.nominal.getTime() ?? 0)).toBe(day)
    const short = ask({ maxAge: '10m' }, '2026-01-10T00:10:00Z')
    const next = ask({ maxAge: '10m' }, '2026-01-10T00:10:00Z', short?.occurrence)
    expect((next?.nominal.getTime() ?? 0) - (short?.nominal.getTime() ?? 0)).toBe(60_000)
  })

  test('after a long outage one rotation is due, not one for every missed try', () => {
    const first = ask({ maxAge: '40d' }, '2026-06-01T00:00:00Z')
    expect(first?.at.getTime()).toBeLessThanOrEqual(at('2026-06-01T00:00:00Z').getTime())
    const second = ask({ maxAge: '40d' }, '2026-06-01T00:00:05Z', first?.occurrence)
    expect(second?.at.getTime()).toBeGreaterThan(at('2026-06-01T00:00:05Z').getTime())
  })

  test('a new activation begins a new age', () => {
    const first = ask({ maxAge: '40d' }, '2026-02-20T00:00:00Z')
    const who = key({ activatedAt: at('2026-02-20T00:00:10Z') })
    const next = ask({ maxAge: '40d' }, '2026-02-20T00:00:11Z', first?.occurrence, who)
    expect(next?.at.getTime()).toBeGreaterThan(at('2026-03-28T00:00:00Z').getTime())
  })

  test('beside a schedule, whichever comes first', () => {
    expect(ask({ schedule: monthly, maxAge: '40d' }, '2026-01-15T00:00:00Z')?.trigger).toBe(
      'schedule',
    )
    expect(
      ask({ schedule: { ...monthly, cron: '0 3 1 6 *' }, maxAge: '40d' }, '2026-01-15T00:00:00Z')
        ?.trigger,
    ).toBe('maxAge')
    expect(ask({ schedule: monthly, maxAge: '10d' }, '2026-01-15T00:00:00Z')?.trigger).toBe(
      'maxAge',
    )
  })

  test('when both are due after an outage, one rotation serves both', () => {
    const spec = { schedule: monthly, maxAge: '40d' }
    const first = ask(spec, '2026-06-15T00:00:00Z')
    const second = ask(spec, '2026-06-15T00:00:05Z', first?.occurrence)
    expect(first?.at.getTime()).toBeLessThan(at('2026-06-15T00:00:00Z').getTime())
    expect(second?.at.getTime()).toBeGreaterThan(at('2026-06-15T00:00:05Z').getTime())
  })

  test('in one window schedule and age are one rotation, named by the schedule', () => {
    const spec = { schedule: { ...monthly, window: '2h', jitter: '20m' }, maxAge: '22d' }
    const due = ask(spec, '2026-01-31T23:00:00Z')
    expect(due?.trigger).toBe('schedule')
    expect(due?.nominal).toEqual(at('2026-02-01T02:00:00Z'))
  })

  test('inside an open window whose occurrence is spent, age still has its turn', () => {
    const spec = { schedule: { cron: '0 0 * * MON', timezone: 'UTC', window: '3d' }, maxAge: '1d' }
    const who = key({ activatedAt: at('2026-02-02T00:00:10Z') })
    const due = ask(spec, '2026-02-02T12:00:00Z', 'cron:2026-02-02T00:00[UTC]', who)
    expect(due?.trigger).toBe('maxAge')
    expect(due?.at.getTime()).toBeLessThanOrEqual(at('2026-02-03T00:00:10Z').getTime())
    expect(due?.windowEnd).toEqual(at('2026-02-05T00:00:00Z'))
  })
})

describe('overdue', () => {
  test('begins when the age is reached and lasts until a new version is active', () => {
    const aged = policy({ maxAge: '40d' })
    expect(overdueAt(aged, key())).toEqual(at('2026-02-19T00:00:00Z'))
    expect(isOverdue(aged, key(), at('2026-02-18T23:59:59Z'))).toBe(false)
    expect(isOverdue(aged, key(), at('2026-02-19T00:00:00Z'))).toBe(true)
    expect(
      isOverdue(aged, key({ activatedAt: at('2026-02-19T00:00:01Z') }), at('2026-02-19T00:00:02Z')),
    ).toBe(false)
  })

  test('needs a maxAge, an enabled policy and an active version', () => {
    expect(overdueAt(policy({ schedule: monthly }), key())).toBeNull()
    expect(overdueAt(policy({ maxAge: '1d', enabled: false }), key())).toBeNull()
    expect(overdueAt(policy({ maxAge: '1d' }), key({ activatedAt: null }))).toBeNull()
  })
})
