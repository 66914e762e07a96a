// What serves instead: a version outside of the set that is there already, that of a rotation which was under way, or a new one,
// made by a rotation that waits for no window, group, overlap or soak. One transaction a key, with the key held: a crash leaves
// it all or nothing, and there is one open rotation a key whatever happens.
//
// The rotation goes its own way (advance-rotation.ts), and rings for its key when it promotes and when it ends; a ring that is
// lost costs a minute. With `rotateFast` nothing is revoked before it has promoted, nor if it never does.

import { systemActor } from '#domain/actor.ts'
import { isSettled } from '#domain/contain-key.ts'
import { isRekeyError } from '#domain/errors.ts'
import type { IncidentKey, VersionEvidence } from '#domain/incident.ts'
import type { Version } from '#domain/key.ts'
import type { Ids, IncidentTimerPatch, Ledger, LedgerEvent, Outcome, Tx } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { afterStep, type Case, keyWith } from './contained-cases.ts'
import { keyEvent } from './containment-events.ts'
import { openRotation, type PlanDeps, planRotation } from './plan-rotation.ts'
import { raiseEpoch } from './record-containment.ts'
import { reschedule } from './reschedule.ts'
import { transitionEvent, write } from './rotation-engine.ts'

/** False: there is nothing to write down, and the lease is held still. */
export type ReplaceKey = (
  found: Case,
  next: (after: Case) => IncidentTimerPatch,
) => Promise<boolean>

interface ReplaceDeps extends PlanDeps {
  readonly ledger: Ledger
  readonly ids: Ids
}

/** What is decided in the transaction. */
interface Decision {
  readonly key: Partial<IncidentKey>
  /** Versions that nothing ends any more. */
  readonly failed?: string
  readonly events?: readonly LedgerEvent[]
  readonly wake?: readonly string[]
}

class NothingNew extends Error {}

export const makeReplaceKey =
  (deps: ReplaceDeps, instance: string): ReplaceKey =>
  async (found, next) => {
    const { replacement } = found.key
    if (replacement !== 'pending' && replacement !== 'running') return false
    try {
      await deps.ledger.commit(systemActor('worker', instance), (tx) =>
        replaceIn(deps, tx, found, next),
      )
      return true
    } catch (error) {
      if (error instanceof NothingNew) return false
      throw error
    }
  }

const replaceIn = async (
  deps: ReplaceDeps,
  tx: Tx,
  found: Case,
  next: (after: Case) => IncidentTimerPatch,
): Promise<Outcome<null>> => {
  const { lease } = found
  await tx.holdKeys([found.key.keyId])
  if ((await tx.writeIncident.hold([lease])).length === 0) throw new NothingNew()
  const decided = await decide(deps, tx, found)
  if (!decided) throw new NothingNew()
  const now = await tx.now()
  const evidence = found.evidence.flatMap((one): readonly VersionEvidence[] =>
    decided.failed === undefined || isSettled(one)
      ? []
      : [{ ...one, state: 'failed', detail: decided.failed }],
  )
  const key = keyWith(found, evidence, now, decided.key)
  const after = afterStep(found, { key, evidence })
  await tx.writeIncident.putKeys([key])
  if (evidence.length > 0) await tx.writeIncident.putVersions(evidence)
  await tx.writeIncident.release([{ ...lease, ...next(after) }])
  return {
    value: null,
    audit: [keyEvent(key, evidence), ...(decided.events ?? [])],
    wake: decided.wake ?? [],
  }
}

/** Null: what is waited for has not come. */
const decide = async (deps: ReplaceDeps, tx: Tx, found: Case): Promise<Decision | null> => {
  const { keyId, plan, rotationId, replacement } = found.key
  const versions = await tx.versions.of(keyId)
  const isOutside = ({ version }: Version): boolean =>
    !plan.versions.some((one) => one.version === version)
  const serving = versions.find((version) => version.primary && isOutside(version))
  if (serving) {
    const detail = `version ${serving.version} serves`
    return { key: { replacement: 'done', detail } }
  }
  const open = await tx.rotations.openOf(keyId)
  if (open && replacement === 'running' && open.id === rotationId) return null
  if (open) return join(tx, found, open, versions)
  if (rotationId !== null && replacement === 'running') {
    const ended = await tx.rotations.get(rotationId)
    // What a routine rotation left undone a new one does.
    if (ended?.trigger === 'incident') return unreplaced(found, `its rotation ended ${ended.phase}`)
  }
  const other = versions.findLast(
    (version) => version.state === 'active' && version.verifiedAt !== null && isOutside(version),
  )
  if (other && found.type.traits.staging !== 'native') {
    await tx.writeVersion.update({ ...other, primary: true }, 'active')
    await reschedule(tx, keyId)
    return { key: { replacement: 'done', detail: `version ${other.version} serves` } }
  }
  return start(deps, tx, found, versions.find((version) => version.primary) ?? null)
}

/** There is one open rotation a key: it is taken over (overtaken-rotation.ts). With `rotateFast` nothing is compromised yet, and
 *  one that has made nothing is put aside. A new version that has leaked and that only the next value ends was not compromised
 *  by what was sent, since nothing was: it is here, or its rotation would go on to hand it out. */
const join = async (
  tx: Tx,
  found: Case,
  open: Rotation,
  versions: readonly Version[],
): Promise<Decision> => {
  const made = versions.find(({ version }) => version === open.toVersion)
  const isLeaked = found.key.plan.versions.some(({ version }) => version === made?.version)
  if (
    made &&
    isLeaked &&
    made.state !== 'compromised' &&
    (!made.primary || found.incident.mode === 'revokeFirst')
  ) {
    const events = await raiseEpoch(tx, open.id, found.key)
    const { keyId, version } = made
    await tx.writeVersion.contain([{ keyId, version, state: 'compromised' }])
    return { key: { replacement: 'running', rotationId: open.id }, events, wake: [open.id] }
  }
  const nothingMade = ['planned', 'awaitingApproval', 'preflight'].includes(open.phase)
  if (found.incident.mode !== 'rotateFast' || !nothingMade) {
    // It may wait for a day: now it sees who waits for it.
    await tx.writeTimer.set(open.id, { dueNow: true })
    return { key: { replacement: 'running', rotationId: open.id }, wake: [open.id] }
  }
  const reason = `put aside for incident ${found.incident.id}`
  const ended = await write(tx, open, { phase: 'cancelled', patch: { epoch: open.epoch + 1 } })
  await tx.writeTimer.set(open.id, { dueAt: null })
  return {
    key: { replacement: 'pending' },
    events: [transitionEvent(open, ended, reason)],
  }
}

const start = async (
  deps: ReplaceDeps,
  tx: Tx,
  found: Case,
  from: Version | null,
): Promise<Decision> => {
  const { incident, key: row } = found
  const key = await tx.keys.byId(row.keyId)
  if (!key || key.deletedAt) return unreplaced(found, 'the key was deleted')
  try {
    const rotation = await planRotation(
      deps,
      tx,
      {
        key,
        policy: key.policy === null ? null : await tx.policies.get(key.policy),
        from,
        trigger: 'incident',
        reason: `incident ${incident.id}: ${incident.title}`,
        requester: incident.execution?.by ?? incident.openedBy,
        occurrence: null,
        nominal: null,
      },
      deps.ids.next(),
      await tx.now(),
    )
    const planned = await openRotation(tx, rotation)
    return {
      key: { replacement: 'running', rotationId: rotation.id, detail: null },
      events: [planned],
      wake: [rotation.id],
    }
  } catch (error) {
    if (!isRekeyError(error) || error.status >= 500) throw error
    return unreplaced(found, error.message)
  }
}

const unreplaced = ({ incident }: Case, why: string): Decision => ({
  key: { replacement: 'failed', detail: `There is no replacement: ${why}.` },
  failed:
    incident.mode === 'rotateFast'
      ? `It was not revoked, since there is no replacement: ${why}.`
      : `Only a replacement would end it, and there is none: ${why}.`,
})
