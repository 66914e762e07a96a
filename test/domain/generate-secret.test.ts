import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Check } from 'typebox/value'
import {
  alphabets,
  generateSecret,
  generateSecretSchema,
  secretEntropyBits,
  secretLength,
  type Alphabet,
} from '#domain/generate-secret.ts'

const names = Object.keys(alphabets) as Alphabet[]
const random = (n: number): Uint8Array => randomBytes(n)

describe('generated secrets', () => {
  test('have the asked length and nothing outside their alphabet', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: secretLength.min, max: 300 }),
        fc.constantFrom(...names),
        (length, alphabet) => {
          const made = generateSecret({ length, alphabet }, random).reveal()
          expect(made).toHaveLength(length)
          expect([...made].every((c) => alphabets[alphabet].includes(c))).toBe(true)
        },
      ),
    )
  })

  test('without parameters are 40 URL-safe characters, which is 240 bits', () => {
    const made = generateSecret({}, random).reveal()
    expect(made).toMatch(/^[\w-]{40}$/)
    expect(secretEntropyBits({})).toBe(240)
  })

  test('a byte beyond the last whole multiple of the alphabet is thrown away, never folded to its head', () => {
    // 62 characters: 248 to 255 would favour the first eight.
    let calls = 0
    const biased = (n: number): Uint8Array => new Uint8Array(n).fill(calls++ === 0 ? 250 : 61)
    expect(generateSecret({ length: 16, alphabet: 'alphanumeric' }, biased).reveal()).toBe(
      '9'.repeat(16),
    )
    expect(calls).toBe(2)
  })

  test('every character of an alphabet is equally likely', () => {
    for (const alphabet of names) {
      const characters = alphabets[alphabet]
      const counts = new Map<string, number>()
      const draws = 200
      for (let i = 0; i < draws; i++) {
        for (const c of generateSecret({ length: 500, alphabet }, random).reveal())
          counts.set(c, (counts.get(c) ?? 0) + 1)
      }
      const expected = (draws * 500) / characters.length
      let chi = 0
      for (const c of characters) chi += ((counts.get(c) ?? 0) - expected) ** 2 / expected
      // Six standard deviations above the mean of chi squared: one run in a thousand million fails by chance.
      const freedom = characters.length - 1
      expect(chi).toBeLessThan(freedom + 6 * Math.sqrt(2 * freedom))
    }
  })

  test('alphabets repeat no character', () => {
    for (const name of names) expect(new Set(alphabets[name]).size).toBe(alphabets[name].length)
  })

  test('too short, too long and unknown alphabets are refused by the schema and by the function', () => {
    for (const bad of [
      { length: 15 },
      { length: 5000 },
      { length: 20.5 },
      { alphabet: 'emoji' },
      { alphabet: 'toString' },
    ]) {
      expect(Check(generateSecretSchema, bad)).toBe(false)
      expect(() => generateSecret(bad, random)).toThrow(RangeError)
    }
    expect(Check(generateSecretSchema, { length: 40, colour: 'red' })).toBe(false)
    expect(Check(generateSecretSchema, { length: 16, alphabet: 'hex' })).toBe(true)
  })
})
