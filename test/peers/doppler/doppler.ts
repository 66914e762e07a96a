// A stand-in of Doppler's API, stricter than the cloud: every request and every answer is judged by Doppler's own OpenAPI
// document (openapi.ts), routes and fields that it does not have are refused, and so is what a token's role does not allow. What
// the document leaves out is as the API reference says it: bearer tokens, 401, 403, 404, 429, `{messages, success}`.
//
// Each route is replayed with the document's own example by doppler.test.ts: auth-me, projects-list, configs-list, configs-get,
// secrets-get, secrets-update, secrets-names, service_tokens-list, service_tokens-create, service_tokens-delete.
//
// Effects are counted in its log.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { peers } from '../peers.ts'
import { openJudge, type Judge } from './openapi.ts'
import { makePrincipals } from './principals.ts'
import { refusal, routes, type Reply } from './routes.ts'
import { makeWorkplace, type Workplace } from './workplace.ts'

export interface Logged {
  readonly operation: string
  /** `project/config/NAME`, or `project/config` of tokens. */
  readonly subject: string
  readonly by: string
  readonly status: number
  readonly changes: boolean
}

export interface Doppler {
  readonly address: string
  readonly workplace: Workplace
  readonly judge: Judge
  /** A service account that may do everything, and its token. */
  readonly admin: string
  /** A service account whose role has exactly these permissions in every project. */
  readonly account: (permissions: readonly string[]) => string
  /** A token of a person. */
  readonly personal: () => string
  readonly log: () => readonly Logged[]
  /** The next answers are 429; with Retry-After where seconds are told. */
  readonly throttle: (answers: number, seconds: number | null) => void
  /** Requests to change a config whose secrets take change requests only are refused. */
  readonly reviewed: Set<string>
  readonly stop: () => Promise<void>
}

export const startDoppler = async (): Promise<Doppler> => {
  const file = peers.doppler.find()
  if (file === null) throw new Error('needs the peer doppler: run `npm run peers`')
  const judge = openJudge(file)
  const workplace = makeWorkplace()
  const principals = makePrincipals(workplace)
  const reviewed = new Set<string>()
  const log: Logged[] = []
  let throttled: { left: number; seconds: number | null } = { left: 0, seconds: null }

  const answer = (incoming: IncomingMessage, text: string): Reply => {
    const url = new URL(incoming.url ?? '/', 'http://doppler')
    const method = incoming.method ?? 'GET'
    const operation = judge.route(method, url.pathname)
    const handle = operation === null ? undefined : routes[operation.operationId]
    if (operation === null || handle === undefined) return refusal(404, 'Not found')
    if (throttled.left > 0) {
      throttled.left -= 1
      const reply = refusal(429, 'Too many requests')
      const { seconds } = throttled
      return seconds === null ? reply : { ...reply, headers: { 'retry-after': String(seconds) } }
    }
    const principal = principals.of(incoming.headers.authorization)
    if (principal === null) return refusal(401, 'Invalid Auth token')
    const body = parse(text)
    const faults =
      body === notJson ? ['the body is not JSON'] : judge.request(operation, url.searchParams, body)
    if (faults.length > 0) return refusal(400, ...faults)
    const reply = handle({ workplace, principal, reviewed, query: url.searchParams, body })
    log.push({
      operation: operation.operationId,
      subject: reply.subject ?? '',
      by: principal.slug,
      status: reply.status,
      changes: method !== 'GET',
    })
    const wrong = judge.response(operation, reply.status, reply.body)
    // The stand-in's own fault: nothing may pass that Doppler would not say.
    return wrong.length === 0 ? reply : refusal(599, ...wrong)
  }

  const server = createServer((incoming, outgoing) => {
    incoming.on('error', () => undefined)
    outgoing.on('error', () => undefined)
    void serve(incoming, outgoing).catch(() => outgoing.destroy())
  })
  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const { status, headers, body } = answer(incoming, Buffer.concat(chunks).toString())
    const text = body === undefined ? '' : JSON.stringify(body)
    outgoing.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      ...headers,
    })
    outgoing.end(text)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  return {
    address: `http://127.0.0.1:${port}`,
    workplace,
    judge,
    admin: principals.account(null),
    account: principals.account,
    personal: principals.personal,
    log: () => [...log],
    throttle: (left, seconds) => {
      throttled = { left, seconds }
    },
    reviewed,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

const notJson = Symbol('not JSON')
const parse = (text: string): unknown => {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return notJson
  }
}
