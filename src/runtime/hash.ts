// One hash for plans, previews and requests: SHA-256 over the RFC 8785 form, so that key order and spacing do not matter.

import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { HashJson } from '#domain/ports.ts'

export const hashJson: HashJson = (value) => {
  const text = canonicalize(value)
  if (text === undefined) throw new TypeError('the value cannot be written as JSON')
  return createHash('sha256').update(text, 'utf8').digest('hex')
}
