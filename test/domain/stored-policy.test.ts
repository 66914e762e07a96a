import { describe, expect, test } from 'vitest'
import { defaultPolicy, type PolicySpec, resolvePolicy, resolveStored } from '#domain/policy.ts'

const sound: PolicySpec = {
  selector: { type: 'local.secret' },
  priority: 7,
  schedule: { cron: '0 3 * * *', timezone: 'UTC' },
  blackouts: [
    { name: 'night', cron: '0 0 * * *', duration: '1h', timezone: 'Europe/Paris' },
    { name: 'year-end', from: '2026-12-18T00:00:00Z', to: '2027-01-04T00:00:00Z' },
  ],
}
const night = { name: 'night', cron: '0 0 * * *', duration: '1h', timezone: 'UTC' }

test('a stored policy that can be read is what it says', () => {
  expect(resolveStored({ spec: sound })).toEqual(resolvePolicy(sound))
})

describe('a stored policy that cannot be read any more begins nothing, goes on selecting, and says why:', () => {
  test.each<readonly [string, Partial<PolicySpec>, RegExp]>([
    [
      'its zone is gone',
      { schedule: { cron: '0 3 * * *', timezone: 'Mars/Olympus' } },
      /Mars\/Olympus/,
    ],
    ['its cron line', { schedule: { cron: '0 3 * *', timezone: 'UTC' } }, /cron line/],
    ['the zone of a blackout', { blackouts: [{ ...night, timezone: 'Mars/Base' }] }, /Mars\/Base/],
    ['the line of a blackout', { blackouts: [{ ...night, cron: 'nightly' }] }, /cron line/],
    ['a blackout that is never', { blackouts: [{ name: 'never' }] }, /never says neither/],
    [
      'a blackout without its end',
      { blackouts: [{ name: 'open', from: '2026-12-18T00:00:00Z' }] },
      /open says neither/,
    ],
    [
      'a blackout without its length',
      { blackouts: [{ name: 'short', cron: '0 0 * * *', timezone: 'UTC' }] },
      /short says neither/,
    ],
    ['a duration', { soak: 'soon' }, /soon|duration/i],
  ])('%s', (_what, change, why) => {
    for (const look of [1, 2]) {
      const { unusable, ...read } = resolveStored({ spec: { ...sound, ...change } })
      expect(read, `look ${look}`).toEqual({ ...defaultPolicy, enabled: false, priority: 7 })
      expect(unusable).toMatch(why)
    }
  })

  test('and without a priority it has the one that is nobody asked for', () => {
    const { priority: _priority, ...rest } = sound
    expect(resolveStored({ spec: { ...rest, soak: 'soon' } }).priority).toBe(0)
  })
})

test('a window of no length is no window, and jitter is none unless asked for', () => {
  const { schedule } = resolvePolicy({
    ...sound,
    schedule: { cron: '0 3 * * *', timezone: 'UTC', window: '0s' },
  })
  expect(schedule).toEqual({
    cron: '0 3 * * *',
    timezone: 'UTC',
    jitterMs: 0,
    windowMs: null,
    missed: 'runInNextWindow',
  })
})
