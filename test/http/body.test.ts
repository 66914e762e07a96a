// Whatever a caller sends is answered with what is wrong with it, never with a 500.

import { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { route } from '#http/route.ts'
import { nameParams, strict } from '#http/schemas.ts'
import { anyText } from '../support/any-text.ts'
import { openApi, productRoutes, type Api } from '../support/http.ts'

/** A route that takes a union, and one that takes YAML: shapes that the product's routes have in part. */
const samples = [
  route({
    method: 'PUT',
    path: '/v1/samples/{name}',
    operationId: 'putSample',
    tag: 'keys',
    summary: 'A sample',
    access: ['admin'],
    params: nameParams,
    ifMatch: false,
    yaml: true,
    body: strict({
      size: Type.Integer({ minimum: 1 }),
      credential: Type.Optional(
        Type.Union([
          strict({ from: Type.Literal('env'), name: Type.String() }),
          strict({ from: Type.Literal('file'), path: Type.String(), owner: Type.String() }),
        ]),
      ),
      when: Type.Optional(Type.Union([Type.String({ minLength: 3 }), Type.Null()])),
    }),
    replies: { 200: strict({ size: Type.Integer() }) },
    handler: async ({ body }) => ({ status: 200, body: { size: body.size } }),
  }),
]

let api: Api
beforeAll(async () => {
  api = await openApi({ routes: (house) => [...productRoutes(house), ...samples] })
})
afterAll(() => api.close())

const send = (raw: string | Buffer, type = 'application/json') =>
  api.call('PUT', '/v1/samples/a', { raw, type })

describe('a body', () => {
  test('of 12 MB is 413', async () => {
    const answer = await send(JSON.stringify({ size: 1, pad: 'x'.repeat(12_000_000) }))
    expect(answer).toMatchObject({ status: 413, json: { code: 'request.tooLarge' } })
  })

  test('a byte over the limit is 413, and up to it is read', async () => {
    const padded = (bytes: number) => `{"size": 1${' '.repeat(bytes - 11)}}`
    expect((await send(padded(1_000_000))).status).toBe(200)
    expect((await send(padded(1_000_001))).status).toBe(413)
  })

  test.each(['application/json', 'application/yaml'])(
    'of 20,000 levels as %s is 400',
    async (type) => {
      const answer = await send('['.repeat(20_000) + ']'.repeat(20_000), type)
      expect(answer).toMatchObject({ status: 400, json: { code: 'request.invalid' } })
      expect(answer.json.errors[0].detail).toContain('nested deeper than')
    },
  )

  test.each([
    ['{"size": 1, "__proto__": {"admin": true}}', '/__proto__'],
    ['{"size": 1, "\\u005f_proto__": 1}', '/__proto__'],
    ['{"size": 1, "constructor": {"prototype": {}}}', '/constructor/prototype'],
    ['{"size": 1, "size": 2}', '/size'],
    ['{"size": 1,}', ''],
    ['{"size": }', '/size'],
    ['', ''],
    ['   ', ''],
    ['nonsense', ''],
    ['{"size": 1} {"size": 2}', ''],
    ['[]', ''],
    ['null', ''],
    ['"text"', ''],
    ['{"size": "1"}', '/size'],
    ['{"size": 1.5}', '/size'],
    ['{"size": 0}', '/size'],
    ['{}', '/size'],
    ['{"size": 1, "sise": 2}', '/sise'],
    ['{"size": 1, "when": "a\\u0000bc"}', '/when'],
    ['{"size": 1, "when": "a\\u202ebc"}', '/when'],
    ['{"size": 1, "when": "a\\u2066bc"}', '/when'],
    ['{"size": 1, "when": "a\\ud800bc"}', '/when'],
    ['{"size": 1, "when": "a\u0007bc"}', '/when'],
    ['{"size": 1, "when": "ab\u009bc"}', '/when'],
    ['{"size": 1, "a\\u0000": "b"}', '/a\0'],
    ['{"size": 1, "when": 5}', '/when'],
    ['{"size": 1, "credential": {"from": "env"}}', '/credential/name'],
    ['{"size": 1, "credential": {"from": "vault"}}', '/credential/from'],
    ['{"size": 1, "credential": []}', '/credential'],
    ['{"size": 1, "credential": {"from": "file", "path": 1, "owner": "x"}}', '/credential/path'],
  ])('%s is 400 at %j', async (raw, pointer) => {
    const { status, json } = await send(raw)
    expect({ status, code: json.code }).toEqual({ status: 400, code: 'request.invalid' })
    expect(json.errors.map((e: { pointer: string }) => e.pointer)).toEqual([pointer])
    expect(json.detail).toMatch(/\S/)
  })

  test('that is not UTF-8 is 400', async () => {
    expect((await send(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))).json).toMatchObject({
      status: 400,
      detail: 'The body is not UTF-8.',
    })
    expect((await send(Buffer.from('\uFEFF{"size": 1}'))).status).toBeLessThan(500)
  })

  test('of another media type is 415, and so is a compressed one', async () => {
    for (const type of [
      'text/plain',
      'application/xml',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'nonsense',
      'application/json5',
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect(await send('{"size": 1}', type), type).toMatchObject({
        status: 415,
        json: { code: 'request.mediaType' },
      })
    }
    const zipped = await api.call('PUT', '/v1/samples/a', {
      body: { size: 1 },
      headers: { 'content-encoding': 'gzip' },
    })
    expect(zipped.status).toBe(415)
    const yaml = await api.call('PUT', '/v1/consumers/a', {
      raw: 'owner: x',
      type: 'application/yaml',
    })
    expect(yaml).toMatchObject({
      status: 415,
      json: { detail: 'This route takes application/json only.' },
    })
  })

  test('may say its charset', async () => {
    expect((await send('{"size": 3}', 'application/json; charset=utf-8')).json).toEqual({ size: 3 })
  })

  test('where none is taken may be empty, and nothing else', async () => {
    const path = '/v1/connections/none'
    const headers = { 'if-match': '*' }
    expect((await api.call('DELETE', path, { headers, raw: '' })).status).toBe(404)
    expect((await api.call('DELETE', path, { headers, raw: '{}' })).status).toBe(404)
    expect(
      (await api.call('DELETE', path, { headers, raw: '{"force": true}' })).json,
    ).toMatchObject({
      status: 400,
      errors: [{ pointer: '/force' }],
    })
  })

  test('has values that never come back, not even in part', async () => {
    for (const raw of [
      '{"size": "swordfish"}',
      '{"size": swordfish}',
      '{"size": 1, "when": "\\u0000swordfish"}',
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const { text } = await send(raw)
      expect(text).not.toContain('swordfish')
    }
    expect(api.logged.join('')).not.toContain('swordfish')
  })

  test('of any bytes is answered below 500', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.json(),
          anyText(),
          fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        ),
        fc.constantFrom('application/json', 'application/yaml'),
        async (raw, type) => {
          const { status, json } = await send(raw, type)
          expect(status).toBeLessThan(500)
          if (status !== 200) expect(json.code).toMatch(/^request\./)
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('a YAML body', () => {
  test('is taken where the route says so', async () => {
    expect((await send('size: 4\n', 'application/yaml')).json).toEqual({ size: 4 })
  })

  test('says line and column of what is wrong, for its syntax and for its content', async () => {
    expect((await send('size: 1\nsize: 2\n', 'application/yaml')).json.errors[0]).toMatchObject({
      line: 2,
      column: 1,
    })
    expect(
      (await send('credential:\n  from: env\nsize: big\n', 'application/yaml')).json.errors,
    ).toEqual([
      { pointer: '/size', detail: 'must be integer', line: 3, column: 7 },
      { pointer: '/credential/name', detail: 'is required', line: 1, column: 1 },
    ])
  })

  test.each([
    ['two documents', 'size: 1\n---\nsize: 2\n'],
    ['no document', '# nothing\n'],
    [
      'an alias bomb',
      `a: &a [x,x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => `${'bcdefghij'[i]}: &${'bcdefghij'[i]} [${Array(10).fill(`*${'abcdefghi'[i]}`).join(',')}]`).join('\n')}\n`,
    ],
    ['a tag', 'size: !!js/function 1\n'],
    ['a tab where an indent should be', 'credential:\n\tfrom: env\n'],
    ['a character that hides text', 'size: 1 # \u202e\n'],
  ])('with %s is 400', async (_what, raw) => {
    expect(await send(raw, 'application/yaml')).toMatchObject({
      status: 400,
      json: { code: 'request.invalid' },
    })
  })
})

describe('a name in a path', () => {
  test.each([
    '..%2F..%2Fetc',
    'A',
    'a_b',
    '-a',
    'a-',
    'a%00',
    'a%E2%80%AEb',
    `${'a'.repeat(64)}`,
    'a%20b',
    'a%0Ab',
    '%F0%9F%94%91',
  ])('like %s is 400', async (name) => {
    const { status, json } = await api.call('PUT', `/v1/samples/${name}`, { body: { size: 1 } })
    expect(status).toBe(400)
    expect(json.errors[0].pointer).toBe('/params/name')
  })

  test('like ../ leads nowhere', async () => {
    expect((await api.call('PUT', '/v1/samples/../me', { body: { size: 1 } })).status).toBe(405)
    expect((await api.call('GET', `/v1/samples/${'a'.repeat(600)}`)).status).toBe(404)
  })
})

describe('over a socket', () => {
  let port: number
  beforeAll(async () => {
    await api.app.listen({ host: '127.0.0.1', port: 0 })
    ;({ port } = api.app.server.address() as AddressInfo)
  })

  test('what is not HTTP is answered with a problem, and the connection ends', async () => {
    const text = await talk(port, 'GET /livez HTTP/1.1\r\nBad Header\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(text).toContain('application/problem+json')
  })

  test('headers without end are 431', async () => {
    const text = await talk(
      port,
      `GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(40_000)}\r\n\r\n`,
    )
    expect(text).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('a body that is longer than it says is not read as a second request', async () => {
    const text = await talk(
      port,
      'POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    )
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
  })
})

const talk = (port: number, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket: Socket = connect(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
    socket.on('error', reject)
  })
