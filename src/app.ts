// The only composition root: config → keys, store, ledger → providers → use cases → http and worker.
// Everything is made here once and handed down; nothing looks anything up.

import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { kidText, makeTurningWriter, makeWriter } from '#audit/writer.ts'
import { systemActor } from '#domain/actor.ts'
import type { Bell, Ledger, Timers } from '#domain/ports.ts'
import type { Provider } from '#domain/provider.ts'
import { StartRefused } from '#domain/start-refused.ts'
import { type Bind, checkBind } from '#http/check-bind.ts'
import { productRoutes } from '#http/product-routes.ts'
import type { ReadinessCheck } from '#http/routes/health.ts'
import { allRoutes, buildServer, type ServerDeps } from '#http/server.ts'
import { withOutside } from '#providers/outside.ts'
import { keyTypesOf, providers as builtIn } from '#providers/registry.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeCredentials } from '#runtime/credentials.ts'
import { makeEgress } from '#runtime/egress.ts'
import { hashJson } from '#runtime/hash.ts'
import { makeIds } from '#runtime/ids.ts'
import { highWaterFile } from '#runtime/high-water-file.ts'
import { openKeyring } from '#runtime/keyring.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { observeAdvance } from '#runtime/observe-advance.ts'
import { boundedLedger } from '#runtime/bounded-ledger.ts'
import { observeLedger } from '#runtime/observe-ledger.ts'
import { observeOutbox } from '#runtime/observe-outbox.ts'
import { observeSessions } from '#runtime/observe-sessions.ts'
import { makeSessions } from '#runtime/sessions.ts'
import { sha256 } from '#runtime/sha256.ts'
import { every } from '#runtime/ticker.ts'
import { openJwts } from '#runtime/verify-jwt.ts'
import { openWriterKey, readWriterKey } from '#runtime/writer-key.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { createApiKeyUses, createSessionUses } from '#store/last-uses.ts'
import { createSpentLogins } from '#store/spent-logins.ts'
import { ensureAuditPartitions } from '#store/audit-partitions.ts'
import { openDatabase } from '#store/database.ts'
import { createIdempotency } from '#store/idempotency.ts'
import { createLedger, makeRecordTrial } from '#store/ledger.ts'
import { createInstallationReader } from '#store/installation.ts'
import { createLooks } from '#store/looks.ts'
import { createOutbox } from '#store/outbox.ts'
import { createLogins } from '#store/logins.ts'
import { kekRows } from '#store/keks-in-use.ts'
import { createPaces } from '#store/paces.ts'
import { createProcesses } from '#store/processes.ts'
import { newerSchema, selfCheck } from '#store/self-check.ts'
import { createTimers } from '#store/timers.ts'
import { createVaultStore } from '#store/vault-store.ts'
import { createTraceparents } from '#store/traceparents.ts'
import { createWhereabouts } from '#store/whereabouts.ts'
import { enrolWriter, makeFollowWriterKey } from '#store/writer-keys.ts'
import { leaseMs, makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { makeCheckBreakGlass } from '#usecases/check-break-glass.ts'
import { makeCheckPeppers } from '#usecases/check-peppers.ts'
import { makeCheckPlaybooks } from '#usecases/check-playbooks.ts'
import { makeCheckPublishing } from '#usecases/check-publishing.ts'
import { makeCheckKeks } from '#usecases/check-keks.ts'
import { makeDeliverToSinks } from '#usecases/deliver-to-sinks.ts'
import { beginOwnKeys, makeFollowOwnKeys } from '#usecases/follow-own-keys.ts'
import { withLastLook } from '#usecases/last-look.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { recoveryHold } from '#usecases/recovery-mode.ts'
import { makeCompareKeys } from '#usecases/compare-keys.ts'
import { makeContainKeys } from '#usecases/contain-keys.ts'
import { makeReplaceKey } from '#usecases/replace-contained.ts'
import { restoreKey } from '#usecases/restore-contained.ts'
import { createIncidentTimers } from '#store/incident-timers.ts'
import { makeReconcileKeys } from '#usecases/reconcile-keys.ts'
import { makeWatchHighWater } from '#usecases/watch-high-water.ts'
import { makeWatchRecording } from '#usecases/watch-recording.ts'
import { openDoorbell } from '#worker/doorbell.ts'
import { type RunningWorker, startWorker } from '#worker/worker.ts'
import { type Config, isLoopback, keyFiles, libraryEnvironment } from './config.ts'
import { framesOf, nameOf, openMetrics, openObservability } from './observability.ts'
import { version } from './version.ts'

export interface AppOptions {
  readonly config: Config
  /** Connection string of the app role. */
  readonly databaseUrl: string
  readonly roles: { readonly api: boolean; readonly worker: boolean }
  /** Its name in the database and the log; its own, new at every start. */
  readonly instance?: string
  /** A process of the same installation that is known to be dead: what it was doing is taken over at once, not only when
   *  its leases expire. */
  readonly successorOf?: string
  /** Runs once everything is made and before anything serves: samples, the admin key. */
  readonly prepare?: (house: House) => Promise<void>
}

/** What `prepare` works with. */
export interface House {
  readonly ledger: Ledger
  readonly ids: ReturnType<typeof makeIds>
  readonly clock: typeof systemClock
  readonly providers: ReadonlyMap<string, Provider>
  readonly sessions: ReturnType<typeof makeSessions>
  readonly credentials: ReturnType<typeof makeCredentials>
  readonly egress: ReturnType<typeof makeEgress>
  readonly log: Logger
}

export interface App {
  /** Null where this process serves no HTTP. */
  readonly url: string | null
  /** Null where there are none: the default port was taken. */
  readonly metricsUrl: string | null
  readonly log: Logger
  /** Takes nothing new, finishes or parks what is under way, and closes. Idempotent. */
  close(): Promise<void>
}

/** Rotations that one process advances at once, its sessions with the database, and how many of these its routine work has. */
const concurrency = 16
const poolSize = 12
const mostInBackground = 6

/** Throws ProvidersRefused. */
export const loadProviders = ({ providerModules }: Config): Promise<readonly Provider[]> =>
  withOutside(builtIn, providerModules)

export const startApp = async ({
  config,
  databaseUrl,
  roles,
  prepare,
  ...known
}: AppOptions): Promise<App> => {
  if (roles.api) checkBind(bindOf(config))
  const clock = systemClock
  const ids = makeIds(clock)
  const instance = known.instance ?? `${roles.worker ? 'worker' : 'api'}-${ids.next()}`
  const providers = await loadProviders(config)
  const keyTypes = keyTypesOf(providers)
  const words = { providers: providers.map(({ id }) => id), types: [...keyTypes.keys()] }
  const observability = await openObservability(config, { version, instance, roles, known: words })
  const { log, meter, tracer, onFault } = observability
  const keyring = await openKeyring(keyFiles(config))
  const writer = makeTurningWriter(makeWriter(await openWriterKey(config.writerKeyFile)))
  const database = openDatabase({ url: databaseUrl, poolSize })
  const closers: (() => Promise<unknown>)[] = [() => observability.close(), () => database.close()]
  // What takes work: told to take no more, all at once, and waited for before what they work with is closed.
  const stopping = new AbortController()
  const drains: (() => Promise<unknown>)[] = []
  const close = once(async () => {
    stopping.abort()
    await Promise.all(drains.map((drain) => drain()))
    for (const closer of closers.toReversed()) await closer() // oxlint-disable-line no-await-in-loop -- in this order
  })
  try {
    const findings = await selfCheck(database, keyring)
    if (findings.length > 0) throw new StartRefused(findings)
    const queue = { databaseUrl, redisUrl: config.redisUrl?.reveal() ?? null }
    const bell = openDoorbell(queue, clock, onFault('queue'))
    closers.push(() => bell.close())
    /** An emergency in the same process is heard of at once. */
    let alarm: () => void = () => {}
    const heard: Bell = { ring: (rotations) => bell.ring(rotations), alarm: () => alarm() }
    const of = { database, keyring, writer, ids, clock, bell: heard, trace: tracer }
    const recording = makeWatchRecording({
      tryRecord: makeRecordTrial(of, systemActor('system', 'readiness')),
      clock,
    })
    const plainLedger = recording.watching(observeLedger(createLedger(of), observability))
    const timers = createTimers(database)
    await ensureAuditPartitions(database)
    await enrolWriter(
      { database, writer, ids, clock, trace: tracer },
      systemActor('system', 'start'),
    )
    const processes = createProcesses(database)
    await beginOwnKeys({ ledger: plainLedger, keyring })
    if (roles.api || roles.worker) {
      if (known.successorOf) await processes.leave(known.successorOf)
      const self = {
        ...{ instance, host: hostname(), pid: process.pid, version },
        get signs() {
          return kidText(writer.kid)
        },
      }
      const followWriter = makeFollowWriterKey(
        { database, writer, ids, clock, trace: tracer },
        systemActor('system', 'start'),
        () => {
          const seed = readWriterKey(config.writerKeyFile)
          return seed && makeWriter(seed)
        },
      )
      const signing = every(2_000, followWriter, onFault('keys'))
      closers.push(() => signing.stop())
      const follow = makeFollowOwnKeys({ ledger: plainLedger, keyring, processes }, self)
      // Before anything is sealed: who exchanges the key waits for this process from here on.
      await follow()
      const following = every(2_000, follow, onFault('keys'))
      closers.push(async () => {
        await following.stop()
        await processes.leave(instance).catch(() => undefined)
      })
    }
    const whereabouts = createWhereabouts(database)
    const watch = makeWatchHighWater({
      ledger: plainLedger,
      whereabouts,
      file: highWaterFile(config.dataDir),
      ids,
      clock,
      pepperId: keyring.peppers.making.id,
    })
    // Before anything that could write at a provider: is this the database that this machine knew?
    await watch.look()
    const watching = every(1_000, watch.look, onFault('recovery'))
    closers.push(() => watching.stop())
    const ledger = watch.marking(plainLedger)

    const byId: ReadonlyMap<string, Provider> = new Map(
      providers.map((provider) => [provider.id, provider]),
    )
    const egress = makeEgress({ allow: config.egressAllow })
    const credentials = makeCredentials({
      env: credentialEnv(config),
      directory: config.credentialsDir,
      defaults: config.defaultCredentials,
    })
    const vault = createVaultStore({ database, keyring })
    const logins = createLogins(database, keyring)
    const host = {
      clock,
      ids,
      vault,
      paces: createPaces(database),
      keyring,
      publishDir: config.publishDir,
      logins,
      native: {
        modules: config.pkcs11Modules,
        env: () => libraryEnvironment(config.pkcs11Env),
      },
    }
    const sessions = observeSessions(
      makeSessions({ ledger, providers: byId, credentials, egress, host }),
      observability,
    )
    closers.push(() => sessions.close())
    const webhooks = makeSafeFetch({ egress, kind: 'webhook', insecure: false })
    closers.push(() => webhooks.close())
    const outbox = observeOutbox(createOutbox(database), meter)
    const send = withLastLook({
      ledger,
      send: makeSendToWebhook({ fetch: webhooks.fetch, clock }),
    })
    const house: House = { ledger, ids, clock, providers: byId, sessions, credentials, egress, log }
    await prepare?.(house)

    await ledger.note(systemActor('system', 'start'), {
      action: 'installation.started',
      target: { id: instance, name: 'rekey' },
      outcome: 'succeeded',
      after: { version, node: process.version, api: roles.api, worker: roles.worker },
    })

    let worker: RunningWorker | null = null
    if (roles.worker) {
      if (known.successorOf) await timers.expireOf(known.successorOf)
      const plan = { types: keyTypes, hashJson }
      const routine = boundedLedger(ledger, mostInBackground)
      const advance = makeAdvanceRotation(
        {
          ledger: routine,
          timers,
          world: { sessions, types: keyTypes, fetch: webhooks.fetch, send },
          clock,
          ids,
        },
        {
          instance,
          bell,
          stopping: stopping.signal,
          report: (rotationId, error) => {
            meter.add('rekey_worker_faults_total', { where: 'step' })
            const fields = { rotationId, error: nameOf(error), at: framesOf(error) }
            log.warn(fields, 'a step failed; it is tried again')
          },
        },
      )
      const containDeps = {
        ledger,
        clock,
        ids,
        timers: createIncidentTimers(database),
        world: { sessions, types: keyTypes },
      }
      const contain = makeContainKeys(containDeps, {
        instance,
        replace: makeReplaceKey({ ledger, ids, ...plan }, instance),
        restore: restoreKey,
        report: (keyId, error) => {
          meter.add('rekey_worker_faults_total', { where: 'incidents' })
          const fields = { keyId, error: nameOf(error), at: framesOf(error) }
          log.warn(fields, 'a key could not be contained; it is tried again')
        },
      })
      worker = startWorker(
        {
          queue,
          bell,
          timers,
          clock,
          meter,
          jobs: {
            advanceRotation: observeAdvance(advance, tracer, createTraceparents(database)),
            renewLeases: advance.renewLeases,
            planRotations: makePlanRotations({ ledger: routine, timers, ids, ...plan }, instance),
            hasEmergency: containDeps.timers.busy,
            containKeys: contain,
            renewContainLeases: contain.renewLeases,
            deliverToSinks: makeDeliverToSinks({ ledger: routine, outbox, send, ids, clock }),
            reconcileKeys: makeReconcileKeys({
              ledger: routine,
              whereabouts,
              sessions,
              providers: byId,
              keyring,
              clock,
            }),
            compareKeys: makeCompareKeys(
              {
                ledger: routine,
                looks: createLooks(database),
                sessions,
                types: keyTypes,
                keyring,
                clock,
              },
              config.reconcileEveryMs,
            ),
            housekeeping: async () => {
              await ensureAuditPartitions(database)
            },
          },
        },
        {
          leaseMs,
          concurrency,
          every,
          onError: (where, error) => {
            meter.add('rekey_worker_faults_total', { where })
            onFault(where)(error)
          },
        },
      )
      const running = worker
      alarm = () => {
        contain.alarm()
        running.alarm()
      }
      drains.push(() => running.stop())
    }
    const checks = [
      ...readiness(worker, timers, recording.ready, async () =>
        // While an upgrade is rolled out the processes of before go on, on a schema that has grown (docs/how-to/upgrade.md).
        (await selfCheck(database, keyring))
          .map(({ check }) => check)
          .filter((check) => check !== newerSchema),
      ),
      // Ready all the same: consumers still get what is sound, and whoever is to accept must get through.
      {
        name: 'recovery',
        ready: async () => {
          const why = await ledger.read(recoveryHold)
          return why === null || { noted: why }
        },
      },
    ]
    const reader = createInstallationReader(database, instance)
    const metrics =
      roles.api || roles.worker
        ? await openMetrics(config.metrics, observability, { reader, bell, readiness: checks })
        : null
    if (metrics) closers.push(() => metrics.close())
    if (!roles.api) return { url: null, metricsUrl: metrics?.url ?? null, log, close }

    let listening: string | null = null
    const publicUrl = () => config.publicUrl ?? listening
    const jwts = openJwts({ egress, clock, credentials, ledger })
    closers.push(() => jwts.close())
    const deps: ServerDeps = {
      ledger,
      keyring,
      clock,
      ids,
      idempotency: createIdempotency(database),
      apiKeyUses: createApiKeyUses(database),
      sessionUses: createSessionUses(database),
      hashJson,
      sha256,
      verifyJwt: jwts.verify,
      every,
      logger: log,
      routes: productRoutes({
        providers: byId,
        types: keyTypes,
        sessions,
        credentials,
        egress,
        clock,
        ids,
        sha256,
        hashJson,
        timers,
        outbox,
        send,
        whereabouts,
        keyring,
        ledger,
        dialogue: jwts.dialogue,
        spendLogin: createSpentLogins(database),
        publicUrl,
        installation: {
          timers,
          clock,
          look: () => reader.look(),
          faults: () => selfCheck(database, keyring),
          depth: () => bell.depth(),
          publishing: makeCheckPublishing(ledger, keyTypes),
          breakGlass: makeCheckBreakGlass({ ledger, clock }),
          playbooks: makeCheckPlaybooks({ ledger, clock }),
          peppers: makeCheckPeppers({ ledger, processes }),
          keks: makeCheckKeks({ ledger, processes, rows: () => kekRows(database) }),
        },
      }),
      readiness: checks,
      telemetry: observability,
      config: {
        version,
        perMinute: config.rateLimit,
        trustedProxy: config.trustedProxy,
        publicUrl,
        tls: config.tls && {
          cert: readFileSync(config.tls.cert),
          key: readFileSync(config.tls.key),
        },
        maxEventLoopDelay: 1_000,
        strictReplies: false,
      },
    }
    meter.learn(
      'routes',
      allRoutes(deps).map(({ path }) => path),
    )
    const server = await buildServer(deps)
    drains.push(() => server.close())
    await server.listen({ host: config.host, port: config.port })
    const url = urlOf(server.server.address(), config)
    listening = isLoopback(new URL(url)) ? url : null
    return { url, metricsUrl: metrics?.url ?? null, log, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Every check is asked on every request; the audit guards, which do not change by themselves, at most once a minute. */
const readiness = (
  worker: RunningWorker | null,
  timers: Timers,
  recording: () => Promise<true | string>,
  faults: () => Promise<readonly string[]>,
): readonly ReadinessCheck[] => {
  let asked = 0
  let found: readonly string[] = []
  return [
    {
      name: 'database',
      ready: async () => {
        await timers.now()
        return true as const
      },
    },
    { name: 'worker', ready: async () => worker?.idleBecause() ?? true },
    {
      name: 'audit',
      ready: async () => {
        const now = systemClock.now().getTime()
        if (now - asked > 60_000) {
          found = await faults()
          asked = now
        }
        const written = await recording()
        if (written !== true) return written
        return found.length === 0 || found.join(', ')
      },
    },
  ]
}

export const bindOf = ({ host, tls, trustedProxy }: Config): Bind => ({
  host,
  tls: tls !== null,
  trustedProxy,
})

const credentialEnv = ({
  credentials,
  credentialHosts,
}: Config): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(
    Object.entries(credentials).map(([name, secret]) => [name, secret.reveal()]),
  ),
  ...Object.fromEntries(
    Object.entries(credentialHosts).map(([name, hosts]) => [`${name}_HOSTS`, hosts.join(',')]),
  ),
})

const urlOf = (address: string | AddressInfo | null, config: Config): string => {
  const port = address !== null && typeof address === 'object' ? address.port : config.port
  const host = config.host.includes(':') ? `[${config.host}]` : config.host
  return `${config.tls ? 'https' : 'http'}://${host}:${port}`
}

const once = (work: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | null = null
  return () => (done ??= work())
}
