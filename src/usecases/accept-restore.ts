// An admin has seen what the recovery found, and Rekey goes on from there:
//
//   1. keys whose provider has moved on take over what is there (adopt-after-restore.ts), each in a transaction of its own
//   2. one transaction ends the recovery: a new incarnation begins, rotations that it had stalled go on where their key is
//      what the database says, and old versions that were replaced are retired by rotations of their own
//
// A crash in 1 or between leaves recovery mode on and some keys done: the acceptance is repeated. What cannot be taken over
// is left, named in the reply, and its next rotation stops at its preflight.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ids, LedgerEvent, Tx, Whereabouts } from '#domain/ports.ts'
import type { Finding, FindingState, Recovery } from '#domain/recovery.ts'
import { resumeInto } from '#domain/rotation-machine.ts'
import { type AdoptDeps, adoptAfterRestore } from './adopt-after-restore.ts'
import { openRotation, type PlanDeps } from './plan-rotation.ts'
import { everything } from './rights.ts'
import { Fenced, transitionEvent, write } from './rotation-engine.ts'
import { makeStartRetirement } from './start-rotation.ts'

export interface AcceptDeps extends AdoptDeps, PlanDeps {
  readonly whereabouts: Whereabouts
  readonly ids: Ids
}

export interface Accept {
  readonly reason: string
  /** Goes on although some providers could not be asked. */
  readonly unreachable?: boolean
  readonly dryRun: boolean
}

export interface Accepted {
  readonly recovery: Recovery
  readonly keys: Readonly<Record<FindingState, number>>
  /** Keys that could not be taken over, and why. */
  readonly left: readonly { readonly key: string; readonly detail: string }[]
  /** Rotations that go on. */
  readonly resumed: readonly string[]
}

const atOnce = 8
/** Less than a request may take: what is not done by then is done by the next one. */
const mostMs = 60_000

export const makeAcceptRestore =
  (deps: AcceptDeps) =>
  async (actor: Actor, { reason, unreachable, dryRun }: Accept): Promise<Committed<Accepted>> => {
    if (actor.scope)
      throw new RekeyError('auth.denied', {
        detail: 'It is about all keys: a scope has no say in it.',
      })
    const recovery = await mustBeReady(deps, unreachable ?? false)
    const left = dryRun ? [] : await adoptAll(deps, actor, recovery)
    const cluster = await deps.whereabouts.cluster()
    return deps.ledger.commit(actor, async (tx) => {
      await tx.lock('recovery')
      const open = await tx.recovery.open()
      if (open?.id !== recovery.id) throw notActive()
      const installation = await tx.recovery.installation()
      if (!installation) throw new RangeError('the database knows no installation')
      const now = await tx.now()
      const next = {
        ...installation,
        incarnation: deps.ids.next(),
        cluster,
        restoredFrom: null,
        updatedAt: now,
      }
      const ended = { ...open, ledTo: next.incarnation, endedAt: now, endedBy: actor.id }
      await tx.writeRecovery.update(ended)
      await tx.writeRecovery.identify(next)
      const keys = await tx.recovery.counts(open.id)
      const goesOn = await goOn(deps, tx, actor, open)
      return {
        value: { recovery: ended, keys, left, resumed: goesOn.resumed },
        audit: [
          {
            action: 'recovery.accepted',
            target: { id: installation.id, name: 'rekey' },
            outcome: 'succeeded',
            reason,
            before: { incarnation: installation.incarnation, cluster: installation.cluster },
            after: {
              recovery: open.id,
              incarnation: next.incarnation,
              cluster,
              keys: { ...keys },
              left: left.map(({ key }) => key),
            },
          },
          ...goesOn.events,
        ],
        wake: goesOn.wake,
      }
    })
  }

const notActive = (): RekeyError =>
  new RekeyError('recovery.notActive', { detail: 'There is no restore to accept.' })

const mustBeReady = async ({ ledger }: AcceptDeps, unreachable: boolean): Promise<Recovery> => {
  const { recovery, counts, silent } = await ledger.read(async (db) => {
    const open = await db.recovery.open()
    if (!open) return { recovery: null, counts: null, silent: [] }
    const page = { limit: 5, after: null }
    return {
      recovery: open,
      counts: await db.recovery.counts(open.id),
      silent: (await db.recovery.findings(open.id, { state: 'unreachable' }, page)).items,
    }
  })
  if (!recovery || !counts) throw notActive()
  if (counts.pending > 0) {
    throw new RekeyError('recovery.pending', {
      detail: `${counts.pending} keys have not been compared with their providers yet.`,
      hint: 'A worker does that by itself: is one running? See: rekey doctor',
    })
  }
  if (counts.unreachable > 0 && !unreachable) {
    throw new RekeyError('recovery.pending', {
      detail: `The providers of ${counts.unreachable} keys could not be asked, among them ${silent.map(({ key }) => key).join(', ')}.`,
      hint: 'Mend their connections, or go on without them: unreachable: true (rekey doctor --accept-restore --unreachable). Their rotations stay stalled.',
    })
  }
  return recovery
}

const adoptAll = async (
  deps: AcceptDeps,
  actor: Actor,
  recovery: Recovery,
): Promise<Accepted['left']> => {
  const tooLate = deps.clock.deadline(mostMs)
  const findings = await deps.ledger.read((db) =>
    everything((after) =>
      db.recovery.findings(recovery.id, { state: 'adopt' }, { limit: 200, after }),
    ),
  )
  const left: { readonly key: string; readonly detail: string }[] = []
  for (let at = 0; at < findings.length; at += atOnce) {
    if (tooLate.aborted) {
      throw new RekeyError('recovery.pending', {
        detail: `${at} of ${findings.length} keys have taken over what their providers have.`,
        hint: 'Accept once more: it goes on where it stopped.',
        extra: { again: true },
      })
    }
    // oxlint-disable-next-line no-await-in-loop -- a few at once
    await Promise.all(
      findings.slice(at, at + atOnce).map(async (finding) => {
        try {
          await adoptAfterRestore(deps, actor, recovery, finding)
        } catch (error) {
          if (!(error instanceof RekeyError || error instanceof Fenced)) throw error
          const detail =
            error instanceof RekeyError ? error.message : 'It was changed at this very moment.'
          left.push({ key: finding.key, detail })
        }
      }),
    )
  }
  return left.toSorted((a, b) => (a.key < b.key ? -1 : 1))
}

interface GoesOn {
  readonly events: readonly LedgerEvent[]
  readonly wake: readonly string[]
  readonly resumed: readonly string[]
}

const goOn = async (
  deps: AcceptDeps,
  tx: Tx,
  actor: Actor,
  recovery: Recovery,
): Promise<GoesOn> => {
  const findings = await everything((after) =>
    tx.recovery.findings(recovery.id, {}, { limit: 200, after }),
  )
  await tx.holdKeys(findings.filter(({ state }) => state === 'adopted').map(({ keyId }) => keyId))
  const events: LedgerEvent[] = []
  const [wake, resumed]: [string[], string[]] = [[], []]
  for (const finding of findings) {
    // oxlint-disable no-await-in-loop -- one transaction
    const again = await resume(tx, finding)
    const retiring = await retire(deps, tx, actor, finding)
    // oxlint-enable no-await-in-loop
    if (again) {
      events.push(again)
      resumed.push(again.target.id)
    }
    if (retiring) {
      events.push(retiring)
      wake.push(retiring.target.id)
    }
  }
  return { events, wake: [...wake, ...resumed], resumed }
}

/** Only where the key is what the database says: then whatever was under way is probed, as after any crash. */
const resume = async (tx: Tx, finding: Finding): Promise<LedgerEvent | null> => {
  const known = finding.state === 'equal' || finding.state === 'orphan'
  if (finding.rotationId === null || !(known || finding.facts['wentBack'] === true)) return null
  const rotation = await tx.rotations.get(finding.rotationId)
  if (rotation?.phase !== 'stalled' || !rotation.stalledIn) return null
  const next = await write(tx, rotation, {
    phase: resumeInto(rotation.stalledIn),
    patch: { stalledIn: null, stalledReason: null },
  })
  await tx.writeTimer.set(rotation.id, { dueNow: true })
  const moved = transitionEvent(rotation, next, 'the restore was accepted')
  return { ...moved, action: 'rotation.resumed' }
}

/** The version that was replaced since the backup goes as any other: behind the gates of its policy. */
const retire = async (
  deps: AcceptDeps,
  tx: Tx,
  actor: Actor,
  finding: Finding,
): Promise<LedgerEvent | null> => {
  const version = finding.facts['retire']
  if (finding.state !== 'adopted' || typeof version !== 'number') return null
  const key = await tx.keys.byId(finding.keyId)
  if (!key) return null
  try {
    const start = makeStartRetirement(deps)
    return await openRotation(tx, await start(tx, actor, key, version))
  } catch (error) {
    // Its policy or type forbids it: the version stays accepted, and is seen as such.
    if (error instanceof RekeyError) return null
    throw error
  }
}
