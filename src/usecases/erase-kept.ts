// What a rotation kept sealed for its own undo (what its targets and the old version held, what was read for one write) is
// erased in the transaction that ends it. What a version still names stays: it lives as long as the version needs it. So does
// what an effect holds whose outcome is not known, which only a rotation that was abandoned leaves: it may be the one copy of
// a credential that is in force (I6).

import type { Tx } from '#domain/ports.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'

export const eraseKept = async (tx: Tx, rotation: Rotation): Promise<void> => {
  const kept = (await tx.intents.of(rotation.id)).filter(({ closed }) => closed).flatMap(keptBy)
  if (kept.length === 0) return
  const versions = await tx.versions.of(rotation.keyId)
  const needed = new Set(versions.map(({ sealedId }) => sealedId))
  for (const id of kept) {
    // oxlint-disable-next-line no-await-in-loop -- one connection
    if (!needed.has(id)) await tx.writeSealed.erase(id)
  }
}

const keptBy = ({ preImage, sealedId }: Intent): readonly string[] => [
  ...Object.entries(preImage).flatMap(([name, id]) =>
    name.endsWith('SealedId') && typeof id === 'string' ? [id] : [],
  ),
  ...(sealedId ? [sealedId] : []),
]
