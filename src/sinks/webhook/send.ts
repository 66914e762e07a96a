// Sends one message to a webhook, once. Retries, dead letters and who is told are decided elsewhere.

import { isRekeyError } from '#domain/errors.ts'
import type { Clock, SendToSink, SinkAnswer, SinkMessage } from '#domain/ports.ts'
import { parseRetryAfter } from '#domain/retry-schedule.ts'
import { revealText } from '#domain/secret.ts'
import { signedHeaders } from './sign.ts'

export interface WebhookDeps {
  /** Checks the address, follows no redirect. */
  readonly fetch: typeof globalThis.fetch
  readonly clock: Pick<Clock, 'now' | 'deadline'>
  /** 15 seconds where not said. */
  readonly timeoutMs?: number
}

const answerLimit = 300

export const makeSendToWebhook =
  ({ fetch, clock, timeoutMs = 15_000 }: WebhookDeps): SendToSink =>
  async (sink, secret, message) => {
    const body = bodyOf(message)
    const deadline = clock.deadline(timeoutMs)
    try {
      const response = await fetch(sink.url, {
        method: 'POST',
        redirect: 'manual',
        signal: deadline,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'rekey-sink',
          ...signedHeaders(message.id, clock.now(), body, secret),
        },
        body,
      })
      const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), clock.now())
      // The status is the answer: a body that hangs or breaks does not turn a yes into a no.
      // A receiver that says back its own configuration must not get the secret into replies and tables.
      const text = (await headOf(response).catch(() => ''))
        .replaceAll(revealText(secret), '«redacted»')
        .slice(0, answerLimit)
      return { kind: 'answered', status: response.status, retryAfterMs, text }
    } catch (error) {
      return failure(error, deadline.aborted, timeoutMs)
    }
  }

/** Members in a fixed order: the same bytes on every try. The id travels in the header, as the standard has it. */
const bodyOf = ({ type, timestamp, data }: SinkMessage): string =>
  JSON.stringify({ type, timestamp, data })

const headOf = async (response: Response): Promise<string> => {
  const reader = response.body?.getReader()
  if (reader === undefined) return ''
  const decoder = new TextDecoder()
  let text = ''
  try {
    while (text.length < answerLimit) {
      const { done, value } = await reader.read() // oxlint-disable-line no-await-in-loop -- a stream
      if (done) break
      text += decoder.decode(value as Uint8Array, { stream: true })
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
  return text.replaceAll(/[^\P{C}\n]/gu, '')
}

/** Our own words only: what a network library says can hold addresses and paths. */
const failure = (error: unknown, timedOut: boolean, timeoutMs: number): SinkAnswer => {
  if (timedOut) {
    return { kind: 'failed', refused: false, why: `no answer within ${timeoutMs / 1000} s` }
  }
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if (isRekeyError(at)) return { kind: 'failed', refused: true, why: at.message }
    const code = (at as { code?: unknown }).code
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,60}$/.test(code)) {
      return { kind: 'failed', refused: false, why: `the connection failed: ${code}` }
    }
  }
  return { kind: 'failed', refused: false, why: 'the connection failed' }
}
