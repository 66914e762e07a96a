import { ProviderError } from '#domain/provider.ts'

/** A provider version of ours as Vault's number. */
export const versionNumber = (version: string): number => {
  if (!/^[1-9]\d{0,14}$/.test(version))
    throw new ProviderError('permanent', 'none', 'a version of Vault is a whole number from 1')
  return Number(version)
}
