// What may be written of a connection: over REST with its credential, in a file without: a file is read by many, so what it
// may hold is where a credential comes from, never the credential.

import { Type, type Static } from 'typebox'
import { documentSchema } from './document-schema.ts'
import { field, maybe, strict } from './fields.ts'
import { type DeepReadonly, labelsSchema, matchLabelsSchema, nameSchema } from './names.ts'

const text = (maxLength: number) => Type.String({ minLength: 1, maxLength })

const credentialSchema = Type.Union([
  strict({ from: Type.Literal('none') }),
  strict({ from: Type.Literal('default') }),
  strict({ from: Type.Literal('env'), name: text(100) }),
  strict({ from: Type.Literal('file'), path: text(1000) }),
  strict({ from: Type.Literal('key'), key: nameSchema }),
  strict({
    from: Type.Literal('value'),
    value: Type.Optional(Type.Union([text(64_000), Type.Record(Type.String(), Type.Unknown())])),
  }),
])

const grantSchema = strict({
  matchLabels: field('keys with these labels', matchLabelsSchema),
  refs: field(
    'may use objects whose id matches one of these; * stands for any text',
    Type.Array(text(1000), { minItems: 1, maxItems: 100 }),
  ),
})

const placed = {
  provider: field('the kind of system that it connects to', text(63)),
  settings: maybe(
    'address and manner of login, as the provider asks for them; GET /v1/providers has their schema',
    Type.Record(Type.String(), Type.Unknown()),
    {},
  ),
  grants: maybe(
    'which keys may use which objects; without one, only those that an admin registers, and no policy publishes here',
    Type.Array(grantSchema, { maxItems: 200 }),
    [],
  ),
}

/** The body over REST, beside its name. */
export const connectionFields = {
  ...placed,
  credential: Type.Optional(credentialSchema),
  labels: Type.Optional(labelsSchema),
}
const bodySchema = Type.Object(connectionFields)
export type ConnectionBody = DeepReadonly<Static<typeof bodySchema>>

/** Flat, since a union of shapes would answer one mistake with an error for each of them; document-rules.ts has the rest. */
const credentialInFile = strict({
  from: field(
    'where the credential comes from',
    Type.Enum(['none', 'default', 'env', 'file', 'key']),
  ),
  name: maybe('of `env`: a variable REKEY_CREDENTIAL_… of the server', text(100)),
  path: maybe('of `file`: a path below REKEY_CREDENTIALS_DIR of the server', text(1000)),
  key: maybe('of `key`: a key of Rekey whose `usableBy` names this connection', nameSchema),
})

export const connectionDocumentSchema = documentSchema(
  'Connection',
  strict({
    ...placed,
    credential: maybe(
      'where the credential comes from; left out, one that was sent over REST stays',
      credentialInFile,
    ),
  }),
)
export type ConnectionDocument = DeepReadonly<Static<typeof connectionDocumentSchema>>
