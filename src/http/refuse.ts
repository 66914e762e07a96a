// How every refusal leaves the house: as a problem document, in the log where it is our fault, in the audit log where it is
// a person's.

import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errors, RekeyError, type ErrorCode } from '#domain/errors.ts'
import type { Actor } from '#domain/actor.ts'
import type { Refusal } from '#usecases/record-refusal.ts'
import type { Inspector } from './inspect-replies.ts'
import { problemMediaType, problemOf, toRekeyError } from './problem.ts'
import { pathOf, routeOf } from './request-state.ts'

export interface RefuseDeps {
  readonly record: (actor: Actor, outcome: 'denied' | 'invalid', refusal: Refusal) => Promise<void>
  readonly inspect: Inspector
}

export const answerProblems = (app: FastifyInstance, deps: RefuseDeps): void => {
  app.setErrorHandler(async (thrown: unknown, request, reply) => {
    const error = inspected(deps.inspect, request, placed(request, toRekeyError(thrown)))
    if (error.status >= 500)
      request.log.error({ err: error.cause ?? error, code: error.code }, 'a request failed')
    await tell(deps, request, error)
    return sendProblem(request, reply, error)
  })
  app.setNotFoundHandler(async () => {
    throw new RekeyError('resource.notFound', {
      detail: 'There is nothing at this path.',
      hint: 'What there is: /docs for people, /openapi.json for programs.',
    })
  })
}

/** For what fails before any hook: a path that is no URL. */
export const answerFrameworkError = (
  thrown: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): void => {
  void reply.header('X-Request-Id', request.id)
  void sendProblem(request, reply, toRekeyError(thrown))
}

const sendProblem = (
  request: FastifyRequest,
  reply: FastifyReply,
  error: RekeyError,
): FastifyReply => {
  const problem = problemOf(error, { instance: pathOf(request), requestId: request.id })
  if (errors[error.code].retry && !reply.hasHeader('Retry-After')) {
    void reply.header('Retry-After', problem.status === 503 ? '5' : '2')
  }
  // As bytes: to text, Fastify would add a charset, which this media type does not have.
  return reply
    .code(problem.status)
    .type(problemMediaType)
    .send(Buffer.from(JSON.stringify(problem)))
}

/** What is not HTTP at all, too much of it, or too slow: there is no request yet, so the answer is written by hand. */
export const answerClientError =
  (nextId: () => string) =>
  (error: Error & { readonly code?: string }, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const code = clientErrors[error.code ?? ''] ?? 'request.invalid'
    const { title, status, retry } = errors[code]
    const requestId = nextId()
    // No path was read yet.
    const problem = problemOf(new RekeyError(code, { detail: `${title}.` }), { requestId })
    const text = JSON.stringify(problem)
    const lines = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      `Content-Type: ${problemMediaType}`,
      `Content-Length: ${Buffer.byteLength(text)}`,
      `X-Request-Id: ${requestId}`,
      ...(retry ? ['Retry-After: 2'] : []),
      'Connection: close',
    ]
    socket.end(`${lines.join('\r\n')}\r\n\r\n${text}`)
  }

const clientErrors: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'request.headersTooLarge',
  ERR_HTTP_REQUEST_TIMEOUT: 'request.timeout',
}

/** A refusal of a YAML body also says where in the file. */
const placed = (request: FastifyRequest, error: RekeyError): RekeyError => {
  const locate = request.state?.locate
  if (locate === null || locate === undefined || error.status >= 500 || error.places.length === 0)
    return error
  const places = error.places.map((place) => {
    if (place.line !== undefined || /^\/(?:query|params|headers)\//.test(place.pointer))
      return place
    const { line, column } = locate(place.pointer)
    return { ...place, line, column }
  })
  const { code, message, hint, extra, cause } = error
  return new RekeyError(code, {
    detail: message,
    errors: places,
    extra,
    cause,
    ...(hint === undefined ? {} : { hint }),
  })
}

/** In strict mode an undocumented refusal becomes a failure of ours, which a test sees. */
const inspected = (inspect: Inspector, request: FastifyRequest, error: RekeyError): RekeyError => {
  const route = routeOf(request)
  if (route === null) return error
  try {
    inspect.problem(route, error)
    return error
  } catch (undocumented) {
    return new RekeyError('internal', { cause: undocumented })
  }
}

const invalid: ReadonlySet<number> = new Set([400, 413, 415, 422])

/** The refusal stands, whether or not it could be written down. */
const tell = async (
  { record }: RefuseDeps,
  request: FastifyRequest,
  error: RekeyError,
): Promise<void> => {
  const actor = request.state?.actor ?? null
  const outcome = error.status === 403 ? 'denied' : invalid.has(error.status) ? 'invalid' : null
  if (actor === null || outcome === null) return
  try {
    await record(actor, outcome, {
      operation: `${request.method} ${routeOf(request)?.path ?? pathOf(request)}`,
      requestId: request.id,
      code: error.code,
      pointers: error.places.map((place) => place.pointer.slice(0, 200)),
    })
  } catch (fault) {
    request.log.error({ err: fault }, 'a refusal was not written to the audit log')
  }
}
