import { ProviderError } from '#domain/provider.ts'
import { sha256 } from '../digest.ts'

export const digestOf = (values: readonly string[]): string =>
  sha256(JSON.stringify(values.toSorted())).toString('base64url')

export const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible in Key Vault`)
