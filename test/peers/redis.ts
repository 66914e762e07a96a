import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { peers } from './peers.ts'
import { freePort, startProcess, untilReady } from './start-process.ts'

export interface RedisPeer {
  readonly url: string
  readonly port: number
  readonly stop: () => Promise<void>
}

/** A Redis of its own on a free port, without persistence. */
export const startRedis = async (at: { readonly port?: number } = {}): Promise<RedisPeer> => {
  const binary = peers.redis.find()
  if (binary === null) throw new Error('redis-server is not here: run `npm run peers`')
  const port = at.port ?? (await freePort())
  const dir = mkdtempSync(join(tmpdir(), 'rekey-redis-'))
  const server = startProcess(binary, [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir],
    ...[
      '--save',
      '',
      '--appendonly',
      'no',
      '--daemonize',
      'no',
      '--maxmemory-policy',
      'noeviction',
    ],
  ])
  await untilReady('redis-server', server, () => ping(port))
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop: async () => {
      await server.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const ping = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.setTimeout(1000, () => socket.destroy())
    socket.on('data', (data) => {
      resolve(data.toString().startsWith('+PONG'))
      socket.destroy()
    })
    socket.on('error', () => resolve(false))
    socket.on('close', () => resolve(false))
  })
