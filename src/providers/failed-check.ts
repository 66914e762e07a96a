import { type Check, ProviderError } from '#domain/provider.ts'

/** A look that the system refused, as a row among the checks. What is no failure of a provider's is thrown on. */
export const failedCheck = (name: string, error: unknown): Check => {
  if (!(error instanceof ProviderError)) throw error
  return {
    name,
    outcome: 'missing',
    detail: error.message,
    ...(error.hint === null ? {} : { hint: error.hint }),
  }
}
