import { createHash, timingSafeEqual } from 'node:crypto'

export const sha256 = (value: string | Uint8Array): Buffer =>
  createHash('sha256').update(value).digest()

/** In time that does not depend on where they differ. */
export const sameBytes = (a: string | Uint8Array, b: string | Uint8Array): boolean =>
  timingSafeEqual(sha256(a), sha256(b))
