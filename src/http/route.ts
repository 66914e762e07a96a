// How a route is declared. The declaration is all there is: access, validation, dry runs, idempotency, paging, ETags,
// receipts, `no-store`, 405, OpenAPI and the audit of refusals follow from it (register-route.ts, openapi.ts).
//
// One example in full (routes/widgets.ts; every module exports one function `(deps) => Route[]`, named in app.ts):
//
//   export const widgetRoutes = (deps: WidgetDeps): readonly Route[] => [
//     route({
//       method: 'GET', path: '/v1/widgets', operationId: 'listWidgets', tag: 'widgets', summary: 'List widgets',
//       access: ['viewer', 'operator'],            // any of these; admin always may. 'authenticated': whoever has a token
//       list: true,                                // takes ?limit= and ?cursor=
//       query: strict({ connection: Type.Optional(nameSchema) }),
//       replies: { 200: listOf(widgetSchema) },
//       handler: async ({ ledger, actor, query, page, pageReply }) => {
//         const found = await listWidgets({ ledger })(actor, query, page)      // Paged<Widget>
//         return { status: 200, body: pageReply(found, presentWidget) }
//       },
//     }),
//     route({
//       method: 'PUT', path: '/v1/widgets/{name}', operationId: 'putWidget', tag: 'widgets', summary: 'Create or replace',
//       access: ['operator'],
//       params: nameParams,
//       body: widgetInputSchema,                   // strict: unknown fields are 400 with their pointer. `yaml: true` takes YAML too
//       replies: { 200: widgetSchema, 201: widgetSchema },
//       errors: ['connection.notGranted', 'request.impossible'],   // beside those that every such route can give
//       handler: async ({ ledger, actor, params, body, precondition }) => {
//         const { widget, created, receipts } = await putWidget({ ...deps, ledger })(actor, params.name, body, precondition)
//         return { status: created ? 201 : 200, body: presentWidget(widget), revision: widget.revision, receipts }
//       },
//     }),
//   ]
//
// - Hand `ctx.ledger` to the use case, not the ledger of `deps`: on `?dryRun=all` its `commit` rehearses (same checks, rolled
//   back, one audit event), and the reply becomes 200 `{dryRun: true, …body}` without ETag and Location. A use case that also
//   acts outside the database (providers) must look at `ctx.dryRun` and leave that out.
// - Preconditions: pass `ctx.precondition` to the use case, which calls `checkPrecondition` of #domain/precondition.ts with
//   the revision that it read inside `commit` (null: does not exist). Declared by default on PUT, PATCH and DELETE;
//   `ifMatch: false` where the thing has no revision.
// - Idempotency-Key is handled here: every POST takes one, `idempotency: 'required'` refuses its absence (428).
// - `receipts`: of `Committed`; the reply then carries `audit: {eventId, …}` of the first, documented without your doing.
// - 201 needs `location`; a PUT that creates gets its own path.
// - `secret: true`: the reply holds a token or value. It is never stored for replay.
// - A new route gets a row in test/http/access-rows.ts (who may, and what a scope hides), and `npm run docs` draws it.
// - Refusals are RekeyErrors. Every status that a handler's errors can have must follow from `errors`: a test fails otherwise.
// - `examples`: requests that work as they stand; see examples.ts. A route whose body has a required field needs one, and a
//   test sends them all.
// - Dates in replies are RFC 3339 strings (`date.toISOString()`); what a reply schema does not name fails the tests.

import { Type, type Static, type TSchema } from 'typebox'
import type { Actor, Role } from '#domain/actor.ts'
import type { Receipt } from '#domain/audit.ts'
import type { ErrorCode } from '#domain/errors.ts'
import type { Ledger, Page, Paged } from '#domain/ports.ts'
import type { Precondition } from '#domain/precondition.ts'
import type { Tag } from './tags.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** `public` needs no token, and its handler gets no actor: declare it with `publicRoute`. */
export type Access = readonly [Role, ...Role[]] | 'authenticated'

export type DeepReadonly<T> = T extends (infer U)[]
  ? readonly DeepReadonly<U>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

export interface Context<Params, Query, Body> {
  readonly actor: Actor
  /** Commits, or rehearses on a dry run. */
  readonly ledger: Ledger
  readonly dryRun: boolean
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly precondition: Precondition
  readonly page: Page
  /** `{items, nextCursor}`: the cursor is bound to this list, its filter and its path. */
  readonly pageReply: <T, U>(found: Paged<T>, present: (item: T) => U) => PageReply<U>
  readonly requestId: string
  /** The id of the browser's session that it came by; null: it came by a token. */
  readonly session: string | null
  readonly header: (name: string) => string | undefined
  /** Aborts when the caller hangs up or the server closes. Do not end a half-done write by it: for reads and streams. */
  readonly signal: AbortSignal
}

export interface PageReply<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

export interface Reply<Status extends number = number, Body = unknown> {
  readonly status: Status
  readonly body: Body
  /** Becomes the ETag. */
  readonly revision?: number | undefined
  readonly location?: string | undefined
  readonly receipts?: readonly Receipt[] | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Of public routes: each a `Set-Cookie`. */
  readonly cookies?: readonly string[] | undefined
  /** Another media type than JSON, one of the route's `mediaTypes`: the body is then text. */
  readonly mediaType?: string | undefined
}

/** Success replies by status. The problems follow from `errors`. */
export type ReplySchemas = Readonly<Record<number, TSchema>>

type ReplyOf<Replies extends ReplySchemas> = {
  [Status in keyof Replies & number]: Reply<Status, DeepReadonly<Static<Replies[Status]>>>
}[keyof Replies & number]

interface Described {
  readonly method: Method
  /** OpenAPI form: `/v1/keys/{name}`. */
  readonly path: string
  /** Unique, camelCase: what generated clients call it. */
  readonly operationId: string
  readonly tag: Tag
  /** A few words, for lists. */
  readonly summary: string
  readonly description?: string
  /** Codes that the handler gives beside those of every route of its kind. */
  readonly errors?: readonly ErrorCode[]
  /** Media types of success replies beside `application/json`, such as `text/calendar`. */
  readonly mediaTypes?: readonly string[]
}

export interface RouteSpec<
  P extends TSchema,
  Q extends TSchema,
  B extends TSchema,
  R extends ReplySchemas,
> extends Described {
  readonly access: Access
  /** For what belongs to the whole installation and knows no labels: a token with a scope does not get in. */
  readonly unscoped?: true
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  /** Documented instead of `body`, where the use case reads the body itself. */
  readonly shownBody?: TSchema
  /** The body may be `application/yaml` too; problems then carry line and column. `stream`: the text of several documents,
   *  which the handler gets as `{documents: text}`. */
  readonly yaml?: true | 'stream'
  /** Bytes; 1 MB where not said. */
  readonly bodyLimit?: number
  readonly list?: true
  readonly idempotency?: 'required'
  readonly ifMatch?: false
  readonly dryRun?: false
  readonly secret?: true
  /** Requests are counted in a bucket of this name; `default` where not said. */
  readonly bucket?: string
  readonly replies: R
  readonly examples?: readonly {
    /** Where there are several: what this one shows. */
    readonly summary?: string
    readonly params?: Partial<Static<NoInfer<P>>>
    readonly query?: Partial<Static<NoInfer<Q>>> & { readonly dryRun?: 'all' }
    readonly body?: DeepReadonly<Static<NoInfer<B>>>
  }[]
  readonly handler: (
    ctx: Context<Static<P>, Static<Q>, DeepReadonly<Static<B>>>,
  ) => Promise<ReplyOf<NoInfer<R>>>
}

export interface ExampleRequest {
  readonly summary?: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

/** A route with its types forgotten: what a list of routes holds. */
export interface Route extends Described {
  readonly access: Access | 'public'
  readonly unscoped: boolean
  readonly params: TSchema | null
  readonly query: TSchema | null
  /** Parameters that it does not know are ignored, since others than we decide what is sent. */
  readonly openQuery: boolean
  readonly body: TSchema | null
  readonly shownBody: TSchema | null
  readonly yaml: boolean | 'stream'
  readonly bodyLimit: number
  readonly list: boolean
  readonly idempotency: 'none' | 'accepted' | 'required'
  readonly ifMatch: boolean
  readonly dryRun: boolean
  readonly secret: boolean
  readonly bucket: string
  readonly replies: ReplySchemas
  readonly errors: readonly ErrorCode[]
  readonly mediaTypes: readonly string[]
  readonly examples: readonly ExampleRequest[]
  readonly answer: Answer
}

export type Answer =
  | {
      readonly kind: 'handler'
      readonly handle: (ctx: Context<never, never, never>) => Promise<Reply>
    }
  | {
      readonly kind: 'public'
      readonly handle: (ctx: PublicContext<never, never>) => Promise<Reply>
    }
  | {
      readonly kind: 'events'
      readonly events: (ctx: EventContext<never>) => AsyncIterable<ServerEvent>
    }

export const megabyte = 1_000_000

const nothing = Type.Object({}, { additionalProperties: false })
type Nothing = typeof nothing

export const route = <
  R extends ReplySchemas,
  P extends TSchema = Nothing,
  Q extends TSchema = Nothing,
  B extends TSchema = Nothing,
>(
  spec: RouteSpec<P, Q, B, R>,
): Route => {
  const writes = spec.method !== 'GET'
  return {
    ...described(spec),
    access: spec.access,
    unscoped: spec.unscoped ?? false,
    params: spec.params ?? null,
    query: spec.query ?? null,
    openQuery: false,
    body: spec.body ?? null,
    shownBody: spec.shownBody ?? spec.body ?? null,
    yaml: spec.yaml ?? false,
    bodyLimit: spec.bodyLimit ?? megabyte,
    list: spec.list ?? false,
    idempotency: spec.idempotency ?? (spec.method === 'POST' ? 'accepted' : 'none'),
    ifMatch: spec.ifMatch ?? (writes && spec.method !== 'POST'),
    dryRun: spec.dryRun ?? writes,
    secret: spec.secret ?? false,
    bucket: spec.bucket ?? 'default',
    replies: spec.replies,
    examples: spec.examples ?? [],
    answer: { kind: 'handler', handle: spec.handler },
  }
}

export interface PublicContext<Params, Query> {
  readonly ledger: Pick<Ledger, 'read'>
  readonly params: Params
  readonly query: Query
  /** The address that it came from. */
  readonly source: string
  readonly requestId: string
  readonly header: (name: string) => string | undefined
}

export interface PublicSpec<
  P extends TSchema,
  Q extends TSchema,
  R extends ReplySchemas,
> extends Described {
  readonly method: 'GET'
  readonly public: true
  readonly params?: P
  readonly query?: Q
  readonly openQuery?: true
  /** Requests of one source are counted in it; not at all where not said. */
  readonly bucket?: string
  readonly replies: R
  readonly examples?: readonly { readonly params?: Partial<Static<NoInfer<P>>> }[]
  readonly handler: (ctx: PublicContext<Static<P>, Static<Q>>) => Promise<ReplyOf<NoInfer<R>>>
}

/** The bucket of public routes that anybody may ask as often as they like. */
export const uncounted = 'default'

/** A route for everybody: `public: true` is said out loud. */
export const publicRoute = <
  R extends ReplySchemas,
  P extends TSchema = Nothing,
  Q extends TSchema = Nothing,
>(
  spec: PublicSpec<P, Q, R>,
): Route => ({
  ...reading(spec),
  access: 'public',
  params: spec.params ?? null,
  query: spec.query ?? null,
  openQuery: spec.openQuery ?? false,
  bucket: spec.bucket ?? uncounted,
  replies: spec.replies,
  examples: spec.examples ?? [],
  answer: { kind: 'public', handle: spec.handler },
})

/** One message of a stream. `id` comes back as Last-Event-ID after a broken connection: what follows it is sent again. */
export interface ServerEvent {
  readonly id: string
  readonly event: string
  readonly data: unknown
}

export interface EventContext<Params> {
  readonly actor: Actor
  readonly ledger: Ledger
  readonly params: Params
  /** The last event that the caller has seen; null on a first connection. */
  readonly lastEventId: string | null
  /** Aborts when the caller hangs up or the server closes: end the iteration. */
  readonly signal: AbortSignal
}

export interface EventSpec<P extends TSchema> extends Described {
  readonly method: 'GET'
  readonly access: Access
  readonly params?: P
  /** Of one event's `data`. */
  readonly event: TSchema
  /** Throws before the first event to refuse (404 and the like); ends to close the stream. Pauses by the clock, never longer
   *  than a few seconds, and looks at `signal`. */
  readonly events: (ctx: EventContext<Static<P>>) => AsyncIterable<ServerEvent>
}

/** A stream of server-sent events, with heartbeats. */
export const eventRoute = <P extends TSchema = Nothing>(spec: EventSpec<P>): Route => ({
  ...reading(spec),
  access: spec.access,
  params: spec.params ?? null,
  replies: { 200: spec.event },
  mediaTypes: ['text/event-stream'],
  examples: [],
  answer: { kind: 'events', events: spec.events },
})

const described = (spec: Described) => ({
  method: spec.method,
  path: spec.path,
  operationId: spec.operationId,
  tag: spec.tag,
  summary: spec.summary,
  ...(spec.description === undefined ? {} : { description: spec.description }),
  errors: spec.errors ?? [],
  mediaTypes: spec.mediaTypes ?? [],
})

const reading = (spec: Described) => ({
  ...described(spec),
  unscoped: false,
  query: null,
  openQuery: false,
  body: null,
  shownBody: null,
  yaml: false,
  bodyLimit: megabyte,
  list: false,
  idempotency: 'none' as const,
  ifMatch: false,
  dryRun: false,
  secret: false,
  bucket: 'default',
})
