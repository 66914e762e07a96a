// Settings, refs and parameters. A library is native code that runs on this host: it is named by an absolute path, and what
// others than its owner may write is not loaded (library.ts).

import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { requestsPerSecondSchema } from '#domain/pace.ts'
import { algorithms } from './protocol.ts'

export const settingsSchema = Type.Object(
  {
    library: Type.String({
      minLength: 2,
      maxLength: 1000,
      pattern: '^(?:/|[A-Za-z]:\\\\)[^\\u0000]+$',
      description: "Absolute path of the token's PKCS#11 library on the hosts that run Rekey.",
      examples: ['/usr/lib/softhsm/libsofthsm2.so'],
    }),
    tokenLabel: Type.String({
      minLength: 1,
      maxLength: 32,
      description: 'The label that the token was initialised with.',
      examples: ['rekey-prod'],
    }),
    requestsPerSecond: Type.Optional(requestsPerSecondSchema),
  },
  { additionalProperties: false },
)

export interface Pkcs11Settings {
  readonly library: string
  readonly tokenLabel: string
}

// The schema above has judged it.
export const readSettings = (settings: JsonObject): Pkcs11Settings =>
  settings as unknown as Pkcs11Settings

export const refSchema = Type.Object(
  {
    // `#` is between a label and the id of a version that is not the current one.
    label: Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: '^[^#\\u0000-\\u001f\\u007f]+$',
      description: 'CKA_LABEL under which applications find the key; no #.',
      examples: ['orders-signing'],
    }),
    suspend: Type.Optional(
      Type.Boolean({
        description:
          'false where the token does not change what a key may be used for: an old version is then only destroyed, never switched off before.',
      }),
    ),
  },
  { additionalProperties: false },
)

// The schema above has judged it.
export const labelOf = (ref: JsonObject): string => (ref as { readonly label: string }).label

export const generateSchema = Type.Object(
  {
    algorithm: Type.Optional(
      Type.Enum([...algorithms], {
        description: 'That of the present version, unless told; aes256 for a key that is created.',
      }),
    ),
  },
  { additionalProperties: false },
)
