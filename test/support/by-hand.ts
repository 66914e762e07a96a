// What people do at a provider beside Rekey.

import type { VaultStore } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'

/** Another version of a secret in the built-in vault; its id there. */
export const makeByHand = async (
  vault: VaultStore,
  keyId: string,
  value: string,
): Promise<string> => {
  const { version } = await vault.insert({
    object: keyId,
    operationId: `by hand: ${value}`,
    algorithm: 'secret',
    material: new Secret(new TextEncoder().encode(value)),
    publicKey: null,
  })
  return String(version)
}
