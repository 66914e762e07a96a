// The SDK's requests go out through `ports.fetch`, which dials only what egress has checked. What an answer says of a failure
// is kept beside it: the SDK's own errors carry the request, with the token and the value.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { HttpClient, PipelineRequest, PipelineResponse } from '@azure/core-rest-pipeline'
import { ProviderError, type Call, type ProviderPorts } from '#domain/provider.ts'
import { retryAfterMs } from '../network-failure.ts'
import { failureOf, failureWithoutAnswer, type Answered, type Asked } from './failures.ts'

export interface Pending {
  readonly requestId: string
  readonly status: string
}

/** One question of ours through the SDK: what became of its last request. */
export interface Ride {
  readonly asked: Asked
  readonly call: Call
  /** The SDK uses keys where it can have them: it is told that it cannot, and asks Key Vault to use them. */
  readonly remoteOnly: boolean
  answered: Answered | null
  /** Where the next page of a list is: the SDK's own pages have lost it. */
  nextLink: string | null
  /** The last that was told of a request for a certificate: of one that failed the SDK throws the issuer's words alone. */
  pending: Pending | null
  /** Azure's clock. */
  date: Date | null
}

/** The SDK has no place in a call for something of ours: it is found again by the chain of promises. */
export const rides = new AsyncLocalStorage<Ride>()

/** Throws ProviderError where no answer comes; the SDK hands it through. */
export const vaultClient = (ports: ProviderPorts): HttpClient => ({
  sendRequest: async (request) => {
    const ride = rides.getStore()
    if (ride === undefined) throw new TypeError('a request of nobody')
    const { signal } = ride.call
    ride.answered = null
    if (signal.aborted)
      throw new ProviderError('timeout', 'none', 'the time was over before the request')
    if (ride.remoteOnly && request.method === 'GET') return refusedHere(request)
    const answer = await exchange(ports, request, signal).catch((error: unknown) => {
      const { writes } = ride.asked
      throw failureWithoutAnswer(error, {
        writes,
        aborted: signal.aborted,
        system: 'Key Vault',
      })
    })
    ride.answered = answeredOf(answer, ports.now())
    // The SDK takes an empty answer for one whose fields are missing: of many a change that is what success is.
    if (answer.status < 300 && !ride.answered.fromAzure) throw failureOf(ride.answered, ride.asked)
    const body = parsed(answer.bodyAsText) ?? {}
    ride.nextLink = nameIn(body, 'nextLink') || null
    const requestId = nameIn(body, 'request_id')
    if (requestId !== '') ride.pending = { requestId, status: nameIn(body, 'status') }
    ride.date = dateOf(answer.headers.get('date'))
    return answer
  },
})

const refusedHere = async (request: PipelineRequest): Promise<PipelineResponse> => {
  const { createHttpHeaders } = await import('@azure/core-rest-pipeline')
  const headers = createHttpHeaders({ 'content-type': 'application/json' })
  return { request, status: 403, headers, bodyAsText: '{}' }
}

export interface Exchanged extends PipelineResponse {
  readonly bodyAsText: string
}

/** Throws what fetch throws. */
export const exchange = async (
  { fetch }: Pick<ProviderPorts, 'fetch'>,
  request: PipelineRequest,
  signal: AbortSignal,
): Promise<Exchanged> => {
  // In memory already wherever one of these is sent.
  const { createHttpHeaders } = await import('@azure/core-rest-pipeline')
  const response = await fetch(request.url, {
    method: request.method,
    headers: headersOf(request),
    ...(request.body === null || request.body === undefined ? {} : { body: textOf(request.body) }),
    signal,
    redirect: 'manual',
  })
  return {
    request,
    status: response.status,
    headers: createHttpHeaders(Object.fromEntries(response.headers)),
    bodyAsText: await response.text(),
  }
}

/** The client that dials writes these itself. */
const headersOf = ({ headers }: PipelineRequest): Record<string, string> =>
  Object.fromEntries(
    [...headers].filter(
      ([name]) => !['host', 'content-length', 'accept-encoding'].includes(name.toLowerCase()),
    ),
  )

const textOf = (body: unknown): string => {
  if (typeof body === 'string') return body
  throw new TypeError('a request to Azure is text')
}

const answeredOf = ({ status, headers, bodyAsText }: Exchanged, now: Date): Answered => {
  const body = parsed(bodyAsText)
  const error = body === null ? {} : fieldIn(body, 'error')
  const code = nameIn(error, 'code')
  return {
    status,
    code,
    inner: nameIn(fieldIn(error, 'innererror'), 'code'),
    // Key Vault never refuses without a code, and never answers without a body.
    fromAzure: status < 300 ? body !== null : code !== '',
    retryAfterMs: retryAfterMs(headers.get('retry-after') ?? null, now),
    requestId: headers.get('x-ms-request-id') ?? null,
  }
}

/** Null: not an object. */
export const parsed = (text: string): object | null => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    return null
  }
}

const fieldIn = (of: object, name: string): object => {
  const value = (of as Readonly<Record<string, unknown>>)[name]
  return typeof value === 'object' && value !== null ? value : {}
}

const nameIn = (of: object, name: string): string => {
  const value = (of as Readonly<Record<string, unknown>>)[name]
  return typeof value === 'string' ? value : ''
}

const dateOf = (header: string | undefined): Date | null => {
  const at = new Date(header ?? '')
  return Number.isNaN(at.getTime()) ? null : at
}
