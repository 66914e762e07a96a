// Before a version becomes the primary of a key it is used once for real (I3: no unverified primary), and its material is
// fingerprinted where it can be read, so that the same material under two keys is found.

import { RekeyError } from '#domain/errors.ts'
import type { Fingerprint } from '#domain/fingerprint.ts'
import type { Clock, Tx } from '#domain/ports.ts'
import {
  type Material,
  type ObjectAddress,
  ProviderError,
  type Session,
  type VerifyHow,
} from '#domain/provider.ts'

export const callMs = 15_000

export interface Proof {
  /** False where the type has no way to try a version. */
  readonly verified: boolean
  /** Null where the provider does not give it away. */
  readonly material: Material | null
}

export const proveVersion = async (
  session: Session,
  clock: Clock,
  object: ObjectAddress,
  providerVersion: string,
  /** What Rekey holds of it, for providers that give nothing back. */
  held: Material | null = null,
): Promise<Proof> => {
  const call = () => ({ signal: clock.deadline(callMs) })
  const { preImage } = await session.prepare(object, providerVersion, call())
  const material = await readable(() => session.readMaterial(object, providerVersion, call()))
  for (const how of ['roundTrip', 'login'] as const satisfies readonly VerifyHow[]) {
    // oxlint-disable-next-line no-await-in-loop -- the second only where the first is not there
    const verdict = await unlessUnsupported(() =>
      session.verify(
        { object, providerVersion, material: material ?? held, how, preImage },
        call(),
      ),
    )
    if (verdict === null) continue
    if (verdict.ok) return { verified: true, material }
    throw new RekeyError('provider.rejected', {
      detail: `The version ${providerVersion} does not work: ${verdict.detail}.`,
    })
  }
  return { verified: false, material }
}

const unlessUnsupported = async <T>(work: () => Promise<T>): Promise<T | null> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'unsupported') return null
    throw error
  }
}

/** Material that may not be read is no fault: most types keep it, and the least rights may not allow it. */
export const readable = async (work: () => Promise<Material>): Promise<Material | null> => {
  try {
    return await work()
  } catch (error) {
    const kept = ['unsupported', 'forbidden', 'disabled', 'notFound']
    if (error instanceof ProviderError && kept.includes(error.kind)) return null
    throw error
  }
}

export const fingerprintOf = (tx: Tx, material: Material | null): Fingerprint | null =>
  material && tx.fingerprint(material)
