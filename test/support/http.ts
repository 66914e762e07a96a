// The whole API on a database of its own, without a port: every route that app.ts serves, and tokens for every role.

import { pino } from 'pino'
import { Writable } from 'node:stream'
import type { Actor, Role, Scope } from '#domain/actor.ts'
import type { ApiKeyType } from '#domain/connection.ts'
import { noTelemetry, type Telemetry } from '#domain/telemetry.ts'
import { productRoutes as routesOf } from '#http/product-routes.ts'
import type { ReadinessCheck } from '#http/routes/health.ts'
import type { Route } from '#http/route.ts'
import { addressesWithin } from '#http/addresses.ts'
import { buildServer, type ServerConfig, type ServerDeps } from '#http/server.ts'
import { logOptions } from '#runtime/log.ts'
import { sha256 } from '#runtime/sha256.ts'
import { openJwts } from '#runtime/verify-jwt.ts'
import { every } from '#runtime/ticker.ts'
import { createInstallationReader } from '#store/installation.ts'
import { kekRows } from '#store/keks-in-use.ts'
import { createProcesses } from '#store/processes.ts'
import { createSpentLogins } from '#store/spent-logins.ts'
import { selfCheck } from '#store/self-check.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { makeCheckBreakGlass } from '#usecases/check-break-glass.ts'
import { makeCheckPeppers } from '#usecases/check-peppers.ts'
import { makeCheckPlaybooks } from '#usecases/check-playbooks.ts'
import { makeCheckPublishing } from '#usecases/check-publishing.ts'
import { makeCheckKeks } from '#usecases/check-keks.ts'
import { createApiKey } from '#usecases/create-api-key.ts'
import { admin, openHouse, type House, type HouseOptions } from './house.ts'

export interface ApiOptions extends HouseOptions {
  readonly config?: Partial<ServerConfig>
  readonly routes?: (house: House) => readonly Route[]
  readonly readiness?: readonly ReadinessCheck[]
  readonly telemetry?: Telemetry
  /** Puts faults between the server and what it is built from. */
  readonly deps?: (deps: ServerDeps) => ServerDeps
}

export interface CallOptions {
  /** Null: none is sent. An admin's where not said. */
  readonly token?: string | null
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is, instead of `body`. */
  readonly raw?: string | Buffer
  readonly type?: string
  readonly from?: string
}

/** Loosely typed on purpose: tests look at JSON. */
export type Answer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- a reply is read as a client without types would read it
  readonly json: any
}

export type Api = Awaited<ReturnType<typeof openApi>>

/** By which browsers would know the server that has no port. */
export const publicUrl = 'https://rekey.test'

export const productRoutes = (house: House): readonly Route[] => {
  const { timers, outbox, deps } = house
  const webhooks = makeSafeFetch({ egress: deps.egress, kind: 'webhook', insecure: false })
  const send = makeSendToWebhook({ fetch: webhooks.fetch, clock: house.clock })
  const { whereabouts, keyring, clock, database, ledger } = house
  const { egress, credentials } = deps
  const { dialogue } = openJwts({ egress, clock, credentials, ledger })
  const installation = {
    timers,
    clock,
    look: () => createInstallationReader(database, 'test').look(),
    // The server of the tests does not wait for the disk.
    faults: async () =>
      (await selfCheck(database, keyring)).filter(({ check }) => check !== 'server.durable'),
    publishing: makeCheckPublishing(house.ledger, deps.types),
    depth: async () => ({ waiting: 0, active: 0 }),
    breakGlass: makeCheckBreakGlass({ ledger: house.ledger, clock }),
    playbooks: makeCheckPlaybooks({ ledger: house.ledger, clock }),
    peppers: makeCheckPeppers({ ledger: house.ledger, processes: createProcesses(database) }),
    keks: makeCheckKeks({
      ledger: house.ledger,
      processes: createProcesses(database),
      rows: () => kekRows(database),
    }),
  }
  return routesOf({
    ...{ ...deps, sha256, timers, outbox, send, whereabouts, keyring, installation, dialogue },
    spendLogin: createSpentLogins(database),
    publicUrl: () => publicUrl,
  })
}

export const openApi = async (options: ApiOptions = {}) => {
  const { telemetry = noTelemetry } = options
  const house = await openHouse({ trace: telemetry.tracer, ...options })
  const { ledger, keyring, clock, ids, idempotency, hashJson } = house
  const logged: string[] = []
  const logger = pino(
    logOptions('debug', () => {
      const traceId = telemetry.tracer.current()?.traceId
      return traceId === undefined ? {} : { traceId }
    }),
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        logged.push(chunk.toString())
        done()
      },
    }),
  )
  const { egress, credentials } = house.deps
  const jwts = openJwts({ egress, clock, credentials, ledger })
  const built: ServerDeps = {
    ledger,
    keyring,
    clock,
    ids,
    idempotency,
    apiKeyUses: house.apiKeyUses,
    sessionUses: house.sessionUses,
    hashJson,
    sha256,
    verifyJwt: jwts.verify,
    every,
    logger,
    routes: (options.routes ?? productRoutes)(house),
    readiness: options.readiness ?? [],
    telemetry,
    config: {
      version: '0.0.0-test',
      perMinute: 100_000,
      trustedProxy: null,
      publicUrl: () => publicUrl,
      tls: null,
      maxEventLoopDelay: 0,
      strictReplies: true,
      ...options.config,
    },
  }
  const app = await buildServer(options.deps?.(built) ?? built)
  let makers = 0
  const token = async (
    roles: readonly Role[],
    more: {
      readonly type?: ApiKeyType
      readonly scope?: Scope
      readonly consumer?: string
      readonly keys?: readonly string[]
      readonly expiresIn?: string
      readonly addresses?: readonly string[]
      readonly by?: Actor
    } = {},
  ): Promise<string> => {
    // Each token is another person's: no two come from one hand.
    const { by = { ...admin, id: `user:maker-${(makers += 1)}` }, ...input } = more
    const made = await createApiKey({ ledger, ids, sha256, addressesWithin })(by, {
      name: `t-${roles.join('-')}`,
      type: 'pat',
      roles,
      ...input,
    })
    return made.value.token.reveal()
  }
  // As the first admin key, what it makes is in other hands.
  const adminToken = await token(['admin'], { by: { ...admin, id: 'system:test' } })
  const call = async (method: string, url: string, more: CallOptions = {}): Promise<Answer> => {
    const sent = more.token === undefined ? adminToken : more.token
    const payload = more.raw ?? (more.body === undefined ? undefined : JSON.stringify(more.body))
    const reply = await app.inject({
      method: method as 'GET',
      url,
      remoteAddress: more.from ?? '127.0.0.1',
      headers: {
        ...(sent === null ? {} : { authorization: `Bearer ${sent}` }),
        ...(payload === undefined ? {} : { 'content-type': more.type ?? 'application/json' }),
        ...more.headers,
      },
      ...(payload === undefined ? {} : { payload }),
    })
    return {
      status: reply.statusCode,
      headers: Object.fromEntries(
        Object.entries(reply.headers).map(([name, value]) => [
          name,
          value === undefined ? undefined : String(value),
        ]),
      ),
      text: reply.body,
      json:
        reply.body !== '' && /json/.test(String(reply.headers['content-type']))
          ? reply.json()
          : null,
    }
  }
  return {
    house,
    app,
    logged,
    adminToken,
    token,
    call,
    close: async () => {
      await app.close()
      await jwts.close()
      await house.shut()
    },
  }
}
