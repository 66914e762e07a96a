// What may be written of a consumer: over REST with the secret of its webhook, in a file without.

import { Type, type Static } from 'typebox'
import { documentSchema } from './document-schema.ts'
import { field, maybe, strict } from './fields.ts'
import { type DeepReadonly, freeTextPattern, labelsSchema, nameSchema } from './names.ts'
import { signingSecretSchema } from './signing-secret.ts'

const said = {
  owner: field(
    'the team that answers for it',
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: freeTextPattern,
      description: 'text without control characters',
    }),
  ),
  keys: maybe(
    'keys that it uses, beside those whose policy selects it by its labels',
    Type.Array(nameSchema, { maxItems: 500, uniqueItems: true }),
    [],
  ),
}
const webhook = field(
  'called when a new version is handed out; an answer of {"acknowledged": <the version>} acknowledges it',
  Type.String({ maxLength: 2000 }),
)

/** The body over REST, beside its name. */
export const consumerFields = {
  ...said,
  labels: Type.Optional(labelsSchema),
  reload: Type.Optional(
    Type.Union([strict({ webhook, secret: Type.Optional(signingSecretSchema) }), Type.Null()]),
  ),
}
const bodySchema = Type.Object(consumerFields)
export type ConsumerBody = DeepReadonly<Static<typeof bodySchema>>

export const consumerDocumentSchema = documentSchema(
  'Consumer',
  strict({
    ...said,
    reload: maybe(
      'how it is told to reload; the secret that signs the call is sent once over REST, and stays',
      strict({ webhook }),
    ),
  }),
)
