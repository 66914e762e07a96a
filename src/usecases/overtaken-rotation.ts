// A rotation whose key an incident has contained. It was not waited for: its versions are compromised, or switched off for a while,
// whatever phase it is in. What it had under way at the provider is resolved first, as always; then, before its phase does
// anything, this says what becomes of it:
//
//   held       mode `disable`: it stalls where it is, and goes on once the key is restored. A replacement that another incident asked
//              for does not wait: what it makes is none of what was disabled
//   new gone   the new version is compromised: it is undone, back to the old one, without waiting for anybody; where that is
//              compromised too, or cannot be handed out again, it is abandoned. It is never promoted and never kept
//   old gone   nothing was made yet: cancelled, or undone. The new version is made: it goes on to be promoted at once; with no
//              old version left to be protected there is no overlap, no soak and nothing to retire
//   joined     mode `rotateFast`, where nothing is gone yet: it goes on past blackouts. Where its new version is handed out already
//              and has leaked too, it would only wait for its overlap: it is abandoned, and another one makes what serves. What it
//              leaves is ended by the incident
//
// What serves afterwards, if that is none of its versions, is the incident's business (replace-contained.ts), which is rung for
// when it ends. All of this is decided from the versions as they are: a crash anywhere decides it again.

import type { IncidentKey } from '#domain/incident.ts'
import type { Version } from '#domain/key.ts'
import type { LedgerEvent, Reads, Situation, Tx } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { machine, mayGo, type OpenPhase, resumeInto, undoSteps } from '#domain/rotation-machine.ts'
import {
  commit,
  move,
  type Run,
  stall,
  type Step,
  transitionEvent,
  write,
} from './rotation-engine.ts'
import { waitFor } from './rotation-wait.ts'

/** What is known of the rotation's versions and its key's incidents. */
interface Overtaken {
  readonly from: Version | null
  readonly to: Version | null
  readonly heldBy: string | null
  /** What waits for this very rotation. */
  readonly joined: IncidentKey | null
  /** Of an incident that contained something of it. */
  readonly incident: string | null
}

const heldReason = (incident: string): string => `held by incident ${incident}`
const isHeld = (reason: string | null): boolean => reason?.startsWith('held by incident ') ?? false

/** `urgent`: nobody's blackout keeps it from going on. A step: it was taken. Null: the rotation is its own. */
export const overtaken = async (run: Run, rotation: Rotation): Promise<Step | 'urgent' | null> => {
  const around = run.seen ?? (await run.ledger.read((db) => lookAt(db, rotation)))
  const found = foundIn(rotation, around)
  const { from, to, heldBy, incident } = found
  if (heldBy !== null && rotation.trigger !== 'incident') {
    // Another incident has ended one of its versions, and waits for the key: with the other one off there is no way on or back.
    if (to?.state === 'compromised' || from?.state === 'compromised')
      return giveUp(run, rotation, `${heldReason(heldBy)}, and a version of it has leaked`)
    return hold(run, rotation, heldBy)
  }
  if (to?.state === 'compromised') return withoutNew(run, rotation, found)
  if (from?.state !== 'compromised') return hurried(run, rotation, found)
  // A replacement of the incident's own expects no other.
  if (rotation.trigger === 'incident') return null
  return withoutOld(run, rotation, to, `its old version is contained by incident ${incident}`)
}

type Around = Pick<Situation, 'versions' | 'incidents'>

const lookAt = async (db: Reads, { keyId, fromVersion, toVersion }: Rotation): Promise<Around> => {
  const numbers = [fromVersion, toVersion].filter((number) => number !== null)
  return {
    versions: numbers.length === 0 ? [] : await db.versions.some(keyId, numbers),
    incidents: await db.incidents.openOfKeys([keyId]),
  }
}

const foundIn = (
  { id, fromVersion, toVersion }: Rotation,
  { versions, incidents }: Around,
): Overtaken => {
  const holds = incidents.find(
    ({ mode, restoration, state }) => mode === 'disable' && holding(restoration, state),
  )
  const of = (number: number | null) => versions.find(({ version }) => version === number) ?? null
  return {
    from: of(fromVersion),
    to: of(toVersion),
    heldBy: holds?.incidentId ?? null,
    joined:
      incidents.find(
        ({ mode, replacement, rotationId }) =>
          mode === 'rotateFast' && replacement === 'running' && rotationId === id,
      ) ?? null,
    incident: incidents[0]?.incidentId ?? null,
  }
}

/** From the first request on, until it is restored. */
const holding = (restoration: IncidentKey['restoration'], state: IncidentKey['state']): boolean =>
  restoration !== 'done' && state !== 'pending' && state !== 'restored'

const hold = (run: Run, rotation: Rotation, incident: string): Promise<Step> => {
  const reason = heldReason(incident)
  if (rotation.phase !== 'stalled' && mayGo(rotation.phase, 'stalled'))
    return stall(run, rotation, reason)
  return waitFor(run, rotation, 'person', reason, { afterMs: 60_000 })
}

/** Part of the transaction that restores the key. */
export const resumeHeld = async (tx: Tx, key: IncidentKey): Promise<readonly LedgerEvent[]> => {
  const rotation = await tx.rotations.openOf(key.keyId)
  if (!rotation) return []
  if (rotation.phase !== 'stalled' || !isHeld(rotation.stalledReason) || !rotation.stalledIn) {
    await tx.writeTimer.set(rotation.id, { dueNow: true })
    return []
  }
  // The rotation before its timer, as everywhere, or two would wait for each other.
  const next = await write(tx, rotation, {
    phase: resumeInto(rotation.stalledIn),
    patch: { stalledIn: null, stalledReason: null },
  })
  await tx.writeTimer.set(rotation.id, { dueNow: true })
  return [transitionEvent(rotation, next, `incident ${key.incidentId} was restored`)]
}

const withoutNew = async (
  run: Run,
  rotation: Rotation,
  { from, to, incident }: Overtaken,
): Promise<Step | null> => {
  const reason = `its new version ${to?.version} is contained by incident ${incident}`
  const isUsable = from?.state === 'active' || from?.state === 'suspended'
  if (rotation.phase === 'rollingBack') {
    const left = rotation.undo?.steps.slice(rotation.undo.at) ?? []
    return isUsable || !left.includes('swapBack') ? null : abandon(run, rotation, reason)
  }
  const stood = rotation.phase === 'stalled' ? rotation.stalledIn : rotation.phase
  // Its old version is off, and not gone: it is switched on again all the same.
  const phase = stood === 'retiring' && from?.state === 'suspended' ? 'soaking' : stood
  const steps = phase && isUsable ? undoSteps(phase, rotation.plan.traits, true) : 'impossible'
  if (!phase || typeof steps === 'string') return abandon(run, rotation, reason)
  // Whoever moved to it is cut off already.
  const undo = { from: phase, steps: steps.filter((step) => step !== 'gateNew'), at: 0, reason }
  return through(run, rotation, 'rollingBack', reason, { undo })
}

const withoutOld = async (
  run: Run,
  rotation: Rotation,
  to: Version | null,
  reason: string,
): Promise<Step | 'urgent'> => {
  const { phase } = rotation
  if (machine[phase].undo === 'cancel') return move(run, rotation, 'cancelled', { reason })
  if (phase === 'rollingBack') {
    const left = rotation.undo?.steps.slice(rotation.undo.at) ?? []
    return left.includes('swapBack') && rotation.toVersion !== null
      ? abandon(run, rotation, reason)
      : 'urgent'
  }
  if (phase === 'stalled') {
    if (to?.primary) return move(run, rotation, 'retiring', { ...resumed, reason })
    const into = rotation.stalledIn
    const verified = to?.verifiedAt !== null && to !== null
    return verified && (into === 'distributing' || into === 'promoting')
      ? move(run, rotation, into, { ...resumed, reason })
      : abandon(run, rotation, reason)
  }
  if (phase === 'minting' && to === null) {
    const undo = { from: phase, steps: [], at: 0, reason }
    return move(run, rotation, 'rollingBack', { patch: { undo }, reason })
  }
  const after = ends[phase]
  return after ? move(run, rotation, after, { reason }) : 'urgent'
}

const resumed = { patch: { stalledIn: null, stalledReason: null } } as const

/** On the way to the end, past what protects an old version. */
const ends: Partial<Record<Rotation['phase'], OpenPhase>> = {
  overlapping: 'retiring',
  suspending: 'soaking',
  soaking: 'retiring',
}

const hurried = async (
  run: Run,
  rotation: Rotation,
  { to, joined }: Overtaken,
): Promise<Step | 'urgent' | null> => {
  if (joined === null || rotation.trigger === 'incident') return null
  const isLeaked = joined.plan.versions.some(({ version }) => version === to?.version)
  if (!to?.primary || !isLeaked || rotation.phase === 'rollingBack') return 'urgent'
  return abandon(
    run,
    rotation,
    `its new version ${to.version} has leaked, and incident ${joined.incidentId} replaces it`,
  )
}

/** Everything stays as it is, and what serves is made by another rotation. */
const abandon = (run: Run, rotation: Rotation, reason: string): Promise<Step> =>
  through(run, rotation, 'abandoned', reason)

const giveUp = (run: Run, rotation: Rotation, reason: string): Promise<Step> =>
  machine[rotation.phase].undo === 'cancel'
    ? move(run, rotation, 'cancelled', { reason })
    : abandon(run, rotation, reason)

/** By way of `stalled`, where the machine has no shorter one, in one transaction. */
const through = async (
  run: Run,
  rotation: Rotation,
  phase: 'abandoned' | 'rollingBack',
  reason: string,
  patch: Partial<Rotation> = {},
): Promise<Step> => {
  const moved = await commit(run, rotation, async (tx, at) => {
    const between = mayGo(rotation.phase, phase)
      ? at
      : await write(tx, at, {
          phase: 'stalled',
          patch: { stalledIn: rotation.phase, stalledReason: reason },
        })
    const cleared = phase === 'rollingBack' ? resumed.patch : {}
    const next = await write(tx, between, { phase, patch: { ...patch, ...cleared } })
    const last = transitionEvent(between, next, reason)
    return {
      value: next,
      audit: between === at ? [last] : [transitionEvent(at, between, reason), last],
    }
  })
  return { moved }
}
