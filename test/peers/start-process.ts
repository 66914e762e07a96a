import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

export interface Started {
  readonly pid: number
  readonly stop: () => Promise<void>
  /** What it said, for the message of a failed start. */
  readonly output: () => string
  readonly exited: () => boolean
}

/** A server that cannot outlive us: a shell holds our end of a pipe and kills it when the pipe closes, whether we stop
 *  it, exit, or are killed ourselves (no exit handler runs then). */
export const startProcess = (
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Started => {
  const child: ChildProcess = spawn(
    'sh',
    [
      '-c',
      '"$@" & server=$!; (cat >/dev/null; kill -9 $server 2>/dev/null) <&3 & wait $server',
      'sh',
      command,
      ...args,
    ],
    { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
  )
  let said = ''
  const keep = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-8000)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  const gone = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  const leash = child.stdio[3]
  leash?.on('error', () => undefined)
  return {
    pid: child.pid ?? -1,
    output: () => said,
    exited: () => child.exitCode !== null || child.signalCode !== null,
    stop: async () => {
      if (leash !== null && leash !== undefined && 'end' in leash) leash.end()
      await gone
    },
  }
}

/** Below those that the system gives to whoever asks for any: nobody gets it by chance between this look and its use. */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(12_000, 32_000)
    // oxlint-disable-next-line no-await-in-loop -- until one is free
    if (await isFree(port)) return port
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/** Asks `ready` every 50 ms until it says yes; throws with the server's output when it dies or two minutes are over. */
export const untilReady = async (
  name: string,
  server: Started,
  ready: () => Promise<boolean>,
): Promise<void> => {
  const end = Date.now() + 120_000
  for (;;) {
    if (server.exited()) throw new Error(`${name} ended at its start:\n${server.output()}`)
    if (await ready().catch(() => false)) return
    if (Date.now() > end) {
      await server.stop()
      throw new Error(`${name} was not ready after two minutes:\n${server.output()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
