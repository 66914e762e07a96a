// New secret material from `generate: {length, alphabet}`. Every character of the alphabet is equally likely: random
// bytes beyond the largest multiple of its size are thrown away (taking them modulo the size would favour its head).

import { Type, type TSchema } from 'typebox'
import { Secret } from './secret.ts'
import type { JsonObject } from './json.ts'

const digits = '0123456789'
const lower = 'abcdefghijklmnopqrstuvwxyz'
const upper = lower.toUpperCase()

/** `unambiguous` leaves out what people mistake when they read it aloud or type it: 0 O o 1 I l. `ascii` is every
 *  printable character but the space. */
export const alphabets = {
  urlSafe: `${upper}${lower}${digits}-_`,
  alphanumeric: `${upper}${lower}${digits}`,
  lowercase: `${lower}${digits}`,
  hex: `${digits}abcdef`,
  digits,
  unambiguous: [...`${upper}${lower}${digits}`].filter((c) => !'0Oo1Il'.includes(c)).join(''),
  ascii: Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).join(''),
} as const satisfies Record<string, string>

export type Alphabet = keyof typeof alphabets
const alphabetNames: readonly string[] = Object.keys(alphabets)
const isAlphabet = (name: string): name is Alphabet => alphabetNames.includes(name)

export const secretLength = { default: 40, min: 16, max: 4096 } as const

export const generateSecretSchema = Type.Object(
  {
    length: Type.Optional(
      Type.Integer({
        minimum: secretLength.min,
        maximum: secretLength.max,
        description: `Characters; ${secretLength.default} unless told.`,
      }),
    ),
    alphabet: Type.Optional(
      Type.Enum([...alphabetNames], {
        description: 'urlSafe unless told.',
      }),
    ),
  },
  { additionalProperties: false },
) satisfies TSchema

/** Bits of entropy of what `generateSecret` would make. */
export const secretEntropyBits = (params: JsonObject): number => {
  const { length, characters } = read(params)
  return length * Math.log2(characters.length)
}

/** Pure: the same bytes from `random` give the same secret. Throws RangeError on parameters that the schema refuses. */
export const generateSecret = (
  params: JsonObject,
  random: (bytes: number) => Uint8Array,
): Secret<string> => {
  const { length, characters } = read(params)
  const size = characters.length
  const limit = 256 - (256 % size)
  let made = ''
  while (made.length < length) {
    for (const byte of random(length - made.length)) {
      if (byte < limit) made += characters.charAt(byte % size)
    }
  }
  return new Secret(made)
}

const read = (params: JsonObject): { readonly length: number; readonly characters: string } => {
  const length = params['length'] ?? secretLength.default
  const alphabet = params['alphabet'] ?? 'urlSafe'
  if (
    typeof length !== 'number' ||
    !Number.isInteger(length) ||
    length < secretLength.min ||
    length > secretLength.max
  ) {
    throw new RangeError(`length is a whole number from ${secretLength.min} to ${secretLength.max}`)
  }
  if (typeof alphabet !== 'string' || !isAlphabet(alphabet)) {
    throw new RangeError(`alphabet is one of ${alphabetNames.join(', ')}`)
  }
  return { length, characters: alphabets[alphabet] }
}
