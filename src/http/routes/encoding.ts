// Bytes in JSON.

import { Type } from 'typebox'
import type { Secret } from '#domain/secret.ts'

/** RFC 4648 §4, with padding, and nothing in the bits that the padding leaves over. */
export const base64Schema = (maxLength: number) =>
  Type.String({
    maxLength,
    pattern:
      '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$',
    contentEncoding: 'base64',
    description: 'base64 with padding',
  })

/** Opened here, where it leaves. Text as text, other bytes as base64. */
export const shownValue = (
  secret: Secret<Uint8Array>,
): { readonly value: string; readonly encoding?: 'base64' } => {
  const bytes = secret.reveal()
  try {
    return { value: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    return { value: Buffer.from(bytes).toString('base64'), encoding: 'base64' }
  }
}
