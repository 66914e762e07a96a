// What this process tells of itself: the log, metrics on a port of their own, spans to a collector where there is one.
// Made before everything else, closed after it: whatever happens in between can be told.

import type { Logger } from 'pino'
import type { Telemetry } from '#domain/telemetry.ts'
import { type MetricsServer, serveMetrics } from '#http/serve-metrics.ts'
import type { ReadinessCheck } from '#http/routes/health.ts'
import { systemClock } from '#runtime/clock.ts'
import { openLog } from '#runtime/log.ts'
import { makeMeter, type OpenMeter } from '#runtime/meter.ts'
import type { Move } from '#runtime/observe-ledger.ts'
import { makeScrape } from '#runtime/scrape.ts'
import { makeTracer } from '#runtime/tracer.ts'
import type { InstallationReader } from '#store/installation.ts'
import { isOpen } from '#domain/rotation-machine.ts'
import { makeTally } from '#usecases/tally.ts'
import type { Doorbell } from '#worker/doorbell.ts'
import { type Config, ConfigError } from './config.ts'

export interface Observability extends Telemetry {
  readonly log: Logger
  readonly meter: OpenMeter
  /** For what fails now and then and is tried again: told once a minute, with its number. */
  readonly onFault: (where: string) => (error: unknown) => void
  /** One line for each rotation that went on. */
  readonly onMove: (move: Move) => void
  close(): Promise<void>
}

export interface Identity {
  readonly version: string
  readonly instance: string
  readonly roles: { readonly api: boolean; readonly worker: boolean }
  /** Words that may be labels. */
  readonly known: { readonly providers: readonly string[]; readonly types: readonly string[] }
}

export const openObservability = async (
  config: Config,
  { version, instance, roles, known }: Identity,
): Promise<Observability> => {
  const meter = makeMeter({
    known: {
      routes: [],
      ...known,
      builds: [version],
      runtimes: [process.version],
    },
  })
  meter.set('rekey_build_info', { version, node: process.version }, 1)
  const faults = makeTally(systemClock, 60_000)
  const onFault = (where: string) => (error: unknown) =>
    void faults.count(`${where} ${nameOf(error)}`, async (times) => {
      log.warn({ where, error: nameOf(error), times }, 'it will be tried again')
    })
  const service = roles.api ? (roles.worker ? 'rekey' : 'rekey-api') : 'rekey-worker'
  const exported = config.tracing && {
    ...config.tracing,
    service: { name: service, version, instance },
    onLost: (spans: number, error: unknown) => {
      meter.add('rekey_spans_lost_total', {}, spans)
      onFault('the export of traces')(error)
    },
    closeMs: 3_000,
  }
  const tracer = makeTracer(
    exported && (await import('#runtime/span-export.ts')).openSpanExport(exported),
  )
  // stdout is data: what a command prints. The log is talk.
  const log = openLog(config.logLevel, () => tracer.logFields())
  return { log, meter, tracer, onFault, onMove: telling(log), close: () => tracer.close() }
}

/** What a person is called for stands out; that a rotation goes on is told to those who look for it. */
const telling =
  (log: Logger) =>
  ({ rotation, before, takenOver }: Move): void => {
    const { id, phase, epoch, trigger, stalledReason } = rotation
    const fields = { rotationId: id, key: rotation.keyName, from: before, phase, epoch, trigger }
    if (takenOver) log.warn(fields, 'rotation taken over: its worker died or hung')
    if (phase === before) return
    if (phase === 'stalled') log.error({ ...fields, reason: stalledReason }, 'rotation stalled')
    else if (!isOpen(phase)) log.info(fields, `rotation ${phase}`)
    else log.debug(fields, 'rotation goes on')
  }

export interface MetricsDeps {
  readonly reader: InstallationReader
  readonly bell: Pick<Doorbell, 'depth'>
  readonly readiness: readonly ReadinessCheck[]
}

/** Null where the default port is taken: somebody who did not ask for metrics is not kept from starting. */
export const openMetrics = async (
  { host, port, asked }: Config['metrics'],
  { log, meter, onFault }: Observability,
  { reader, bell, readiness }: MetricsDeps,
): Promise<MetricsServer | null> => {
  const metrics = makeScrape({
    meter,
    clock: systemClock,
    readInstallation: () => reader.read(),
    readQueue: () => bell.depth(),
    onError: onFault('metrics'),
  })
  try {
    const contentType = meter.contentType
    const onError = onFault('metrics')
    const server = await serveMetrics({ host, port, contentType, metrics, readiness, onError })
    return {
      url: server.url,
      close: async () => {
        await server.close()
        await reader.release().catch(onError)
      },
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : nameOf(error)
    const what = `metrics cannot be served at ${host}:${port} (${code})`
    if (asked) throw new ConfigError([`REKEY_METRICS_PORT: ${what}; 0 takes any free port`])
    log.warn(`${what}: set REKEY_METRICS_PORT to another port, or to 0 for any that is free`)
    return null
  }
}

/** Of an error, its name and code: a message may hold what somebody sent. */
export const nameOf = (error: unknown): string => {
  if (!(error instanceof Error)) return typeof error
  const code = 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : ''
  return `${error.name}${code}`
}

/** Where it was thrown: the frames of its stack, without the message before them. */
export const framesOf = (error: unknown): readonly string[] =>
  error instanceof Error
    ? (error.stack ?? '')
        .split('\n')
        .flatMap((line) => /^\s+at (.+)$/.exec(line)?.[1] ?? [])
        .slice(0, 5)
    : []
