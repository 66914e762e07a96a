// What processes tell of themselves, read as those read it who are told: a collector of traces, and a Prometheus.
// A rotation that a person asks for on the command line is one trace over three processes: command, API and worker.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type CollectedSpan,
  type OtlpReceiver,
  startOtlpReceiver,
} from '#test/support/otlp-receiver.ts'
import { asked, seriesOf } from '#test/support/monitoring.ts'
import { long } from '#test/support/peers.ts'
import { openRoles, type Roles, untilEnded } from '#test/support/roles.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
let collector: OtlpReceiver
let roles: Roles

long.describe('what live processes tell', () => {
  beforeAll(async () => {
    collector = await startOtlpReceiver()
    roles = await openRoles({
      env: {
        REKEY_LOG_LEVEL: 'debug',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      },
      comparing: true,
    })
    await roles.ask('PUT', '/v1/connections/vault', { provider: 'local' })
    await roles.ask('PUT', '/v1/policies/quick', {
      selector: { connection: 'vault' },
      manual: true,
      overlap: { min: '0s' },
      soak: '0s',
    })
    await roles.ask('POST', '/v1/keys', {
      name: 'traced-key',
      connection: 'vault',
      type: 'local.secret',
      purpose: 'tests',
      owner: 'team',
      environment: 'test',
      create: true,
    })
  })
  afterAll(async () => {
    await roles.close()
    await collector.close()
  })

  const rekey = (env: Readonly<Record<string, string>>, ...argv: readonly string[]) =>
    promisify(execFile)(process.execPath, [main, ...argv], {
      env: { PATH: process.env['PATH'], REKEY_URL: roles.url, REKEY_TOKEN: roles.token, ...env },
    })
  const logged = (): readonly Record<string, unknown>[] =>
    roles
      .said()
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))

  test('command, API, worker and provider are one trace, from root to leaf', async () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }
    const argv = ['rotate', 'key/traced-key', '--reason', 'a test', '-o', 'json']
    const { id } = JSON.parse((await rekey(env, ...argv)).stdout)
    await untilEnded(roles, id)
    const ofRotation = (span: CollectedSpan): boolean => span.attributes['rekey.rotation.id'] === id
    const open = (spans: readonly CollectedSpan[]) =>
      spans.find((span) => span.name === 'rotation.open' && ofRotation(span))
    const spans = await collector.until((all) => {
      const trace = all.filter(({ traceId }) => traceId === open(all)?.traceId)
      return trace.some(({ attributes }) =>
        Array.isArray(attributes['rekey.audit.actions'])
          ? attributes['rekey.audit.actions'].includes('rotation.completed')
          : false,
      )
    })
    const traceId = open(spans)?.traceId
    const trace = spans.filter((span) => span.traceId === traceId)

    expect(new Set(trace.map(({ service }) => service))).toEqual(
      new Set(['rekey-cli', 'rekey-api', 'rekey-worker']),
    )
    // Everything that anybody did to the rotation is in it, and hangs together.
    expect(spans.filter(ofRotation).every((span) => span.traceId === traceId)).toBe(true)
    const ids = new Set(trace.map(({ spanId }) => spanId))
    expect(trace.filter(({ parentSpanId }) => !ids.has(parentSpanId))).toMatchObject([
      { service: 'rekey-cli', name: 'rekey rotate', parentSpanId: '' },
    ])
    const names = (service: string) =>
      trace.filter((span) => span.service === service).map(({ name }) => name)
    expect(names('rekey-api')).toEqual(
      expect.arrayContaining(['POST /v1/rotations', 'ledger.commit', 'rotation.open']),
    )
    expect(names('rekey-worker')).toEqual(
      expect.arrayContaining(['rotation.advance', 'ledger.commit', 'provider.mint']),
    )
    const mint = trace.find(({ name }) => name === 'provider.mint')
    expect(mint).toMatchObject({
      kind: 3,
      failed: false,
      attributes: { 'rekey.provider': 'local' },
    })
    expect(trace.find(({ spanId }) => spanId === mint?.parentSpanId)?.name).toBe('rotation.advance')

    // The same id stands in every audit record of the rotation and in the logs of both servers.
    const events = await roles.ask('GET', `/v1/audit/events?rotation=${id}&limit=200`)
    expect(events.items.length).toBeGreaterThan(10)
    for (const event of events.items) expect(event.traceId, event.action).toBe(traceId)
    expect(logged()).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ traceId, msg: 'request', route: '/v1/rotations', status: 202 }),
        expect.objectContaining({ traceId, rotationId: id, msg: 'rotation completed' }),
      ]),
    )
  })

  test('the trace of a caller goes on, also where nothing is exported for it', async () => {
    const [traceId, spanId] = ['a'.repeat(32), 'b'.repeat(16)]
    const env = { TRACEPARENT: `00-${traceId}-${spanId}-01` }
    const argv = ['rotate', 'key/traced-key', '--reason', 'a pipeline', '-o', 'json']
    const { id } = JSON.parse((await rekey(env, ...argv)).stdout)
    await untilEnded(roles, id)
    const { items } = await roles.ask('GET', `/v1/audit/events?rotation=${id}&limit=200`)
    expect(new Set(items.map((event: { traceId: string }) => event.traceId))).toEqual(
      new Set([traceId]),
    )
    await collector.until((spans) =>
      spans.some(
        (span) =>
          span.traceId === traceId &&
          span.parentSpanId === spanId &&
          span.name === 'POST /v1/rotations',
      ),
    )
  })

  test('a refused request is a span with its status, and what was sent is not in it', async () => {
    const secret = 'neither-in-the-path-nor-in-the-body'
    await roles.call('PUT', `/v1/keys/${secret}?x=${secret}`, { secret })
    await collector.until((spans) =>
      spans.some(
        ({ name, attributes }) =>
          name === 'PUT /v1/keys/{name}' && attributes['http.response.status_code'] === 400,
      ),
    )
    expect(collector.text()).not.toContain(secret)
    expect(collector.text()).not.toContain('traced-key')
  })

  const scraped = (): Promise<readonly string[]> =>
    Promise.all(roles.metrics.map(async (url) => (await fetch(url)).text()))

  test('what alerts and dashboard ask for is told by live processes, and no name of a key is', async () => {
    const texts = await scraped()
    const told = new Set(texts.flatMap((text) => [...seriesOf(text)]))
    expect([...asked()].filter((name) => !told.has(name))).toEqual([])
    expect(asked().size).toBeGreaterThan(25)
    for (const text of texts) expect(text).not.toContain('traced-key')
  })

  test('of several processes one tells what the database holds', async () => {
    const texts = await scraped()
    const lines = texts.flatMap((text) => text.match(/^rekey_rotations_due \d+$/gm) ?? [])
    expect(lines).toEqual(['rekey_rotations_due 0'])
    const readers = texts.map((text) => /^rekey_installation_reader (\d)$/m.exec(text)?.[1])
    expect(readers.toSorted((a = '', b = '') => a.localeCompare(b))).toEqual(['0', '1'])
  })

  test('what a process tells is what it did: the API serves, the worker rotates', async () => {
    const [api = '', worker = ''] = await scraped()
    expect(api).toMatch(
      /^rekey_http_request_duration_seconds_count\{method="POST",route="\/v1\/rotations",status="202"\} [1-9]/m,
    )
    expect(worker).toMatch(
      /^rekey_rotations_ended_total\{type="local\.secret",trigger="manual",outcome="completed"\} [1-9]/m,
    )
    expect(worker).toMatch(/^rekey_worker_taking_work 1$/m)
    expect(api).not.toMatch(/^rekey_worker_taking_work \d/m)
  })

  test('a worker compares keys with their provider, again and again, and an API does not', async () => {
    const asked = async (): Promise<readonly number[]> =>
      (await scraped()).map((text) =>
        Number(
          /^rekey_provider_call_duration_seconds_count\{provider="local",operation="describe"\} (\d+)$/m.exec(
            text,
          )?.[1] ?? 0,
        ),
      )
    const [api, worker = 0] = await asked()
    await expect.poll(async () => (await asked())[1]).toBeGreaterThan(worker + 1)
    expect((await asked())[0]).toBe(api)
  })

  test('a worker says on its own port whether it can work', async () => {
    const url = new URL('/readyz', roles.metrics[1])
    expect(await (await fetch(url)).json()).toMatchObject({ ready: true })
  })

  test('a collector that is away costs spans, is told of, and nothing else', async () => {
    collector.answer(400)
    const { id } = await roles.ask('POST', '/v1/rotations', { key: 'traced-key', reason: 'no' })
    expect((await untilEnded(roles, id)).phase).toBe('completed')
    const lost = async (): Promise<number> => {
      return (await scraped())
        .map((text) => Number(/^rekey_spans_lost_total (\d+)$/m.exec(text)?.[1]))
        .reduce((sum, count) => sum + count, 0)
    }
    await expect.poll(lost).toBeGreaterThan(0)
    expect(roles.said()).toContain('the export of traces')
  })
})
