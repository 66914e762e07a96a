import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { namesOfValue, pepperOfName } from '#domain/value-name.ts'
import { keyringOver, makeKeyring } from '#runtime/keyring.ts'

const ringOf = (numbers: readonly number[]) => {
  const peppers = numbers.map((number) => [number, new Uint8Array(randomBytes(32))] as const)
  return keyringOver(
    () => [new Uint8Array(32)],
    () => peppers,
  )
}

test('a name says its pepper, the first by saying none, and no name of one is read as a name of another', () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(numbers, fc.string(), fc.string({ minLength: 1 }), (of, object, value) => {
      const names = namesOfValue(ringOf(of), object, new Secret(value))
      expect(names.map(pepperOfName)).toEqual(of)
      expect(new Set(names).size).toBe(of.length)
      for (const name of names) expect(name).toMatch(/^(p\d+-)?[0-9a-f]{24}$/)
    }),
    { numRuns: 50 },
  )
})

test('equal values of two objects have two names, and a name is no part of the fingerprint of its value', () => {
  const ring = ringOf([1, 2])
  const value = new Secret('the very same')
  expect(namesOfValue(ring, 'file:a', value)).not.toEqual(namesOfValue(ring, 'file:b', value))
  const prints = ring
    .fingerprints(value)
    .map((print) => Buffer.from(print as unknown as Uint8Array).toString('hex'))
  for (const name of namesOfValue(ring, 'file:a', value))
    for (const print of prints) expect(print).not.toContain(name.slice(-24))
})

test('a name of the first pepper is as all names were before there was a second', () => {
  const ring = makeKeyring(new Uint8Array(32).fill(1), new Uint8Array(32).fill(2))
  expect(namesOfValue(ring, 'file:orders/db', new Secret('swordfish'))).toEqual([
    'dca788f2dab82289a8707863',
  ])
})

test.each([
  '',
  '3',
  'v1',
  'p1-',
  `p1-${'0'.repeat(24)}`,
  `p02-${'0'.repeat(24)}`,
  'A'.repeat(24),
  '0'.repeat(32),
])('"%s" is no name of a value', (text) => expect(pepperOfName(text)).toBeNull())
