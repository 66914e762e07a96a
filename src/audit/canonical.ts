// The exact bytes of an event: RFC 8785 (JCS). They are what is signed, hashed and put into the tree; nobody serialises them again.

import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { AuditBody } from '#domain/audit.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Json } from '#domain/json.ts'

/** The database refuses more; entries of the log end at 65,535. */
export const maxBodyBytes = 32_768

/** Canonical text of `body`. Oversized `before` and `after` are replaced by their digest and length; an event is never dropped. */
export const canonicalBody = (body: AuditBody): string => {
  const text = canonical(body)
  if (Buffer.byteLength(text) <= maxBodyBytes) return text
  const shorter = canonical({ ...body, before: digestOf(body.before), after: digestOf(body.after) })
  if (Buffer.byteLength(shorter) <= maxBodyBytes) return shorter
  throw new RekeyError('request.tooLarge', {
    detail: 'The reason or a name is too long for an audit record',
  })
}

/** SHA-256(0x00 ‖ body): the leaf of RFC 6962 §2.1. The database computes the same. */
export const leafHash = (body: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(Buffer.of(0)).update(body, 'utf8').digest())

const canonical = (body: AuditBody): string => {
  let text: string | undefined
  try {
    text = canonicalize(body)
  } catch (cause) {
    throw unwritable(cause)
  }
  // PostgreSQL's jsonb cannot hold NUL, in which form ever it is written.
  if (text === undefined || text.includes('\\u0000')) throw unwritable(undefined)
  return text
}

const unwritable = (cause: unknown): RekeyError =>
  new RekeyError('request.invalid', {
    detail: 'A text holds a NUL character or half a surrogate pair, which no audit record can hold',
    cause,
  })

const digestOf = (value: Json): Json => {
  if (value === null) return null
  const text = canonicalize(value) ?? ''
  return {
    omitted: 'too large',
    bytes: Buffer.byteLength(text),
    sha256: createHash('sha256').update(text, 'utf8').digest('hex'),
  }
}
