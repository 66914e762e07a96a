// Limits every role to keys with these labels and to the connections named.

import { Type } from 'typebox'
import { matchLabelsSchema, nameSchema } from './names.ts'

export const scopeSchema = Type.Object(
  {
    matchLabels: Type.Optional(matchLabelsSchema),
    connections: Type.Optional(
      Type.Array(nameSchema, { minItems: 1, maxItems: 100, uniqueItems: true }),
    ),
  },
  { additionalProperties: false, minProperties: 1 },
)
