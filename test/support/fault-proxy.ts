// An HTTP proxy in front of a real peer that fails on purpose. A rule matches by method and path and hits the next
// `times` requests; everything else passes. What the peer itself saw and did is counted at the peer, not here.

import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { countHit, type LiveRule, makeRule } from './fault-rules.ts'

export type Fault =
  /** The connection dies before the peer sees anything. */
  | { readonly kind: 'cutBefore' }
  /** The peer has done it and answered; the answer is never delivered. */
  | { readonly kind: 'cutAfter' }
  /** Kept until `release()`, then forwarded, whether the caller still waits or not: an effect that lands late. */
  | { readonly kind: 'hold' }
  /** The peer has done it and answered; the answer is kept until `release()`. */
  | { readonly kind: 'holdAnswer' }
  /** The peer has done it; the caller reads an error. */
  | { readonly kind: 'errorAfter'; readonly status: number }
  /** Answered here, without the peer. */
  | {
      readonly kind: 'status'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }
  /** The page of a proxy or load balancer on the way, without the peer. */
  | { readonly kind: 'html'; readonly status: number }
  /** Forwarded after a while. */
  | { readonly kind: 'delay'; readonly ms: number }

export interface Match {
  readonly method?: string
  /** On the path with its query, as it was sent (percent-encoded). */
  readonly path: RegExp
  readonly body?: RegExp
  /** A header by its lower-case name. */
  readonly header?: readonly [name: string, value: RegExp]
  /** So many of those that match pass first. */
  readonly after?: number
}

export interface Rule {
  /** How many requests it has hit. */
  readonly hits: () => number
  /** Resolves once it has hit `n` requests. */
  readonly hit: (n?: number) => Promise<void>
  /** For `hold` and `holdAnswer`: lets go what is held and resolves when it has arrived. The rule ends: later requests pass. */
  readonly release: () => Promise<void>
  readonly remove: () => void
}

export interface FaultProxy {
  readonly address: string
  readonly inject: (match: Match, fault: Fault, times?: number) => Rule
  /** All that came, in order, whatever happened to it. */
  readonly seen: () => readonly { readonly method: string; readonly path: string }[]
  /** Forgets all rules; what is held is dropped. */
  readonly reset: () => void
  readonly stop: () => Promise<void>
}

export const startFaultProxy = async (target: string): Promise<FaultProxy> => {
  const upstream = new URL(target)
  const agent = new Agent({ keepAlive: true })
  const seen: { method: string; path: string }[] = []
  let rules: LiveRule[] = []

  const server = createServer((incoming, outgoing) => {
    // A caller that gave up is no error of the proxy.
    incoming.on('error', () => undefined)
    outgoing.on('error', () => undefined)
    void handle(incoming, outgoing).catch(() => outgoing.destroy())
  })

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const method = incoming.method ?? 'GET'
    const path = incoming.url ?? '/'
    seen.push({ method, path })
    // The whole request is read before anything is answered: a reply to half a request would spoil the kept connection.
    const body = await bodyOf(incoming)
    const rule = rules.find(
      (r) =>
        r.left > 0 &&
        (r.match.method ?? method) === method &&
        r.match.path.test(path) &&
        (r.match.body?.test(body.toString()) ?? true) &&
        (r.match.header?.[1].test(String(incoming.headers[r.match.header[0]] ?? '')) ?? true),
    )
    if (rule === undefined || rule.passing-- > 0) {
      deliver(await forward(incoming, body), outgoing)
      return
    }
    rule.left -= 1
    await suffer(rule, { incoming, body }, outgoing)
  }

  const suffer = async (
    rule: LiveRule,
    { incoming, body }: { readonly incoming: IncomingMessage; readonly body: Buffer },
    outgoing: ServerResponse,
  ): Promise<void> => {
    const { fault } = rule
    if (fault.kind === 'cutBefore') {
      incoming.socket.destroy()
      countHit(rule)
      return
    }
    switch (fault.kind) {
      case 'cutAfter':
        await forward(incoming, body)
        incoming.socket.destroy()
        break
      case 'errorAfter':
        await forward(incoming, body)
        deliver(
          answer(
            fault.status,
            { 'content-type': 'application/json' },
            '{"errors":["internal error"]}',
          ),
          outgoing,
        )
        break
      case 'status':
        deliver(
          answer(
            fault.status,
            { 'content-type': 'application/json', ...fault.headers },
            fault.body ?? '{"errors":[]}',
          ),
          outgoing,
        )
        break
      case 'html':
        deliver(
          answer(
            fault.status,
            { 'content-type': 'text/html' },
            '<html><body><h1>Gateway</h1></body></html>',
          ),
          outgoing,
        )
        break
      case 'delay':
        await pause(fault.ms)
        deliver(await forward(incoming, body), outgoing)
        break
      case 'hold':
        rule.held.push(async () => deliver(await forward(incoming, body), outgoing))
        break
      case 'holdAnswer': {
        const reply = await forward(incoming, body)
        rule.held.push(async () => deliver(reply, outgoing))
        break
      }
    }
    countHit(rule)
  }

  const forward = (incoming: IncomingMessage, body: Buffer): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { host, connection: _connection, ...headers } = incoming.headers
      const sent = request(
        {
          agent,
          host: upstream.hostname,
          port: upstream.port,
          method: incoming.method,
          path: incoming.url,
          // Some sign what they asked for.
          headers: { ...headers, host: upstream.host, 'x-forwarded-host': host },
        },
        (reply) => {
          bodyOf(reply).then(
            (content) =>
              resolve({ status: reply.statusCode ?? 502, headers: reply.headers, body: content }),
            reject,
          )
        },
      )
      sent.on('error', reject)
      sent.end(body)
    })

  const inject = (match: Match, fault: Fault, times = 1): Rule => {
    const rule = makeRule(match, fault, times)
    rules.push(rule)
    return rule
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  return {
    address: `${upstream.protocol}//127.0.0.1:${port}`,
    inject,
    seen: () => [...seen],
    reset: () => {
      for (const rule of rules) rule.remove()
      rules = []
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      agent.destroy()
      await closed
    },
  }
}

interface Answer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: Buffer
}

const answer = (
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): Answer => ({
  status,
  headers,
  body: Buffer.from(body),
})

// The lengths of the two hops differ: transfer encoding is dropped and the length written anew.
const deliver = (from: Answer, to: ServerResponse): void => {
  if (to.destroyed) return
  const { 'transfer-encoding': _te, connection: _c, 'keep-alive': _k, ...headers } = from.headers
  to.writeHead(from.status, { ...headers, 'content-length': from.body.byteLength })
  to.end(from.body)
}

const bodyOf = async (stream: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
