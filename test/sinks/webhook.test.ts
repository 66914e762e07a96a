import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import type { SinkMessage } from '#domain/ports.ts'
import { Secret } from '#domain/secret.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeEgress } from '#runtime/egress.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import {
  answerWith,
  startWebhookReceiver,
  type WebhookReceiver,
} from '#test/support/webhook-receiver.ts'

const open = makeSafeFetch({
  egress: makeEgress({ allow: ['127.0.0.1'] }),
  kind: 'webhook',
  insecure: false,
})
const closed = makeSafeFetch({
  egress: makeEgress({ allow: [] }),
  kind: 'webhook',
  insecure: false,
})
const send = makeSendToWebhook({ fetch: open.fetch, clock: systemClock, timeoutMs: 500 })

const message: SinkMessage = {
  id: '0199a1b2-0000-7000-8000-000000000001',
  type: 'rekey.stalled',
  timestamp: '2026-11-23T03:00:00.000Z',
  data: { key: 'billing', reason: 'the provider refused: “no”', rotation: null },
}

let receiver: WebhookReceiver
beforeEach(async () => {
  receiver = await startWebhookReceiver()
})
afterEach(() => receiver.close())
afterAll(async () => {
  await open.close()
  await closed.close()
})

const secret = () => new Secret(new TextEncoder().encode(receiver.secret))

test('the reference implementation of Standard Webhooks accepts what is sent', async () => {
  expect(await send(receiver, secret(), message)).toMatchObject({ kind: 'answered', status: 204 })
  const [request] = receiver.received
  if (!request) throw new Error('nothing came in')
  expect(receiver.verify(request)).toEqual({
    type: message.type,
    timestamp: message.timestamp,
    data: message.data,
  })
  expect(request.headers['webhook-id']).toBe(message.id)
  expect(request.headers['content-type']).toBe('application/json')
})

test('a body that was changed on the way, or another secret, is not accepted', async () => {
  await send(receiver, secret(), message)
  const other = new Secret(
    new TextEncoder().encode(`whsec_${Buffer.alloc(32, 1).toString('base64')}`),
  )
  await send(receiver, other, message)
  const [first, second] = receiver.received
  if (!first || !second) throw new Error('nothing came in')
  expect(() =>
    receiver.verify({ ...first, body: first.body.replace('billing', 'payment') }),
  ).toThrow()
  expect(() => receiver.verify(second)).toThrow()
})

test('the longest secret that the standard allows works', async () => {
  const long = await startWebhookReceiver(`whsec_${Buffer.alloc(64, 9).toString('base64')}`)
  await send(long, new Secret(new TextEncoder().encode(long.secret)), message)
  const [request] = long.received
  expect(request && long.verify(request)).toBeTruthy()
  await long.close()
})

test('Retry-After is read in seconds and as a date', async () => {
  receiver.answer(answerWith(429, { 'retry-after': '120' }))
  expect(await send(receiver, secret(), message)).toMatchObject({
    status: 429,
    retryAfterMs: 120_000,
  })
  receiver.answer(answerWith(503, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() }))
  const answer = await send(receiver, secret(), message)
  const asked = answer.kind === 'answered' ? (answer.retryAfterMs ?? 0) : 0
  expect(asked).toBeGreaterThan(55_000)
  expect(asked).toBeLessThanOrEqual(60_000)
})

test('a redirect is an answer and is not followed', async () => {
  const elsewhere = await startWebhookReceiver()
  receiver.answer(answerWith(307, { location: elsewhere.url }))
  expect(await send(receiver, secret(), message)).toMatchObject({ kind: 'answered', status: 307 })
  expect(elsewhere.received).toHaveLength(0)
  await elsewhere.close()
})

test('a receiver that hangs is left after the time limit', async () => {
  receiver.answer(() => {})
  expect(await send(receiver, secret(), message)).toEqual({
    kind: 'failed',
    refused: false,
    why: 'no answer within 0.5 s',
  })
})

test('a status counts although the body after it never ends', async () => {
  receiver.answer((response) => response.writeHead(200).write('ok'))
  expect(await send(receiver, secret(), message)).toMatchObject({ kind: 'answered', status: 200 })
})

test('nobody listening is a failure that names neither address nor path', async () => {
  const gone = await startWebhookReceiver()
  await gone.close()
  expect(await send({ url: gone.url }, secret(), message)).toEqual({
    kind: 'failed',
    refused: false,
    why: 'the connection failed: ECONNREFUSED',
  })
})

test('a private address is refused unless the operator allows it, and nothing is sent', async () => {
  const strict = makeSendToWebhook({ fetch: closed.fetch, clock: systemClock })
  const answer = await strict(receiver, secret(), message)
  expect(answer).toMatchObject({ kind: 'failed', refused: true })
  expect(receiver.received).toHaveLength(0)
})

test('what the receiver writes is cut and holds no control characters', async () => {
  receiver.answer(answerWith(400, {}, `\u001b[2Jbad\u202e request ${'x'.repeat(5000)}`))
  const answer = await send(receiver, secret(), message)
  const text = answer.kind === 'answered' ? answer.text : ''
  expect(text).toMatch(/^\[2Jbad request x+$/)
  expect(text.length).toBeLessThanOrEqual(300)
})
