import { type Static, Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import type { KeyType } from '#domain/provider.ts'
import { readSettings } from './settings.ts'

/** As JWS names them (RFC 7518, RFC 8037). Symmetric ones and `none` are not among them: a verifier could sign. */
export const algorithms = ['ES256', 'EdDSA', 'RS256', 'PS256'] as const
export type Algorithm = (typeof algorithms)[number]

const refSchema = Type.Object(
  {
    audiences: Type.Array(Type.String({ minLength: 1, maxLength: 512 }), {
      description: 'Who its tokens are for: no token names another `aud`.',
      minItems: 1,
      maxItems: 50,
      uniqueItems: true,
      examples: [['https://orders.example.com']],
    }),
  },
  { additionalProperties: false },
)

/** `ref` passed the schema. */
export const audiencesOf = (ref: JsonObject): readonly string[] =>
  (ref as Static<typeof refSchema>).audiences

export const jwksSigning: KeyType = {
  type: 'jwks.signing',
  title: 'A key that signs tokens, published in the set of its issuer',
  traits: {
    slot: 'multi',
    staging: 'native',
    undo: 'pointer',
    authority: 'self',
    revokes: 'version',
    suspend: true,
    exactlyOnce: 'chosenId',
    attribution: 'exact',
    usage: { source: 'Rekey itself, which signs every token', lagMs: 0 },
    lateEffectMs: 0,
    consistency: { delayMs: 0, confirmations: 1 },
    limits: {},
    deliver: false,
    material: 'provider',
    publishTarget: false,
    publishable: false,
    // A token of a version that no longer signs is taken like any other: both are the same use.
    verifies: ['roundTrip', 'oldDataReadable'],
    operations: ['sign'],
  },
  refSchema,
  generateSchema: Type.Object(
    {
      algorithm: Type.Optional(
        Type.Union(
          algorithms.map((name) => Type.Literal(name)),
          { description: 'ES256 unless told.' },
        ),
      ),
    },
    { additionalProperties: false },
  ),
  objectId: ({ keyName }) => `jwks:${keyName}`,
  incident: {
    cachedForMs: (settings) => readSettings(settings).cachedForMs,
    truth: ['Every token that it signed is refused by whoever fetches the set anew.'],
  },
  leastPrivilege: () => ({}),
}

export const isAlgorithm = (name: unknown): name is Algorithm =>
  algorithms.some((algorithm) => algorithm === name)
