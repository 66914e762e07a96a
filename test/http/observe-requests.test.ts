import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeMeter, type OpenMeter } from '#runtime/meter.ts'
import { makeTracer } from '#runtime/tracer.ts'
import { allRoutes } from '#http/server.ts'
import { type Api, openApi } from '#test/support/http.ts'

let meter: OpenMeter
let api: Api

beforeAll(async () => {
  meter = makeMeter({
    known: { routes: [], providers: [], types: [], builds: [], runtimes: [] },
  })
  api = await openApi({
    telemetry: { meter, tracer: makeTracer(null) },
    deps: (deps) => {
      meter.learn(
        'routes',
        allRoutes(deps).map(({ path }) => path),
      )
      return deps
    },
  })
})
afterAll(() => api.close())

const count = async (method: string, route: string, status: number): Promise<number> => {
  const series = `rekey_http_request_duration_seconds_count{method="${method}",route="${route}",status="${status}"} `
  const line = (await meter.expose(null)).split('\n').find((one) => one.startsWith(series))
  return Number(line?.slice(series.length) ?? 0)
}

test('requests are counted under the template of their route, by status', async () => {
  await api.call('GET', '/v1/keys/payments-db')
  await api.call('GET', '/v1/keys/orders-db')
  await api.call('GET', '/v1/keys/orders-db', { token: null })
  await api.call('GET', '/v1/keys/orders-db', { token: 'nonsense' })
  await api.call('GET', '/readyz', { token: null })
  expect(await count('GET', '/v1/keys/{name}', 404)).toBe(2)
  expect(await count('GET', '/v1/keys/{name}', 401)).toBe(2)
  expect(await count('GET', '/readyz', 200)).toBe(1)
})

test('what there is no route for is one series, whatever is asked', async () => {
  await api.call('GET', '/wp-login.php')
  await api.call('GET', '/v1/kyes/payments-db')
  await api.call('DELETE', '/v1/me')
  expect(await count('GET', 'other', 404)).toBe(2)
  expect(await count('DELETE', 'other', 405)).toBe(1)
  const text = await meter.expose(null)
  for (const word of ['payments', 'orders', 'wp-login', 'kyes']) expect(text).not.toContain(word)
})

test('a trace goes through the body and the database into the audit log and the log', async () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` }
  const body = { provider: 'local', labels: { padding: 'x'.repeat(63) } }
  const put = await api.call('PUT', '/v1/connections/traced', { headers, body })
  expect(put.status).toBe(201)
  const untraced = await api.call('PUT', '/v1/connections/untraced', {
    body: { provider: 'local' },
  })
  expect(untraced.status).toBe(201)
  const { json } = await api.call('GET', '/v1/audit/events?action=connection.put')
  expect(
    json.items.map(({ traceId: kept, target }: { traceId: string; target: { name: string } }) => [
      target.name,
      kept,
    ]),
  ).toEqual([
    ['untraced', null],
    ['traced', traceId],
  ])
  const line = api.logged
    .map((text) => JSON.parse(text))
    .find(({ traceId: logged, msg }) => logged === traceId && msg === 'request')
  expect(line).toMatchObject({ route: '/v1/connections/{name}', requestId: expect.any(String) })
})
