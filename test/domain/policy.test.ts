import { describe, expect, test } from 'vitest'
import { Check } from 'typebox/value'
import { defaultPolicy, resolvePolicy } from '#domain/policy.ts'
import { policyDocumentSchema, policySpecSchema } from '#domain/policy-schema.ts'
import { validateDocument } from '#domain/validate-document.ts'
import { samplePolicy } from './sample-policy.ts'

const now = new Date('2026-11-23T00:00:00Z')
const sample = () => {
  const [document] = validateDocument(samplePolicy, now).documents
  if (document === undefined || !Check(policyDocumentSchema, document.value))
    throw new Error('the sample is refused')
  return document.value
}
const hour = 3_600_000

describe('the sample of the design', () => {
  test('is accepted without an issue or a warning', () => {
    const { documents, issues } = validateDocument(samplePolicy, now, 'policies/payments.yaml')
    expect(issues).toEqual([])
    expect(documents.map(({ kind, name, warnings }) => [kind, name, warnings])).toEqual([
      ['RotationPolicy', 'payments-api-keys', []],
    ])
  })

  test('says every field that a policy has, but for manual', () => {
    const { spec } = sample()
    expect(Object.keys(spec).toSorted()).toEqual(
      Object.keys(policySpecSchema.properties)
        .filter((name) => name !== 'manual')
        .toSorted(),
    )
  })

  test('is resolved with its durations in milliseconds', () => {
    const policy = resolvePolicy(sample().spec)
    expect(policy).toMatchObject({
      schedule: {
        cron: '0 3 1 * *',
        timezone: 'Europe/Paris',
        jitterMs: 1_200_000,
        windowMs: 2 * hour,
        missed: 'runInNextWindow',
      },
      maxAgeMs: 40 * 24 * hour,
      blackouts: [
        { name: 'quarter-close', durationMs: 240 * hour, cron: '0 0 25 3,6,9,12 *' },
        { name: 'year-end', from: '2026-12-18T00:00:00Z' },
      ],
      pause: { until: '2026-12-01T00:00:00Z', reason: 'audit in progress' },
      consumers: {
        matchLabels: { uses: 'payments-keys' },
        acknowledgement: { required: 'all', timeoutMs: 24 * hour, onTimeout: 'hold' },
      },
      overlap: { minMs: 24 * hour, unusedForMs: 12 * hour },
      concurrency: { max: 5, groupBy: 'app', minimumSpacingMs: 24 * hour },
      emergency: { mode: 'revokeFirst', approvals: 1, ignoreBlackouts: true, onLeak: 'ask' },
    })
  })

  test('is the same as JSON', () => {
    const text = JSON.stringify(sample(), null, '\t')
    const { documents, issues } = validateDocument(text, now)
    expect(issues).toEqual([])
    expect(documents[0]?.value).toEqual(sample())
  })
})

describe('defaults', () => {
  test('are those that the sample names', () => {
    expect(resolvePolicy({ selector: { type: 'a.b' }, maxAge: '30d' })).toEqual({
      enabled: true,
      priority: 0,
      schedule: null,
      maxAgeMs: 30 * 24 * hour,
      manual: false,
      rotateOnEnable: false,
      blackouts: [],
      pause: null,
      generate: {},
      publish: [],
      verify: [],
      consumers: { matchLabels: null, acknowledgement: null },
      overlap: { minMs: 24 * hour, unusedForMs: 0 },
      soakMs: hour,
      retire: 'disable',
      acceptGap: false,
      approval: { required: 0, roles: ['approver'] },
      retry: { attempts: 5, initialMs: 30_000, maxMs: 900_000 },
      concurrency: { max: 5, groupBy: null, minimumSpacingMs: 0 },
      emergency: { mode: null, approvals: 1, ignoreBlackouts: true, onLeak: 'ask' },
      notify: [],
    })
  })

  test('a schedule catches up and has neither jitter nor window', () => {
    expect(
      resolvePolicy({ selector: { type: 'a.b' }, schedule: { cron: '0 3 1 * *', timezone: 'UTC' } })
        .schedule,
    ).toEqual({
      cron: '0 3 1 * *',
      timezone: 'UTC',
      jitterMs: 0,
      windowMs: null,
      missed: 'runInNextWindow',
    })
  })

  test('an acknowledgement that is asked for waits a day and then holds', () => {
    expect(
      resolvePolicy({
        selector: { type: 'a.b' },
        consumers: { acknowledgement: { required: 'any' } },
      }).consumers.acknowledgement,
    ).toEqual({
      required: 'any',
      timeoutMs: 24 * hour,
      onTimeout: 'hold',
    })
  })

  test('a key without a policy is rotated by hand with the same defaults and never by itself', () => {
    expect(defaultPolicy).toEqual({ ...resolvePolicy({ selector: { type: 'a.b' } }), manual: true })
  })

  test('a resolved policy survives being stored as JSON', () => {
    const policy = resolvePolicy(sample().spec)
    expect(JSON.parse(JSON.stringify(policy))).toEqual(policy)
  })

  test('a blackout that says nothing is never dropped silently', () => {
    expect(() => resolvePolicy({ selector: { type: 'a.b' }, blackouts: [{ name: 'x' }] })).toThrow(
      expect.objectContaining({ code: 'request.invalid' }),
    )
  })
})
