// Shapes that many routes share.

import { Type, type TProperties, type TSchema } from 'typebox'
import { nameSchema } from '#domain/names.ts'

/** An object that refuses what it does not know. */
export const strict = <T extends TProperties>(
  properties: T,
  options: {
    readonly $id?: string
    readonly description?: string
    readonly minProperties?: number
    readonly examples?: readonly unknown[]
  } = {},
) => Type.Object(properties, { additionalProperties: false, ...options })

export const nameParams = strict({ name: nameSchema })

export const idSchema = Type.String({ format: 'uuid', description: 'an id that Rekey gave' })
export const idParams = strict({ id: idSchema })

/** The number of a version that a caller names: a column of 32 bits. */
export const versionNumberSchema = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })

/** A moment in a reply: RFC 3339, UTC. */
export const momentSchema = Type.String({ format: 'date-time' })
export const nullable = <T extends TSchema>(
  schema: T,
  options: { readonly examples?: readonly unknown[] } = {},
) => Type.Union([schema, Type.Null()], options)

export const listOf = <T extends TSchema>(item: T) =>
  strict({
    items: Type.Array(item),
    nextCursor: nullable(Type.String({ description: 'the next page; null on the last one' })),
  })

/** Proof that a record was promised: keep it, and check it later against the audit log. */
export const receiptSchema = strict(
  {
    eventId: Type.String(),
    leafHash: Type.String({ description: 'SHA-256 of the record as a leaf of the log, hex' }),
    writerKid: Type.String(),
    writerSig: Type.String({ description: 'Ed25519 over the leaf hash, base64' }),
  },
  { $id: 'Receipt' },
)
