// What is stored of a token. Its 178 random bits need no slow hash, and a plain one can be looked up by an index.

import { createHash } from 'node:crypto'

export const sha256 = (text: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(text, 'utf8').digest())
