// The doorbell: BullMQ, on Postgres (schema `queue`) by default and on Redis where there are many workers.
// A job is a rotation's id and nothing else; everything is read from the row. So a lost job costs a second (the sweep rings
// again), a duplicate costs a look at a lease, and a failed one leaves no text of a provider behind.
//
// The job's id is the rotation's: while one waits, others are swallowed, and a backlog does not grow by being swept.

import { createPostgresBackend, Queue, Worker } from 'bullmq'
import type { Bell, Clock } from '#domain/ports.ts'

export interface QueuePlace {
  /** Connection string of the app role; the tables of schema `queue` exist already. */
  readonly databaseUrl: string
  readonly redisUrl: string | null
}

export const queueName = 'rotations'
const queueSchema = 'queue'

export interface Doorbell extends Bell {
  /** The same, and says whether it was rung for all of them. */
  tryRing(rotationIds: readonly string[]): Promise<boolean>
  /** Jobs that wait, and jobs that run. */
  depth(): Promise<{ readonly waiting: number; readonly active: number }>
  close(): Promise<void>
}

/** Whoever rings has committed already, and does not wait for a queue that is away. */
const mostRingMs = 1_000

/** The ringing side. Errors of the queue are told once each and never thrown: the sweep makes up for them. */
export const openDoorbell = (
  place: QueuePlace,
  clock: Pick<Clock, 'pause'>,
  onError: (error: unknown) => void,
): Doorbell => {
  const queue = place.redisUrl
    ? new Queue(queueName, { connection: redisToRing(place.redisUrl) })
    : new Queue(queueName, { connection: postgres(place.databaseUrl, 2) }, createPostgresBackend)
  queue.on('error', onError)
  const add = async (rotationIds: readonly string[]): Promise<boolean> => {
    // One by one: adding in bulk makes temporary tables and a sequence, which the role that serves may not.
    const added = rotationIds.map((rotationId) =>
      queue.add(
        'ring',
        { rotationId },
        { jobId: rotationId, removeOnComplete: true, removeOnFail: true, attempts: 1 },
      ),
    )
    const failed = (await Promise.allSettled(added)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') onError(failed.reason)
    return failed === undefined
  }
  const tryRing = async (rotationIds: readonly string[]): Promise<boolean> => {
    const adding = add(rotationIds)
    // PostgreSQL ends what takes too long by itself, and is waited for: what is written there slows down whoever writes.
    if (!place.redisUrl) return adding
    return (await soon(clock, adding, mostRingMs)) ?? false
  }
  return {
    tryRing,
    ring: async (rotationIds) => {
      await tryRing(rotationIds)
    },
    async depth() {
      const asking = queue.getJobCounts('wait', 'active')
      const counts = place.redisUrl ? await soon(clock, asking, mostRingMs) : await asking
      if (counts === null) throw new Error('the queue does not answer')
      const { wait = 0, active = 0 } = counts
      return { waiting: wait, active }
    },
    close: async () => {
      await soon(clock, queue.close(), mostCloseMs)
    },
  }
}

export interface Answering {
  /** Takes nothing new, and resolves when every handler has ended. */
  close(): Promise<void>
}

/** Null where it takes longer. */
const soon = async <T>(
  clock: Pick<Clock, 'pause'>,
  work: Promise<T>,
  mostMs: number,
): Promise<T | null> => {
  const over = new AbortController()
  const done = await Promise.race([work, clock.pause(mostMs, over.signal).then(() => null)])
  over.abort()
  return done
}
/** A queue that is away cannot be told goodbye. It finds out: the lock of a job runs out, and the job is of use to nobody. */
const mostCloseMs = 2_000

export interface AnsweringOptions {
  readonly clock: Pick<Clock, 'pause'>
  /** Rotations at once. */
  readonly concurrency: number
  readonly onError: (error: unknown) => void
}

/** The answering side. A handler never fails: what goes wrong stands in the row. */
export const answerDoorbell = (
  place: QueuePlace,
  { clock, concurrency, onError }: AnsweringOptions,
  handle: (rotationId: string) => Promise<void>,
): Answering => {
  const options = {
    concurrency,
    // A worker that died with a job gives it up after this; the row's own lease decides who may act.
    lockDuration: 10_000,
    stalledInterval: 5_000,
    maxStalledCount: 1_000_000,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  }
  const underWay = new Set<Promise<void>>()
  const work = async (job: { readonly data: { readonly rotationId: string } }): Promise<void> => {
    const step = handle(job.data.rotationId).catch(onError)
    underWay.add(step)
    await step
    underWay.delete(step)
  }
  const worker = place.redisUrl
    ? new Worker(queueName, work, {
        ...options,
        connection: redis(place.redisUrl),
      })
    : new Worker(
        queueName,
        work,
        { ...options, connection: postgres(place.databaseUrl, 3) },
        createPostgresBackend,
      )
  worker.on('error', onError)
  return {
    close: async () => {
      const closing = worker.close()
      await Promise.all(underWay)
      await soon(clock, closing, mostCloseMs)
    },
  }
}

const postgres = (connectionString: string, max: number) => ({
  connectionString,
  schema: queueSchema,
  max,
})
/** It is there again within a second of being there again. */
const retryStrategy = (): number => 1_000
const redis = (url: string) => ({ url, retryStrategy, maxRetriesPerRequest: null })
/** What cannot be sent now fails now: kept, it would make whoever rings wait for Redis, and pile up. */
const redisToRing = (url: string) => ({
  url,
  retryStrategy,
  maxRetriesPerRequest: 1,
  enableOfflineQueue: false,
})
