import { describe, expect, test } from 'vitest'
import type { PolicySpec } from '#domain/policy-schema.ts'
import { resolvePolicy, resolveStored } from '#domain/policy.ts'
import type { KeySchedule } from '#domain/ports.ts'
import { scheduleOf } from '#usecases/plan-schedule.ts'

const day = 86_400_000
const start = new Date('2026-01-10T12:00:00Z')
const later = (ms: number): Date => new Date(start.getTime() + ms)
const key = { id: '0192f3a0-0000-7000-8000-000000000001', policySelectedAt: start, observe: null }
const primary = { activatedAt: start }
const daily = { schedule: { cron: '0 3 * * *', timezone: 'UTC' } }
const policy = (spec: Partial<PolicySpec>) => resolvePolicy({ selector: { type: 'a.b' }, ...spec })
const none: KeySchedule = {
  keyId: key.id,
  dueAt: null,
  occurrence: null,
  nominal: null,
  trigger: null,
  lastOccurrence: null,
  overdueSince: null,
  overdueAt: null,
  obstacle: null,
}

describe('scheduleOf', () => {
  test('is the next occurrence of the policy', () => {
    const row = scheduleOf(key, primary, policy(daily), null, start)
    expect(row.dueAt?.toISOString()).toBe('2026-01-11T03:00:00.000Z')
    expect(row.trigger).toBe('schedule')
  })

  test('is nothing without a policy, disabled, without a primary version, and where the provider rotates', () => {
    for (const row of [
      scheduleOf(key, primary, null, null, start),
      scheduleOf(key, primary, policy({ ...daily, enabled: false }), null, start),
      scheduleOf(key, null, policy(daily), null, start),
      scheduleOf({ ...key, observe: 'native' }, primary, policy(daily), null, start),
      scheduleOf(key, primary, policy({ manual: true }), null, start),
    ]) {
      expect(row).toMatchObject({ dueAt: null, occurrence: null, trigger: null })
    }
  })

  test('what the provider rotates by itself still grows overdue', () => {
    const row = scheduleOf(
      { ...key, observe: 'native' },
      primary,
      policy({ maxAge: '30d' }),
      null,
      start,
    )
    expect(row).toMatchObject({ dueAt: null, overdueAt: later(30 * day) })
  })

  test('an occurrence that was taken is not answered again', () => {
    const first = scheduleOf(key, primary, policy(daily), null, start)
    const next = scheduleOf(
      key,
      primary,
      policy(daily),
      { ...first, lastOccurrence: first.occurrence },
      later(day),
    )
    expect(next.occurrence).not.toBe(first.occurrence)
    expect(next.dueAt?.toISOString()).toBe('2026-01-12T03:00:00.000Z')
  })

  test('overdue stays raised until a younger version, or a policy that allows the age', () => {
    const old = policy({ maxAge: '30d' })
    const raised = { ...none, overdueSince: later(30 * day) }
    const now = later(31 * day)
    expect(scheduleOf(key, primary, old, raised, now).overdueSince).toEqual(later(30 * day))
    expect(scheduleOf(key, { activatedAt: now }, old, raised, now).overdueSince).toBeNull()
    expect(scheduleOf(key, primary, policy({ maxAge: '90d' }), raised, now).overdueSince).toBeNull()
  })

  test('a rotation that enabling asked for is kept until it is taken, or the wish is gone', () => {
    const occurrence = `enable:3@${start.toISOString()}`
    const asked: KeySchedule = {
      ...none,
      dueAt: start,
      occurrence,
      nominal: start,
      trigger: 'schedule',
    }
    const eager = policy({ ...daily, rotateOnEnable: true })
    expect(scheduleOf(key, primary, eager, asked, later(1_000)).occurrence).toBe(occurrence)
    expect(
      scheduleOf(key, primary, eager, { ...asked, lastOccurrence: occurrence }, later(1_000))
        .occurrence,
    ).toMatch(/^cron:/)
    expect(scheduleOf(key, primary, policy(daily), asked, later(1_000)).occurrence).toMatch(
      /^cron:/,
    )
  })

  test('a clock that is set back does not make overdue be raised again', () => {
    const old = policy({ maxAge: '30d' })
    const raised = { ...none, overdueSince: later(30 * day), overdueAt: later(30 * day) }
    expect(scheduleOf(key, primary, old, raised, later(29 * day)).overdueSince).toEqual(
      later(30 * day),
    )
  })

  test('what cannot be computed is an obstacle, due at once, and never an error', () => {
    const bad = { ...none, lastOccurrence: 'rubbish' }
    const row = scheduleOf(key, primary, policy(daily), bad, start)
    expect(row).toMatchObject({ dueAt: start, occurrence: null, lastOccurrence: 'rubbish' })
    expect(row.obstacle).toMatchObject({ kind: 'unreadable', tries: 0 })
    // Met again: the pause that the planner made stays.
    const paused = { ...row, dueAt: later(day), obstacle: { ...row.obstacle, tries: 3 } as never }
    expect(scheduleOf(key, primary, policy(daily), paused, later(60_000))).toEqual(paused)
    // A new version has come: nothing before it is made up for, so it does not matter what could not be read.
    const mended = scheduleOf(
      key,
      { activatedAt: later(120_000) },
      policy(daily),
      paused,
      later(day),
    )
    expect(mended.obstacle).toBeNull()
    expect(mended.occurrence).toMatch(/^cron:/)
  })

  test('a stored policy that cannot be read is an obstacle too, and goes on selecting by its priority', () => {
    const spec = { selector: { type: 'a.b' }, priority: 7, ...daily }
    const gone = { ...spec, schedule: { cron: '0 3 * * *', timezone: 'Mars/Olympus' } }
    const read = resolveStored({ spec: gone })
    expect(read).toMatchObject({ enabled: false, priority: 7 })
    expect(read.unusable).toContain('Mars/Olympus')
    const row = scheduleOf(key, primary, read, null, start)
    expect(row.obstacle?.reason).toContain('Mars/Olympus')
    expect(resolveStored({ spec: { ...spec, soak: 'soon' } }).unusable).toBeDefined()
    expect(resolveStored({ spec }).unusable).toBeUndefined()
  })
})
