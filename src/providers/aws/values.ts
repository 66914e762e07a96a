import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { sha256 } from '../digest.ts'

/** AWS takes a signed request for five minutes: what was sent and lost can come to effect so long, and no longer. */
export const lateEffectMs = 5 * 60_000

/** A client token of an operation: always the same for the same one, in the form of a UUID, which every service takes. */
export const tokenOf = (operationId: string): string => {
  const hex = sha256(operationId).toString('hex')
  // Version 8: "custom", by RFC 9562.
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}

export const textIn = (ref: JsonObject, name: string): string => {
  const value = ref[name]
  if (typeof value === 'string' && value !== '') return value
  throw new ProviderError('permanent', 'none', `ref.${name} is missing`)
}

export const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible at AWS`)
