import type { Material } from '#domain/provider.ts'
import { revealBytes, Secret } from '#domain/secret.ts'

/** 24 hex digits. Drawn from the fingerprint of object and value together: equal values of two objects have two names, and no
 *  name is the fingerprint that the version itself has. */
export const nameOfValue = (
  fingerprint: (material: Material) => Uint8Array,
  object: string,
  value: Material,
): string => {
  const named = Buffer.concat([
    Buffer.from(`rekey-name-v1\n${JSON.stringify(object)}\n`),
    revealBytes(value),
  ])
  // The first byte names the pepper.
  return Buffer.from(fingerprint(new Secret(new Uint8Array(named))).subarray(1, 13)).toString('hex')
}
