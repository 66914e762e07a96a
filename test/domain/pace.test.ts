import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { declaredPace, requestsPerSecondSchema } from '#domain/pace.ts'
import type { KeyType, TypeTraits } from '#domain/provider.ts'
import { Type } from 'typebox'
import { completed } from './key-facts.ts'

const type = (limits: TypeTraits['limits']): KeyType => ({
  type: 'acme.secret',
  title: 'Secret',
  traits: { ...completed.traits, limits },
  refSchema: Type.Object({}),
  generateSchema: Type.Object({}),
  objectId: () => 'acme',
  leastPrivilege: () => ({}),
})

describe('requests a second over a connection', () => {
  test.each<
    readonly [
      what: string,
      limits: readonly TypeTraits['limits'][],
      settings: JsonObject,
      pace: number | null,
    ]
  >([
    ['as many as it likes, unless told', [{}, { maxLiveVersions: 2 }], {}, null],
    ['as a provider without types says', [], {}, null],
    ['as its type declares', [{ requestsPerSecond: 5 }], {}, 5],
    [
      'the least that types declare: they share one account',
      [{ requestsPerSecond: 9 }, { requestsPerSecond: 4 }, { requestsPerSecond: 6 }],
      {},
      4,
    ],
    ['what one type declares, also where another is silent', [{}, { requestsPerSecond: 7 }], {}, 7],
    ['less than one', [{ requestsPerSecond: 0.5 }], {}, 0.5],
    [
      'as the connection says, though types declare less',
      [{ requestsPerSecond: 4 }],
      { requestsPerSecond: 50 },
      50,
    ],
    ['as the connection says, where types are silent', [{}], { requestsPerSecond: 1 }, 1],
    [
      'as types declare where the setting is no number',
      [{ requestsPerSecond: 4 }],
      { requestsPerSecond: '50' },
      4,
    ],
  ])('%s', (_what, limits, settings, pace) => {
    expect(declaredPace({ types: limits.map(type) }, settings)).toBe(pace)
  })

  test.each([
    [1, true],
    [10_000, true],
    [0, false],
    [10_001, false],
    [2.5, false],
    ['5', false],
  ])('may be set to %j: %s', (value, may) => {
    expect(Check(requestsPerSecondSchema, value)).toBe(may)
  })
})
