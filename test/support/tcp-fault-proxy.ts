// The fault proxy for peers that speak PostgreSQL's protocol. What it matches is a chunk of what the client sends, as text: a
// statement is one chunk. An answer is over when the server is ready for the next statement. Answers by status are HTTP's.

import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { FaultProxy } from './fault-proxy.ts'
import { countHit, type LiveRule, makeRule } from './fault-rules.ts'

/** ReadyForQuery, outside of a transaction, in one, or in one that failed. */
const isReady = (bytes: Buffer): boolean => /Z\0\0\0\x05[ITE]$/.test(bytes.toString('latin1'))

export const startTcpFaultProxy = async (at: {
  readonly host: string
  readonly port: number
}): Promise<FaultProxy & { readonly port: number }> => {
  const seen: { method: string; path: string }[] = []
  const open = new Set<Socket>()
  let rules: LiveRule[] = []

  const server = createServer((client) => {
    const upstream = connect(at.port, at.host)
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => open.delete(socket))
    }
    let held = 0
    let answered: ((bytes: Buffer) => void) | null = null
    upstream.on('data', (bytes) => (answered === null ? client.write(bytes) : answered(bytes)))
    upstream.on('close', () => client.destroy())
    // A client that gave up: what is held for it may still arrive.
    client.on('close', () => {
      if (held === 0) upstream.destroy()
    })
    /** Sends, and resolves with the whole answer, which is not passed on. */
    const ask = (bytes: Buffer): Promise<Buffer> =>
      new Promise((resolve) => {
        let answer = Buffer.alloc(0)
        answered = (more) => {
          answer = Buffer.concat([answer, more])
          if (isReady(answer)) resolve(answer)
        }
        upstream.on('close', () => resolve(answer))
        upstream.write(bytes)
      }).then((answer) => {
        answered = null
        return answer as Buffer
      })
    client.on('data', (bytes) => {
      const path = bytes.toString()
      seen.push({ method: 'TCP', path })
      const rule = rules.find((one) => one.left > 0 && one.match.path.test(path))
      if (rule === undefined || rule.passing-- > 0) return void upstream.write(bytes)
      rule.left -= 1
      const deliver = (answer: Buffer) => {
        if (client.destroyed) upstream.destroy()
        else client.write(answer)
      }
      const suffer = async (): Promise<void> => {
        switch (rule.fault.kind) {
          case 'cutBefore':
            client.destroy()
            break
          case 'cutAfter':
            await ask(bytes)
            client.destroy()
            break
          case 'delay':
            await pause(rule.fault.ms)
            upstream.write(bytes)
            break
          case 'hold':
            held += 1
            rule.held.push(async () => {
              held -= 1
              deliver(await ask(bytes))
            })
            break
          case 'holdAnswer': {
            const answer = await ask(bytes)
            held += 1
            rule.held.push(async () => {
              held -= 1
              deliver(answer)
            })
            break
          }
          default:
            throw new Error(`${rule.fault.kind} is a fault of HTTP`)
        }
        countHit(rule)
      }
      void suffer().catch(() => client.destroy())
    })
  })

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  return {
    address: `tcp://127.0.0.1:${port}`,
    port,
    inject: (match, fault, times = 1) => {
      const rule = makeRule(match, fault, times)
      rules.push(rule)
      return rule
    },
    seen: () => [...seen],
    reset: () => {
      for (const rule of rules) rule.remove()
      rules = []
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}
