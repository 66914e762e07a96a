// One answer to whoever reads /metrics: the numbers of this process, and, where it is the one that tells them, those of the
// database. Two readers within a few seconds (a pair of Prometheus servers) cost the database one question.

import type { InstallationSample } from '#domain/metrics.ts'
import type { Clock } from '#domain/ports.ts'
import { sharedLook } from '#domain/shared-look.ts'
import type { OpenMeter } from './meter.ts'

export interface ScrapeDeps {
  readonly meter: OpenMeter
  readonly clock: Pick<Clock, 'now' | 'pause'>
  /** Null where another process tells it. */
  readonly readInstallation: () => Promise<readonly InstallationSample[] | null>
  readonly readQueue: () => Promise<{ readonly waiting: number; readonly active: number }>
  readonly onError: (error: unknown) => void
}

/** Answers within so many milliseconds, with or without the database: Prometheus gives up after ten seconds. */
const patienceMs = 4_000
const freshMs = 5_000

interface Reading {
  readonly up: boolean
  readonly samples: readonly InstallationSample[] | null
}

export const makeScrape = (deps: ScrapeDeps): (() => Promise<string>) => {
  const { meter, clock } = deps
  const look = sharedLook(
    freshMs,
    () => clock.now().getTime(),
    () => read(deps),
  )
  return async () => {
    const { up, samples } = await look()
    meter.set('rekey_database_up', {}, up ? 1 : 0)
    meter.set('rekey_installation_reader', {}, samples === null ? 0 : 1)
    return meter.expose(samples)
  }
}

/** Never rejects. */
const read = async ({
  clock,
  readInstallation,
  readQueue,
  onError,
}: ScrapeDeps): Promise<Reading> => {
  const late = new AbortController()
  const silence: Reading = { up: false, samples: null }
  const asked = (async (): Promise<Reading> => {
    const samples = await readInstallation()
    if (samples === null) return { up: true, samples }
    // With Redis the queue may be away while the database is there.
    const jobs = await readQueue().then(queueSamples, (error: unknown) => {
      onError(error)
      return []
    })
    return { up: true, samples: [...samples, ...jobs] }
  })().catch((error: unknown) => {
    onError(error)
    return silence
  })
  const answer = await Promise.race([
    asked,
    clock.pause(patienceMs, late.signal).then(() => silence),
  ])
  late.abort()
  return answer
}

const queueSamples = (
  jobs: Awaited<ReturnType<ScrapeDeps['readQueue']>>,
): readonly InstallationSample[] =>
  (['waiting', 'active'] as const).map((state) => ({
    name: 'rekey_queue_jobs',
    labels: { state },
    value: jobs[state],
  }))
