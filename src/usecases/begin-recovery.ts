// Recovery mode begins: one transaction makes it known to every process, stops every rotation that may write, and pages.
//
// A crash before the commit leaves nothing, and whoever looks next finds the same reason; two processes that find it at once
// make one recovery. A worker in the middle of a step is fenced: its rotation has moved to `stalled`. A request of its that
// is under way at this very moment may still land; its intent stays open and is probed when the rotation goes on.

import type { Actor } from '#domain/actor.ts'
import type { Ids, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import type { Installation, Recovery, Suspicion } from '#domain/recovery.ts'
import type { Rotation } from '#domain/rotation.ts'
import { mayGo, openPhases } from '#domain/rotation-machine.ts'
import { everything } from './rights.ts'
import { Fenced, transitionEvent, write } from './rotation-engine.ts'

export interface BeginRecoveryDeps {
  readonly ledger: Ledger
  readonly ids: Ids
}

/** What a database that knows no installation is called from now on. */
export type Unidentified = Pick<Installation, 'cluster' | 'pepperId'>

const tries = 5

/** Returns the recovery that is open afterwards. */
export const makeBeginRecovery =
  (deps: BeginRecoveryDeps) =>
  async (actor: Actor, suspicion: Suspicion, place: Unidentified): Promise<Recovery> => {
    for (let n = 1; ; n++) {
      const open = await deps.ledger.read((db) => db.recovery.open())
      if (open) return open
      try {
        return await begin(deps, actor, suspicion, place)
      } catch (error) {
        // A worker moved one of the rotations meanwhile, or another process was first.
        if (!(error instanceof Fenced || error instanceof Begun) || n >= tries) throw error
      }
    }
  }
class Begun extends Error {}

const begin = async (
  { ledger, ids }: BeginRecoveryDeps,
  actor: Actor,
  suspicion: Suspicion,
  place: Unidentified,
): Promise<Recovery> => {
  const { value } = await ledger.commit(actor, async (tx) => {
    const now = await tx.now()
    const { installation, events } = await identified(tx, ids, place, now)
    const recovery: Recovery = {
      ...suspicion,
      id: ids.next(),
      incarnation: installation.incarnation,
      ledTo: null,
      beganAt: now,
      reconciledAt: null,
      endedAt: null,
      endedBy: null,
    }
    if (!(await tx.writeRecovery.insert(recovery))) throw new Begun()
    const stalled = await stallOpen(tx, recovery)
    // One that was ended after the backup has come back with it.
    const sessionsEnded = await tx.writeBrowserSession.endAllBut([], now)
    return {
      value: recovery,
      audit: [
        began(installation, recovery, { stalled: stalled.length, sessionsEnded }),
        ...events,
        ...stalled,
      ],
    }
  })
  return value
}

/** The installation's row, made where the database has none. */
export const identified = async (
  tx: Tx,
  ids: Pick<Ids, 'next'>,
  { cluster, pepperId }: Unidentified,
  now: Date,
): Promise<{
  readonly installation: Installation
  readonly events: readonly LedgerEvent[]
}> => {
  await tx.lock('installation')
  const there = await tx.recovery.installation()
  if (there) return { installation: there, events: [] }
  const installation: Installation = {
    id: ids.next(),
    incarnation: ids.next(),
    cluster,
    pepperId,
    restoredFrom: null,
    createdAt: now,
    updatedAt: now,
  }
  await tx.writeRecovery.identify(installation)
  const { id, incarnation } = installation
  return {
    installation,
    events: [
      {
        action: 'installation.identified',
        target: { id, name: 'rekey' },
        outcome: 'succeeded',
        after: { incarnation, cluster, pepper: pepperId },
      },
    ],
  }
}

/** Where nothing can have been written yet there is no way to `stalled`, and no need: those wait before their first write. */
const stallOpen = async (tx: Tx, recovery: Recovery): Promise<readonly LedgerEvent[]> => {
  const phase = openPhases.filter((one) => mayGo(one, 'stalled'))
  const open = await everything((after) => tx.rotations.list({ phase }, { limit: 200, after }))
  const events: LedgerEvent[] = []
  for (const rotation of open) events.push(await stall(tx, rotation, recovery)) // oxlint-disable-line no-await-in-loop -- one transaction
  return events
}

const stall = async (tx: Tx, rotation: Rotation, recovery: Recovery): Promise<LedgerEvent> => {
  const reason = `recovery mode: ${recovery.detail}`
  const next = await write(tx, rotation, {
    phase: 'stalled',
    patch: { stalledIn: rotation.phase, stalledReason: reason },
  })
  await tx.writeTimer.set(rotation.id, { dueAt: null })
  await tx.writeRecovery.putFinding({
    recoveryId: recovery.id,
    keyId: rotation.keyId,
    state: 'pending',
    detail: 'Its provider was not asked yet.',
    facts: {},
    rotationId: rotation.id,
    lookedAt: null,
  })
  return transitionEvent(rotation, next, reason)
}

const began = (
  installation: Installation,
  recovery: Recovery,
  counts: { readonly stalled: number; readonly sessionsEnded: number },
): LedgerEvent => ({
  action: 'recovery.began',
  target: { id: installation.id, name: 'rekey' },
  outcome: 'succeeded',
  reason: recovery.detail,
  after: {
    recovery: recovery.id,
    why: recovery.reason,
    evidence: recovery.evidence,
    ...counts,
  },
})
