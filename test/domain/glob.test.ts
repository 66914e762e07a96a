import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { globMatches } from '#domain/glob.ts'

describe('globs', () => {
  test.each([
    ['*', 'anything/at:all', true],
    ['store:shop/*', 'store:shop/db', true],
    ['store:shop/*', 'store:shop/a/b', true],
    ['store:shop/*', 'store:shopping/db', false],
    ['store:shop/??', 'store:shop/db', true],
    ['store:shop/?', 'store:shop/db', false],
    ['a.c', 'abc', false],
    ['(a+)+$', '(a+)+$', true],
    ['', '', true],
    ['', 'x', false],
  ])('%s on %s: %s', (glob, text, expected) => {
    expect(globMatches(glob, text)).toBe(expected)
  })

  test('agree with the regular expression that they stand for', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '?'), maxLength: 8 })
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 10 })
    fc.assert(
      fc.property(letters, text, (glob, value) => {
        const pattern = new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's')
        expect(globMatches(glob, value)).toBe(pattern.test(value))
      }),
      { numRuns: 2_000 },
    )
  })

  test('do not blow up', () => {
    expect(globMatches(`${'*a'.repeat(400)}b`, 'a'.repeat(1_000))).toBe(false)
  })
})
