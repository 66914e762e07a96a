// What consumers do with keys: read a value, sign, encrypt, decrypt.

import { Type } from 'typebox'
import type { CryptoOperation } from '#domain/provider.ts'
import { operateKey, readValue } from '#usecases/use-key.ts'
import { type Route, route } from '../../route.ts'
import { nameParams, strict, versionNumberSchema } from '../../schemas.ts'
import { base64Schema, shownValue } from '../encoding.ts'
import { atProvider, type KeyRoutesDeps } from './common.ts'

export const useRoutes = (deps: KeyRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/keys/{name}/value',
    operationId: 'readValue',
    tag: 'keys',
    summary: 'Read the value of a version',
    description:
      'For consumers bound to the key, of types that deliver. Each reading is an audit event.',
    access: ['consumer'],
    secret: true,
    params: nameParams,
    query: strict({ version: Type.Optional(versionNumberSchema) }),
    replies: {
      200: strict({
        version: Type.Integer(),
        value: Type.String(),
        encoding: Type.Optional(
          Type.Literal('base64', { description: 'there when the value is not UTF-8' }),
        ),
      }),
    },
    errors: [...atProvider, 'key.notDeliverable'],
    handler: async ({ ledger, actor, params: { name }, query }) => {
      const { version, value } = await readValue({ ...deps, ledger })(actor, { name, ...query })
      return {
        status: 200,
        body: { version, ...shownValue(value) },
        headers: { 'Cache-Control': 'no-store' },
      }
    },
  }),
  operation(deps, 'signatures', 'sign', 'Sign with a key', 'orders-signing'),
  operation(deps, 'encryptions', 'encrypt', 'Encrypt with a key', 'orders-data'),
  operation(deps, 'decryptions', 'decrypt', 'Decrypt with a key', 'orders-data'),
]

const operation = (
  deps: KeyRoutesDeps,
  path: string,
  what: CryptoOperation,
  summary: string,
  exampleKey: string,
): Route =>
  route({
    method: 'POST',
    path: `/v1/keys/{name}/${path}`,
    operationId: `${what}WithKey`,
    tag: 'keys',
    summary,
    access: ['consumer'],
    secret: true,
    dryRun: false,
    params: nameParams,
    body: strict({
      input: base64Schema(700_000),
      version: Type.Optional(versionNumberSchema),
    }),
    replies: {
      200: strict({ version: Type.Integer(), output: Type.String({ description: 'base64' }) }),
    },
    examples: [{ params: { name: exampleKey }, body: { input: 'b3JkZXIgNDcxMQ==' } }],
    errors: [...atProvider, 'request.impossible'],
    handler: async ({ ledger, actor, params: { name }, body }) => {
      const input = new Uint8Array(Buffer.from(body.input, 'base64'))
      const more = body.version === undefined ? {} : { version: body.version }
      const used = await operateKey({ ...deps, ledger })(actor, {
        name,
        operation: what,
        input,
        ...more,
      })
      return {
        status: 200,
        body: { version: used.version, output: Buffer.from(used.output).toString('base64') },
        headers: { 'Cache-Control': 'no-store' },
      }
    },
  })
