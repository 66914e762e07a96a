import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { makeMeter } from '#runtime/meter.ts'
import { noTelemetry } from '#domain/telemetry.ts'
import { ConfigError } from '#src/config.ts'
import { openMetrics } from '#src/observability.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const open = async (port: number, asked: boolean) => {
  const logged: string[] = []
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      logged.push(chunk.toString())
      done()
    },
  })
  let released = 0
  const known = { routes: [], providers: [], types: [], builds: [], runtimes: [] }
  const server = await openMetrics(
    { host: '127.0.0.1', port, asked },
    {
      ...noTelemetry,
      meter: makeMeter({ known }),
      log: pino(stream),
      onFault: () => () => undefined,
      onMove: () => undefined,
      close: async () => undefined,
    },
    {
      reader: {
        look: async () => [],
        read: async () => [],
        release: async () => void (released += 1),
      },
      bell: { depth: async () => ({ waiting: 0, active: 0 }) },
      readiness: [],
    },
  )
  if (server) closers.push(() => server.close())
  return { server, logged, released: () => released }
}
const taken = async (): Promise<number> => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise((resolve) => other.close(resolve)))
  return (other.address() as AddressInfo).port
}

test('any free port is taken where 0 is asked for, and who closes lets another one tell of the database', async () => {
  const { server, released } = await open(0, true)
  expect((await fetch(`${server?.url}/metrics`)).status).toBe(200)
  await server?.close()
  expect(released()).toBe(1)
})

test('a port that was asked for and is taken refuses the start, and says which variable', async () => {
  const port = await taken()
  const refused = await open(port, true).catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(ConfigError)
  expect(String(refused)).toContain(
    `REKEY_METRICS_PORT: metrics cannot be served at 127.0.0.1:${port} (EADDRINUSE)`,
  )
})

test('the default port that is taken is a warning: nobody who did not ask is kept from starting', async () => {
  const { server, logged } = await open(await taken(), false)
  expect(server).toBeNull()
  expect(logged.join()).toContain('set REKEY_METRICS_PORT to another port')
})
