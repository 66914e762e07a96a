import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { serveMetrics } from '#http/serve-metrics.ts'
import type { InstallationSample } from '#domain/metrics.ts'
import { makeMeter } from '#runtime/meter.ts'
import { makeScrape } from '#runtime/scrape.ts'
import { systemClock } from '#runtime/clock.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const known = { routes: [], providers: [], types: [], builds: [], runtimes: [] }
const lag: InstallationSample = { name: 'rekey_queue_lag_seconds', labels: {}, value: 7 }

const serve = async (
  more: {
    readonly read?: () => Promise<readonly InstallationSample[] | null>
    readonly queue?: () => Promise<{ readonly waiting: number; readonly active: number }>
    readonly port?: number
  } = {},
) => {
  const meter = makeMeter({ known })
  const faults: unknown[] = []
  let nowMs = 1_000_000
  const server = await serveMetrics({
    host: '127.0.0.1',
    port: more.port ?? 0,
    contentType: meter.contentType,
    readiness: [{ name: 'database', ready: async () => 'it is away' }],
    onError: (error) => faults.push(error),
    metrics: makeScrape({
      meter,
      clock: {
        now: () => new Date(nowMs),
        // Nobody waits four seconds here.
        pause: (ms, signal) => systemClock.pause(ms / 40, signal),
      },
      readInstallation: more.read ?? (async () => [lag]),
      readQueue: more.queue ?? (async () => ({ waiting: 2, active: 1 })),
      onError: (error) => faults.push(error),
    }),
  })
  closers.push(() => server.close())
  const get = async (path: string, method = 'GET') => {
    const reply = await fetch(`${server.url}${path}`, { method })
    return {
      status: reply.status,
      type: reply.headers.get('content-type'),
      text: await reply.text(),
    }
  }
  return { server, get, faults, pass: (ms: number) => (nowMs += ms) }
}

test('/metrics is text for Prometheus, and says that this process tells what the database holds', async () => {
  const { get } = await serve()
  const { status, type, text } = await get('/metrics')
  expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
  for (const line of [
    'rekey_queue_lag_seconds 7',
    'rekey_queue_jobs{state="waiting"} 2',
    'rekey_database_up 1',
    'rekey_installation_reader 1',
  ])
    expect(text.split('\n')).toContain(line)
})

test('where another process tells it, this one does not repeat it', async () => {
  const { get } = await serve({ read: async () => null })
  const { text } = await get('/metrics')
  expect(text).not.toMatch(/^rekey_queue_/m)
  expect(text).toMatch(/^rekey_installation_reader 0$/m)
  expect(text).toMatch(/^rekey_database_up 1$/m)
})

test('a database that refuses, or says nothing, takes its numbers away and not those of the process', async () => {
  const refusing = await serve({
    read: async () => {
      throw new Error('away')
    },
  })
  const silent = await serve({ read: () => new Promise(() => undefined) })
  for (const { get } of [refusing, silent]) {
    const { status, text } = await get('/metrics')
    expect(status).toBe(200)
    expect(text).toMatch(/^rekey_database_up 0$/m)
    expect(text).toMatch(/^process_cpu_seconds_total /m)
    expect(text).not.toMatch(/^rekey_queue_lag/m)
  }
  expect(refusing.faults).toHaveLength(1)
})

test('a queue that is away takes only its own numbers away', async () => {
  const { get } = await serve({
    queue: async () => {
      throw new Error('Redis is away')
    },
  })
  const { text } = await get('/metrics')
  expect(text).toMatch(/^rekey_queue_lag_seconds 7$/m)
  expect(text).not.toMatch(/^rekey_queue_jobs\{/m)
})

test('two readers within a few seconds ask the database once', async () => {
  let asked = 0
  const { get, pass } = await serve({
    read: async () => {
      asked += 1
      return [lag]
    },
  })
  await Promise.all([get('/metrics'), get('/metrics')])
  await get('/metrics')
  expect(asked).toBe(1)
  pass(5_000)
  await get('/metrics')
  expect(asked).toBe(2)
})

test('a worker answers for its health here too; there is nothing else, and nothing to write', async () => {
  const { get } = await serve()
  expect((await get('/livez')).status).toBe(200)
  const ready = await get('/readyz')
  expect(ready.status).toBe(503)
  expect(JSON.parse(ready.text)).toEqual({
    ready: false,
    checks: [{ name: 'database', ready: false, detail: 'it is away' }],
  })
  expect((await get('/')).status).toBe(404)
  expect((await get('/constructor')).status).toBe(404)
  expect((await get('/metrics', 'POST')).status).toBe(405)
  expect((await get('/metrics', 'HEAD')).text).toBe('')
})

test('a port that is taken is said', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise((resolve) => other.close(resolve)))
  const { port } = other.address() as AddressInfo
  await expect(serve({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
})
