// API tokens: `rekey_<type>_<30 base62><6>`. The last six are the CRC-32 of all that stands before them, so that scanners
// and this door tell a mistyped or invented token from a real one without asking the database. The CRC is no protection:
// that is the 178 bits of the thirty characters, of which only a SHA-256 is stored.

import { apiKeyTypes, type ApiKeyType } from './connection.ts'
import { generateSecret } from './generate-secret.ts'
import { Secret } from './secret.ts'

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const shape = new RegExp(`^rekey_(${apiKeyTypes.join('|')})_[0-9A-Za-z]{36}$`)

/** `random(n)` gives n random bytes. */
export const makeToken = (
  type: ApiKeyType,
  random: (bytes: number) => Uint8Array,
): Secret<string> => {
  const body = generateSecret({ length: 30, alphabet: 'alphanumeric' }, random).reveal()
  const head = `rekey_${type}_${body}`
  return new Secret(head + checksum(head))
}

/** The type of a well-formed token whose checksum is right; null for anything else. */
export const tokenType = (text: string): ApiKeyType | null => {
  const type = apiKeyTypes.find((t) => t === shape.exec(text)?.[1])
  if (type === undefined) return null
  return checksum(text.slice(0, -6)) === text.slice(-6) ? type : null
}

/** Six base62 digits, `0-9A-Za-z`, left-padded. */
const checksum = (text: string): string => {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < 6; i++) {
    digits = base62.charAt(rest % 62) + digits
    rest = Math.floor(rest / 62)
  }
  return digits
}

/** IEEE 802.3, reflected, of ASCII text. */
const crc32 = (text: string): number => {
  let crc = 0xffffffff
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i)
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}
