// What becomes of the keys of an emergency, written for many of them at once. The events of an incident are numbered without a
// gap, so that its commits come one after the other: while one is under way, what happens meanwhile is gathered for the next.
// Nobody waits for a key that is slow or fails, only for the commit that is under way.
//
// Every entry is fenced: what a worker says of a key whose lease another has by now is dropped, and it is told so. A crash
// loses what was gathered: the leases expire, and whoever has them next finds the intents open, and asks the provider.

import type { Actor } from '#domain/actor.ts'
import type { IncidentKey, VersionEvidence } from '#domain/incident.ts'
import type {
  IncidentLease,
  IncidentTimerPatch,
  Ledger,
  LedgerEvent,
  Outcome,
  Tx,
} from '#domain/ports.ts'
import type { Version } from '#domain/key.ts'
import type { Intent } from '#domain/rotation.ts'
import { isOpen } from '#domain/rotation-machine.ts'
import { resumeHeld } from './overtaken-rotation.ts'
import { reschedule } from './reschedule.ts'

/** One step of one key. */
export interface Step {
  readonly key: IncidentKey
  readonly begun?: readonly Intent[]
  readonly ended?: readonly Intent[]
  readonly contained?: readonly {
    readonly version: number
    readonly state: 'suspended' | 'compromised'
  }[]
  /** Proven for good: nothing needs their material any more. */
  readonly proven?: readonly { readonly version: number; readonly known: boolean }[]
  /** Active again, and handed out again if nothing else is. */
  readonly restored?: readonly { readonly version: number; readonly primary: boolean }[]
  readonly evidence?: readonly VersionEvidence[]
  readonly events: readonly [LedgerEvent, ...LedgerEvent[]]
  /** Gives the lease back. */
  readonly release?: IncidentTimerPatch
  /** The step by the key's versions as they are: whoever says what another incident may be ending at this moment says it of these. */
  readonly asOf?: (versions: readonly Version[]) => Step
}

/** Made in the transaction, for its time. */
export type MakeStep = (now: Date) => Step

export interface Recorder {
  /** What was written; null: the lease is lost, and nothing was. Throws what the database throws. */
  add(lease: IncidentLease, step: MakeStep): Promise<Step | null>
}

interface Waiting {
  readonly lease: IncidentLease
  readonly step: MakeStep
  readonly resolve: (written: Step | null) => void
  readonly reject: (error: unknown) => void
}

const mostAtOnce = 500

export const makeRecorder = (ledger: Ledger, actor: Actor): Recorder => {
  let waiting: Waiting[] = []
  let running = false
  const run = async (): Promise<void> => {
    running = true
    while (waiting.length > 0) {
      const group = waiting.slice(0, mostAtOnce)
      waiting = waiting.slice(mostAtOnce)
      await commitGroup(ledger, actor, group) // oxlint-disable-line no-await-in-loop -- one after the other is the point
    }
    running = false
  }
  return {
    add: (lease, step) =>
      new Promise((resolve, reject) => {
        waiting.push({ lease, step, resolve, reject })
        // In the next turn, with all that is said in this one.
        if (!running) setImmediate(() => void (running || run()))
      }),
  }
}

/** Where the database refuses one of them, the others must not suffer: they are written one by one. Never throws. */
const commitGroup = async (
  ledger: Ledger,
  actor: Actor,
  group: readonly Waiting[],
): Promise<void> => {
  try {
    const written = await commit(ledger, actor, group)
    for (const one of group) one.resolve(written.get(one) ?? null)
  } catch (error) {
    const [only, ...others] = group
    if (only && others.length === 0) only.reject(error)
    // oxlint-disable-next-line no-await-in-loop -- see above
    else for (const one of group) await commitGroup(ledger, actor, [one])
  }
}

/** Nobody has their lease any more. */
class AllLost extends Error {}

const commit = async (
  ledger: Ledger,
  actor: Actor,
  group: readonly Waiting[],
): Promise<ReadonlyMap<Waiting, Step>> => {
  try {
    const { value } = await ledger.commit(actor, (tx) => writeGroup(tx, group))
    return value
  } catch (error) {
    if (error instanceof AllLost) return new Map()
    throw error
  }
}

const writeGroup = async (
  tx: Tx,
  group: readonly Waiting[],
): Promise<Outcome<ReadonlyMap<Waiting, Step>>> => {
  const now = await tx.now()
  const given = group.map((one) => [one, one.step(now)] as const)
  // Keys before leases, as everywhere.
  const back = given.filter(([, { restored = [] }]) => restored.length > 0)
  if (back.length > 0) await tx.holdKeys(back.map(([{ lease }]) => lease.keyId))
  const held = new Set(await tx.writeIncident.hold(group.map(({ lease }) => lease)))
  const asked = given.filter(([{ lease }]) => held.has(lease))
  // Before the versions: in the order in which a rotation's own worker takes them.
  const taken = await takeOver(
    tx,
    asked.map(([, step]) => step),
  )
  const late = await underWay(
    tx,
    asked.map(([, step]) => step),
    now,
  )
  const judged = await asTheyAre(tx, asked)
  const made = judged.map(
    ([one, step]) => [one, { ...step, key: { ...step.key, ...late.get(step.key) } }] as const,
  )
  const steps = made.map(([{ lease }, step]) => ({ ...step, lease }))
  const all = <T>(of: (step: (typeof steps)[number]) => readonly T[] | undefined): readonly T[] =>
    steps.flatMap((step) => of(step) ?? [])
  const begun = all((step) => step.begun)
  const ended = all((step) => step.ended)
  const contained = all((step) =>
    step.contained?.map((version) => ({ ...version, keyId: step.key.keyId })),
  )
  const proven = all((step) =>
    // What was under way may have switched it on since: it is tried once more.
    step.key.lateUntil === null
      ? step.proven?.map((version) => ({ ...version, keyId: step.key.keyId }))
      : [],
  )
  const evidence = all((step) => step.evidence)
  const released = all(({ lease, release }) => (release ? [{ ...lease, ...release }] : []))
  const events: LedgerEvent[] = []
  if (begun.length > 0) await tx.writeIntent.insertMany(begun)
  if (ended.length > 0) await tx.writeIntent.settleMany(ended)
  if (contained.length > 0) await tx.writeVersion.contain(contained)
  for (const { key, restored = [] } of steps) {
    if (restored.length > 0) events.push(...(await restore(tx, key, restored))) // oxlint-disable-line no-await-in-loop -- few, and one connection
  }
  if (evidence.length > 0) await tx.writeIncident.putVersions(evidence)
  if (proven.length > 0) await tx.writeVersion.erase(proven)
  await tx.writeIncident.putKeys(steps.map(({ key }) => key))
  if (released.length > 0) await tx.writeIncident.release(released)
  const [first, ...more] = [...all((step) => step.events), ...taken, ...events]
  if (first === undefined) throw new AllLost()
  return { value: new Map(made), audit: [first, ...more] }
}

/** After the rotations, in the order in which everybody takes them. */
const asTheyAre = async <T>(
  tx: Tx,
  steps: readonly (readonly [T, Step])[],
): Promise<readonly (readonly [T, Step])[]> => {
  const judged: (readonly [T, Step])[] = []
  for (const [one, step] of steps)
    // oxlint-disable-next-line no-await-in-loop -- few, and one connection
    judged.push([one, step.asOf?.(await tx.writeVersion.hold(step.key.keyId)) ?? step])
  return judged
}

/** Contain first: nobody waited for a rotation of the key. Its worker writes nothing more, and whoever has it next finds its
 *  versions as they are now (overtaken-rotation.ts). Losing the ring costs a second: it is due. */
const takeOver = async (
  tx: Tx,
  steps: readonly Pick<Step, 'key' | 'contained'>[],
): Promise<readonly LedgerEvent[]> => {
  const byKey = new Map(
    steps.filter((step) => step.contained?.length).map(({ key }) => [key.keyId, key]),
  )
  if (byKey.size === 0) return []
  const events: LedgerEvent[] = []
  for (const { id, keyId } of await tx.rotations.openOfKeys([...byKey.keys()])) {
    const key = byKey.get(keyId)
    // oxlint-disable-next-line no-await-in-loop -- few keys rotate at one time
    if (key && id !== key.rotationId) events.push(...(await raiseEpoch(tx, id, key)))
  }
  return events
}

/** What was under way when these keys were contained, be it of a rotation or of another incident's restoration, may land after
 *  the proof. Asked for after the epoch was raised: whoever begins anything from then on finds the versions as they are now. */
const underWay = async (
  tx: Tx,
  steps: readonly Pick<Step, 'key' | 'contained'>[],
  now: Date,
): Promise<ReadonlyMap<IncidentKey, Pick<IncidentKey, 'lateUntil'>>> => {
  const keys = steps.filter((step) => step.contained?.length).map(({ key }) => key)
  if (keys.length === 0) return new Map()
  const open = Map.groupBy(
    await tx.intents.switchingOn(keys.map(({ keyId }) => keyId)),
    ({ keyId }) => keyId,
  )
  return new Map(
    keys.flatMap((key) => {
      const last = Math.max(
        key.lateUntil?.getTime() ?? 0,
        ...(open.get(key.keyId) ?? []).map(({ sentNotAfter }) => sentNotAfter.getTime()),
      )
      return last > now.getTime() ? [[key, { lateUntil: new Date(last) }] as const] : []
    }),
  )
}

/** Its worker writes nothing more; whoever has it next finds its versions as they are then. */
export const raiseEpoch = async (
  tx: Tx,
  id: string,
  key: IncidentKey,
): Promise<readonly LedgerEvent[]> => {
  // Its worker may move it on at this very moment.
  for (;;) {
    const rotation = await tx.rotations.get(id) // oxlint-disable-line no-await-in-loop -- until it stood still
    if (!rotation || !isOpen(rotation.phase)) return []
    const next = { ...rotation, epoch: rotation.epoch + 1 }
    // oxlint-disable-next-line no-await-in-loop -- see above
    if (!(await tx.writeRotation.move(next, rotation))) continue
    await tx.writeTimer.set(id, { dueNow: true }) // oxlint-disable-line no-await-in-loop -- it ends the loop
    return [
      {
        action: 'rotation.takenOver',
        target: { id, name: rotation.keyName },
        outcome: 'succeeded',
        correlationId: id,
        reason: `its key is contained by incident ${key.incidentId}`,
        before: { epoch: rotation.epoch },
        after: { epoch: next.epoch, phase: next.phase, incident: key.incidentId },
      },
    ]
  }
}

/** The versions are what they were, and a rotation that was held goes on where it stood still. Without a version in use the key was due
 *  no more; now it is, by its policy. */
const restore = async (
  tx: Tx,
  key: IncidentKey,
  restored: NonNullable<Step['restored']>,
): Promise<readonly LedgerEvent[]> => {
  for (const { version: number, primary } of restored) {
    /* oxlint-disable no-await-in-loop -- few, and one connection */
    const version = await tx.versions.get(key.keyId, number)
    if (version?.state !== 'suspended') continue
    const serves = primary && (await tx.versions.primary(key.keyId)) === null
    await tx.writeVersion.update({ ...version, state: 'active', primary: serves }, 'suspended')
    /* oxlint-enable no-await-in-loop */
  }
  await reschedule(tx, key.keyId)
  return resumeHeld(tx, key)
}
