// What arrives at a peer, counted on the way there: a provider's own word for what it sends is not asked.

import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CountingProxy {
  readonly address: string
  /** When each request came, in ms. */
  readonly arrived: number[]
  stop(): Promise<void>
}

export const countingProxy = async (target: string): Promise<CountingProxy> => {
  const { hostname, port } = new URL(target)
  const agent = new Agent({ keepAlive: true })
  const arrived: number[] = []
  const server = createServer((asked, answer) => {
    arrived.push(performance.now())
    const { method, url: path, headers } = asked
    const passed = request({ hostname, port, method, path, headers, agent }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers)
      reply.pipe(answer)
    })
    passed.on('error', () => answer.destroy())
    asked.pipe(passed)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrived,
    stop: () =>
      new Promise((done) => {
        agent.destroy()
        server.closeAllConnections()
        server.close(() => done())
      }),
  }
}

/** The most in any second, wherever it begins. */
export const busiestSecond = (arrived: readonly number[]): number => {
  let most = 0
  for (let first = 0, last = 0; last < arrived.length; last++) {
    while ((arrived[last] ?? 0) - (arrived[first] ?? 0) >= 1_000) first += 1
    most = Math.max(most, last - first + 1)
  }
  return most
}
