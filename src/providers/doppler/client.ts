// Doppler's API by plain HTTP through `ports.fetch`: its SDK sends writes again by itself and ends the process on a page of a
// proxy (ADR 0019).

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type ProviderPorts } from '#domain/provider.ts'
import { revealText, type Secret } from '#domain/secret.ts'
import { abortable, retryAfterMs } from '../network-failure.ts'
import { failureOf, failureWithoutAnswer, type Answered, type Asked } from './failures.ts'
import { fieldsOf, textsOf, type Fields } from '../untyped-json.ts'

export interface Request {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below the API's address, without a query. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: JsonObject
  readonly needs: string
  /** `project/config`, for people. */
  readonly at: string
  /** Statuses beside 2xx that the caller reads as an answer. */
  readonly accept?: readonly number[]
  /** Asks as the holder of this token and not as the connection. */
  readonly as?: Secret
}

export interface Reply {
  readonly status: number
  readonly body: Fields
  /** Doppler's clock. */
  readonly date: Date | null
}

/** One request. Throws ProviderError. A change is sent once; a read once more when the connection breaks. */
export type Ask = (request: Request, call: Call) => Promise<Reply>

export const makeClient = (
  apiUrl: string,
  credential: Secret<string> | null,
  ports: Pick<ProviderPorts, 'fetch' | 'now'>,
): Ask => {
  const once = async (request: Request, call: Call): Promise<Reply> => {
    const asked: Asked = {
      needs: request.needs,
      at: request.at,
      writes: request.method !== 'GET',
    }
    const { status, text, headers } = await send(request, asked, call)
    const isSuccess = status >= 200 && status < 300
    const body = parse(text)
    const answered: Answered = {
      status,
      messages: textsOf(body?.['messages']),
      fromDoppler: isSuccess ? body !== null || status === 204 : isRefusal(body),
      retryAfterMs: retryAfterMs(headers.get('retry-after'), ports.now()),
      requestId: headers.get('x-request-id'),
    }
    const isAnswer = isSuccess || request.accept?.includes(status) === true
    if (!isAnswer || !answered.fromDoppler) throw failureOf(answered, asked)
    const date = new Date(headers.get('date') ?? '')
    return { status, body: body ?? {}, date: Number.isNaN(date.getTime()) ? null : date }
  }

  const send = async (
    request: Request,
    asked: Asked,
    call: Call,
  ): Promise<{ readonly status: number; readonly text: string; readonly headers: Headers }> => {
    if (call.signal.aborted)
      throw new ProviderError('timeout', 'none', 'the time was over before the request')
    const token = request.as ?? credential
    if (token === null)
      throw new ProviderError('auth', 'none', 'the connection has no token', {
        hint: 'give it the token of a service account',
      })
    const query =
      request.query === undefined ? '' : `?${new URLSearchParams(request.query).toString()}`
    try {
      const response = await abortable(
        call.signal,
        ports.fetch(`${apiUrl}${request.path}${query}`, {
          method: request.method,
          headers: {
            Authorization: `Bearer ${revealText(token)}`,
            Accept: 'application/json',
            'User-Agent': 'rekey',
            ...(request.body === undefined ? {} : { 'Content-Type': 'application/json' }),
          },
          ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
          signal: call.signal,
          redirect: 'manual',
        }),
      )
      const text = await abortable(call.signal, response.text())
      return { status: response.status, text, headers: response.headers }
    } catch (error) {
      throw failureWithoutAnswer(error, asked, call.signal.aborted)
    }
  }

  return async (request, call) => {
    try {
      return await once(request, call)
    } catch (error) {
      // A kept connection that the other end closes at that moment fails a read for nothing.
      const broke =
        error instanceof ProviderError && error.kind === 'transient' && error.status === null
      if (!broke || request.method !== 'GET' || call.signal.aborted) throw error
      return once(request, call)
    }
  }
}

/** Doppler refuses with `{"messages": […], "success": false}`; whatever else is somebody's on the way. */
const isRefusal = (body: Fields | null): boolean =>
  body !== null && (body['success'] === false || textsOf(body['messages']).length > 0)

/** Null: not JSON. */
const parse = (text: string): Fields | null => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? fieldsOf(value) : null
  } catch {
    return null
  }
}
