// The one place that speaks to the server. Public routes of the API only.
//
// What a lost reply means: a request that was sent and not answered may have been done. Reads are simply repeated. A POST
// carries an Idempotency-Key, so that it is repeated with the same key and done once. A PUT, PATCH or DELETE is not
// repeated blindly; the failure says that the outcome is unknown, and the verb reads again.

import type { Json, JsonObject } from '#domain/json.ts'
import { Failure, interrupted } from './failure.ts'
import type { CliIo } from './io.ts'
import { plain } from './human.ts'
import { isObject, objectsAt, textAt } from './read-json.ts'
import { failureOf, isProblem, notRekey } from './refusal.ts'
import type { Target } from './target.ts'

export interface Reply {
  readonly status: number
  readonly etag: string | null
  /** Null where there is none, such as after a DELETE. */
  readonly body: Json
}

export interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From `/v1` on; segments from outside through `segment()`. */
  readonly path: string
  readonly query?: Query
  readonly body?: JsonObject
  /** Text of one YAML document instead of `body`. */
  readonly yaml?: string
  readonly ifMatch?: string
  readonly ifNoneMatch?: '*'
  /** Of a POST: chosen here where not given. */
  readonly idempotencyKey?: string
  readonly dryRun?: boolean
  readonly accept?: string
  /** A status that is an answer too, and no refusal. */
  readonly also?: number
}

export type Query = Readonly<Record<string, string | readonly string[] | undefined>>

export interface Client {
  send(request: Request): Promise<Reply>
  /** Follows the pages. */
  list(path: string, query?: Query): AsyncGenerator<JsonObject>
  /** The text of a reply in another media type. */
  text(path: string, query: Query, accept: string): Promise<string>
  /** An open stream of server-sent events; null where the server has none here. */
  stream(path: string, lastEventId: string | null, signal: AbortSignal): Promise<Response | null>
}

interface Deps {
  readonly target: Target
  readonly io: Pick<CliIo, 'fetch' | 'clock' | 'ids' | 'trace'>
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
  readonly talk: (text: string) => void
}

const requestMs = 60_000
const repeats = 5
const longestRetryAfterS = 60

export const makeClient = (deps: Deps): Client => {
  const send = async (request: Request): Promise<Reply> => {
    const response = await exchange(deps, request)
    return {
      status: response.status,
      etag: response.headers.get('etag'),
      body: await json(deps, request, response),
    }
  }
  return {
    send,
    text: async (path, query, accept) => {
      const request: Request = { method: 'GET', path, query, accept }
      const response = await exchange(deps, request)
      if (!mediaType(response).startsWith(accept))
        throw notRekey(deps.target.url, response.status, mediaType(response))
      return response.text()
    },
    async *list(path, query = {}) {
      let cursor: string | undefined
      do {
        // oxlint-disable-next-line no-await-in-loop -- a page names the next one
        const { body } = await send({
          method: 'GET',
          path,
          query: { ...query, limit: '200', cursor },
        })
        yield* objectsAt(body, 'items')
        const next = textAt(body, 'nextCursor')
        if (next !== '' && next === cursor)
          throw notRekey(deps.target.url, 200, 'a list without end')
        cursor = next === '' ? undefined : next
      } while (cursor !== undefined)
    },
    stream: (path, lastEventId, signal) => openStream(deps, path, lastEventId, signal),
  }
}

/** The reply, successful; a refusal becomes a Failure. */
const exchange = async (deps: Deps, request: Request): Promise<Response> => {
  const init = {
    method: request.method,
    headers: headersOf(deps, request),
    // A redirect could carry the token elsewhere.
    redirect: 'manual' as const,
    ...(request.yaml === undefined ? {} : { body: request.yaml }),
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
  }
  const url = urlOf(deps.target.url, request)
  const repeatable = request.method === 'GET' || request.method === 'POST'
  let lost = false
  for (let attempt = 0; ; attempt++) {
    const last = attempt >= repeats
    let response: Response
    try {
      response = await deps.io.fetch(url, {
        ...init,
        signal: AbortSignal.any([deps.signal, deps.io.clock.deadline(requestMs)]),
      })
    } catch (cause) {
      if (deps.signal.aborted) {
        throw interrupted({
          changed: request.method === 'GET' ? 'nothing' : 'unknown: a request was under way',
        })
      }
      const unsent = neverSent(cause)
      if ((unsent && !lost) || !repeatable || last)
        throw unreachable(deps, request, cause, lost || !unsent)
      lost = true
      if (attempt === 0) deps.talk(repeating(request))
      await deps.io.clock.pause(250 * 2 ** attempt, deps.signal)
      continue
    }
    if (response.ok || response.status === request.also) return response
    const failure = await refusal(deps, request, response)
    const wait =
      last || (request.method !== 'GET' && request.method !== 'POST')
        ? null
        : waitFor(response, failure, lost)
    if (wait === null) throw failure
    deps.talk(`${failure.info.title}; asking again in ${wait} s`)
    await deps.io.clock.pause(wait * 1_000, deps.signal)
  }
}

const headersOf = ({ target, io }: Deps, request: Request): Record<string, string> => ({
  accept:
    request.accept === undefined
      ? 'application/json'
      : `${request.accept}, application/problem+json`,
  'user-agent': 'rekey-cli',
  ...traceOf(io),
  ...(target.token === null ? {} : { authorization: `Bearer ${target.token.reveal()}` }),
  ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
  ...(request.yaml === undefined ? {} : { 'content-type': 'application/yaml' }),
  ...(request.ifMatch === undefined ? {} : { 'if-match': request.ifMatch }),
  ...(request.ifNoneMatch === undefined ? {} : { 'if-none-match': request.ifNoneMatch }),
  ...(request.method === 'POST'
    ? { 'idempotency-key': request.idempotencyKey ?? io.ids.next() }
    : {}),
})

const traceOf = ({ trace }: Pick<CliIo, 'trace'>): { readonly traceparent?: string } => {
  const traceparent = trace.traceparent()
  return traceparent === null ? {} : { traceparent }
}

const urlOf = (base: string, { path, query = {}, dryRun }: Request): string => {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const one of typeof value === 'string' ? [value] : (value ?? []))
      parameters.append(name, one)
  }
  if (dryRun === true) parameters.set('dryRun', 'all')
  const text = parameters.toString()
  return `${base}${path}${text === '' ? '' : `?${text}`}`
}

/** Seconds to wait before the same request is worth repeating, or null. */
const waitFor = (response: Response, failure: Failure, lost: boolean): number | null => {
  const said = Number(response.headers.get('retry-after') ?? 'none')
  const wait = Number.isInteger(said) && said >= 0 ? said : null
  if (wait !== null && wait > longestRetryAfterS) return null
  // Our first try, whose reply was lost, is still at work: its result is the answer.
  if (failure.info.code === 'idempotency.running' && lost) return wait ?? 1
  return response.status === 429 ? wait : null
}

const json = async (deps: Deps, request: Request, response: Response): Promise<Json> => {
  if (response.status === 204) return null
  const text = await readBody(deps, request, response)
  if (text === '') return null
  try {
    if (!mediaType(response).includes('json')) throw new SyntaxError('not JSON')
    const body: Json = JSON.parse(text)
    return body
  } catch {
    throw notRekey(deps.target.url, response.status, mediaType(response))
  }
}

const refusal = async (deps: Deps, request: Request, response: Response): Promise<Failure> => {
  const text = await readBody(deps, request, response)
  let body: Json = null
  try {
    body = JSON.parse(text)
  } catch {
    // Whatever it is, it is not a problem document: said below.
  }
  if (!isObject(body) || !isProblem(body)) {
    return notRekey(deps.target.url, response.status, mediaType(response))
  }
  const failure = failureOf(body, response.status, {
    wrote: request.method !== 'GET' && request.dryRun !== true,
    tokenSource: deps.target.tokenSource,
  })
  const id = failure.info.requestId ?? response.headers.get('x-request-id')
  return id === null ? failure : failure.with({ requestId: plain(id) })
}

const readBody = async (deps: Deps, request: Request, response: Response): Promise<string> => {
  try {
    return await response.text()
  } catch (cause) {
    throw unreachable(deps, request, cause, true)
  }
}

const mediaType = (response: Response): string =>
  response.headers.get('content-type') ?? 'no content'

const unsentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

const isTls = (code: string): boolean => /CERT|SSL|TLS|SIGNATURE|ISSUER/.test(code)

const neverSent = (cause: unknown): boolean => {
  const code = codeOf(cause)
  return unsentCodes.has(code) || isTls(code) || isBadPort(cause)
}

/** Ports of other protocols, which `fetch` never dials. */
const isBadPort = (error: unknown): boolean =>
  error instanceof Error && error.cause instanceof Error && error.cause.message === 'bad port'

/** `fetch` wraps the system's error; of several addresses it may hold several. */
const codeOf = (error: unknown, depth = 0): string => {
  if (typeof error !== 'object' || error === null || depth > 4) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  if ('errors' in error && Array.isArray(error.errors)) return codeOf(error.errors[0], depth + 1)
  return 'cause' in error ? codeOf(error.cause, depth + 1) : ''
}

const repeating = (request: Request): string =>
  request.method === 'POST'
    ? 'the reply was lost; asking again with the same Idempotency-Key'
    : 'the reply was lost; asking again'

const unreachable = (deps: Deps, request: Request, cause: unknown, sent: boolean): Failure => {
  const code = codeOf(cause)
  const { url } = deps.target
  const writes = request.method !== 'GET' && request.dryRun !== true
  return new Failure({
    code: 'cli.unreachable',
    exit: 'unreachable',
    title: 'The server cannot be reached',
    detail: sent
      ? `${url} did not answer${code === '' ? '' : ` (${code})`}`
      : `${url}: ${isBadPort(cause) ? 'a port that HTTP does not use' : code}`,
    hint: hintOf(code),
    changed: writes && sent ? 'unknown: the request was sent and no reply came' : 'nothing',
    next: [`curl -sS ${url}/readyz`],
    cause,
  })
}

const hintOf = (code: string): string => {
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|UNKNOWN_PROTOCOL|HTTP_REQUEST/.test(code))
    return 'it does not speak TLS: is it http:// that REKEY_URL should begin with?'
  return isTls(code)
    ? 'the certificate is not trusted: name its authority in NODE_EXTRA_CA_CERTS'
    : 'is it running, and is REKEY_URL right? `npm start` starts one here'
}

const openStream = async (
  deps: Deps,
  path: string,
  lastEventId: string | null,
  signal: AbortSignal,
): Promise<Response | null> => {
  const request: Request = { method: 'GET', path, accept: 'text/event-stream' }
  const response = await deps.io.fetch(urlOf(deps.target.url, request), {
    headers: {
      ...headersOf(deps, request),
      ...(lastEventId === null ? {} : { 'last-event-id': lastEventId }),
    },
    redirect: 'manual',
    signal,
  })
  if (response.ok && mediaType(response).startsWith('text/event-stream')) return response
  if (response.status === 429 || response.status >= 500) {
    await response.body?.cancel()
    throw new Error(`the stream was refused: ${response.status}`)
  }
  if (response.ok || response.status === 406) {
    await response.body?.cancel()
    return null
  }
  throw await refusal(deps, request, response)
}
