// A collector of traces: takes what OTLP exporters send over HTTP (protobuf) and decodes it by the fields of
// opentelemetry/proto/trace/v1/trace.proto. It refuses what is not such a request.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'

export interface CollectedSpan {
  readonly service: string
  readonly traceId: string
  readonly spanId: string
  /** Empty at the root. */
  readonly parentSpanId: string
  readonly name: string
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number
  readonly attributes: Readonly<Record<string, string | number | boolean | readonly string[]>>
  readonly failed: boolean
}

export interface OtlpReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string
  readonly spans: readonly CollectedSpan[]
  /** All that was sent, as it came: for those who look for what must not be there. */
  text(): string
  /** Until the spans are as wished, or what there is is thrown. */
  until(wished: (spans: readonly CollectedSpan[]) => boolean): Promise<readonly CollectedSpan[]>
  /** From now on it answers so. */
  answer(status: number): void
  close(): Promise<void>
}

export const startOtlpReceiver = async (): Promise<OtlpReceiver> => {
  const spans: CollectedSpan[] = []
  const bodies: Buffer[] = []
  let status = 200
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(request)
    const right = request.method === 'POST' && request.url === '/v1/traces'
    if (!right || request.headers['content-type'] !== 'application/x-protobuf') {
      response.writeHead(400).end()
      return
    }
    if (status === 200) {
      bodies.push(body)
      spans.push(...decode(body))
    }
    response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end()
  }
  const server = createServer((request, response) => void take(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    text: () => bodies.map((body) => body.toString('latin1')).join('\n'),
    until: async (wished) => {
      for (const end = Date.now() + 90_000; !wished(spans); await pause(50))
        if (Date.now() > end) throw new Error(`the spans are: ${JSON.stringify(spans, null, 1)}`)
      return spans
    },
    answer: (next) => (status = next),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const decode = (request: Buffer): readonly CollectedSpan[] =>
  parts(request, 1).flatMap((resourceSpans) => {
    const [resource = Buffer.alloc(0)] = parts(resourceSpans, 1)
    const service = String(attributesOf(parts(resource, 1))['service.name'])
    return parts(resourceSpans, 2).flatMap((scopeSpans) =>
      parts(scopeSpans, 2).map((span) => spanOf(span, service)),
    )
  })

const spanOf = (span: Buffer, service: string): CollectedSpan => ({
  service,
  traceId: hex(span, 1),
  spanId: hex(span, 2),
  parentSpanId: hex(span, 4),
  name: text(span, 5),
  kind: number(span, 6),
  attributes: attributesOf(parts(span, 9)),
  failed: parts(span, 15).some((one) => number(one, 3) === 2),
})

const attributesOf = (pairs: readonly Buffer[]): CollectedSpan['attributes'] =>
  Object.fromEntries(
    pairs.map((pair) => [text(pair, 1), valueOf(parts(pair, 2)[0] ?? Buffer.alloc(0))]),
  )

const valueOf = (value: Buffer): string | number | boolean | readonly string[] => {
  const has = (field: number): boolean => fields(value).some((one) => one.field === field)
  if (has(1)) return text(value, 1)
  if (has(2)) return number(value, 2) === 1
  if (has(3)) return number(value, 3)
  const [array] = parts(value, 5)
  return array === undefined ? '' : parts(array, 1).map((one) => text(one, 1))
}

// The wire format of Protocol Buffers: a field is (number << 3 | type), then its value.
interface Field {
  readonly field: number
  readonly value: Buffer | bigint
}

const fields = (message: Buffer): readonly Field[] => {
  const found: Field[] = []
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]
      if (byte === undefined) throw new Error('a message that ends within a number')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const take = (length: number): Buffer => {
    if (at + length > message.length) throw new Error('a message that ends within a field')
    at += length
    return message.subarray(at - length, at)
  }
  while (at < message.length) {
    const tag = varint()
    const field = Number(tag >> 3n)
    switch (Number(tag & 7n)) {
      case 0:
        found.push({ field, value: varint() })
        break
      case 1:
        found.push({ field, value: take(8) })
        break
      case 2:
        found.push({ field, value: take(Number(varint())) })
        break
      case 5:
        found.push({ field, value: take(4) })
        break
      default:
        throw new Error(`field ${field} has a type that there is not`)
    }
  }
  return found
}

const parts = (message: Buffer, field: number): readonly Buffer[] =>
  fields(message).flatMap((one) =>
    one.field === field && Buffer.isBuffer(one.value) ? [one.value] : [],
  )
const text = (message: Buffer, field: number): string => parts(message, field)[0]?.toString() ?? ''
const hex = (message: Buffer, field: number): string =>
  parts(message, field)[0]?.toString('hex') ?? ''
const number = (message: Buffer, field: number): number => {
  const found = fields(message).find((one) => one.field === field)?.value
  return typeof found === 'bigint' ? Number(found) : 0
}
