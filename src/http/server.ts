// The HTTP server: what holds for every request, in the order in which a request meets it. Routes are declared elsewhere
// (route.ts) and listed by app.ts; nothing is loaded by its name.

import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import helmet from '@fastify/helmet'
import sseModule from '@fastify/sse'
import underPressure from '@fastify/under-pressure'
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { RekeyError } from '#domain/errors.ts'
import type { VerifyJwt } from '#domain/jwt.ts'
import type { LastUses, Clock, HashJson, Idempotency, Ids, Keyring, Ledger } from '#domain/ports.ts'
import type { Telemetry } from '#domain/telemetry.ts'
import { authenticate, type Sha256 } from '#usecases/authenticate.ts'
import { makeDenialCounter, recordRefusal } from '#usecases/record-refusal.ts'
import { comesFrom } from './addresses.ts'
import { readBodies } from './body.ts'
import { checkRoutes } from './check-routes.ts'
import { makeDoor, refusedBucket } from './door.ts'
import { makeHangUps } from './hang-ups.ts'
import { inspectReplies, noInspection } from './inspect-replies.ts'
import { logRequests } from './log.ts'
import { observeRequests } from './observe-requests.ts'
import { collectUses } from './collect-uses.ts'
import { makeCursors } from './paging.ts'
import { makeRateLimits } from './rate-limit.ts'
import { answerClientError, answerFrameworkError, answerProblems } from './refuse.ts'
import { registerRoute } from './register-route.ts'
import type { About } from './openapi.ts'
import { newState } from './request-state.ts'
import type { Method, Route } from './route.ts'
import { documentRoutes } from './routes/documents.ts'
import { healthRoutes, type ReadinessCheck } from './routes/health.ts'
import { problemRoutes } from './routes/problems.ts'
import { makeValidators } from './validators.ts'

export interface ServerConfig {
  readonly version: string
  /** Requests a minute a principal. */
  readonly perMinute: number
  /** Addresses and networks, comma-separated, whose X-Forwarded-For is believed; null: nobody's. */
  readonly trustedProxy: string | null
  /** By what address browsers know Rekey, without a path; null: none. */
  readonly publicUrl: () => string | null
  readonly tls: { readonly cert: string | Buffer; readonly key: string | Buffer } | null
  /** Above this lag of the event loop, in ms, requests get 503; 0: never. */
  readonly maxEventLoopDelay: number
  /** Fail where a reply is not as documented: for tests and development. */
  readonly strictReplies: boolean
}

/** Runs `work` again and again; see runtime/ticker.ts. */
export type Every = (
  ms: number,
  work: () => Promise<void>,
  onError: (error: unknown) => void,
) => { stop(): Promise<void> }

export interface ServerDeps {
  readonly ledger: Ledger
  readonly keyring: Pick<Keyring, 'mac' | 'macs'>
  readonly clock: Clock
  readonly ids: Pick<Ids, 'next'>
  readonly idempotency: Idempotency
  readonly apiKeyUses: LastUses
  readonly sessionUses: LastUses
  readonly hashJson: HashJson
  readonly sha256: Sha256
  readonly verifyJwt: VerifyJwt
  readonly every: Every
  readonly logger: FastifyBaseLogger
  /** All but those of this file: health, documents, problems. */
  readonly routes: readonly Route[]
  readonly readiness: readonly ReadinessCheck[]
  readonly telemetry: Telemetry
  readonly config: ServerConfig
}

// Its types describe another export than the one that Node gives: `default` of it would not reach the routes.
const sse = sseModule as unknown as typeof sseModule.default

const housekeepingMs = 5_000

/** Ready to `listen` or `inject`. `close()` ends streams, lets requests in flight finish, and writes what was counted. */
export const buildServer = async (deps: ServerDeps): Promise<FastifyInstance> => {
  const { config, ledger, clock } = deps
  const routes = allRoutes(deps)
  checkRoutes(routes)
  const app = newApp(deps)
  const hangUps = makeHangUps()
  const validators = makeValidators()
  const inspect = config.strictReplies ? inspectReplies(validators) : noInspection
  const denials = makeDenialCounter({ ledger, clock })

  app.decorateRequest('state')
  app.addHook('onRequest', async (request, reply) => {
    request.state = newState()
    void reply.header('X-Request-Id', request.id)
    if (request.url.startsWith('/v1/')) void reply.header('Cache-Control', 'no-store')
  })
  observeRequests(app, deps.telemetry)
  logRequests(app)
  readBodies(app)
  answerProblems(app, { record: recordRefusal({ ledger }), inspect })
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    strictTransportSecurity: config.tls !== null || config.trustedProxy !== null,
  })
  if (config.maxEventLoopDelay > 0) await shedLoad(app, { ...config, clock })
  await app.register(sse, { heartbeatInterval: 15_000 })
  const limits = await makeRateLimits(app, {
    perMinute: config.perMinute,
    buckets: [refusedBucket, ...routes.map((route) => route.bucket)],
  })
  const uses = collectUses(deps.apiKeyUses, clock)
  const sessionUses = collectUses(deps.sessionUses, clock)
  const door = makeDoor({
    authenticate: authenticate({ ...deps, comesFrom }),
    limits,
    denials,
    used: uses.count,
    sessionUsed: sessionUses.count,
    origin: config.publicUrl,
    clock,
  })
  const cursors = makeCursors(deps.keyring)
  for (const route of routes)
    registerRoute(app, route, { ...deps, cursors, validators, door, hangUps, inspect })
  refuseOtherMethods(app, routes)

  const housekeeping = deps.every(
    housekeepingMs,
    async () => {
      await denials.flush()
      await uses.flush()
      await sessionUses.flush()
      await deps.idempotency.purge(500)
    },
    (error) => app.log.error({ err: error }, 'housekeeping of the door failed; it is tried again'),
  )
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
    hangUps.abortAll()
  })
  // Idle connections are closed once, when closing begins; one that is busy then would be kept alive, and waited for.
  app.addHook('onSend', async (_request, reply) => {
    if (closing) void reply.header('Connection', 'close')
  })
  app.addHook('onClose', async () => {
    await housekeeping.stop()
    await denials
      .flush('all')
      .catch((error: unknown) => app.log.error({ err: error }, 'denials were not written'))
    await Promise.all([uses.flush(), sessionUses.flush()]).catch((error: unknown) =>
      app.log.error({ err: error }, 'uses were not written'),
    )
  })
  return app
}

/** Those of the product, and those that every server has. */
export const allRoutes = ({
  routes,
  readiness,
  config,
}: Pick<ServerDeps, 'routes' | 'readiness'> & { readonly config: About }): readonly Route[] => {
  const own = [...healthRoutes(readiness), ...problemRoutes]
  const documented = [...routes, ...own]
  return [...documented, ...documentRoutes(documented, config)]
}

const newApp = ({ config, ids, logger }: ServerDeps): FastifyInstance =>
  fastify({
    loggerInstance: logger,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'requestId',
    }),
    requestIdHeader: false,
    // A caller's own id is taken where it is harmless, so that it can be found in both logs.
    genReqId: (request) => {
      const sent = request.headers['x-request-id']
      return typeof sent === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(sent) ? sent : ids.next()
    },
    trustProxy: config.trustedProxy ?? false,
    routerOptions: { maxParamLength: 500 },
    bodyLimit: 1_000_000,
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: answerClientError(() => ids.next()),
    serverFactory: (handler) => {
      // A request that has not arrived after half a minute is not coming; connections that idle are kept a minute, more
      // than proxies keep theirs.
      const limits = { requestTimeout: 30_000, headersTimeout: 15_000, keepAliveTimeout: 72_000 }
      return config.tls === null
        ? createServer(limits, handler)
        : createTlsServer({ ...limits, cert: config.tls.cert, key: config.tls.key }, handler)
    },
  })

/** Health answers also under load, or the orchestrator would kill what is merely busy. What the start itself took, in its
 *  first windows of a second each, is no load: a server that says it is ready must not refuse the first requests for it. */
const shedLoad = async (
  app: FastifyInstance,
  { maxEventLoopDelay, clock }: { readonly maxEventLoopDelay: number; readonly clock: Clock },
): Promise<void> => {
  let startedUntil = 0
  app.addHook('onListen', async () => {
    startedUntil = clock.now().getTime() + 2_000
  })
  await app.register(underPressure, {
    maxEventLoopDelay,
    pressureHandler: (request) => {
      if (request.routeOptions.config.route?.tag === 'health') return
      if (clock.now().getTime() < startedUntil) return
      throw new RekeyError('service.unavailable', {
        detail: 'Rekey is overloaded.',
        hint: 'Try again in a few seconds.',
      })
    },
  })
}

/** 405 with `Allow`, before a token is asked for: which methods a path has is in the public document. */
const refuseOtherMethods = (app: FastifyInstance, routes: readonly Route[]): void => {
  const byPath = Map.groupBy(routes, (route) => route.path)
  for (const [path, declared] of byPath) {
    const has = declared.map((route): Method | 'HEAD' => route.method)
    if (declared.some((route) => route.method === 'GET' && route.answer.kind !== 'events'))
      has.push('HEAD')
    const allow = has.toSorted().join(', ')
    app.route({
      method: app.supportedMethods.filter((method) => !has.some((known) => known === method)),
      url: path.replaceAll(/\{([A-Za-z]+)\}/g, ':$1'),
      onRequest: async (_request, reply) => {
        void reply.header('Allow', allow)
        throw new RekeyError('request.method', { detail: `This path takes ${allow}.` })
      },
      handler: async () => undefined,
    })
  }
}
