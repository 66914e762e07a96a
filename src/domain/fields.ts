// Fields that say what they are. `title` is the sentence that `rekey explain` and editors show, `default` what holds where the
// field is left out; `description` is the form of a value, as errors name it.

import { Type, type TProperties, type TSchema } from 'typebox'

export const strict = <T extends TProperties>(properties: T) =>
  Type.Object(properties, { additionalProperties: false })

/** A field that is required. */
export const field = <T extends TSchema>(title: string, schema: T) => Type.With(schema, { title })

/** A field that may be left out, with the value that then holds where there is one. */
export const maybe = <T extends TSchema>(title: string, schema: T, whenAbsent?: unknown) =>
  Type.Optional(
    Type.With(schema, whenAbsent === undefined ? { title } : { title, default: whenAbsent }),
  )
