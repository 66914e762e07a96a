// The SDK's requests go out through `ports.fetch`, which dials only what egress has checked. Of each answer is kept what
// tells failures apart, since the SDK's own errors lose some of it (headers, a page that is not AWS's) and carry the body.

import { ProviderError, type Call, type ProviderPorts } from '#domain/provider.ts'
import { retryAfterMs } from '../network-failure.ts'
import { failureOf, failureWithoutAnswer, type Answered, type Asked } from './failures.ts'

/** Rides through the SDK in the options of a call, and brings back what became of it. The last attempt counts. */
export interface Ride {
  readonly service: 'secretsmanager' | 'kms' | 'iam' | 'sts'
  readonly resource: string
  readonly writes: boolean
  readonly call: Call
  /** Known once the first request was made. */
  asked: Asked | null
  answered: Answered | null
  failure: ProviderError | null
  /** AWS's clock. */
  date: Date | null
}

interface HttpRequest {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

interface HttpResponse {
  readonly statusCode: number
  readonly headers: Record<string, string>
  readonly body: Uint8Array
}

/** Without a ride it is the SDK's own call, on the way to a credential. */
interface Options {
  readonly ride?: Ride
  readonly abortSignal?: unknown
}

export const makeHandler = (ports: ProviderPorts) => ({
  metadata: { handlerProtocol: 'http/1.1' },
  handle: async (
    request: HttpRequest,
    { ride = foreignRide() }: Options = {},
  ): Promise<{ response: HttpResponse }> => {
    const body = bodyOf(request.body)
    const asked: Asked = {
      action: actionOf(request, body, ride),
      resource: ride.resource,
      writes: ride.writes,
    }
    ride.asked = asked
    ride.answered = null
    ride.failure = null
    const { signal } = ride.call
    if (signal.aborted) {
      ride.failure = new ProviderError('timeout', 'none', 'the time was over before the request')
      throw named('AbortError')
    }
    try {
      const response = await ports.fetch(urlOf(request), {
        method: request.method,
        headers: headersOf(request),
        body,
        signal,
        redirect: 'manual',
      })
      const bytes = new Uint8Array(await response.arrayBuffer())
      ride.answered = answeredOf(response, bytes, ports)
      // The SDK reads any XML, and nothing at all, as an answer without fields: of many a change that is what success is.
      if (response.ok && !ride.answered.fromAws) throw failureOf(ride.answered, asked)
      ride.date = dateOf(response.headers.get('date'))
      return {
        response: {
          statusCode: response.status,
          headers: Object.fromEntries(response.headers),
          body: bytes,
        },
      }
    } catch (error) {
      ride.failure =
        error instanceof ProviderError ? error : failureWithoutAnswer(error, asked, signal.aborted)
      // By this name the SDK knows what a client that may retry tries again.
      throw named(signal.aborted ? 'AbortError' : 'TimeoutError')
    }
  },
  destroy: () => undefined,
  updateHttpClientConfig: () => undefined,
  httpHandlerConfigs: () => ({}),
})

const foreignRide = (): Ride => ({
  service: 'sts',
  resource: 'the role',
  writes: false,
  call: { signal: AbortSignal.timeout(10_000) },
  asked: null,
  answered: null,
  failure: null,
  date: null,
})

const named = (name: string): Error => Object.assign(new Error('the request failed'), { name })

const bodyOf = (body: unknown): string => {
  if (typeof body === 'string') return body
  if (body instanceof Uint8Array) return new TextDecoder().decode(body)
  if (body === undefined) return ''
  throw new TypeError('a request of AWS is text')
}

const urlOf = ({ protocol, hostname, port, path }: HttpRequest): string =>
  `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`

/** The client that dials writes these two; both are what was signed. */
const headersOf = ({ headers }: HttpRequest): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).filter(
      ([name]) => !['host', 'content-length'].includes(name.toLowerCase()),
    ),
  )

/** `secretsmanager:PutSecretValue`, of a header (JSON protocol) or of the form (query protocol). */
const actionOf = (request: HttpRequest, body: string, ride: Ride): string => {
  const target = Object.entries(request.headers).find(
    ([name]) => name.toLowerCase() === 'x-amz-target',
  )?.[1]
  const operation = target?.split('.').at(-1) ?? /(?:^|&)Action=(\w+)/.exec(body)?.[1] ?? 'unknown'
  return `${ride.service}:${operation}`
}

const answeredOf = (response: Response, bytes: Uint8Array, ports: ProviderPorts): Answered => {
  const { headers, status } = response
  const text = new TextDecoder().decode(bytes)
  const told = text.trim() === '' ? null : (readJson(text) ?? readXml(text))
  const requestId = headers.get('x-amzn-requestid') ?? told?.requestId ?? null
  // `com.amazon.coral.service#AccessDeniedException:http://…`
  const named = headers.get('x-amzn-errortype') ?? told?.code ?? ''
  const code = named.split(':')[0]?.split('#').at(-1) ?? ''
  // A success may be empty, and then nothing but the number says whose it is; AWS never refuses without a code.
  const ofRequest = text.trim() === '' ? requestId !== null : told !== null
  return {
    status,
    code,
    message: told?.message ?? '',
    fromAws: response.ok ? ofRequest : code !== '',
    retryAfterMs: retryAfterMs(headers.get('retry-after'), ports.now()),
    requestId,
  }
}

interface Told {
  readonly code: string
  readonly message: string
  readonly requestId?: string
}

const readJson = (text: string): Told | null => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return null
    const { __type: type, code, message, Message } = value as Readonly<Record<string, unknown>>
    return { code: textOf(type) || textOf(code), message: textOf(message) || textOf(Message) }
  } catch {
    return null
  }
}

/** Of the query protocol: `<CreateAccessKeyResponse xmlns=…>`, `<ErrorResponse>`. */
const readXml = (text: string): Told | null => {
  if (!/^\s*(?:<\?xml[^>]*>)?\s*<\w*Response\b/.test(text)) return null
  const requestId = /<RequestId>([\w-]+)<\/RequestId>/.exec(text)?.[1]
  return {
    code: /<Code>([\w.]+)<\/Code>/.exec(text)?.[1] ?? '',
    message: /<Message>([^<]*)<\/Message>/.exec(text)?.[1] ?? '',
    ...(requestId === undefined ? {} : { requestId }),
  }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const dateOf = (header: string | null): Date | null => {
  const at = new Date(header ?? '')
  return Number.isNaN(at.getTime()) ? null : at
}
