// Invariant I12: each nominal occurrence gives at most one rotation, whatever the clock does and however often the planner
// starts again. The planner is played: it asks, takes what is due, remembers what it took, and sometimes succeeds.

import { expect, test } from 'vitest'
import fc from 'fast-check'
import { positionOf } from '#domain/occurrences.ts'
import { resolvePolicy, type ResolvedPolicy } from '#domain/policy.ts'
import { nextDue, overdueAt, type Due, type ScheduledKey } from '#domain/schedule.ts'

const start = Date.parse('2026-01-01T00:00:00Z')
const minute = 60_000

const duration = (units: string) => fc.integer({ min: 0, max: 50 }).map((n) => `${n}${units}`)
const schedule = fc.record(
  {
    cron: fc.constantFrom(
      '* * * * *',
      '*/15 * * * *',
      '30 2 * * *',
      '0 3 1 * *',
      '0 0 L * *',
      '0 0 13 * FRI',
      '0 12 * * MON-FRI',
    ),
    timezone: fc.constantFrom('Europe/Paris', 'America/New_York', 'Australia/Lord_Howe', 'UTC'),
    jitter: duration('m'),
    window: fc.constantFrom('0s', '30m', '2h', '3d'),
    missed: fc.constantFrom('runInNextWindow' as const, 'skip' as const),
  },
  { requiredKeys: ['cron', 'timezone'] },
)
const policy: fc.Arbitrary<ResolvedPolicy> = fc
  .record(
    { schedule, maxAge: fc.oneof(duration('m'), duration('h'), duration('d')) },
    { requiredKeys: [] },
  )
  .filter((spec) => spec.schedule !== undefined || spec.maxAge !== undefined)
  .map((spec) => resolvePolicy({ selector: { type: 'a.b' }, ...spec }))

const key: fc.Arbitrary<ScheduledKey> = fc.record({
  id: fc.uuid(),
  activatedAt: fc.option(
    fc.integer({ min: -100_000, max: 0 }).map((m) => new Date(start + m * minute)),
  ),
  selectedAt: fc.integer({ min: -1_000, max: 0 }).map((m) => new Date(start + m * minute)),
})

/** Steps of the clock in minutes: mostly forwards, sometimes far, sometimes back. */
const step = fc.record({
  minutes: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 90 }) },
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 60_000 }) },
    { weight: 2, arbitrary: fc.integer({ min: -60_000, max: 0 }) },
  ),
  succeeds: fc.boolean(),
})

test('no occurrence is taken twice, and each lies beyond the one before, over jumps of the clock and restarts', () => {
  fc.assert(
    fc.property(
      policy,
      key,
      fc.array(step, { minLength: 1, maxLength: 40 }),
      (rules, who, steps) => {
        let now = start
        let activatedAt = who.activatedAt
        let lastOccurrence: string | null = null
        const taken: string[] = []
        for (const { minutes, succeeds } of steps) {
          now += minutes * minute
          // Twice: a second planner, or the same one after a restart, asks at the same moment.
          for (let planner = 0; planner < 2; planner++) {
            const due: Due | null = nextDue(
              rules,
              { ...who, activatedAt },
              { lastOccurrence, now: new Date(now) },
            )
            if (due === null || due.at.getTime() > now) continue
            expect(taken).not.toContain(due.occurrence)
            if (lastOccurrence !== null) {
              expect(positionOf(due.occurrence).at()).toBeGreaterThan(
                positionOf(lastOccurrence).at(),
              )
            }
            taken.push(due.occurrence)
            lastOccurrence = due.occurrence
            if (succeeds) activatedAt = new Date(now + 1000)
          }
        }
      },
    ),
    { numRuns: 400 },
  )
})

test('at one moment at most one rotation is due: taking it leaves nothing behind it', () => {
  fc.assert(
    fc.property(policy, key, fc.integer({ min: 0, max: 500_000 }), (rules, who, minutes) => {
      // Of ages shorter than the retry distance nothing else can be expected than that they are due again.
      fc.pre(rules.maxAgeMs === null || rules.maxAgeMs >= 10 * minute)
      const now = new Date(start + minutes * minute)
      const due = nextDue(rules, who, { lastOccurrence: null, now })
      if (due === null || due.at > now) return
      const again = nextDue(rules, who, { lastOccurrence: due.occurrence, now })
      expect(again === null || again.at > now).toBe(true)
    }),
    { numRuns: 400 },
  )
})

test('the answer is the same for the same question, and stays within window, jitter and interval', () => {
  fc.assert(
    fc.property(policy, key, fc.integer({ min: 0, max: 500_000 }), (rules, who, minutes) => {
      const now = new Date(start + minutes * minute)
      const due = nextDue(rules, who, { lastOccurrence: null, now })
      expect(nextDue(rules, who, { lastOccurrence: null, now })).toEqual(due)
      if (due === null) return
      expect(due.at >= due.nominal).toBe(true)
      if (due.windowEnd !== null) expect(due.at < due.windowEnd).toBe(true)
      if (due.trigger === 'schedule') {
        const jitter = due.at.getTime() - due.nominal.getTime()
        expect(jitter).toBeLessThanOrEqual(rules.schedule?.jitterMs ?? 0)
        expect(due.nominal > who.selectedAt).toBe(true)
      }
    }),
    { numRuns: 400 },
  )
})

test('what is not due yet does not move as time passes towards it', () => {
  fc.assert(
    fc.property(
      policy,
      key,
      fc.integer({ min: 0, max: 500_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (rules, who, minutes, part) => {
        const now = start + minutes * minute
        const due = nextDue(rules, who, { lastOccurrence: null, now: new Date(now) })
        if (due === null || due.at.getTime() <= now) return
        const later = new Date(Math.floor(now + part * (due.at.getTime() - now)))
        expect(nextDue(rules, who, { lastOccurrence: null, now: later })?.at).toEqual(due.at)
      },
    ),
    { numRuns: 400 },
  )
})

test('without windows a key is due before it is overdue, if it was selected in time', () => {
  const aged = fc
    .integer({ min: 1, max: 400 })
    .map((days) => resolvePolicy({ selector: { type: 'a.b' }, maxAge: `${days}d` }))
  fc.assert(
    fc.property(aged, fc.uuid(), (rules, id) => {
      const who = { id, activatedAt: new Date(start), selectedAt: new Date(start) }
      const due = nextDue(rules, who, { lastOccurrence: null, now: new Date(start) })
      const late = overdueAt(rules, who)
      expect(due !== null && late !== null && due.at <= late).toBe(true)
    }),
  )
})

test('asked again and again, a schedule yields every occurrence once and in order', () => {
  const rules = resolvePolicy({
    selector: { type: 'a.b' },
    schedule: { cron: '30 2 * * *', timezone: 'Europe/Paris', jitter: '20m' },
  })
  let lastOccurrence: string | null = null
  let count = 0
  for (let now = start; now < start + 365 * 24 * 60 * minute; now += 30 * minute) {
    const due: Due | null = nextDue(
      rules,
      { id: 'k', activatedAt: null, selectedAt: new Date(start) },
      { lastOccurrence, now: new Date(now) },
    )
    if (due === null || due.at.getTime() > now) continue
    lastOccurrence = due.occurrence
    count++
  }
  expect(count).toBe(365)
})
