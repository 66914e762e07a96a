// What a caller hears when a provider fails within a request: our code and our sentence, never the provider's text.

import { notAsked } from '#domain/drift.ts'
import { RekeyError, type ErrorCode } from '#domain/errors.ts'
import { type Check, ProviderError, type ProviderErrorKind } from '#domain/provider.ts'
import { isOurDatabase } from './rotation-scene.ts'

const codes = {
  throttled: 'provider.unavailable',
  transient: 'provider.unavailable',
  timeout: 'provider.unavailable',
  outcomeUnknown: 'provider.unavailable',
  auth: 'provider.unauthorized',
  forbidden: 'provider.unauthorized',
  notFound: 'key.noObject',
  conflict: 'provider.rejected',
  disabled: 'key.versionUnusable',
  precondition: 'provider.rejected',
  quota: 'provider.rejected',
  unsupported: 'provider.rejected',
  verifyFailed: 'provider.rejected',
  permanent: 'provider.rejected',
} as const satisfies Record<ProviderErrorKind, ErrorCode>

export const asRekeyError = (error: unknown): RekeyError => {
  if (error instanceof RekeyError) return error
  if (error instanceof ProviderError) {
    return new RekeyError(codes[error.kind], {
      detail: error.message,
      ...(error.hint === null ? {} : { hint: error.hint }),
    })
  }
  // Whatever else a library threw may carry what was sent: it is not passed on.
  return new RekeyError('provider.unavailable', { detail: `${notAsked}.` })
}

/** A failure as the answer, where it was asked whether a connection can be used. That our own database is away is thrown. */
export const asCheck = (
  error: unknown,
  nameOf: (code: ErrorCode) => string = () => 'reachable',
): Check => {
  const failure = asRekeyError(error)
  if (isOurDatabase(failure)) throw failure
  const { code, message, hint } = failure
  return {
    name: nameOf(code),
    outcome: 'missing',
    detail: message,
    ...(hint === undefined ? {} : { hint }),
  }
}

/** Runs a read at a provider and translates its failure. */
export const asking = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    throw asRekeyError(error)
  }
}
