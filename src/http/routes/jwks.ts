// The set of an issuer's public keys (RFC 7517), for everybody who verifies its tokens.

import { Type } from 'typebox'
import { nameSchema } from '#domain/names.ts'
import { type PublishedKeysDeps, publishedKeys } from '#usecases/published-keys.ts'
import { publicRoute, type Route } from '../route.ts'
import { strict } from '../schemas.ts'

export const jwksRoutes = (deps: Omit<PublishedKeysDeps, 'ledger'>): readonly Route[] => [
  publicRoute({
    public: true,
    method: 'GET',
    path: '/jwks/{connection}',
    operationId: 'getJwks',
    tag: 'documents',
    summary: 'The public keys that tokens of an issuer are verified with',
    description:
      'A JSON Web Key Set of every version that signs, will sign or has signed lately. `Cache-Control` says how long it may be kept: a new key signs only after that.',
    params: strict({ connection: nameSchema }),
    replies: {
      200: strict(
        {
          keys: Type.Array(
            Type.Object(
              {},
              {
                additionalProperties: Type.String(),
                examples: [
                  {
                    kty: 'OKP',
                    crv: 'Ed25519',
                    x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
                    kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
                    alg: 'EdDSA',
                    use: 'sig',
                  },
                ],
              },
            ),
          ),
        },
        { $id: 'JsonWebKeySet' },
      ),
    },
    examples: [{ params: { connection: 'id-prod' } }],
    errors: ['provider.unavailable'],
    handler: async ({ ledger, params }) => {
      const { keys, maxAgeMs } = await publishedKeys({ ...deps, ledger })(params.connection)
      return {
        status: 200,
        headers: { 'Cache-Control': `public, max-age=${Math.floor(maxAgeMs / 1000)}` },
        body: { keys: [...keys] },
      }
    },
  }),
]
