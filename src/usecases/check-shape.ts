// Parts of a body whose schema is known only at run time: a provider's settings, a type's ref and generate.

import type { TSchema } from 'typebox'
import { Errors } from 'typebox/value'
import { RekeyError, type ErrorPlace } from '#domain/errors.ts'

/** Throws 400 with a pointer to each fault. The value itself is never repeated: it may be a secret. */
export const checkShape = (schema: TSchema, value: unknown, pointer: string): void => {
  const places = shapeFaults(schema, value, pointer)
  if (places.length > 0) {
    throw new RekeyError('request.invalid', {
      detail: `${pointer.slice(1)} is malformed.`,
      errors: places,
    })
  }
}

export const shapeFaults = (
  schema: TSchema,
  value: unknown,
  pointer: string,
): readonly ErrorPlace[] =>
  Errors(schema, value).flatMap(({ keyword, instancePath, params, message }) => {
    const at = `${pointer}${instancePath}`
    // An unknown member is reported twice: by the schema `false` that it meets, and by its parent. The first has the pointer.
    if (keyword === 'boolean') return [{ pointer: at, detail: 'there is no such field' }]
    if (keyword === 'additionalProperties' || keyword === 'unevaluatedProperties') return []
    const missing = 'requiredProperties' in params ? params.requiredProperties : null
    if (Array.isArray(missing)) {
      return missing.map((name) => ({ pointer: `${at}/${String(name)}`, detail: 'is required' }))
    }
    return [{ pointer: at, detail: message }]
  })
