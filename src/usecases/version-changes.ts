// What becomes of a key's versions, inside the transaction that moves the rotation. Edges: `versionEdges`; the database
// checks them again at every single update, so a walk over two edges is two updates.

import type { JsonObject } from '#domain/json.ts'
import type { Version, VersionState } from '#domain/key.ts'
import type { LedgerEvent, Tx } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { reschedule } from './reschedule.ts'
import { Fenced } from './rotation-engine.ts'

/** Walks a version along its edges; the time of each state is the transaction's. The patch is written in any case, also where
 *  the version is in the last of the states already: a caller that has erased what the row names counts on it. */
export const advanceVersion = async (
  tx: Tx,
  version: Version,
  states: readonly VersionState[],
  patch: Partial<Version> = {},
): Promise<readonly LedgerEvent[]> => {
  const now = await tx.now()
  let row = version
  for (const state of states) {
    if (row.state === state) continue
    const next: Version = {
      ...row,
      ...patch,
      state,
      ...(state === 'active' && row.activatedAt === null ? { activatedAt: now } : {}),
      ...(state === 'suspended' ? { suspendedAt: now } : {}),
      ...(state === 'deactivated' ? { deactivatedAt: now } : {}),
      ...(state === 'destroyed' ? { destroyedAt: now } : {}),
    }
    if (!(await tx.writeVersion.update(next, row.state))) throw new Fenced(version.keyId)
    row = next
  }
  if (row === version && Object.keys(patch).length > 0) await change(tx, { ...version, ...patch })
  return []
}

/** A provider may have made newer versions of itself that hold the same material (`Prepared.preImage.carriers`): they are
 *  part of this version from now on. Writes the event into `events`. */
export const adoptCarriers = async (
  tx: Tx,
  rotation: Rotation,
  version: Version,
  preImage: JsonObject,
  events: LedgerEvent[],
): Promise<Version> => {
  const added = carriersIn(preImage).filter((id) => !version.providerVersions.includes(id))
  if (added.length === 0) return version
  const next = { ...version, providerVersions: [...version.providerVersions, ...added] }
  await change(tx, next)
  events.push({
    action: 'key.versionAdopted',
    target: { id: rotation.keyId, name: rotation.keyName },
    outcome: 'succeeded',
    correlationId: rotation.id,
    reason: 'somebody wrote beside it: these versions hold the same value',
    before: { version: version.version, providerVersions: version.providerVersions },
    after: { version: version.version, providerVersions: next.providerVersions },
  })
  return next
}

export const carriersIn = ({ carriers }: JsonObject): readonly string[] =>
  Array.isArray(carriers) ? carriers.filter((id) => typeof id === 'string') : []

/** New becomes primary, old stays active beside it (`internal`, `single`: nobody accepts it as current any more). */
export const servePrimary = async (tx: Tx, rotation: Rotation): Promise<readonly LedgerEvent[]> => {
  const { fromVersion, toVersion } = rotation
  if (fromVersion !== null) {
    const from = await present(tx, rotation.keyId, fromVersion)
    if (from.primary) await change(tx, { ...from, primary: false })
    if (rotation.plan.traits.slot === 'internal' && from.state !== 'compromised') {
      await advanceVersion(tx, { ...from, primary: false }, ['deactivated'])
    }
    await compromiseOld(tx, rotation)
  }
  if (toVersion !== null) {
    const to = await present(tx, rotation.keyId, toVersion)
    if (to.verifiedAt === null) throw new RangeError('the new version was not verified')
    // What an incident has contained while this was under way is handed out to nobody, whatever its provider says.
    if (mayServe(to)) await advanceVersion(tx, to, ['active'], { primary: true })
  }
  // The primary's activation counts for when the key is due next.
  await reschedule(tx, rotation.keyId)
  return []
}

const mayServe = ({ state }: Version): boolean => state !== 'compromised' && state !== 'destroyed'

/** With `rotateFast` the old versions are compromised with the promotion of the new one: from then on they are contained. */
const compromiseOld = async (tx: Tx, { id, keyId }: Rotation): Promise<void> => {
  const rows = (await tx.incidents.openOfKeys([keyId])).filter(
    ({ mode, rotationId }) => mode === 'rotateFast' && rotationId === id,
  )
  const gone = rows.flatMap(({ plan }) =>
    plan.versions.map(({ version }) => ({ keyId, version, state: 'compromised' as const })),
  )
  if (gone.length > 0) await tx.writeVersion.contain(gone)
}

/** Undo of `servePrimary`: old is handed out again, new stays accepted until its gates open. With one slot old was switched
 *  off by the mint and is active again now that its value was written back. */
export const serveOld = async (tx: Tx, rotation: Rotation): Promise<void> => {
  const { fromVersion, toVersion } = rotation
  if (toVersion !== null) {
    const to = await present(tx, rotation.keyId, toVersion)
    if (to.primary) await change(tx, { ...to, primary: false })
  }
  if (fromVersion !== null) {
    const from = await present(tx, rotation.keyId, fromVersion)
    if (!mayServe(from)) return
    if (from.state === 'suspended') await advanceVersion(tx, from, ['active'], { primary: true })
    else if (!from.primary) await change(tx, { ...from, primary: true })
  }
  // The primary's activation counts for when the key is due next.
  await reschedule(tx, rotation.keyId)
}

/** End of use of the old version, as the policy says. Its sealed material is erased with the proof that it was refused. */
export const retireVersion = async (
  tx: Tx,
  rotation: Rotation,
  version: Version,
): Promise<readonly LedgerEvent[]> => {
  const { retire } = rotation.plan.policy
  const gone = retire === 'destroy' && rotation.plan.traits.slot !== 'single'
  const erased = gone || rotation.plan.traits.authority === 'store'
  if (erased && version.sealedId) await tx.writeSealed.erase(version.sealedId)
  const ended = version.state === 'compromised' ? [] : (['deactivated'] as const)
  return advanceVersion(tx, version, gone ? [...ended, 'destroyed'] : ended, {
    ...(erased ? { sealedId: null } : {}),
    ...(gone ? { materialKnown: false } : {}),
  })
}

/** The new version is removed by undo: minted but never active, or active and passed by its gates. */
export const removeVersion = async (tx: Tx, version: Version): Promise<void> => {
  if (version.sealedId) await tx.writeSealed.erase(version.sealedId)
  await advanceVersion(
    tx,
    version,
    version.state === 'preActivation' || version.state === 'compromised'
      ? ['destroyed']
      : ['deactivated', 'destroyed'],
    { primary: false, sealedId: null, materialKnown: false },
  )
}

const change = async (tx: Tx, version: Version): Promise<void> => {
  if (!(await tx.writeVersion.update(version, version.state))) throw new Fenced(version.keyId)
}

/** As the transaction sees it. */
export const present = async (tx: Tx, keyId: string, number: number): Promise<Version> => {
  const version = await tx.versions.get(keyId, number)
  if (!version) throw new RangeError(`version ${number} of ${keyId} is not there`)
  return version
}
