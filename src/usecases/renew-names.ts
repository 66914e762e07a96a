// Fingerprints and names of values that an old pepper made are made anew when the values are seen: a look at a key reads what its
// object holds, and what stands sealed can be opened. Name and fingerprint move together, in one guarded write under the key's
// lock, while no rotation and no incident works on it, or has shown it: whoever compares names then reads them anew as well.
//
// A name is only replaced where the very value makes it, under the object by which the provider has just named it. What cannot be
// shown so stays as it is, and holds its pepper.

import { pepperOf } from '#domain/fingerprint.ts'
import type { Version } from '#domain/key.ts'
import type { Keyring, Tx } from '#domain/ports.ts'
import type { Material } from '#domain/provider.ts'
import { namesOfValue, pepperOfName } from '#domain/value-name.ts'

export type RenewKeyring = Pick<Keyring, 'fingerprints' | 'isFingerprintOf' | 'pepper'>

/** What a look has seen. */
export interface SeenValue {
  /** Of the primary version; null where the provider does not give it away. */
  readonly material: Material | null
  /** Objects by which the provider named values. */
  readonly namedBy: readonly string[]
}

/** Whether something of it is of another pepper than the present one, and its value is here. What has ended stays as it is. */
export const isOfBefore = (
  keyring: Pick<Keyring, 'pepper'>,
  { fingerprint, providerVersions, primary, sealedId }: Version,
  { material, namedBy }: SeenValue,
): boolean =>
  ((primary && material !== null) || sealedId !== null) &&
  ((fingerprint !== null && pepperOf(fingerprint) !== keyring.pepper) ||
    (namedBy.length > 0 && providerVersions.some((name) => isOldName(keyring, name))))

const isOldName = ({ pepper }: Pick<Keyring, 'pepper'>, name: string): boolean => {
  const number = pepperOfName(name)
  return number !== null && number !== pepper
}

/** An incident is executed as it was shown, with the names that were shown: until its preview has expired they stay. */
export const isShown = async (tx: Tx): Promise<boolean> => {
  const now = await tx.now()
  const states = ['previewed', 'awaitingApproval'] as const
  const { items } = await tx.incidents.list(states, { limit: 1_000, after: null })
  return items.some(({ preview }) => preview !== null && new Date(preview.expiresAt) > now)
}

/** The numbers of the versions that were renewed. */
export const renewNames = async (
  tx: Tx,
  keyring: RenewKeyring,
  versions: readonly Version[],
  seen: SeenValue,
): Promise<readonly number[]> => {
  const renewed: number[] = []
  for (const version of versions.filter((one) => isOfBefore(keyring, one, seen))) {
    // oxlint-disable no-await-in-loop -- one connection
    const material = await materialOf(tx, version, seen)
    const next = material && renewedRow(tx, keyring, version, { material, namedBy: seen.namedBy })
    if (next && (await tx.writeVersion.update(next, version.state))) renewed.push(version.version)
    // oxlint-enable no-await-in-loop
  }
  return renewed
}

/** What cannot be opened is told by `rekey doctor`, and held up by nothing here. */
const materialOf = async (
  tx: Tx,
  { sealedId, primary }: Version,
  { material }: SeenValue,
): Promise<Material | null> => {
  if (primary && material) return material
  if (sealedId === null) return null
  return tx.sealed.open(sealedId).catch(() => null)
}

const renewedRow = (
  tx: Tx,
  keyring: RenewKeyring,
  version: Version,
  { material, namedBy }: { readonly material: Material; readonly namedBy: readonly string[] },
): Version | null => {
  const { fingerprint, providerVersions } = version
  if (fingerprint && !keyring.isFingerprintOf(fingerprint, material)) return null
  const named = namedBy.map((object) => namesOfValue(keyring, object, material))
  const names = providerVersions.map((name) =>
    namedBy.length === 0 || !isOldName(keyring, name)
      ? name
      : (named.find((all) => all.includes(name))?.[0] ?? null),
  )
  if (names.includes(null)) return null
  return {
    ...version,
    fingerprint: fingerprint && tx.fingerprint(material),
    providerVersions: [...new Set(names.filter((name) => name !== null))],
  }
}
