// The only HTTP client that providers and webhooks get. It dials an address that egress has just checked, follows no
// redirect (a 3xx is an answer like any other), and caps the size and the time of a reply. The cap counts what arrives, so a
// compressed reply, of which a few kilobytes could become gigabytes here, is not taken: none is asked for.

import { Agent, buildConnector, fetch as undiciFetch } from 'undici'
import type { Egress, EgressKind } from './egress.ts'

export interface SafeFetch {
  readonly fetch: typeof globalThis.fetch
  /** Closes idle sockets and lets running requests end. Idempotent. */
  close(): Promise<void>
}

export interface SafeFetchOptions {
  readonly egress: Egress
  readonly kind: EgressKind
  readonly insecure: boolean
  /** Of a reply's body; default 8 MB. */
  readonly maxBytes?: number
  /** From the first byte sent to the last received; default 30 s. */
  readonly timeoutMs?: number
}

export const makeSafeFetch = (options: SafeFetchOptions): SafeFetch => {
  const { maxBytes = 8 * 1024 * 1024, timeoutMs = 30_000 } = options
  const agent = new Agent({
    connect: checkedConnector(options),
    maxResponseSize: maxBytes,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  })
  const fetch = async (
    input: string | URL | Request,
    init: RequestInit = {},
  ): Promise<Response> => {
    if (input instanceof Request) throw new TypeError('pass a URL and init, not a Request')
    const deadline = AbortSignal.timeout(timeoutMs)
    const signal = init.signal ? AbortSignal.any([init.signal, deadline]) : deadline
    // undici's types and those of the platform describe the same objects under two names.
    const reply = await undiciFetch(input, {
      ...init,
      headers: identityOnly(init.headers),
      signal,
      redirect: 'manual',
      dispatcher: agent,
    } as Parameters<typeof undiciFetch>[1])
    const encoding = reply.headers.get('content-encoding') ?? 'identity'
    if (encoding.trim().toLowerCase() === 'identity') return reply
    await reply.body?.cancel()
    throw new TypeError('the reply is compressed, which was not asked for')
  }
  return { fetch, close: () => agent.close() }
}

const identityOnly = (headers: RequestInit['headers']): Record<string, string> => {
  const sent = new Headers(headers)
  sent.set('accept-encoding', 'identity')
  return Object.fromEntries(sent)
}

const checkedConnector = ({
  egress,
  kind,
  insecure,
}: SafeFetchOptions): buildConnector.connector => {
  const base = buildConnector({ timeout: 10_000 })
  return (target, callback) => {
    const dial = async (): Promise<void> => {
      const addresses = await egress.resolve(target, kind, { insecure })
      let last: Error | null = null
      for (const address of addresses) {
        // Only `hostname` changes: `host`, from which the TLS server name comes, stays the name that was asked for.
        // oxlint-disable-next-line no-await-in-loop -- one address after the other
        const socket = await attempt(base, { ...target, hostname: address })
        if (!(socket instanceof Error)) return callback(null, socket)
        last = socket
      }
      callback(last ?? new Error('no address'), null)
    }
    dial().catch((cause: unknown) =>
      callback(cause instanceof Error ? cause : new Error('refused'), null),
    )
  }
}

type Socket = Exclude<Parameters<buildConnector.Callback>[1], null>

const attempt = (
  base: buildConnector.connector,
  target: buildConnector.Options,
): Promise<Socket | Error> =>
  new Promise((resolve) => {
    base(target, (error, socket) => resolve(error ?? socket ?? new Error('no socket')))
  })
