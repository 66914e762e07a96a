// `slot: pair`: two users under one key, in turn. The mint sets the password of the standby over whatever it was. So nobody may
// be on it any more: no version that is active or switched off for the time being (a rotation that was abandoned leaves one),
// and none that somebody else put there (I15). What was retired is gone with the mint, and is destroyed here too.

import { RekeyError } from '#domain/errors.ts'
import type { Version } from '#domain/key.ts'
import type { Tx } from '#domain/ports.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Run } from './rotation-engine.ts'
import type { Scene } from './rotation-scene.ts'
import { advanceVersion } from './version-changes.ts'

interface Occupied {
  readonly detail: string
  readonly hint: string
}

/** Who is on the standby by our records; null: nobody. */
const occupiedBy = (versions: readonly Version[]): Occupied | null => {
  const on = versions.find(
    ({ primary, state }) => !primary && (state === 'active' || state === 'suspended'),
  )
  return on
    ? {
        detail: `version ${on.version} is ${on.state} still, and the new one would take its place`,
        hint: `retire it first: POST /v1/keys/{name}/versions with the provider's version ${on.providerVersions.at(-1)}`,
      }
    : null
}

/** Asked when a rotation is planned: nothing is open then, and it can be retired. */
export const mustBeFree = (versions: readonly Version[]): void => {
  const occupied = occupiedBy(versions)
  if (occupied) throw new RekeyError('request.impossible', occupied)
}

/** The same for the mint itself, in the transaction of its intent. */
export const refusalToMint = (versions: readonly Version[]): ProviderError | null => {
  const occupied = occupiedBy(versions)
  return occupied && new ProviderError('precondition', 'none', occupied.detail, occupied)
}

/** Throws where the provider has an enabled version that Rekey knows nothing of. */
export const mustBeOurs = async (
  run: Pick<Run, 'ledger' | 'clock'>,
  { session, object }: Pick<Scene, 'session' | 'object'>,
): Promise<void> => {
  const versions = await run.ledger.read((db) => db.versions.of(object.keyId))
  const ours = new Set(versions.flatMap(({ providerVersions }) => providerVersions))
  const there = await session.describe(object, { signal: run.clock.deadline(10_000) })
  const strange = there.versions.find(({ id, state }) => state === 'enabled' && !ours.has(id))
  if (!strange) return
  throw new ProviderError(
    'precondition',
    'none',
    `version ${strange.id} at the provider is not Rekey's, and the new one would take its place`,
    { hint: 'remove it there, or abandon the rotation and adopt it' },
  )
}

/** With the outcome of the mint: what was on the half that it is put on is gone; what is off on the other one is not. */
export const overwritten = async (
  tx: Tx,
  { type, object }: Pick<Scene, 'type' | 'object'>,
  minted: string,
  versions: readonly Version[],
): Promise<void> => {
  const halfOf = (id: string | undefined): string | null =>
    id === undefined ? null : (type.halves?.holding(object.ref, id) ?? null)
  const half = halfOf(minted)
  for (const version of versions) {
    if (version.state !== 'deactivated' && version.state !== 'preActivation') continue
    if (halfOf(version.providerVersions.at(-1)) !== half) continue
    // oxlint-disable-next-line no-await-in-loop -- one at most
    if (version.sealedId !== null) await tx.writeSealed.erase(version.sealedId)
    // oxlint-disable-next-line no-await-in-loop -- see above
    await advanceVersion(tx, version, ['destroyed'], { sealedId: null, materialKnown: false })
  }
}
