// Turns a declaration into a Fastify route: door, input checks, context, reply.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Actor } from '#domain/actor.ts'
import type { Json } from '#domain/json.ts'
import type { Clock, Ledger, StoredReply } from '#domain/ports.ts'
import { holdToOneIncident } from '#usecases/break-glass.ts'
import { type Door, mustStillEnter } from './door.ts'
import { mustAcceptEvents, sendEvents, whileAllowed } from './events.ts'
import { refuseInLine } from './body.ts'
import type { HangUps } from './hang-ups.ts'
import { bodySchema, paramsSchema, querySchema } from './input.ts'
import type { Inspector } from './inspect-replies.ts'
import { type Cursors, pageOf } from './paging.ts'
import { readPrecondition } from './preconditions.ts'
import { problemMediaType, problemOf, toRekeyError } from './problem.ts'
import { jsonMediaType, render } from './render.ts'
import { once, readIdempotencyKey, type ReplayDeps } from './replay.ts'
import { headerOf, pathOf } from './request-state.ts'
import type { Context, Route } from './route.ts'
import type { Validators } from './validators.ts'

export interface RegisterDeps extends ReplayDeps {
  readonly ledger: Ledger
  readonly clock: Clock
  readonly cursors: Cursors
  readonly validators: Validators
  readonly door: Door
  readonly hangUps: HangUps
  readonly inspect: Inspector
}

export const registerRoute = (app: FastifyInstance, route: Route, deps: RegisterDeps): void => {
  const body = bodySchema(route)
  app.route({
    method: route.method,
    url: fastifyPath(route.path),
    config: { route },
    bodyLimit: route.bodyLimit,
    schema: {
      params: paramsSchema(route),
      querystring: querySchema(route),
      ...(body === null ? {} : { body }),
    },
    validatorCompiler: ({ schema, httpPart }) => deps.validators(schema, httpPart ?? 'body'),
    onRequest: (request, reply) => deps.door.enter(route, request, reply),
    preValidation: async (request) => {
      await mustStillEnter(deps.door, deps.clock, request)
      if (route.answer.kind === 'events') mustAcceptEvents(headerOf(request, 'accept'))
      refuseInLine('params', request.params)
      refuseInLine('query', request.query)
      // Nothing was sent, and nothing is what the route takes.
      if (route.body === null && request.body === undefined) request.body = {}
    },
    ...(route.answer.kind === 'events' ? { sse: 'only' as const, exposeHeadRoute: false } : {}),
    handler: handlerOf(route, deps),
  })
}

/** `/v1/keys/{name}` → `/v1/keys/:name`. */
const fastifyPath = (path: string): string => path.replaceAll(/\{([A-Za-z]+)\}/g, ':$1')

const handlerOf = (route: Route, deps: RegisterDeps) => {
  const { answer } = route
  switch (answer.kind) {
    case 'events':
      return async (request: FastifyRequest, reply: FastifyReply) => {
        const signal = deps.hangUps.signalOf(reply)
        // The schemas of this very declaration checked it a moment ago.
        const params = request.params as never
        const lastEventId = headerOf(request, 'last-event-id') ?? null
        const source = answer.events({
          actor: actorOf(request),
          ledger: deps.ledger,
          params,
          lastEventId,
          signal,
        })
        await sendEvents(
          reply,
          whileAllowed(source, () => deps.door.still(request)),
          {
            clock: deps.clock,
            signal,
            onFault: (error) => request.log.error({ err: error }, 'an event stream broke off'),
          },
        )
      }
    case 'public':
      return async (request: FastifyRequest, reply: FastifyReply) => {
        const result = await deps.door.countRefusals(request, () =>
          answer.handle({
            ledger: deps.ledger,
            params: request.params as never,
            query: request.query as never,
            source: request.ip,
            requestId: request.id,
            header: (name) => headerOf(request, name),
          }),
        )
        deps.inspect.reply(route, result, false)
        if (result.cookies !== undefined) void reply.header('Set-Cookie', [...result.cookies])
        return send(reply, render(route, result, { path: pathOf(request), dryRun: false }))
      }
    case 'handler':
      return async (request: FastifyRequest, reply: FastifyReply) => {
        const actor = actorOf(request)
        const dryRun = isDryRun(request.query)
        const key = readIdempotencyKey(route, headerOf(request, 'idempotency-key'))
        const work = async (ledger: Ledger): Promise<StoredReply> => {
          const result = await answer.handle(
            contextOf(route, deps, { request, reply, actor, ledger, dryRun }),
          )
          deps.inspect.reply(route, result, dryRun)
          return render(route, result, { path: pathOf(request), dryRun })
        }
        if (dryRun)
          return send(
            reply,
            await work({
              ...deps.ledger,
              commit: (by, change) => deps.ledger.rehearse(by, change),
            }),
          )
        if (key === null) return send(reply, await work(deps.ledger))
        const slot = { principal: actor.id, method: route.method, path: pathOf(request), key }
        // Parsed JSON, coerced by the schemas.
        const sent = { query: request.query, body: request.body ?? null } as Json
        const { reply: stored, replayed } = await once(deps)(slot, sent, {
          ledger: deps.ledger,
          secret: route.secret,
          work,
          refused: (error) => refusedReply(request, error),
          onFault: (error, sentence) => request.log.error({ err: error }, sentence),
        })
        if (replayed) void reply.header('Idempotency-Replayed', 'true')
        return send(reply, stored)
      }
  }
}

interface Call {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly actor: Actor
  readonly ledger: Ledger
  readonly dryRun: boolean
}

const contextOf = (route: Route, deps: RegisterDeps, call: Call): Context<never, never, never> => {
  const { request, actor, ledger, dryRun } = call
  const list = { path: pathOf(request), query: isRecord(request.query) ? request.query : {} }
  return {
    actor,
    ledger: holdToOneIncident(ledger, actor),
    dryRun,
    // The schemas of this very declaration checked all three a moment ago.
    params: request.params as never,
    query: request.query as never,
    body: request.body as never,
    precondition: route.ifMatch
      ? readPrecondition(headerOf(request, 'if-match'), headerOf(request, 'if-none-match'))
      : { match: null, absent: false },
    page: pageOf(deps.cursors, list),
    pageReply: (found, present) => ({
      items: found.items.map(present),
      nextCursor: found.next === null ? null : deps.cursors.encode(list, found.next),
    }),
    requestId: request.id,
    session: request.state.session,
    header: (name) => headerOf(request, name),
    // Most handlers do not ask for it.
    get signal() {
      return deps.hangUps.signalOf(call.reply)
    },
  }
}

const actorOf = (request: FastifyRequest): Actor => {
  const { actor } = request.state
  if (actor === null) throw new Error('a route was reached without passing the door')
  return actor
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

const isDryRun = (query: unknown): boolean => isRecord(query) && query['dryRun'] === 'all'

/** As bytes: to text, Fastify would add a charset, which problem documents do not have. */
const send = (reply: FastifyReply, { status, headers, text }: StoredReply): FastifyReply =>
  reply
    .code(status)
    .headers(headers)
    .type(headers['content-type'] ?? jsonMediaType)
    .send(Buffer.from(text))

const refusedReply = (request: FastifyRequest, error: unknown): StoredReply => {
  const problem = problemOf(toRekeyError(error), {
    instance: pathOf(request),
    requestId: request.id,
  })
  return {
    status: problem.status,
    headers: { 'content-type': problemMediaType },
    text: JSON.stringify(problem),
  }
}
