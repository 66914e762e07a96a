// What may be asked for when an incident is opened, and that nobody reaches further by it than their scope.

import fc from 'fast-check'
import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import type { Scope } from '#domain/actor.ts'
import type { IncidentSelector } from '#domain/incident.ts'
import {
  incidentSelectorSchema,
  keptSelectorSchema,
  modeSchema,
  mostKeys,
  scopeOf,
  severitySchema,
  withinScope,
} from '#domain/incident-schema.ts'

const digest = 'a'.repeat(64)
const many = (n: number): readonly string[] => Array.from({ length: n }, (_, i) => `k${i}`)
const version = (number: unknown) => ({ versions: [{ key: 'orders', version: number }] })

describe('a selector', () => {
  test.each<readonly [what: string, selector: object]>([
    ['keys', { keys: ['orders', 'payments'] }],
    ['as many keys as there may be', { keys: many(mostKeys) }],
    ['labels', { matchLabels: { team: 'shop' } }],
    ['connections', { connections: many(1_000) }],
    ['providers', { providers: ['aws', 'vault'] }],
    ['an owner', { owner: 'x'.repeat(200) }],
    ['an environment', { environment: 'prod' }],
    ['a consumer', { consumer: 'checkout' }],
    ['a policy', { policy: 'monthly' }],
    ['a version', version(1)],
    ['the last version that can be', version(2 ** 31 - 1)],
    ['a span', { createdAfter: '2026-01-01T00:00:00Z', createdBefore: '2026-02-01T00:00:00Z' }],
    ['several that must all hold', { owner: 'shop', environment: 'prod', keys: ['orders'] }],
  ])('may name %s, and is kept as it is', (_what, selector) => {
    expect(Check(incidentSelectorSchema, selector)).toBe(true)
    expect(Check(keptSelectorSchema, selector)).toBe(true)
  })

  test('may name digests of pasted values, which are not kept', () => {
    expect(Check(incidentSelectorSchema, { digests: [digest] })).toBe(true)
    expect(Check(keptSelectorSchema, { digests: [digest] })).toBe(false)
  })

  test('that says nothing would mean everything: it is refused', () => {
    expect(Check(incidentSelectorSchema, {})).toBe(false)
  })

  test.each<readonly [what: string, selector: object]>([
    ['an empty list of keys', { keys: [] }],
    ['a key twice', { keys: ['orders', 'orders'] }],
    ['more keys than are meant by anybody', { keys: many(mostKeys + 1) }],
    ['what is no name', { keys: ['Orders'] }],
    ['no label', { matchLabels: {} }],
    ['an empty list of connections', { connections: [] }],
    ['a connection twice', { connections: ['a', 'a'] }],
    ['too many connections', { connections: many(1_001) }],
    ['what is no provider', { providers: ['AWS'] }],
    ['an empty list of providers', { providers: [] }],
    ['a provider twice', { providers: ['aws', 'aws'] }],
    ['too many providers', { providers: many(101) }],
    ['nobody as owner', { owner: '' }],
    ['too long an owner', { owner: 'x'.repeat(201) }],
    ['an environment of two lines', { environment: 'a\nb' }],
    ['what is no consumer', { consumer: 'a b' }],
    ['what is no policy', { policy: '' }],
    ['no version', { versions: [] }],
    ['too many versions', { versions: many(mostKeys + 1).map((key) => ({ key, version: 1 })) }],
    ['version 0', version(0)],
    ['half a version', version(1.5)],
    ['a version that no ledger can count', version(2 ** 31)],
    ['a version as text', version('1')],
    ['a version without its key', { versions: [{ version: 1 }] }],
    ['a key without its version', { versions: [{ key: 'orders' }] }],
    ['more of a version', { versions: [{ key: 'orders', version: 1, state: 'active' }] }],
    ['a day without a time', { createdAfter: '2026-01-01' }],
    ['a time without an offset', { createdBefore: '2026-01-01T00:00:00' }],
    ['a short digest', { digests: [digest.slice(1)] }],
    ['a long digest', { digests: [`${digest}a`] }],
    ['a digest in capitals', { digests: [digest.toUpperCase()] }],
    ['no digest', { digests: [] }],
    ['a digest twice', { digests: [digest, digest] }],
    ['too many digests', { digests: many(101).map((_, i) => String(i).padStart(64, '0')) }],
    ['what is not known', { keys: ['orders'], everything: true }],
  ])('may not name %s', (_what, selector) => {
    expect(Check(incidentSelectorSchema, selector)).toBe(false)
  })
})

test('modes and severities are those that there are', () => {
  for (const mode of ['disable', 'rotateFast', 'revokeFirst', 'revokeOnly'])
    expect(Check(modeSchema, mode)).toBe(true)
  for (const severity of ['low', 'medium', 'high', 'critical'])
    expect(Check(severitySchema, severity)).toBe(true)
  expect(Check(modeSchema, 'destroy')).toBe(false)
  expect(Check(severitySchema, 'urgent')).toBe(false)
})

describe('a selector within the scope of whoever opens it', () => {
  const table: readonly (readonly [
    what: string,
    selector: IncidentSelector,
    scope: Scope | null,
    meant: IncidentSelector | null,
  ])[] = [
    ['nobody bounds it', { keys: ['a'] }, null, { keys: ['a'] }],
    [
      'labels are added',
      { keys: ['a'] },
      { matchLabels: { team: 'a' } },
      { keys: ['a'], matchLabels: { team: 'a' } },
    ],
    [
      'beside those that it has',
      { matchLabels: { app: 'x' } },
      { matchLabels: { team: 'a' } },
      { matchLabels: { app: 'x', team: 'a' } },
    ],
    [
      'the same label is there already',
      { matchLabels: { team: 'a' } },
      { matchLabels: { team: 'a' } },
      { matchLabels: { team: 'a' } },
    ],
    [
      'another team is asked for',
      { matchLabels: { team: 'b' } },
      { matchLabels: { team: 'a' } },
      null,
    ],
    [
      'one label agrees and another does not',
      { matchLabels: { team: 'a', env: 'test' } },
      { matchLabels: { team: 'a', env: 'prod' } },
      null,
    ],
    [
      'connections are added',
      { keys: ['a'] },
      { connections: ['c1', 'c2'] },
      { keys: ['a'], connections: ['c1', 'c2'] },
    ],
    [
      'only those that are in both',
      { connections: ['c2', 'c3'] },
      { connections: ['c1', 'c2'] },
      { connections: ['c2'] },
    ],
    ['no connection is in both', { connections: ['c3'] }, { connections: ['c1', 'c2'] }, null],
    [
      'a scope of labels leaves connections as they are',
      { connections: ['c3'] },
      { matchLabels: { team: 'a' } },
      { connections: ['c3'], matchLabels: { team: 'a' } },
    ],
    [
      'a scope of connections leaves labels as they are',
      { matchLabels: { team: 'b' } },
      { connections: ['c1'] },
      { matchLabels: { team: 'b' }, connections: ['c1'] },
    ],
    [
      'labels that objects have by themselves are labels like any other',
      { matchLabels: { app: 'x' } },
      { matchLabels: { constructor: 'a' } },
      { matchLabels: { app: 'x', constructor: 'a' } },
    ],
    ['a scope that bounds nothing', { owner: 'shop' }, {}, { owner: 'shop' }],
  ]

  test.each(table)('%s', (_what, selector, scope, meant) => {
    expect(withinScope(selector, scope)).toStrictEqual(meant)
  })

  const labels = fc.dictionary(fc.constantFrom('team', 'app', 'env'), fc.constantFrom('a', 'b'))
  const connections = fc.uniqueArray(fc.constantFrom('c1', 'c2', 'c3'), { minLength: 1 })
  const scopes: fc.Arbitrary<Scope> = fc.record(
    { matchLabels: labels, connections },
    { requiredKeys: [] },
  )
  const selectors: fc.Arbitrary<IncidentSelector> = fc.record(
    { matchLabels: labels, connections, keys: fc.constant(['orders']) },
    { requiredKeys: [] },
  )
  const keys = fc.array(fc.record({ labels, connection: fc.constantFrom('c1', 'c2', 'c3') }), {
    maxLength: 6,
  })
  const isIn = (
    { matchLabels = {}, connections: allowed }: Scope,
    key: { readonly labels: Readonly<Record<string, string>>; readonly connection: string },
  ): boolean =>
    Object.entries(matchLabels).every(([name, value]) => key.labels[name] === value) &&
    (allowed?.includes(key.connection) ?? true)

  test('means exactly the keys that both mean', () => {
    fc.assert(
      fc.property(selectors, scopes, keys, (selector, scope, all) => {
        const meant = withinScope(selector, scope)
        for (const key of all)
          expect(meant !== null && isIn(scopeOf(meant), key)).toBe(
            isIn(scopeOf(selector), key) && isIn(scope, key),
          )
      }),
    )
  })

  test('is the same however often it is bounded', () => {
    fc.assert(
      fc.property(selectors, scopes, (selector, scope) => {
        const once = withinScope(selector, scope)
        if (once !== null) expect(withinScope(once, scope)).toEqual(once)
      }),
    )
  })
})

test('the least scope that holds a selector has its labels and connections, and nothing else of it', () => {
  expect(scopeOf({ keys: ['orders'], owner: 'shop' })).toStrictEqual({})
  expect(scopeOf({ keys: ['orders'], matchLabels: { team: 'a' } })).toStrictEqual({
    matchLabels: { team: 'a' },
  })
  expect(scopeOf({ connections: ['c1'], environment: 'prod' })).toStrictEqual({
    connections: ['c1'],
  })
})
