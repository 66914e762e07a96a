// What a connection of signing keys says about its issuer, and about those who verify its tokens.

import { type Static, Type } from 'typebox'
import { durationPattern, isDuration, parseDuration } from '#domain/duration.ts'
import type { JsonObject } from '#domain/json.ts'

const day = 86_400_000

const duration = (description: string, example: string, leastMs = 0) =>
  Type.Optional(
    Type.Refine(
      Type.String({ description, pattern: durationPattern, examples: [example] }),
      (value) => !isDuration(value) || parseDuration(value) >= leastMs,
      () => 'is at least 1s',
    ),
  )

const url = (description: string, example: string) =>
  Type.String({
    description,
    // No user and no fragment; a query would be lost in what verifiers compare.
    pattern: '^https?://[^\\s/?#@]+(/[^\\s?#]*)?$',
    maxLength: 2048,
    examples: [example],
  })

export const settingsSchema = Type.Object(
  {
    issuer: url(
      'The `iss` of every token, exactly as verifiers compare it.',
      'https://id.example.com',
    ),
    cacheMaxAge: duration(
      'What the set says to caches (Cache-Control: max-age). 10m unless told.',
      '10m',
    ),
    cachedFor: duration(
      'The longest that any verifier, proxy or CDN really keeps a set, where that is longer than they are told. A new key signs only after it.',
      '1h',
    ),
    tokenLifetime: duration(
      'The longest life of a token. A key that no longer signs stays published for it. 1h unless told.',
      '1h',
      1_000,
    ),
    notAfter: duration(
      'The longest life of a version. After it the version neither signs nor is published, whatever else happens. 400d unless told.',
      '400d',
      1_000,
    ),
    publicUrl: Type.Optional(
      url(
        'Where verifiers fetch the set, if not from Rekey itself. It must show a new key before that key signs, and what it says to caches is waited for.',
        'https://id.example.com/.well-known/jwks.json',
      ),
    ),
    insecure: Type.Optional(
      Type.Boolean({ description: 'Plain http for `publicUrl` beyond loopback.' }),
    ),
  },
  { additionalProperties: false },
)

export interface JwksSettings {
  readonly issuer: string
  readonly cacheMaxAgeMs: number
  /** The longest that a set is kept anywhere, as far as people know. */
  readonly cachedForMs: number
  readonly tokenLifetimeMs: number
  readonly notAfterMs: number
  readonly publicUrl: string | null
}

/** `settings` passed the schema. */
export const readSettings = (settings: JsonObject): JwksSettings => {
  const said = settings as Static<typeof settingsSchema>
  const ms = (text: string | undefined, otherwise: number): number =>
    text === undefined ? otherwise : parseDuration(text)
  const cacheMaxAgeMs = ms(said.cacheMaxAge, 600_000)
  return {
    issuer: said.issuer,
    cacheMaxAgeMs,
    cachedForMs: Math.max(cacheMaxAgeMs, ms(said.cachedFor, 0)),
    tokenLifetimeMs: ms(said.tokenLifetime, 3_600_000),
    notAfterMs: ms(said.notAfter, 400 * day),
    publicUrl: said.publicUrl ?? null,
  }
}

/** How far the clocks of signer and verifiers may be apart. */
export const skewMs = 60_000
