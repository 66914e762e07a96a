import { expect, test } from 'vitest'
import { type Metric, metrics } from '#domain/metrics.ts'
import { keyTypes, providers } from '#providers/registry.ts'
import { makeMeter } from '#runtime/meter.ts'

const makeKnown = () =>
  makeMeter({
    known: {
      routes: ['/v1/keys/{name}'],
      providers: providers.map(({ id }) => id),
      types: [...keyTypes.keys()],
      builds: ['1.0.0'],
      runtimes: ['v24'],
    },
  })
const lines = (text: string, name: string): readonly string[] =>
  text.split('\n').filter((line) => line.startsWith(name))

test('a value that is in no list is counted as other: no name becomes a label', async () => {
  const meter = makeKnown()
  for (const name of ['payments-db', 'orders', '/v1/keys/payments-db'])
    meter.observe(
      'rekey_http_request_duration_seconds',
      { method: name, route: name, status: name },
      0.1,
    )
  const labels = { provider: 'payments-db', operation: 'mint', kind: 'payments-db' }
  meter.add('rekey_provider_call_errors_total', labels)
  const text = await meter.expose(null)
  expect(lines(text, 'rekey_http_request_duration_seconds_count')).toEqual([
    'rekey_http_request_duration_seconds_count{method="other",route="other",status="other"} 3',
  ])
  expect(text).not.toContain('payments-db')
})

test('what is known only after the start can be learnt', async () => {
  const meter = makeKnown()
  meter.learn('routes', ['/v1/floors'])
  const labels = { method: 'GET', route: '/v1/floors', status: '200' }
  meter.observe('rekey_http_request_duration_seconds', labels, 0.1)
  expect(await meter.expose(null)).toContain('route="/v1/floors"')
})

test('small counters begin at 0, so that the first event is an increase', async () => {
  const text = await makeKnown().expose(null)
  expect(lines(text, 'rekey_sink_deliveries_total')).toEqual([
    'rekey_sink_deliveries_total{outcome="delivered"} 0',
    'rekey_sink_deliveries_total{outcome="retried"} 0',
    'rekey_sink_deliveries_total{outcome="dead"} 0',
  ])
})

test('a process tells what it is, and not what another one is', async () => {
  const meter = makeKnown()
  expect(lines(await meter.expose(null), 'rekey_worker_taking_work')).toEqual([])
  meter.set('rekey_worker_taking_work', {}, 1)
  expect(lines(await meter.expose(null), 'rekey_worker_taking_work')).toEqual([
    'rekey_worker_taking_work 1',
  ])
  expect(await meter.expose(null)).toMatch(/^process_resident_memory_bytes \d+$/m)
})

test('what the database holds is told only where it is given, and as it was given last', async () => {
  const meter = makeKnown()
  const open = (phase: string, value: number) =>
    ({ name: 'rekey_rotations_open', labels: { phase }, value }) as const
  expect(lines(await meter.expose(null), 'rekey_rotations_open')).toEqual([])
  await meter.expose([open('minting', 3)])
  expect(lines(await meter.expose([open('soaking', 1)]), 'rekey_rotations_open')).toEqual([
    'rekey_rotations_open{phase="soaking"} 1',
  ])
  expect(lines(await meter.expose(null), 'rekey_rotations_open')).toEqual([])
})

test('the number of series has a bound that a small Prometheus bears', () => {
  const sizes = { routes: 120, providers: 40, types: 120, builds: 1, runtimes: 1 } as const
  const rows: readonly (readonly [string, Metric])[] = Object.entries(metrics)
  const bounds = rows.map(([name, { labels, buckets = [] }]) => {
    const series = Object.values(labels).reduce(
      (product, values) =>
        product * ((typeof values === 'string' ? sizes[values] : values.length) + 1),
      1,
    )
    return [name, series * (buckets.length === 0 ? 1 : buckets.length + 3)] as const
  })
  // Only these grow with what is installed, and of their combinations a few in a hundred occur.
  const grow = [
    'rekey_http_request_duration_seconds',
    'rekey_provider_call_duration_seconds',
    'rekey_provider_call_errors_total',
    'rekey_rotation_duration_seconds',
    'rekey_rotations_ended_total',
    'rekey_rotation_stalls_total',
  ]
  for (const [name, bound] of bounds)
    expect(bound, name).toBeLessThan(grow.includes(name) ? 400_000 : 800)
  expect(bounds.length).toBeGreaterThan(25)
})
