import { crc32 } from 'node:zlib'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { apiKeyTypes } from '#domain/connection.ts'
import { makeToken, tokenType } from '#domain/token.ts'

const random = (n: number) => new Uint8Array(randomBytes(n))

/** Computed with Python's zlib.crc32 and base62 `0-9A-Za-z`. */
const vectors = [
  'rekey_pat_0000000000000000000000000000002ecoR1',
  'rekey_svc_abcdefghijklmnopqrstuvwxyzABCD2YE9VA',
  'rekey_ack_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ2ILSBZ',
  'rekey_brk_0123456789ABCDEFGHIJKLMNOPQRST3VM0Te',
]

describe('tokens', () => {
  test('carry the checksum that the vectors have', () => {
    for (const token of vectors) expect(tokenType(token)).toBe(token.slice(6, 9))
  })

  test('are 46 characters of one type, and the checksum is the CRC-32 of what stands before it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...apiKeyTypes), (type) => {
        const token = makeToken(type, random).reveal()
        expect(token).toMatch(new RegExp(`^rekey_${type}_[0-9A-Za-z]{36}$`))
        expect(tokenType(token)).toBe(type)
        expect(readBase62(token.slice(-6))).toBe(crc32(token.slice(0, -6)))
      }),
    )
  })

  test('with one character changed are none', () => {
    fc.assert(
      fc.property(fc.nat({ max: 45 }), fc.constantFrom(...'aZ09_.~é\0\n'), (at, char) => {
        const token = makeToken('pat', random).reveal()
        const changed = token.slice(0, at) + char + token.slice(at + 1)
        expect(tokenType(changed)).toBe(changed === token ? 'pat' : null)
      }),
      { numRuns: 500 },
    )
  })

  test('of other shapes are none', () => {
    const good = makeToken('svc', random).reveal()
    const others = [
      '',
      'rekey_',
      `${good}0`,
      `${good}\n`,
      ` ${good}`,
      good.toUpperCase(),
      good.replace('svc', 'xyz'),
    ]
    for (const other of others) expect(tokenType(other)).toBeNull()
  })
})

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const readBase62 = (text: string): number =>
  [...text].reduce((n, c) => n * 62 + digits.indexOf(c), 0)
