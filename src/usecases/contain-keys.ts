// The worker of emergencies: takes keys that are due, the most dangerous first and of each connection in turn, and works on each
// by itself. More are taken when some are done, so that a slow or failing key holds nobody, and a slow connection only its own.
//
// Any number of workers may do this at once: a lease (database clock) lets one of them have a key, and what it writes is fenced
// by it (record-containment.ts). A crash anywhere leaves leases, which expire; whoever has them next goes on from the record.
// No freeze, pause or blackout holds an emergency; only recovery mode does, since nobody knows then what is true.

import { systemActor } from '#domain/actor.ts'
import { cachedUntil, stages } from '#domain/contain-key.ts'
import type { ClaimedKey, IncidentTimerPatch, IncidentTimers } from '#domain/ports.ts'
import { makeTurns } from '#domain/turns.ts'
import { containKey, type Containing, isToSend, type Place, record } from './contain-key.ts'
import { afterStep, type Case, keyWith, loadCases, timeAt } from './contained-cases.ts'
import { keyEvent } from './containment-events.ts'
import { givenUp } from './give-up-contained.ts'
import { isToLook, lateMsOf, lookAgain } from './look-again.ts'
import { isToProve, proveKey } from './prove-contained.ts'
import { makeRecorder } from './record-containment.ts'
import { recoveryHold } from './recovery-mode.ts'
import type { ReplaceKey } from './replace-contained.ts'
import type { RestoreKey } from './restore-contained.ts'
import type { EngineDeps, World } from './rotation-engine.ts'
import { Full, openSession } from './rotation-scene.ts'
import { settleIncidents } from './settle-incident.ts'

export interface ContainDeps extends Pick<EngineDeps, 'ledger' | 'clock' | 'ids'> {
  readonly timers: IncidentTimers
  readonly world: Pick<World, 'sessions' | 'types'>
}

export interface ContainWorker {
  readonly instance: string
  readonly replace: ReplaceKey
  readonly restore: RestoreKey
  /** One line for the log: no text of a provider in it. */
  readonly report: (keyId: string, error: unknown) => void
}

export interface ContainKeys {
  /** Takes what is due until nothing is, or it is stopping, and waits for what it took. Returns how many. */
  (stopping?: () => boolean): Promise<number>
  /** Something is due: a pass that waits looks at once. */
  readonly alarm: () => void
  /** The heartbeat of the leases. */
  readonly renewLeases: () => Promise<void>
}

export const containLeaseMs = 30_000
/** Keys that one process has at once. */
export interface Room {
  readonly inAll: number
  /** Of one connection, before it is asked for more. */
  readonly ofOne: number
  /** Taken by one claim: few, so that the most dangerous ones are refused before the last ones are begun. */
  readonly atOnce: number
  /** What a connection gets that holds fewer, when others have taken all of the room: however many of them hang, what they hold
   *  keeps nobody else waiting. */
  readonly ofFresh: number
}
const usualRoom: Room = { inAll: 2_048, ofOne: 512, atOnce: 128, ofFresh: 16 }
/** Requests that are under way at one connection, unless its type says how many. */
const mostRequests = 48
/** Reads of claims, and transactions of replacements, that are under way: the sessions with the database are shared with whoever
 *  asks over HTTP, and with rotations. */
const mostLoads = 2
const mostReplacements = 3
const afterFaultMs = 2_000
const mostFaults = 6
/** A rotation that ends rings for its key; this is for a ring that was lost. */
const lookAgainMs = 60_000
/** While keys are under way, whether another incident has come to rest. */
const settleMs = 1_000

export const makeContainKeys = (
  deps: ContainDeps,
  worker: ContainWorker,
  room: Room = usualRoom,
): ContainKeys => {
  const { ledger, timers, clock, ids } = deps
  const actor = systemActor('worker', worker.instance)
  const engine: Containing = {
    ledger,
    clock,
    ids,
    recorder: makeRecorder(ledger, actor),
    release: ({ lease }, patch) => timers.release([{ ...lease, ...patch }]),
  }
  const toLoad = makeTurns(mostLoads)
  const toReplace = makeTurns(mostReplacements)
  const lanes = new Map<string, Lane>()
  const owners = new Map<string, number>()
  let inFlight = 0
  /** Keys are due that found no room. */
  let crowded = false
  let wake: () => void = () => undefined
  const laneOf = (connection: string): Lane => {
    const lane = lanes.get(connection) ?? makeLane()
    lanes.set(connection, lane)
    return lane
  }

  const claim = async (): Promise<readonly ClaimedKey[]> => {
    const owner = `${worker.instance}/${ids.next()}`
    const now = clock.now().getTime()
    const left = room.inAll - inFlight
    const isFull = left < room.atOnce / 2
    const ofOne = isFull ? room.ofFresh : room.ofOne
    const without = [...lanes].flatMap(([name, lane]) =>
      lane.keys >= ofOne || lane.shutUntil > now ? [name] : [],
    )
    const leases = await timers.claim(owner, {
      limit: isFull ? room.atOnce : Math.min(room.atOnce, left),
      perLane: isFull ? room.ofFresh : room.atOnce,
      without,
      ttlMs: containLeaseMs,
    })
    if (leases.length > 0) owners.set(owner, leases.length)
    crowded = isFull || without.length > 0
    return leases
  }

  const over = (lease: ClaimedKey): void => {
    const left = (owners.get(lease.owner) ?? 1) - 1
    if (left === 0) owners.delete(lease.owner)
    else owners.set(lease.owner, left)
    inFlight -= 1
    laneOf(lease.connection).keys -= 1
    // Where all that was due is taken, nothing more is because of one that has ended.
    if (crowded || inFlight === 0) wake()
  }

  const begin = async (leases: readonly ClaimedKey[]): Promise<void> => {
    for (const lease of leases) laneOf(lease.connection).keys += 1
    inFlight += leases.length
    const claimedAt = clock.now()
    const cases = await toLoad(() => load(leases, claimedAt))
    const found = new Map(cases.map((one) => [one.lease, one]))
    for (const lease of leases) {
      const one = found.get(lease)
      void (one ? work(one) : putOff(lease, afterFaultMs)).finally(() => over(lease))
    }
  }

  /** Never throws. One that cannot be read takes no other with it: then each is read by itself. */
  const load = async (leases: readonly ClaimedKey[], claimedAt: Date): Promise<readonly Case[]> => {
    try {
      return await loadCases(ledger, deps.world.types, leases, claimedAt)
    } catch (error) {
      const [only, ...others] = leases
      if (others.length === 0) {
        worker.report(only?.keyId ?? '', error)
        return []
      }
      const cases: Case[] = []
      for (const lease of leases) cases.push(...(await load([lease], claimedAt))) // oxlint-disable-line no-await-in-loop -- a statement at a time
      return cases
    }
  }

  const putOff = async ({ tries, stage, ...lease }: ClaimedKey, afterMs: number): Promise<void> => {
    try {
      await timers.release([{ ...lease, stage, tries, afterMs }])
    } catch (error) {
      // The lease expires by itself.
      worker.report(lease.keyId, error)
    }
  }

  /** Never throws. */
  const work = async (found: Case): Promise<void> => {
    const lane = laneOf(found.connection.name)
    try {
      if (!asksProvider(found) && !isToLook(found)) return await goOn(found)
      const session = await lane.door(async () => {
        const leftMs = lane.shutUntil - clock.now().getTime()
        if (leftMs > 0) throw new Full({ afterMs: leftMs, why: 'its connection is at its limit' })
        return openSession(deps, found.connection)
      })
      lane.turn ??= makeTurns(found.type.incident?.requestsAtOnce ?? mostRequests)
      await step(found, { session, turn: lane.turn })
    } catch (error) {
      if (!(error instanceof Full)) {
        worker.report(found.key.keyId, error)
        return failed(found, error)
      }
      const { afterMs } = error.room
      lane.shutUntil = Math.max(lane.shutUntil, clock.now().getTime() + afterMs)
      return putOff(found.lease, afterMs)
    }
  }
  const step = async (found: Case, place: Place): Promise<void> => {
    if (found.key.restoration === 'asked') return worker.restore(engine, found, place)
    const off = await containKey(engine, found, place)
    if (!off || (await proveKey(engine, off, place, nextOf))) return
    if (!(await lookAgain(engine, off, place, nextOf))) await goOn(off)
  }

  /** What is written in the database alone. */
  const goOn = async (found: Case): Promise<void> => {
    const isReplaced = await toReplace(() => worker.replace(found, nextOf))
    if (!isReplaced) await engine.release(found, nextOf(found))
  }

  const asksProvider = (found: Case): boolean =>
    found.key.restoration === 'asked' || isToSend(found) || isToProve(found, timeAt(found, clock))

  /** What is due next for a key that was worked on. */
  const nextOf = (found: Case): IncidentTimerPatch => {
    const { key, evidence } = found
    const tries = 0
    if (asksProvider(found)) return { afterMs: 0, stage: stages.contain, tries }
    if (key.replacement === 'pending' && found.key.rotationId === null)
      return { afterMs: 0, stage: stages.replace, tries }
    const now = timeAt(found, clock)
    const waits = evidence.flatMap((one) => {
      const until = cachedUntil(one)
      return until === null ? [] : [Math.max(0, until.getTime() - now) + 1]
    })
    const replaced = key.replacement === 'pending' || key.replacement === 'running'
    const late = lateMsOf(found, now)
    const all = [...waits, ...(replaced ? [lookAgainMs] : []), ...(late === null ? [] : [late])]
    return { afterMs: all.length === 0 ? null : Math.min(...all), stage: stages.prove, tries }
  }

  /** A session that cannot be opened, or a fault of ours: tried again, and after some tries it has failed. */
  const failed = async (found: Case, error: unknown): Promise<void> => {
    const tries = found.lease.tries + 1
    const end = tries < mostFaults ? null : givenUp(found, error, timeAt(found, clock))
    if (!end) {
      const afterMs = Math.min(30_000, afterFaultMs * 2 ** found.lease.tries)
      return putOff({ ...found.lease, tries }, afterMs)
    }
    try {
      await record(engine, found, (at) => {
        const { evidence, change } = end
        const key = keyWith(found, evidence, at, change)
        const release = nextOf(afterStep(found, { key, evidence }))
        return { key, evidence, events: [keyEvent(key, evidence)], release }
      })
    } catch (again) {
      worker.report(found.key.keyId, again)
      await putOff(found.lease, 30_000)
    }
  }

  const pass = async (stopping: () => boolean = () => false): Promise<number> => {
    if ((await ledger.read(recoveryHold)) !== null) return 0
    let taken = 0
    let settledAt = 0
    /* oxlint-disable no-await-in-loop -- one claim after the other */
    while (!stopping()) {
      const leases = await claim()
      if (leases.length > 0) {
        taken += leases.length
        void begin(leases)
        continue
      }
      const now = clock.now().getTime()
      if (inFlight === 0 || Math.abs(now - settledAt) >= settleMs) {
        settledAt = now
        await settleIncidents(ledger, actor)
      }
      if (inFlight === 0) break
      await changed()
    }
    while (inFlight > 0) await changed()
    /* oxlint-enable no-await-in-loop */
    return taken
  }
  /** There is room for others, or a moment has passed: others may be due. */
  const changed = (): Promise<void> =>
    Promise.race([
      new Promise<void>((resolve) => {
        wake = resolve
      }),
      clock.pause(250),
    ])

  return Object.assign(pass, {
    alarm: () => wake(),
    renewLeases: () => timers.heartbeat([...owners.keys()], containLeaseMs),
  })
}

/** The keys and requests of one connection. */
interface Lane {
  keys: number
  /** It is at its limit until then, in milliseconds. */
  shutUntil: number
  /** A few at a time; null before the first. */
  turn: Place['turn'] | null
  /** One at a time. */
  readonly door: Place['turn']
}

const makeLane = (): Lane => ({
  keys: 0,
  shutUntil: 0,
  turn: null,
  door: makeTurns(1),
})
