import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { readSettings } from './settings.ts'

const pattern = '^[0-9A-Za-z-]{1,127}$'

export const refSchema = Type.Object(
  {
    name: Type.String({
      description: 'As in Key Vault, without a version.',
      pattern,
    }),
  },
  { additionalProperties: false },
)

const isName = new RegExp(pattern)

/** Throws `permanent` on what would be another object than it says. */
export const nameIn = (ref: JsonObject): string => {
  const { name } = ref
  if (typeof name === 'string' && isName.test(name)) return name
  throw new ProviderError('permanent', 'none', 'the name cannot be one in Key Vault', {
    hint: 'letters of ASCII, digits and hyphens, at most 127; no version',
  })
}

/** `azure.keyvault.secret:https://payments.vault.azure.net/secrets/orders-db`. Key Vault’s names have no case. */
export const objectIdOf = (
  type: string,
  { settings, ref }: { readonly settings: JsonObject; readonly ref: JsonObject },
): string => {
  const { vaultUrl } = readSettings(settings)
  return `${type}:${vaultUrl}/${collectionOf(type)}/${nameIn(ref).toLowerCase()}`
}

/** `secrets`, as addresses of Key Vault have it. */
export const collectionOf = (type: string): string => `${type.split('.').at(-1)}s`
