// What a walk walks on: the engine on a database of its own, several worker processes on hosts whose clocks differ, time that
// is turned by hand, faults that wait for the next call of a method, and witnesses that the engine does not know of:
//
// - every write that reaches a provider is held against its intent, the holds and the gates (witness.ts)
// - a trigger writes down every change of phase, to be held against the audit log
// - every lease that is given is held against the one before
//
// What a witness sees is kept and thrown by whoever looks next: thrown where it is seen, it would look like a provider's fault.

import type { Clock, Ids, Ledger, Timers } from '#domain/ports.ts'
import type { Call, Session } from '#domain/provider.ts'
import { createLedger } from '#store/ledger.ts'
import { noTelemetry } from '#domain/telemetry.ts'
import { makeIds } from '#runtime/ids.ts'
import { type Engine, openEngine } from '#test/support/engine.ts'
import { makeShelf, type Shelf } from '#test/support/shelf.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { checkKey } from '#usecases/check-invariants.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import type { EngineDeps } from '#usecases/rotation-engine.ts'
import { type Fault, isWrite, type Method, suffer, throughAll } from './faults.ts'
import { broken, type Model, type ModelKey, openOnes, type Seen } from './model.ts'
import { openWitness, type Witness } from './witness.ts'

export const hourMs = 3_600_000

/** One worker process. It does one thing at a time. */
export interface Process {
  readonly instance: string
  readonly slot: number
  /** It will do nothing any more by itself: it died, or is stopped. */
  halted: boolean
  /** Somebody took over what it was at while it was stopped: it may write nothing. */
  fenced: boolean
  /** The rotation that it is at. */
  at: string | null
  readonly timers: Timers
  readonly ledger: Ledger
  readonly advance: (rotationId: string) => Promise<void>
  readonly plan: () => Promise<number>
  /** What it does until it halts. */
  readonly run: (work: () => Promise<unknown>) => Promise<void>
}

/** Stands between a process and our database. */
export interface Seam {
  readonly ledger: (ledger: Ledger) => Ledger
  readonly timers: (timers: Timers) => Timers
}
const noSeam: Seam = { ledger: (ledger) => ledger, timers: (timers) => timers }

interface Stopped {
  readonly process: Process
  readonly goOn: () => void
  readonly rotation: string | null
  readonly epoch: number
  /** What it was at, to its end. */
  work: Promise<unknown>
}

export interface Ground {
  readonly engine: Engine
  readonly shelf: Shelf
  readonly witness: Witness
  readonly armed: Fault[]
  readonly stopped: Stopped[]
  /** Names of dead processes, by slot: what they held is not free yet. */
  readonly dead: Map<number, string>
  begin(model: Model, skewMs: number): void
  /** Another process on a host whose clock is right; what it asks of our database goes through the seam. */
  spawn(seam: Seam): Process
  wait(ms: number): Promise<void>
  jump(ms: number): Promise<void>
  look(): Promise<{ readonly now: Date; readonly toPlan: number }>
  sweep(slot: number, planning?: 'and plan' | 'begin nothing'): Promise<void>
  goOn(): Promise<void>
  restart(slot: number): Promise<void>
  check(key: ModelKey, strictly?: boolean): Promise<void>
  breach(sentence: string): void
  throwBreaches(): void
  end(): Promise<void>
  close(): Promise<void>
}

export const openGround = async (): Promise<Ground> => {
  const shelf = makeShelf()
  const engine = await openEngine({ providers: [shelf.provider] })
  const { clock } = engine
  const witness = await openWitness(engine, shelf)
  const breaches: string[] = []
  const breach = (sentence: string): void => void breaches.push(sentence)
  const armed: Fault[] = []
  const stopped: Stopped[] = []
  const dead = new Map<number, string>()
  const leases = new Map<string, { readonly owner: string; readonly until: number }>()
  let deadlines: { readonly at: number; readonly end: AbortController }[] = []
  let landings: { readonly at: number; readonly effect: () => Promise<unknown> }[] = []
  let model: Model
  let skew = 0
  let walks = 0
  let made = 0
  let livedMs = 0
  let chance = 0
  const processes = new Map<number, Process>()

  /** Retries fall at the same times in the same walk. */
  const seeded = (ids: Ids): Ids => ({
    next: ids.next,
    random: ids.random,
    fraction: () => (chance = (chance * 16_807 + 11) % 2_147_483_647) / 2_147_483_647,
  })

  const hostClock = (skewMs: number): Clock => ({
    ...clock,
    now: () => new Date(clock.now().getTime() + skewMs),
    // On the monotonic clock, that no jump moves.
    deadline: (ms) => {
      const end = new AbortController()
      deadlines.push({ at: livedMs + ms, end })
      return end.signal
    },
  })

  /** A host of its own: what it writes down carries its time. */
  const ledgerOn = (host: Clock): Ledger =>
    createLedger({
      database: engine.database,
      keyring: engine.keyring,
      writer: engine.writer,
      ids: makeIds(host),
      clock: host,
      bell: { ring: async () => {} },
      trace: noTelemetry.tracer,
    })

  const watchedTimers = (timers: Timers): Timers => ({
    ...timers,
    claim: async (rotationId, owner, ttlMs) => {
      const from = clock.now().getTime()
      const lease = await timers.claim(rotationId, owner, ttlMs)
      if (!lease) return lease
      const held = leases.get(rotationId)
      if (held && held.owner !== owner && clock.now().getTime() < held.until)
        breach(`the lease of ${held.owner} on ${rotationId} was stolen by ${owner}`)
      leases.set(rotationId, { owner, until: from + ttlMs })
      return lease
    },
    release: async (rotationId, owner, patch) => {
      await timers.release(rotationId, owner, patch)
      if (leases.get(rotationId)?.owner === owner) leases.delete(rotationId)
    },
    expire: async (rotationId, owner) => {
      await timers.expire(rotationId, owner)
      if (leases.get(rotationId)?.owner === owner) leases.delete(rotationId)
    },
  })

  const makeProcess = (slot: number, seam: Seam): Process => {
    const instance = `walk-${walks}-worker-${slot}-${++made}`
    const host = hostClock(slot === 2 ? skew : 0)
    const ids = seeded(makeIds(host))
    let halt = (): void => undefined
    let halting = new Promise<void>(() => undefined)
    const rearm = (): void => {
      halting = new Promise((resolve) => {
        halt = resolve
      })
    }
    const through = (
      method: Method,
      real: () => Promise<unknown>,
      signal: AbortSignal | null,
    ): Promise<unknown> => {
      const index = armed.findIndex((fault) => fault.method === method)
      const [fault] = index < 0 ? [] : armed.splice(index, 1)
      if (!fault) return real()
      const dies = (): void => {
        process.halted = true
        dead.set(slot, instance)
        halt()
      }
      const stops = async (): Promise<void> => {
        const rotation = process.at
        const epoch = rotation === null ? 0 : (await engine.rotation(rotation)).epoch
        await new Promise<void>((goOn) => {
          process.halted = true
          stopped.push({ process, goOn, rotation, epoch, work })
          model.stopped = stopped.length
          halt()
        })
      }
      const later = (effect: () => Promise<unknown>): void => {
        landings.push({ at: clock.now().getTime() + 11_000, effect })
      }
      return suffer(fault, { dies, stops, later }, real, signal)
    }
    const inner = seam.ledger(ledgerOn(host))
    const ledger: Ledger = {
      ...inner,
      commit: (actor, body) =>
        through('commit', () => inner.commit(actor, body), null) as ReturnType<
          typeof inner.commit<never>
        >,
    }
    const { sessions } = engine.deps.world
    const wrapped = (session: Session): Session =>
      throughAll(session, async (method, args, real) => {
        const call = args.at(-1) as Call
        if (isWrite(method)) {
          if (process.fenced) breach(`${instance} lost its lease, and sends ${method}`)
          for (const sentence of await witness.ofWrite(model, method, args, call)) breach(sentence)
        }
        return through(method, real, call.signal)
      })
    const world: EngineDeps['world'] = {
      ...engine.deps.world,
      sessions: { ...sessions, open: async (of) => wrapped(await sessions.open(of)) },
    }
    const timers = watchedTimers(seam.timers(engine.timers))
    const deps: EngineDeps = { ledger, timers, world, clock: host, ids }
    const bell = { ring: async () => {} }
    // What a walk makes happen is a bug of an adapter, and nothing else.
    const report = (id: string, error: unknown): void => {
      if (!(error instanceof TypeError && error.message === 'a bug'))
        breach(`a fault in ${id}: ${faultOf(error)}`)
    }
    const driver = makeAdvanceRotation(deps, { instance, bell, report })
    const { types } = engine.deps.world
    let work: Promise<unknown> = Promise.resolve()
    const process: Process = {
      instance,
      slot,
      halted: false,
      fenced: false,
      at: null,
      timers,
      ledger,
      advance: driver,
      plan: makePlanRotations({ ledger, timers, ids, types, hashJson: engine.hashJson }, instance),
      run: async (todo) => {
        rearm()
        work = todo()
        await Promise.race([work, halting])
      },
    }
    return process
  }

  const processAt = (slot: number): Process => {
    const there = processes.get(slot)
    if (there && !there.halted) return there
    const fresh = makeProcess(slot, noSeam)
    processes.set(slot, fresh)
    return fresh
  }

  const turn = async (ms: number): Promise<void> => {
    livedMs += ms
    await clock.advance(ms)
    for (const { at, end } of deadlines) if (at <= livedMs) end.abort()
    deadlines = deadlines.filter(({ at }) => at > livedMs)
  }
  const land = async (due: (at: number) => boolean, lived: boolean): Promise<void> => {
    for (const landing of landings.filter(({ at }) => due(at))) {
      landings = landings.filter((one) => one !== landing)
      const now = clock.now().getTime()
      if (lived && landing.at > now) await turn(landing.at - now)
      await landing.effect().catch(() => undefined)
    }
  }

  const ground: Ground = {
    engine,
    shelf,
    witness,
    armed,
    stopped,
    dead,
    breach,
    begin: (next, skewMs) => {
      model = next
      skew = skewMs
      walks += 1
      made = 0
      chance = 1
      breaches.length = 0
      processes.clear()
    },
    spawn: (seam) => makeProcess(0, seam),
    wait: async (ms) => {
      const end = clock.now().getTime() + ms
      await land((at) => at <= end, true)
      await turn(Math.max(0, end - clock.now().getTime()))
    },
    jump: async (ms) => {
      // What is on its way lands before: a request counts the time that passes, and not what a clock says.
      await land(() => true, false)
      await clock.advance(ms)
      model.jumps.push({ at: clock.now(), ms })
    },
    look: async () => {
      const seen = await witness.look(model.keys)
      for (const sentence of broken(model.rotations, seen.rotations)) breach(sentence)
      model.rotations = seen.rotations
      return seen
    },
    sweep: async (slot, planning = 'and plan') => {
      const process = processAt(slot)
      await process.timers.observe()
      let { now, toPlan } = await ground.look()
      const plans = planning === 'and plan' ? 10 : 0
      for (let n = 0; n < plans && toPlan > 0 && !process.halted; n++) {
        await process.run(process.plan)
        ;({ now, toPlan } = await ground.look())
      }
      const touched = new Set<string>()
      for (const { id, key } of ready(model, now)) {
        if (process.halted) break
        process.at = id
        await process.run(() => process.advance(id))
        touched.add(key)
      }
      if (touched.size > 0) await ground.look()
      for (const key of model.keys) if (touched.has(key.name)) await ground.check(key)
      ground.throwBreaches()
    },
    goOn: async () => {
      const [first] = stopped.splice(0, 1)
      if (!first) return
      model.stopped = stopped.length
      const { process, rotation, epoch } = first
      const now = rotation === null ? null : await engine.rotation(rotation)
      process.fenced = now !== null && now.epoch > epoch
      const before = process.fenced && rotation ? await witness.fingerprint(rotation) : ''
      first.goOn()
      // It may stop or die again.
      await process.run(() => first.work)
      const after = process.fenced && rotation ? await witness.fingerprint(rotation) : ''
      if (before !== after)
        breach(`${process.instance} lost its lease, went on, and wrote about ${rotation}`)
      await ground.look()
      for (const key of model.keys) if (!now || now.keyName === key.name) await ground.check(key)
      ground.throwBreaches()
    },
    restart: async (slot) => {
      const instance = dead.get(slot)
      if (instance === undefined) return
      dead.delete(slot)
      await engine.timers.expireOf(instance)
      for (const [id, { owner }] of leases) if (owner.startsWith(`${instance}/`)) leases.delete(id)
    },
    check: async (key, strictly = false) => {
      if (key.deleted) return
      const found = await engine.ledger.read((db) => db.keys.byId(key.id))
      if (!found) throw new Error(`the key ${key.name} is gone`)
      const { keyring, deps } = engine
      const { types, sessions } = deps.world
      const still = holdingStill(engine.ledger)
      const { breaches: seen, unknown } = await checkKey(
        { ledger: still, timers: engine.timers, keyring, clock, types, sessions },
        found,
      )
      const told = seen.filter(({ invariant }) => !excused(model, key, invariant, strictly))
      for (const { invariant, sentence } of told) breach(`${invariant}: ${sentence}`)
      if (unknown !== null && !key.tampered) breach(`not known of ${key.name}: ${unknown}`)
    },
    throwBreaches: () => {
      if (breaches.length > 0) throw new Error(`what must be so is not so:\n${breaches.join('\n')}`)
    },
    end: async () => {
      armed.length = 0
      stopped.length = 0
      landings = []
      dead.clear()
      leases.clear()
      deadlines = []
      await witness.putToRest(model.keys)
    },
    close: () => engine.close(),
  }
  return ground
}

const faultOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const at = error.stack?.split('\n').filter((line) => line.startsWith('    at '))
  return `${error.name}: ${error.message.replaceAll(/\s+/g, ' ').trim()}\n${at?.join('\n')}`
}

/** What a sweep would ring for: due and held by nobody, or held by one whose lease is over. */
const ready = (model: Model, now: Date): readonly Seen[] =>
  openOnes(model).filter(({ due, lease }) => (lease ? lease <= now : due !== null && due <= now))

/** A walk does one thing at a time: between the two looks of the checker nothing moves, so the first one counts twice. */
const holdingStill = (ledger: Pick<Ledger, 'read'>): Pick<Ledger, 'read'> => {
  let first: Promise<unknown> | null = null
  return {
    read: <T>(work: Parameters<typeof ledger.read<T>>[0]) =>
      (first ??= ledger.read(work)) as Promise<T>,
  }
}

const excused = (model: Model, key: ModelKey, invariant: string, strictly: boolean): boolean => {
  // Whoever takes versions away, or puts others there, behind Rekey's back decides what is served.
  if (key.tampered && ['I1', 'I5', 'I6', 'I8'].includes(invariant)) return true
  if (key.abandoned && ['I1', 'I5', 'I8'].includes(invariant)) return true
  // After an hour that nobody lived through everything is late.
  return invariant === 'I16' && model.jumps.length > 0 && !strictly
}
