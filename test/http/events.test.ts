import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RekeyError } from '#domain/errors.ts'
import { eventRoute, type ServerEvent } from '#http/route.ts'
import { strict } from '#http/schemas.ts'
import { openApi, productRoutes, type Api } from '../support/http.ts'
import type { House } from '../support/house.ts'

/** Counts the streams that have not ended. */
const world = { open: 0, max: 3, go: false }

const counter = (house: House) =>
  eventRoute({
    method: 'GET',
    path: '/v1/counters/{name}/events',
    operationId: 'followCounter',
    tag: 'keys',
    summary: 'Counts',
    access: ['viewer'],
    params: strict({ name: Type.String() }),
    event: strict({ n: Type.Integer() }),
    async *events({ params, lastEventId, signal }): AsyncIterable<ServerEvent> {
      if (params.name === 'none')
        throw new RekeyError('resource.notFound', { detail: 'There is no such counter.' })
      world.open += 1
      try {
        for (let n = Number(lastEventId ?? 0) + 1; n <= world.max; n++) {
          yield { id: String(n), event: 'count', data: { n } }
          // oxlint-disable-next-line no-await-in-loop -- a stream goes on in time
          while (params.name === 'waiting' && !world.go) await house.clock.pause(20, signal)
          if (params.name === 'breaking' && n === 2)
            throw new Error('the source broke with swordfish')
        }
        while (params.name === 'endless' && !signal.aborted) {
          // oxlint-disable-next-line no-await-in-loop -- a stream goes on in time
          await house.clock.pause(50, signal)
        }
      } finally {
        world.open -= 1
      }
    },
  })

let api: Api
let viewer: string
beforeAll(async () => {
  api = await openApi({ routes: (house) => [...productRoutes(house), counter(house)] })
  viewer = await api.token(['viewer'])
})
afterAll(() => api.close())

const follow = (name: string, headers: Readonly<Record<string, string>> = {}) =>
  api.call('GET', `/v1/counters/${name}/events`, { token: viewer, headers })

const idsIn = (text: string): string[] =>
  [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id ?? '')

describe('a stream of events', () => {
  test('tells each with id, name and data, and ends with its source', async () => {
    const { status, headers, text } = await follow('a', { accept: 'text/event-stream' })
    expect(status).toBe(200)
    expect(headers['content-type']).toContain('text/event-stream')
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['x-request-id']).toMatch(/\S/)
    expect(text.startsWith('id: 1\nevent: count\ndata: {"n":1}\n\n')).toBe(true)
    expect(idsIn(text)).toEqual(['1', '2', '3'])
  })

  test('goes on after the last one that was seen', async () => {
    expect(idsIn((await follow('a', { 'last-event-id': '2' })).text)).toEqual(['3'])
  })

  test.each([
    [{}],
    [{ accept: '*/*' }],
    [{ accept: 'text/*;q=0.5' }],
    [{ accept: 'application/json, text/event-stream' }],
  ])('is sent to who accepts %j', async (headers) => {
    expect((await follow('a', headers)).status).toBe(200)
  })

  test.each(['application/json', 'text/html', 'text/event-stream;q=0'])(
    'is 406 to who accepts %s',
    async (accept) => {
      const { status, headers, json } = await follow('a', { accept })
      expect({ status, code: json.code }).toEqual({ status: 406, code: 'request.notAcceptable' })
      expect(headers['content-type']).toBe('application/problem+json')
    },
  )

  test('that is refused is a problem, not a stream', async () => {
    expect(await follow('none')).toMatchObject({
      status: 404,
      json: { detail: 'There is no such counter.' },
    })
    expect((await api.call('GET', '/v1/counters/a/events', { token: null })).status).toBe(401)
    expect((await api.call('HEAD', '/v1/counters/a/events', { token: viewer })).status).toBe(405)
  })

  test('tells nothing more once the token of its caller has ended', async () => {
    const token = await api.token(['viewer'])
    const { id } = (await api.call('GET', '/v1/me', { token })).json
    const reply = api.call('GET', '/v1/counters/waiting/events', { token })
    await expect.poll(() => world.open).toBe(1)
    await api.call('DELETE', `/v1/api-keys/${id}`)
    world.go = true
    expect(idsIn((await reply).text)).toEqual(['1'])
    expect(world.open).toBe(0)
  })

  test('whose source breaks ends, and says nothing of why', async () => {
    const { status, text } = await follow('breaking')
    expect(status).toBe(200)
    expect(idsIn(text)).toEqual(['1', '2'])
    expect(text).not.toContain('swordfish')
  })
})

describe('over a socket', () => {
  test('a caller who hangs up ends the source, and so does the end of the server', async () => {
    const own = await openApi({ routes: (house) => [counter(house)] })
    const token = await own.token(['viewer'])
    await own.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = own.app.server.address() as AddressInfo
    const open = () =>
      new Promise<{ hangUp: () => void; ended: Promise<void> }>((resolve, reject) => {
        const request = httpRequest(
          {
            port,
            path: '/v1/counters/endless/events',
            headers: { authorization: `Bearer ${token}` },
          },
          (reply) => {
            let text = ''
            const ended = new Promise<void>((done) => reply.on('close', () => done()))
            reply.on('data', (chunk: Buffer) => {
              text += chunk.toString()
              if (text.includes('id: 3')) resolve({ hangUp: () => request.destroy(), ended })
            })
            reply.on('error', () => undefined)
          },
        )
        request.on('error', reject)
        request.end()
      })
    const before = world.open
    const first = await open()
    expect(world.open).toBe(before + 1)
    first.hangUp()
    await expect.poll(() => world.open).toBe(before)
    const second = await open()
    const closing = own.app.close()
    await second.ended
    await closing
    expect(world.open).toBe(before)
    await own.house.shut()
  })

  test('a stream that has nothing to tell yet has its headers at once', async () => {
    const own = await openApi({ routes: (house) => [counter(house)] })
    const token = await own.token(['viewer'])
    await own.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = own.app.server.address() as AddressInfo
    const before = performance.now()
    const answer = await fetch(`http://127.0.0.1:${port}/v1/counters/endless/events`, {
      headers: { authorization: `Bearer ${token}`, 'last-event-id': '3' },
    })
    expect(answer.status).toBe(200)
    // Long before the first heartbeat, which would bring them too.
    expect(performance.now() - before).toBeLessThan(8_000)
    await answer.body?.cancel()
    await own.close()
  })

  test('a request in flight is finished before the server ends', async () => {
    const own = await openApi()
    await own.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = own.app.server.address() as AddressInfo
    const slow = fetch(`http://127.0.0.1:${port}/v1/connections/late`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${own.adminToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ provider: 'local' }),
    })
    await own.house.sql('SELECT pg_sleep(0.01)')
    const [answer] = await Promise.all([slow.catch((error: unknown) => error), own.app.close()])
    if (answer instanceof Response) expect([201, 503]).toContain(answer.status)
    const row = await own.house.ledger.read((db) => db.connections.get('late'))
    if (answer instanceof Response && answer.status === 201) expect(row).not.toBeNull()
    await own.house.shut()
  })
})
