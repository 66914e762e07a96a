// What may be written of a key.

import { Type, type Static } from 'typebox'
import { documentSchema } from './document-schema.ts'
import { field, maybe, strict } from './fields.ts'
import {
  type DeepReadonly,
  freeTextPattern,
  labelsSchema,
  nameSchema,
  typeNameSchema,
} from './names.ts'

const words = (maxLength: number) =>
  Type.String({
    minLength: 1,
    maxLength,
    pattern: freeTextPattern,
    description: 'text without control characters',
  })
const parameters = Type.Record(Type.String(), Type.Unknown())
const names = Type.Array(nameSchema, { maxItems: 200, uniqueItems: true })

const changeable = {
  purpose: field('what it is for, in words', words(500)),
  owner: field('the team that answers for it', words(200)),
  environment: field('where it is used: prod, staging, …', words(63)),
  consumers: maybe('applications that use it, beside those that its policy selects', names, []),
  usableBy: maybe('connections that may log in with it', names, []),
}
const observed = Type.Literal('native')

/** Which object it is: fixed for the life of a key. */
export const keyPlace = {
  connection: field('the account that the object is in', nameSchema),
  type: field('what kind of object it is', typeNameSchema),
  ref: maybe('which object it is, as its type names objects', parameters, {}),
}

/** What may be changed later; over REST `null` is written for what there is none of. */
export const keyFields = {
  ...changeable,
  labels: Type.Optional(labelsSchema),
  observe: Type.Optional(Type.Union([observed, Type.Null()])),
  generate: Type.Optional(Type.Union([parameters, Type.Null()])),
}

const begun = {
  adopt: maybe(
    'the version that is in use, where several are enabled and none is marked',
    Type.String({ minLength: 1, maxLength: 500 }),
  ),
  create: maybe('make the object where it does not exist', Type.Boolean(), false),
}

export const registrationFields = { name: nameSchema, ...keyPlace, ...keyFields, ...begun }

const bodySchema = Type.Object({ ...keyPlace, ...keyFields })
export type KeyBody = DeepReadonly<Static<typeof bodySchema>>
const registrationSchema = Type.Object(registrationFields)
export type Registration = DeepReadonly<Static<typeof registrationSchema>>

export const keyDocumentSchema = documentSchema(
  'Key',
  strict({
    ...keyPlace,
    ...changeable,
    observe: maybe('native: the provider rotates it by itself, and Rekey watches', observed),
    generate: maybe('parameters of new material, as its type takes them', parameters),
    ...begun,
  }),
)
