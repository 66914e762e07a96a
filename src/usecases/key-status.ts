// What a key's status says, for a page of keys at once. `why` answers the question of the person who looks: why is it not
// rotating right now?

import { blackoutAt, pauseAt } from '#domain/windows.ts'
import { type Drift, type ShownDrift, shownDrift } from '#domain/drift.ts'
import type { Freeze } from '#domain/connection.ts'
import type { Key, Version } from '#domain/key.ts'
import { matches } from '#domain/names.ts'
import type { KeySchedule, Reads } from '#domain/ports.ts'
import type { Intent, Rotation, RotationTimer } from '#domain/rotation.ts'
import { recoveryHold } from './recovery-mode.ts'
import { type Chosen, choosePolicy, type PolicyBook, policyBook } from './assign-policies.ts'
import { openCreation } from './creation.ts'

export interface KeyStatus {
  readonly primaryVersion: number | null
  readonly policy: string | null
  readonly nextRotationAt: Date | null
  readonly overdue: boolean
  /** Its id. */
  readonly openRotation: string | null
  /** The id of one that works on it, or holds it. */
  readonly incident: string | null
  /** Null: it is at its provider what it is here, as far as anybody has looked. */
  readonly drift: ShownDrift | null
  readonly why: string
}

export const statusesOf = async (
  db: Reads,
  keys: readonly Key[],
  now: Date,
): Promise<ReadonlyMap<string, KeyStatus>> => {
  const ids = keys.map((key) => key.id)
  const facts = {
    primaries: byKey(await db.versions.primaries(ids)),
    schedules: byKey(await db.schedule.getMany(ids)),
    drifts: byKey(await db.drift.getMany(ids)),
    rotations: byKey(await db.rotations.openOfKeys(ids)),
    incidents: byKey(
      (await db.incidents.openOfKeys(ids)).filter(({ state }) => state !== 'restored'),
    ),
    broken: new Set(await db.rotations.brokenTwice(ids)),
    book: policyBook(await db.policies.all()),
    freeze: await db.freeze.get(),
    recovery: await recoveryHold(db),
  }
  const statuses = new Map<string, KeyStatus>()
  for (const key of keys) {
    const primary = facts.primaries.get(key.id) ?? null
    const rotation = facts.rotations.get(key.id) ?? null
    const known: Known = {
      key,
      primary,
      schedule: facts.schedules.get(key.id) ?? null,
      rotation,
      incident: facts.incidents.get(key.id) ?? null,
      // oxlint-disable-next-line no-await-in-loop -- few keys rotate at one time
      timer: rotation && (await db.timers.get(rotation.id)),
      // oxlint-disable-next-line no-await-in-loop -- few keys have no primary
      creation: primary === null && rotation === null ? await openCreation(db, key.id) : null,
      drift: driftOf(facts.drifts.get(key.id), key),
      brokenTwice: facts.broken.has(key.id),
      chosen: chosenOf(facts.book, key),
      freeze: facts.freeze,
      recovery: facts.recovery,
      now,
    }
    statuses.set(key.id, statusOf(known))
  }
  return statuses
}

const byKey = <T extends { readonly keyId: string }>(rows: readonly T[]): ReadonlyMap<string, T> =>
  new Map(rows.map((row) => [row.keyId, row]))

/** What is written on the key decides; the book is asked for the policy itself, and for ties. */
const chosenOf = (book: PolicyBook, key: Key): Chosen => {
  const found = book.find(({ policy }) => policy.name === key.policy)
  return found ? { ...found, tied: [] } : choosePolicy(book, key)
}

type HeldBy = Awaited<ReturnType<Reads['incidents']['openOfKeys']>>[number]

interface Known {
  readonly key: Key
  readonly primary: Version | null
  readonly schedule: KeySchedule | null
  readonly rotation: Rotation | null
  readonly incident: HeldBy | null
  readonly timer: RotationTimer | null
  /** Of an object that is still being made. */
  readonly creation: Intent | null
  readonly drift: ShownDrift | null
  readonly brokenTwice: boolean
  readonly chosen: Chosen
  readonly freeze: Freeze | null
  readonly recovery: string | null
  readonly now: Date
}

const statusOf = (known: Known): KeyStatus => ({
  primaryVersion: known.primary?.version ?? null,
  policy: known.key.policy,
  nextRotationAt: known.schedule?.occurrence ? known.schedule.dueAt : null,
  overdue: known.schedule?.overdueAt ? known.schedule.overdueAt <= known.now : false,
  openRotation: known.rotation?.id ?? null,
  incident: known.incident?.incidentId ?? null,
  drift: known.drift,
  why: known.drift?.primary
    ? `${whyNot(known)} It is not what it was at its provider: ${known.drift.detail}`
    : whyNot(known),
})

const driftOf = (drift: Drift | undefined, key: Key): ShownDrift | null =>
  drift === undefined ? null : shownDrift(drift, key.name)

const whyNot = ({
  key,
  rotation,
  incident,
  timer,
  creation,
  brokenTwice,
  chosen,
  schedule,
  freeze,
  recovery,
  now,
}: Known): string => {
  if (recovery !== null) return `Nothing rotates: ${recovery}.`
  if (incident !== null && (incident.incidentState === 'executing' || incident.mode === 'disable'))
    return `Incident ${incident.incidentId} has it (${incident.mode}): it is ${incident.state}.`
  if (rotation) {
    const wait = timer?.waitingFor
    return wait
      ? `Rotation ${rotation.id} is open in ${rotation.phase}, and waits since ${wait.since}: ${wait.text}.`
      : `Rotation ${rotation.id} is under way in ${rotation.phase}.`
  }
  if (creation) {
    const detail = creation.detail === null ? '' : ` (${creation.detail})`
    return `Its object is still being made${detail}: repeat the POST that began it, or delete the key.`
  }
  if (chosen.tied.length > 0) {
    return `Several policies select it with the same priority, so none applies: ${chosen.tied.map(({ name }) => name).join(', ')}.`
  }
  const { policy, resolved } = chosen
  if (!policy || !resolved) return 'No policy selects it; it rotates when a person starts it.'
  if (key.observe === 'native') return 'The provider rotates it by itself; Rekey watches.'
  if (resolved.unusable !== undefined)
    return `The policy ${policy.name} cannot be followed: ${resolved.unusable}. Put it again.`
  if (!resolved.enabled) return `The policy ${policy.name} is disabled.`
  const pause = pauseAt(resolved, now)
  if (pause)
    return `The policy ${policy.name} is paused until ${pause.until.toISOString()}: ${pause.reason}.`
  if (freeze && freeze.until > now && (!freeze.selector || matches(freeze.selector, key))) {
    return `Frozen until ${freeze.until.toISOString()}: ${freeze.reason}.`
  }
  const byHand = `rekey rotate key/${key.name} --reason "…"`
  if (brokenTwice)
    return `Its last two rotations were undone: a person must start the next one, with: ${byHand}`
  const obstacle = schedule?.obstacle
  if (obstacle?.kind === 'unreadable') {
    const again = schedule?.dueAt
      ? `tried again at ${schedule.dueAt.toISOString()}`
      : 'not tried again'
    return `It cannot be planned since ${obstacle.since}: ${obstacle.reason}; ${again}. A rotation by hand mends it: ${byHand}`
  }
  if (obstacle?.kind === 'impossible')
    return `Its last occurrence could not become a rotation: ${obstacle.reason}.`
  const due = schedule?.dueAt
  if (!due) {
    return resolved.schedule || resolved.maxAgeMs !== null
      ? `The policy ${policy.name} has no further occurrence.`
      : `The policy ${policy.name} lets only people start rotations.`
  }
  const blackout = blackoutAt(resolved, now)
  if (due <= now) {
    return blackout
      ? `It is due; the blackout ${blackout.name} lasts until ${blackout.until.toISOString()}.`
      : `It is due since ${due.toISOString()} and starts with the next look of the planner.`
  }
  return `It waits for its occurrence at ${due.toISOString()}.`
}
