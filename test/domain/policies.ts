// Policies to compare: one to start from, and arbitrary ones in every field that has a strength.

import fc from 'fast-check'
import { resolvePolicy, type PolicySpec } from '#domain/policy.ts'

export const basePolicy: PolicySpec = {
  selector: { type: 'local.secret' },
  schedule: { cron: '0 3 1 * *', timezone: 'UTC' },
}
export const publishTarget = {
  name: 'db',
  connection: 'c',
  type: 'vault.kv2',
  ref: { path: 'a' },
}
const target = publishTarget

export const duration = fc.constantFrom('0s', '90s', '15m', '72h', '90d')
const optionally = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const label = fc
  .record({ a: optionally(fc.constantFrom('1', '2')), b: optionally(fc.constant('1')) })
  .map(
    (labels) =>
      Object.fromEntries(
        Object.entries(labels).filter(([, value]) => value !== undefined),
      ) as Record<string, string>,
  )
const spec: fc.Arbitrary<PolicySpec> = fc
  .record(
    {
      enabled: fc.boolean(),
      schedule: fc.constant({ cron: '0 3 1 * *', timezone: 'UTC' }),
      maxAge: duration,
      manual: fc.constant(true),
      publish: fc.subarray([
        target,
        { ...target, name: 'x', ref: { path: 'b' } },
        { ...target, name: 'y', connection: 'd' },
      ]),
      verify: fc.subarray([
        { type: 'roundTrip' as const },
        { type: 'login' as const },
        { type: 'webhook' as const, url: 'https://a.example' },
      ]),
      consumers: fc.record(
        {
          matchLabels: label.filter((labels) => Object.keys(labels).length > 0),
          acknowledgement: fc.record({ required: fc.constantFrom('all' as const, 'any' as const) }),
        },
        { requiredKeys: [] },
      ),
      overlap: fc.record({ min: duration, unusedFor: duration }, { requiredKeys: [] }),
      soak: duration,
      retire: fc.constantFrom('keep' as const, 'disable' as const, 'destroy' as const),
      acceptGap: fc.boolean(),
      approval: fc.record(
        {
          required: fc.integer({ min: 0, max: 3 }),
          roles: fc.subarray(['approver', 'responder', 'operator', 'admin'] as const, {
            minLength: 1,
          }),
        },
        { requiredKeys: [] },
      ),
      emergency: fc.record(
        {
          mode: fc.constantFrom(
            'disable' as const,
            'rotateFast' as const,
            'revokeFirst' as const,
            'revokeOnly' as const,
          ),
          approvals: fc.integer({ min: 0, max: 3 }),
          ignoreBlackouts: fc.boolean(),
          onLeak: fc.constantFrom('ask' as const, 'automatic' as const),
        },
        { requiredKeys: ['mode'] },
      ),
    },
    { requiredKeys: [] },
  )
  .map((more) => ({ selector: { type: 'local.secret' }, ...more }))
/** Resolved. */
export const policy = spec.map(resolvePolicy)
