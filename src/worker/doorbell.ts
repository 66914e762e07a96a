// The doorbell: BullMQ, on Postgres (schema `queue`) by default and on Redis where there are many workers.
// A job is a rotation's id and nothing else; everything is read from the row. So a lost job costs a second (the sweep rings
// again), a duplicate costs a look at a lease, and a failed one leaves no text of a provider behind.
//
// The job's id is the rotation's: while one waits, others are swallowed, and a backlog does not grow by being swept.

import { createPostgresBackend, Queue, Worker } from 'bullmq'
import type { Bell } from '#domain/ports.ts'

export interface QueuePlace {
  /** Connection string of the app role; the tables of schema `queue` exist already. */
  readonly databaseUrl: string
  readonly redisUrl: string | null
}

export const queueName = 'rotations'
const queueSchema = 'queue'

export interface Doorbell extends Bell {
  /** Jobs that wait, and jobs that run. */
  depth(): Promise<{ readonly waiting: number; readonly active: number }>
  close(): Promise<void>
}

/** The ringing side. Errors of the queue are told once each and never thrown: the sweep makes up for them. */
export const openDoorbell = (place: QueuePlace, onError: (error: unknown) => void): Doorbell => {
  const queue = place.redisUrl
    ? new Queue(queueName, { connection: redis(place.redisUrl) })
    : new Queue(queueName, { connection: postgres(place.databaseUrl, 2) }, createPostgresBackend)
  queue.on('error', onError)
  return {
    async ring(rotationIds) {
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
    },
    async depth() {
      const { wait = 0, active = 0 } = await queue.getJobCounts('wait', 'active')
      return { waiting: wait, active }
    },
    close: () => queue.close(),
  }
}

export interface Answering {
  close(): Promise<void>
}

/** The answering side. A handler never fails: what goes wrong stands in the row. */
export const answerDoorbell = (
  place: QueuePlace,
  concurrency: number,
  handle: (rotationId: string) => Promise<void>,
  onError: (error: unknown) => void,
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
  const work = async (job: { readonly data: { readonly rotationId: string } }): Promise<void> => {
    try {
      await handle(job.data.rotationId)
    } catch (error) {
      onError(error)
    }
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
  return { close: () => worker.close() }
}

const postgres = (connectionString: string, max: number) => ({
  connectionString,
  schema: queueSchema,
  max,
})
const redis = (url: string) => ({ url, maxRetriesPerRequest: null })
