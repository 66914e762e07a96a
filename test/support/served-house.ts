// The resources over HTTP: the real server, injected requests, replies checked against their documentation.

import { createHash } from 'node:crypto'
import type { InjectOptions } from 'fastify'
import pino from 'pino'
import type { Role, Scope } from '#domain/actor.ts'
import { noTelemetry } from '#domain/telemetry.ts'
import { addressesWithin } from '#http/addresses.ts'
import { buildServer } from '#http/server.ts'
import { auditRoutes } from '#http/routes/audit.ts'
import { connectionRoutes } from '#http/routes/connections.ts'
import { consumerRoutes } from '#http/routes/consumers.ts'
import { freezeRoutes } from '#http/routes/freeze.ts'
import { keyRoutes } from '#http/routes/keys.ts'
import { policyRoutes } from '#http/routes/policies.ts'
import { scheduleRoutes } from '#http/routes/schedule.ts'
import { sinkRoutes } from '#http/routes/sinks.ts'
import { createApiKey } from '#usecases/create-api-key.ts'
import { makeTally } from '#usecases/tally.ts'
import { admin, openHouse, type HouseOptions } from './house.ts'

const sha256 = (text: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(text).digest())

export interface Sent {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  // A test reads what it expects there.
  readonly body: Readonly<Record<string, never>> & { readonly [name: string]: unknown }
}

export type ServedHouse = Awaited<ReturnType<typeof serveHouse>>

export const serveHouse = async (options: HouseOptions = {}) => {
  const house = await openHouse(options)
  const { deps, ledger, clock, ids } = house
  const app = await buildServer({
    ledger,
    keyring: house.keyring,
    clock,
    ids,
    idempotency: house.idempotency,
    apiKeyUses: house.apiKeyUses,
    sessionUses: house.sessionUses,
    hashJson: house.hashJson,
    sha256,
    // No JWT is sent here.
    verifyJwt: async () => ({ verdict: 'fault', fault: 'issuer' }),
    every: () => ({ stop: async () => undefined }),
    logger: pino({ level: 'silent' }),
    routes: [
      ...connectionRoutes(deps),
      ...keyRoutes(deps),
      ...policyRoutes(deps),
      ...consumerRoutes(deps),
      ...sinkRoutes(deps),
      ...freezeRoutes(deps),
      ...scheduleRoutes(deps),
      ...auditRoutes({ tally: makeTally(clock, 3_600_000) }),
    ],
    readiness: [],
    telemetry: noTelemetry,
    config: {
      version: '0.0.0',
      perMinute: 100_000,
      trustedProxy: null,
      publicUrl: () => null,
      tls: null,
      maxEventLoopDelay: 0,
      strictReplies: true,
    },
  })
  let made = 0
  const token = async (
    roles: readonly Role[],
    more: { scope?: Scope; consumer?: string; keys?: readonly string[] } = {},
  ) => {
    made += 1
    const { value } = await createApiKey({ ledger, ids, sha256, addressesWithin })(
      { ...admin, id: `user:maker-${made}` },
      {
        name: `t${made}`,
        type: 'svc',
        roles,
        ...more,
      },
    )
    return value.token.reveal()
  }
  const send = async (
    bearer: string,
    method: NonNullable<InjectOptions['method']>,
    url: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Sent> => {
    const yaml = typeof body === 'string'
    const reply = await app.inject({
      method,
      url,
      headers: {
        authorization: `Bearer ${bearer}`,
        ...(body === undefined
          ? {}
          : { 'content-type': yaml ? 'application/yaml' : 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: yaml ? body : JSON.stringify(body) }),
    })
    const json = String(reply.headers['content-type'] ?? '').includes('json')
    return {
      status: reply.statusCode,
      headers: reply.headers,
      text: reply.body,
      body: json ? JSON.parse(reply.body) : {},
    }
  }
  return {
    ...house,
    app,
    token,
    send,
    shut: async () => {
      await app.close()
      await house.shut()
    },
  }
}
