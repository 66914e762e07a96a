// Every key is compared with its provider, which is only read, once an interval and for ever: somebody rotates, deletes or
// writes there too. A key that rotates is the rotation's, and what was found before it stands no longer; in recovery mode all
// keys are the recovery's.
//
// A pass claims the few keys that have been due longest and moves their next look on, so that any number of workers do not
// ask twice. What a crash leaves: claimed keys, due again when the claim is over, with what was found before.
// A finding that is news is seen twice before it is told, in the transaction that tells it, and only while nothing of the
// key has moved here meanwhile: a rotation that began between the question and the answer explains what was seen.
//
// No answer is no finding: what was found before stands, and nobody is told, or an outage of one provider would be as many
// messages as it has keys. It is shown, counted and asked again soon; a connection that kept silent or slow is left alone,
// and one that refused the login for longer each time, until its credential is another.

import { systemActor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import { compare } from '#domain/compare-key.ts'
import {
  type Comparison,
  concernsPrimary,
  type Drift,
  isTold,
  leftToRotation,
  type Standing,
} from '#domain/drift.ts'
import { isRekeyError } from '#domain/errors.ts'
import { unitHash } from '#domain/hash.ts'
import type { Key, Version } from '#domain/key.ts'
import type { KeySchedule, Ledger, LedgerEvent, Looks, Reads, Sessions, Tx } from '#domain/ports.ts'
import { type KeyType, ProviderError } from '#domain/provider.ts'
import { type AskDeps, askForCarriers, askProvider } from './ask-provider.ts'
import {
  nativeSuccessor,
  proveSuccessor,
  recordSuccessor,
  type Successor,
} from './follow-native.ts'
import { asRekeyError } from './provider-failures.ts'
import { callMs } from './prove-version.ts'
import { addressOf } from './registration.ts'
import {
  isOfBefore,
  isShown,
  type RenewKeyring,
  renewNames,
  type SeenValue,
} from './renew-names.ts'
import { isOurDatabase } from './rotation-scene.ts'

export interface CompareKeysDeps extends AskDeps {
  readonly keyring: RenewKeyring
  readonly ledger: Ledger
  readonly looks: Looks
  readonly sessions: Pick<Sessions, 'open' | 'enter'>
  readonly types: ReadonlyMap<string, KeyType>
}

/** A provider's rate limit is not ours to spend. */
const atOnce = 2
const batchSize = 16
const enrolAtOnce = 1_000
/** Longer than a pass takes. */
const claimMs = 5 * 60_000
/** How soon new keys are noticed, and those looked at again that differ, gave no answer or were rotating. */
const soonMs = 5 * 60_000
const slowMs = 5_000
const leaveAloneMs = 60_000
/** After the first refused login, the second and so on, by all workers together. A vault locks an account after five in a
 *  quarter of an hour, and each try would keep up the lock when the credential has long been mended. */
const refusedWaitMs = [60_000, 4 * 60_000, 16 * 60_000, 60 * 60_000] as const

/** One pass; 0 when there was nothing to do. `everyMs`: the interval; 0: never. From when `stopping` says so no further key is
 *  asked about: a drain does not wait for a slow provider, and what was claimed is due again when the claim is over. */
export const makeCompareKeys = (deps: CompareKeysDeps, everyMs: number) => {
  const away: Pass['away'] = new Map()
  const walk = makeWalk(deps.looks, everyMs, Math.min(soonMs, everyMs))
  let forgotAt: number | null = null
  const all: Omit<Pass, 'stopping'> = { ...deps, away, everyMs, soonMs: Math.min(soonMs, everyMs) }
  return async (stopping: () => boolean): Promise<number> => {
    const pass = { ...all, stopping }
    const now = deps.clock.now().getTime()
    if (everyMs === 0) {
      // What was found before would be shown, and page, for ever. A worker of before the change may find more yet.
      if (forgotAt !== null && Math.abs(now - forgotAt) < soonMs) return 0
      await deps.looks.forget()
      forgotAt = now
      return 0
    }
    if (await deps.ledger.read((db) => db.recovery.open())) return 0
    const walked = await walk(now)
    const ids = await deps.looks.claim(batchSize, claimMs)
    if (ids.length === 0) return walked
    const due = await deps.ledger.read(async (db) => knownOf(db, await db.keys.byIds(ids)))
    const lanes = Map.groupBy(due, ({ key }) => key.connection)
    await allOf([...lanes.values()].map((lane) => lookAtAll(pass, lane)))
    return ids.length
  }
}

/** New keys are noticed soon: ids grow with time, so those after the last one seen are looked for often, and all of them once
 *  an interval. Returns how many steps were made: 1 as long as there are more. */
const makeWalk = (
  looks: Looks,
  everyMs: number,
  betweenMs: number,
): ((now: number) => Promise<0 | 1>) => {
  let last: string | null = null
  let resting = false
  let beganAt = -Infinity
  let restedAt = -Infinity
  return async (now) => {
    if (resting && Math.abs(now - restedAt) < betweenMs) return 0
    if (Math.abs(now - beganAt) >= everyMs && (resting || beganAt === -Infinity)) {
      last = null
      beganAt = now
    }
    const reached = await looks.enrol(last, enrolAtOnce, everyMs)
    resting = reached === null
    if (reached === null) restedAt = now
    else last = reached
    return resting ? 0 : 1
  }
}

interface Pass extends CompareKeysDeps {
  /** `why`: it gave no answer; null: it is slow. */
  readonly away: Map<string, { readonly until: number; readonly why: string | null }>
  readonly stopping: () => boolean
  readonly everyMs: number
  readonly soonMs: number
}

/** Keys of one connection. */
const lookAtAll = async (pass: Pass, lane: readonly Known[]): Promise<void> => {
  const left = [...lane]
  const work = async (): Promise<void> => {
    for (let known = left.shift(); known && !pass.stopping(); known = left.shift()) {
      // oxlint-disable-next-line no-await-in-loop -- a few at a time
      await lookAt(pass, known)
    }
  }
  await allOf(Array.from({ length: atOnce }, work))
}

/** Nothing goes on unseen when one of them has failed. */
const allOf = async (works: readonly Promise<void>[]): Promise<void> => {
  const failed = (await Promise.allSettled(works)).find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}

/** All that an answer is judged by: what was so when the key was taken. Whatever is told asks again whether it still is. */
interface Known {
  readonly key: Key
  readonly connection: Connection | null
  readonly versions: readonly Version[]
  readonly rotating: boolean
  readonly nextRotationAt: Date | null
  readonly drift: Drift | null
}

/** For many at once: one question each costs a million keys as many times as there are questions. */
const knownOf = async (db: Reads, keys: readonly Key[]): Promise<readonly Known[]> => {
  const ids = keys.map(({ id }) => id)
  const connections = new Map<string, Connection | null>()
  for (const name of new Set(keys.map(({ connection }) => connection)))
    connections.set(name, await db.connections.get(name)) // oxlint-disable-line no-await-in-loop -- few, one connection
  const versions = Map.groupBy(await db.versions.ofKeys(ids), ({ keyId }) => keyId)
  // What an incident works on is as it was left by it, or about to be.
  const rotating = new Set(
    [...(await db.rotations.openOfKeys(ids)), ...(await db.incidents.openOfKeys(ids))].map(
      ({ keyId }) => keyId,
    ),
  )
  const schedules = new Map((await db.schedule.getMany(ids)).map((row) => [row.keyId, row]))
  const drifts = new Map((await db.drift.getMany(ids)).map((row) => [row.keyId, row]))
  return keys.map((key) => ({
    key,
    connection: connections.get(key.connection) ?? null,
    versions: versions.get(key.id) ?? [],
    rotating: rotating.has(key.id),
    nextRotationAt: dueOf(schedules.get(key.id)),
    drift: drifts.get(key.id) ?? null,
  }))
}

/** An occurrence, and not the time at which a plan is tried again. */
const dueOf = (schedule: KeySchedule | undefined): Date | null =>
  schedule?.occurrence ? schedule.dueAt : null

const lookAt = async (pass: Pass, known: Known): Promise<void> => {
  const { looks, clock, away } = pass
  const { key, connection, drift } = known
  // Without versions its object is still being made.
  if (known.versions.length === 0 || !connection || !drift || key.deletedAt)
    return looks.putOff(key.id, pass.soonMs)
  if (known.rotating) return settle(pass, key, known, leftToRotation)
  const silence = away.get(connection.name)
  if (silence && silence.until > clock.now().getTime())
    return silence.why === null
      ? looks.putOff(key.id, pass.soonMs)
      : looks.silent(key.id, silence.why, pass.soonMs)
  const refusal = await looks.refusal(connection, leaveAloneMs)
  if (refusal && !refusal.mayTry) return looks.silent(key.id, refusal.why, pass.soonMs)
  // Rotations go first: what may be sent is spent on them.
  if (await pass.sessions.enter(connection)) return looks.putOff(key.id, pass.soonMs)
  const first = await answerOf(pass, key, connection, known, refusal?.times)
  if ('silence' in first) return looks.silent(key.id, first.silence, pass.soonMs)
  const { found } = first
  const successor = nativeSuccessor(key, found)
  if (found.state === 'equal') await renew(pass, known, first.seen)
  if (successor === null && !isNews(drift, found)) return settle(pass, key, known, found)
  await clock.pause(pass.types.get(key.type)?.traits.consistency.delayMs ?? 0)
  const second = await answerOf(pass, key, connection, known)
  if ('silence' in second) return looks.silent(key.id, second.silence, pass.soonMs)
  const sure = second.found.state === found.state && second.found.detail === found.detail
  if (!sure) return looks.putOff(key.id, pass.soonMs)
  await (successor === null
    ? settle(pass, key, known, found)
    : follow(pass, connection, known, { found, id: successor }))
}

/** The provider has rotated it by itself, as the key says that it does. */
const follow = async (
  pass: Pass,
  connection: Connection,
  known: Known,
  { found, id }: { readonly found: Comparison; readonly id: string },
): Promise<void> => {
  const { key } = known
  let successor: Successor
  try {
    const session = await pass.sessions.open(connection)
    successor = await proveSuccessor(session, pass.clock, key, id)
  } catch (error) {
    if (isOurDatabase(error)) throw error
    const { message } = asRekeyError(error)
    if (!isRekeyError(error, 'provider.rejected'))
      return pass.looks.silent(key.id, message, pass.soonMs)
    return settle(pass, key, known, {
      ...found,
      state: 'adopt',
      detail: `${found.detail} ${message}`,
    })
  }
  const recorded = await tell(pass, key, known, { ...found, facts: {} }, (tx, held) =>
    recordSuccessor(tx, held, successor),
  )
  if (!recorded) await pass.looks.putOff(key.id, pass.soonMs)
}

const settle = async (pass: Pass, key: Key, known: Known, found: Standing): Promise<void> => {
  if (known.drift && !isNews(known.drift, found))
    return pass.looks.put(key.id, found, nextLookMs(pass, key, found))
  if (!(await tell(pass, key, known, found))) await pass.looks.putOff(key.id, pass.soonMs)
}

type Answer =
  | { readonly found: Comparison; readonly seen: SeenValue }
  | { readonly silence: string }

const answerOf = async (
  pass: Pass,
  key: Key,
  connection: Connection,
  known: Known,
  refusals = 0,
): Promise<Answer> => {
  let told: Awaited<ReturnType<typeof ask>>
  try {
    told = await ask(pass, key, connection, known)
  } catch (error) {
    if (isOurDatabase(error)) throw error
    const silence = asRekeyError(error).message
    const until = pass.clock.now().getTime()
    if (error instanceof ProviderError && error.kind === 'auth') {
      const waitMs = refusedWaitMs[Math.min(refusals, refusedWaitMs.length - 1)] ?? leaveAloneMs
      await pass.looks.refused(connection, { times: refusals, why: silence, waitMs })
    } else if (isOfConnection(error)) {
      pass.away.set(connection.name, { until: until + waitOf(error), why: silence })
    } else if (refusals > 0) {
      // It was let in: what it refused is the key's own.
      await pass.looks.accepted(connection)
    }
    return { silence }
  }
  if (refusals > 0) await pass.looks.accepted(connection)
  return { found: compare(known, told), seen: told }
}

/** Not of this key alone. */
const isOfConnection = (error: unknown): boolean =>
  !(error instanceof ProviderError) || error.retryable

const waitOf = (error: unknown): number =>
  Math.max(leaveAloneMs, (error instanceof ProviderError ? error.retryAfterMs : null) ?? 0)

const ask = async (pass: Pass, key: Key, connection: Connection, { versions: ours }: Known) => {
  const began = pass.clock.now().getTime()
  const session = await pass.sessions.open(connection)
  const object = addressOf(key)
  const told = await askProvider(pass, session, object, ours)
  const carriers = await askForCarriers(pass, session, object, { ours, versions: told.versions })
  // Of a key that nobody rotates, or the provider itself, none are needed.
  const rotates = told.versions !== null && key.policy !== null && key.observe !== 'native'
  const bounds = { signal: pass.clock.deadline(callMs) }
  const missingRights = rotates ? await session.missingRights(object, bounds) : []
  const done = pass.clock.now().getTime()
  if (done - began >= slowMs)
    pass.away.set(connection.name, { until: done + leaveAloneMs, why: null })
  return { ...told, carriers, missingRights }
}

/** The same key at the same place in each interval, or all of them would come together in time. Whoever mends what differs
 *  is not kept waiting for an interval. */
const nextLookMs = (pass: Pass, key: Key, found: Standing): number =>
  found.state === 'equal'
    ? pass.everyMs * (0.9 + 0.1 * unitHash(key.id, 'comparison'))
    : pass.soonMs

const isNews = (before: Drift, found: Standing): boolean =>
  (isTold(before.state) || isTold(found.state)) &&
  (before.state !== found.state || before.detail !== found.detail)

class Moved extends Error {}

/** What was seen of its values makes fingerprints and names of an old pepper anew. A rotation that began meanwhile keeps them. */
const renew = async (pass: Pass, known: Known, seen: SeenValue): Promise<void> => {
  const { key, versions } = known
  if (!versions.some((version) => isOfBefore(pass.keyring, version, seen))) return
  try {
    await pass.ledger.commit(systemActor('worker', 'comparison'), async (tx) => {
      await tx.holdKeys([key.id])
      const held = await tx.keys.byId(key.id)
      const [now] = held ? await knownOf(tx, [held]) : []
      if (!held || held.deletedAt || !now || still(now) !== still(known)) throw new Moved()
      if (await isShown(tx)) throw new Moved()
      const renewed = await renewNames(tx, pass.keyring, now.versions, seen)
      if (renewed.length === 0) throw new Moved()
      return {
        value: null,
        audit: [
          {
            action: 'key.fingerprintsRenewed',
            target: { id: key.id, name: key.name },
            outcome: 'succeeded',
            after: { versions: renewed, pepper: pass.keyring.pepper },
          },
        ],
      }
    })
  } catch (error) {
    if (!(error instanceof Moved)) throw error
  }
}

/** False: the key has moved here meanwhile, and nothing was written. `also` writes more, and tells it. */
const tell = async (
  pass: Pass,
  key: Key,
  known: Known,
  found: Standing,
  also?: (tx: Tx, key: Key) => Promise<LedgerEvent>,
): Promise<boolean> => {
  try {
    await pass.ledger.commit(systemActor('worker', 'comparison'), async (tx) => {
      await tx.holdKeys([key.id])
      const held = await tx.keys.byId(key.id)
      const [now] = held ? await knownOf(tx, [held]) : []
      if (!held || held.deletedAt || !now || still(now) !== still(known)) throw new Moved()
      await tx.writeDrift.put(key.id, found, nextLookMs(pass, key, found))
      const since = known.drift?.state === found.state ? known.drift.since : await tx.now()
      const more = await also?.(tx, held)
      const news = known.drift && isNews(known.drift, found)
      const standing = told(held, known.drift, found, since)
      return { value: null, audit: more ? [more, ...(news ? [standing] : [])] : [standing] }
    })
    return true
  } catch (error) {
    if (error instanceof Moved) return false
    throw error
  }
}

/** What must not have moved between question and answer. */
const still = ({ versions, rotating, nextRotationAt, drift, connection }: Known): string =>
  JSON.stringify([
    ...[versions, rotating, nextRotationAt],
    ...[drift?.state, drift?.detail, connection?.revision],
  ])

const told = (key: Key, before: Drift | null, found: Standing, since: Date | null): LedgerEvent => {
  const target = { id: key.id, name: key.name }
  const named = { key: key.name, keyId: key.id, policy: key.policy, owner: key.owner }
  if (!isTold(found.state)) {
    return {
      action: 'key.driftEnded',
      target,
      outcome: 'succeeded',
      before: { state: before?.state ?? null, since: before?.since?.toISOString() ?? null },
      after: { ...named, state: found.state, detail: found.detail },
    }
  }
  return {
    action: 'key.drifted',
    target,
    outcome: 'failed',
    reason: found.detail,
    before: { state: before?.state ?? null },
    after: {
      ...named,
      state: found.state,
      facts: found.facts,
      primary: concernsPrimary(found),
      since: since?.toISOString() ?? null,
    },
  }
}
