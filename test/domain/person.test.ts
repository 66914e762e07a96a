// Who is another person: by who made whose token.

import { describe, expect, test } from 'vitest'
import { differentPeople, kinshipOf, type Makers } from '#domain/person.ts'

/** first made ann, bob and ci; ann made ann2, which made ann3; jane signs in, and made jane2 and jane3. */
const makers: Makers = new Map([
  ['first', 'system:bootstrap'],
  ['second', 'system:bootstrap'],
  ['ann', 'first'],
  ['bob', 'first'],
  ['ann2', 'ann'],
  ['ann3', 'ann2'],
  ['ann4', 'ann'],
  ['jane2', 'https://idp.example.com#jane'],
  ['jane3', 'https://idp.example.com#jane'],
])
const jane = 'https://idp.example.com#jane'
const john = 'https://idp.example.com#john'

describe('two principals', () => {
  test.each([
    ['ann', 'ann', 'same'],
    ['ann', 'ann2', 'made'],
    ['ann', 'ann3', 'made'],
    ['ann3', 'ann', 'madeBy'],
    ['ann3', 'ann4', 'siblings'],
    ['first', 'ann3', 'made'],
    ['bob', 'first', 'madeBy'],
    // Made anew: whoever holds it now holds what it makes, and made none of the old ones by that name.
    ['second', 'ann', 'made'],
    ['ann', 'second', 'madeBy'],
    ['first', 'second', 'siblings'],
    [jane, jane, 'same'],
    [jane, 'jane2', 'made'],
    ['jane2', 'jane3', 'siblings'],
  ] as const)('%s and %s are one: %s', (one, other, kinship) => {
    expect(kinshipOf(makers, one, other)).toBe(kinship)
  })

  test.each([
    ['ann', 'bob'],
    ['ann3', 'bob'],
    [jane, john],
    ['jane2', john],
    ['jane2', 'ann'],
    [jane, 'first'],
    ['nobody', 'known'],
  ])('%s and %s are two', (one, other) => {
    expect(kinshipOf(makers, one, other)).toBeNull()
    expect(kinshipOf(makers, other, one)).toBeNull()
  })

  test('a ring of makers, which only a broken database has, ends', () => {
    const ring: Makers = new Map([
      ['a', 'b'],
      ['b', 'a'],
    ])
    expect(kinshipOf(ring, 'a', 'b')).toBe('made')
    expect(kinshipOf(ring, 'a', 'c')).toBeNull()
  })
})

describe('of what was said', () => {
  const people = (said: readonly string[], asking: readonly string[] = []) =>
    differentPeople(
      makers,
      said.map((principalId) => ({ principalId })),
      asking,
    ).map(({ principalId }) => principalId)

  test.each([
    [['ann', 'bob'], [], ['ann', 'bob']],
    [['ann2', 'ann4', 'bob'], [], ['ann2', 'bob']],
    [['ann', 'bob'], ['ann3'], ['bob']],
    [['ann', 'bob'], ['first'], []],
    [[jane, 'jane2', john], [], [jane, john]],
    // The first admin key counts where nobody counts whose token it made, whoever came first.
    [['first', 'ann', 'bob'], [], ['ann', 'bob']],
    [['first', john], [], ['first', john]],
    [['first', 'second'], [], ['first']],
  ] as const)('%j, asked by %j, counts %j', (said, asking, counted) => {
    expect(people(said, asking)).toEqual(counted)
  })
})
