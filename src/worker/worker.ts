// The worker: answers the doorbell, and once a second sweeps. The sweep plans what is due, rings for what nobody rang for,
// and lets sinks be told. All of it may run in any number of processes at once.
//
// What is due is rung for a few at a time, and more when half of that is done, however much there is. A queue that held all
// of it would be served in the order in which it was filled: three rotations of one policy after twenty thousand of another.
//
// A process whose clock is off by more than 30 s from the database's takes no work: its deadlines could not be trusted.

import type { workerTimers } from '#domain/metrics.ts'
import type { Meter } from '#domain/metrics.ts'
import type { Clock, Timers } from '#domain/ports.ts'
import { answerDoorbell, type Doorbell, type QueuePlace } from './doorbell.ts'

export interface WorkerDeps {
  readonly queue: QueuePlace
  readonly bell: Doorbell
  readonly timers: Timers
  readonly clock: Clock
  readonly meter: Meter
  readonly jobs: WorkerJobs
}

export interface WorkerJobs {
  readonly advanceRotation: (rotationId: string) => Promise<void>
  /** Of the rotations that are advanced at this moment. */
  readonly renewLeases: () => Promise<void>
  /** One pass; 0 when nothing was due. */
  readonly planRotations: () => Promise<number>
  /** In recovery mode, one pass over keys that have not been compared with their provider; 0 when there are none. */
  readonly reconcileKeys: () => Promise<number>
  /** One pass over keys that are due to be compared with their provider, ended early when it is stopping; 0 when none is. */
  readonly compareKeys: (stopping: () => boolean) => Promise<number>
  /** Whether there is any emergency. */
  readonly hasEmergency: () => Promise<boolean>
  /** One pass over keys of emergencies, ended early when it is stopping. */
  readonly containKeys: (stopping: () => boolean) => Promise<number>
  /** Of the keys that are contained at this moment. */
  readonly renewContainLeases: () => Promise<void>
  /** One pass over sinks; 0 when there was nothing to tell. */
  readonly deliverToSinks: () => Promise<number>
  /** Partitions ahead, expired idempotency replies. Once an hour. */
  readonly housekeeping: () => Promise<void>
}

export interface WorkerOptions {
  readonly leaseMs: number
  /** Rotations that one process advances at once. */
  readonly concurrency: number
  readonly every: (
    ms: number,
    work: () => Promise<void>,
    onError: (error: unknown) => void,
  ) => { now(): void; stop(): Promise<void> }
  readonly onError: (where: WorkerTimer, error: unknown) => void
}

export type WorkerTimer = (typeof workerTimers)[number]

export interface RunningWorker {
  /** Why it takes no work now; null when it does. */
  readonly idleBecause: () => string | null
  /** Keys of an emergency are due: it looks at once. */
  alarm(): void
  /** Takes no new work, finishes the steps under way, and parks the rest. */
  stop(): Promise<void>
}

const mostSkewMs = 30_000
const sweepMs = 1_000
/** While there is an emergency; without one the database is asked once a second whether there is. */
const emergencyMs = 250
/** Less than a second by half a tick, or it would be asked after five of them. */
const quietMs = sweepMs - emergencyMs / 2
const mostPasses = 40
/** Rung for at once, for each rotation that a process advances at once. */
const rungAhead = 4

export const startWorker = (deps: WorkerDeps, options: WorkerOptions): RunningWorker => {
  const { timers, clock, bell, jobs, meter } = deps
  const report = (where: WorkerTimer) => (error: unknown) => options.onError(where, error)
  let idle: string | null = 'starting'
  let stopping = false
  /** Steps that no doorbell brought. */
  const alone = new Map<string, Promise<void>>()
  meter.set('rekey_worker_taking_work', {}, 0)
  meter.set('rekey_sweep_last_success_timestamp_seconds', {}, 0)

  const checkClock = async (): Promise<void> => {
    const skewMs = clock.now().getTime() - (await timers.now()).getTime()
    idle =
      Math.abs(skewMs) > mostSkewMs
        ? `the clock is ${Math.round(skewMs / 1000)} s off the database's`
        : null
    meter.set('rekey_clock_skew_seconds', {}, skewMs / 1000)
    meter.set('rekey_worker_taking_work', {}, idle === null ? 1 : 0)
  }

  const batch = options.concurrency * rungAhead
  let answered = 0
  let more = false
  let feeding: Promise<void> = Promise.resolve()
  const feed = async (): Promise<void> => {
    answered = 0
    more = true
    const waiting = await bell.depth().then(
      (depth) => depth.waiting,
      () => null,
    )
    // What waits there is still due: it would be rung for again, for nothing.
    if (waiting !== null && waiting >= batch / 2) return
    const due = await timers.due(batch)
    more = due.length === batch
    if (waiting === null || !(await bell.tryRing(due))) goOnAlone(due)
  }

  const advance = async (rotationId: string): Promise<void> => {
    if (idle === null) await jobs.advanceRotation(rotationId)
    answered += 1
    if (!more || answered < batch / 2 || stopping) return
    more = false
    feeding = feed().catch(report('sweep'))
  }

  /** When no emergency was found; null: there is one, or somebody has told of one. */
  let quietSince: number | null = null
  const contain = async (): Promise<void> => {
    const now = clock.now().getTime()
    if (idle !== null || (quietSince !== null && Math.abs(now - quietSince) < quietMs)) return
    quietSince = now
    if (!(await jobs.hasEmergency())) return
    quietSince = null
    await jobs.containKeys(() => stopping || idle !== null)
  }

  /** The queue is away, and nobody can be rung: each worker takes up as many as the queue would give it; leases decide who. */
  const goOnAlone = (due: readonly string[]): void => {
    for (const rotationId of due) {
      if (stopping || alone.size >= options.concurrency) return
      if (alone.has(rotationId)) continue
      const step = advance(rotationId)
        .catch(report('queue'))
        .finally(() => alone.delete(rotationId))
      alone.set(rotationId, step)
    }
  }

  const sweep = async (): Promise<void> => {
    const begun = clock.now().getTime()
    await checkClock()
    if (idle !== null) return
    await timers.observe()
    try {
      // Each pass takes what the one before left, and its rotations begin before the next.
      // oxlint-disable-next-line no-await-in-loop
      for (let pass = 0; pass < mostPasses && (await jobs.planRotations()) > 0; pass++) await feed()
    } finally {
      // What is open goes on, whatever kept the planner from opening more.
      await feed()
    }
    const done = clock.now().getTime()
    meter.observe('rekey_sweep_duration_seconds', {}, Math.max(0, done - begun) / 1000)
    meter.set('rekey_sweep_last_success_timestamp_seconds', {}, done / 1000)
  }

  const answering = answerDoorbell(
    deps.queue,
    { clock, concurrency: options.concurrency, onError: report('queue') },
    advance,
  )
  const emergencies = options.every(emergencyMs, contain, report('incidents'))
  const tickers = [
    options.every(sweepMs, sweep, report('sweep')),
    options.every(options.leaseMs / 4, jobs.renewLeases, report('heartbeat')),
    options.every(options.leaseMs / 4, jobs.renewContainLeases, report('heartbeat')),
    // A ticker of its own: no routine work stands before an emergency.
    emergencies,
    options.every(
      sweepMs,
      async () => {
        await jobs.deliverToSinks()
      },
      report('sinks'),
    ),
    options.every(
      sweepMs,
      async () => {
        // oxlint-disable-next-line no-await-in-loop -- each pass takes what the one before left
        for (let pass = 0; pass < mostPasses && (await jobs.reconcileKeys()) > 0; pass++);
      },
      report('recovery'),
    ),
    options.every(
      sweepMs,
      async () => {
        // oxlint-disable-next-line no-await-in-loop -- each pass takes what the one before left
        for (
          let pass = 0;
          pass < mostPasses && !stopping && (await jobs.compareKeys(() => stopping)) > 0;
          pass++
        );
      },
      report('comparison'),
    ),
    options.every(3_600_000, jobs.housekeeping, report('housekeeping')),
  ]
  return {
    idleBecause: () => idle,
    alarm() {
      quietSince = null
      emergencies.now()
    },
    async stop() {
      stopping = true
      const [, heartbeat, containing] = tickers
      await Promise.all(
        tickers
          .filter((ticker) => ticker !== heartbeat && ticker !== containing)
          .map((ticker) => ticker.stop()),
      )
      // Handlers finish their step under their lease; the heartbeat goes on until they have.
      await Promise.all([answering.close(), ...alone.values()])
      await feeding
      await Promise.all([heartbeat?.stop(), containing?.stop()])
    },
  }
}
