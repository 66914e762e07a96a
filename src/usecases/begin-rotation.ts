// The first steps of a rotation, before anything is asked of a provider: approvals, then a place in its group.
//
// A place is taken in the transaction that moves the rotation on, under the group's lock, so that of any number of workers
// each sees those that came before. `max` counts all that are under way, retirements too. `minimumSpacing` counts from the
// last entry into minting; whoever took a place and has not minted yet may do so at any moment, so the next one waits for it.
// One that stalled keeps its place, so that with `max: 1` nothing begins beside what no person has looked at yet; those that
// wait for it say which it is. In preflight it holds up nobody's spacing: resuming it is a person's word.
//
// Those that wait form a line, in the order in which they were planned. Only the first looks again by itself, or a fleet of
// twenty thousand with five places would do nothing but look. Whoever leaves the line or the group wakes the next in the
// very transaction (`write`), so no crash loses that.

import type { GroupPlaces } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { nextPhase } from '#domain/rotation-machine.ts'
import { byDifferentPeople } from './another-person.ts'
import { move, type Run, type Step } from './rotation-engine.ts'
import { longestWaitMs, lookAgainMs, waitFor } from './rotation-wait.ts'

export const planned = async (run: Run, rotation: Rotation): Promise<Step> => {
  const to = nextPhase(rotation.plan.phases, rotation.phase)
  return to === 'awaitingApproval' ? move(run, rotation, to) : takePlace(run, rotation)
}

export const awaitingApproval = async (run: Run, rotation: Rotation): Promise<Step> => {
  const { required, roles } = rotation.plan.policy.approval
  const given = await run.ledger.read(async (db) => {
    const said = (await db.approvals.of(rotation.id)).filter(({ kind }) => kind === 'approval')
    return (await byDifferentPeople(db, said, [rotation.plan.requester])).length
  })
  if (given >= required) return takePlace(run, rotation)
  const text = `${required - given} of ${required} approvals are missing`
  return waitFor(run, rotation, 'approval', text, { afterMs: null, missing: roles })
}

const takePlace = async (run: Run, rotation: Rotation): Promise<Step> => {
  const { id } = rotation.plan.group
  const now = run.seen?.at ?? (await run.timers.now())
  // A look outside the lock, so that those who wait do not queue for it.
  const closed = noPlace(rotation, await run.ledger.read((db) => db.rotations.group(id)), now)
  if (closed) return waitForPlace(run, rotation, closed)
  try {
    return await move(run, rotation, nextPhase(rotation.plan.phases, rotation.phase), {
      also: async (tx) => {
        await tx.lock(`group:${id}`)
        const taken = noPlace(rotation, withoutOne(await tx.rotations.group(id)), await tx.now())
        if (taken) throw new NoPlace(taken)
        return []
      },
    })
  } catch (error) {
    if (error instanceof NoPlace) return waitForPlace(run, rotation, error.closed)
    throw error
  }
}

interface ClosedGroup {
  readonly text: string
  readonly inMs: number
  /** The stalled ones that it waits for. */
  readonly blockers?: readonly Rotation[]
}
class NoPlace extends Error {
  readonly closed: ClosedGroup
  constructor(closed: ClosedGroup) {
    super(closed.text)
    this.closed = closed
  }
}

/** `others`: without the rotation itself. */
const noPlace = (
  { plan: { group, retireOnly } }: Rotation,
  others: GroupPlaces,
  now: Date,
): ClosedGroup | null => {
  const { max, spacingMs } = group
  if (others.running >= max) {
    const stalled = others.stalled.map(
      ({ id, keyName, stalledIn }) => `${keyName} is stalled in ${stalledIn} (rotation ${id})`,
    )
    const text = [`${max} of ${max} rotations of its group are under way`, ...stalled].join('; ')
    return { text, inMs: 0, blockers: others.stalled }
  }
  // A retirement makes nothing new.
  if (retireOnly || spacingMs === 0) return null
  if (others.preparing > 0)
    return { text: 'another rotation of its group is about to begin', inMs: 0 }
  const inMs = others.lastStartedAt ? others.lastStartedAt.getTime() + spacingMs - now.getTime() : 0
  return inMs > 0 ? { text: 'the last rotation of its group began too recently', inMs } : null
}

/** This transaction has moved the rotation already: it counts itself. */
const withoutOne = (group: GroupPlaces): GroupPlaces => ({
  ...group,
  running: group.running - 1,
  preparing: group.preparing - 1,
})

/** Of those further back. Nobody should need it: an older version of Rekey, while an upgrade is rolled out, wakes nobody. */
const farBackMs = 3_600_000

const waitForPlace = async (
  run: Run,
  rotation: Rotation,
  { text, inMs, blockers = [] }: ClosedGroup,
): Promise<Step> => {
  const [first] = await run.ledger.read((db) =>
    db.rotations.waitingInGroup(rotation.plan.group.id, 1),
  )
  // Approved ones stand in no line.
  const looks = rotation.phase !== 'planned' || first === rotation.id
  return waitFor(run, rotation, 'group', text, {
    afterMs: looks ? Math.min(Math.max(inMs, lookAgainMs), longestWaitMs) : farBackMs,
    missing: blockers.map(({ id }) => id),
  })
}
