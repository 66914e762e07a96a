// /metrics, and the two questions of whoever starts and restarts processes, on a port of their own: a worker has no other.
// Everybody who reaches the port may read them; nothing here names a key, a connection or a person.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ReadinessCheck, readinessOf } from './routes/health.ts'

export interface MetricsServerOptions {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  readonly contentType: string
  readonly metrics: () => Promise<string>
  readonly readiness: readonly ReadinessCheck[]
  readonly onError: (error: unknown) => void
}

export interface MetricsServer {
  readonly url: string
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

const json = (status: number, body: unknown): Answer => ({
  status,
  type: 'application/json; charset=utf-8',
  text: JSON.stringify(body),
})

/** Rejects where the port is taken (`EADDRINUSE`) or may not be bound. */
export const serveMetrics = async (options: MetricsServerOptions): Promise<MetricsServer> => {
  const pages: Readonly<Record<string, () => Promise<Answer>>> = {
    '/metrics': async () => ({
      status: 200,
      type: options.contentType,
      text: await options.metrics(),
    }),
    '/livez': async () => json(200, { live: true }),
    '/readyz': async () => {
      const found = await readinessOf(options.readiness)
      return json(found.ready ? 200 : 503, found)
    },
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { status, type, text } = await answerOf(pages, request, options.onError)
    response
      .writeHead(status, {
        'content-type': type,
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
      })
      .end(request.method === 'HEAD' ? undefined : text)
  }
  const limits = { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 65_000 }
  const server = createServer(limits, (request, response) => void answer(request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port, options.host, resolve)
  })
  server.on('error', options.onError)
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `http://${host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const answerOf = async (
  pages: Readonly<Record<string, () => Promise<Answer>>>,
  { method, url = '/' }: IncomingMessage,
  onError: (error: unknown) => void,
): Promise<Answer> => {
  const path = url.split('?', 1)[0] ?? '/'
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined
  if (page === undefined) return json(404, { title: 'There is /metrics, /livez and /readyz' })
  if (method !== 'GET' && method !== 'HEAD') return json(405, { title: 'This is only read' })
  try {
    return await page()
  } catch (error) {
    onError(error)
    return json(500, { title: 'Rekey failed' })
  }
}
