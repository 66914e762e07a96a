import { createHash, timingSafeEqual } from 'node:crypto'
import { ProviderError } from '#domain/provider.ts'

const sha256 = (value: string): Buffer => createHash('sha256').update(value).digest()

/** In time that does not depend on where they differ. */
export const sameText = (a: string, b: string): boolean => timingSafeEqual(sha256(a), sha256(b))

export const digestOf = (values: readonly string[]): string =>
  sha256(JSON.stringify(values.toSorted())).toString('base64url')

export const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible in Key Vault`)
