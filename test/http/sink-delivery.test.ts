import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import { openApi, type Api } from '../support/http.ts'
import {
  answerWith,
  startWebhookReceiver,
  type WebhookReceiver,
} from '../support/webhook-receiver.ts'

let api: Api
let receiver: WebhookReceiver

beforeAll(async () => {
  api = await openApi({ allow: ['127.0.0.1'] })
  receiver = await startWebhookReceiver()
  const { url, secret } = receiver
  const made = await api.call('PUT', '/v1/sinks/oncall', { body: { type: 'webhook', url, secret } })
  expect(made.status).toBe(201)
})
afterAll(async () => {
  await receiver.close()
  await api.close()
})

test('a test event reaches the receiver, and its answer is reported with a receipt', async () => {
  receiver.answer(answerWith(418, {}, 'short and stout'))
  const { status, json } = await api.call('POST', '/v1/sinks/oncall/tests', { body: {} })
  expect({ status, json }).toMatchObject({
    status: 200,
    json: {
      delivered: false,
      status: 418,
      detail: 'short and stout',
      audit: { eventId: expect.any(String) },
    },
  })
  expect(receiver.received.at(-1)?.headers['webhook-id']).toBe(json.id)
})

test('a dry run of it sends nothing', async () => {
  const before = receiver.received.length
  const { status, json } = await api.call('POST', '/v1/sinks/oncall/tests?dryRun=all', { body: {} })
  expect({ status, json }).toMatchObject({ status: 200, json: { dryRun: true, delivered: null } })
  expect(receiver.received).toHaveLength(before)
})

test('dead letters are listed in pages and sent again on demand', async () => {
  const { ledger, outbox } = api.house
  for (let i = 0; i < 3; i++) {
    // oxlint-disable-next-line no-await-in-loop -- in order
    await ledger.note(systemActor('worker', 'test'), {
      action: 'rotation.stalled',
      target: { id: 'r1', name: 'billing' },
      outcome: 'failed',
      after: { policy: null },
    })
  }
  const everything = (events: readonly { readonly id: string }[]) =>
    Promise.resolve(events.map(({ id }) => id))
  // Transactions of other files hold up what may be told for a moment: they may come one by one.
  let buried = 0
  await expect
    .poll(async () => {
      await outbox.advance('oncall', ['rotation.stalled'], everything)
      return (buried += await outbox.bury('oncall', 'given up'))
    })
    .toBe(3)
  const first = await api.call('GET', '/v1/sinks/oncall/deadLetters?limit=2')
  expect(first.json.items).toHaveLength(2)
  const second = await api.call(
    'GET',
    `/v1/sinks/oncall/deadLetters?limit=2&cursor=${first.json.nextCursor}`,
  )
  expect(second.json).toMatchObject({
    items: [{ lastError: 'given up', attempts: 0 }],
    nextCursor: null,
  })
  const [{ eventId }] = second.json.items
  const path = '/v1/sinks/oncall/deadLetters'
  const dry = await api.call('POST', `${path}?dryRun=all`, { body: { eventIds: [eventId] } })
  expect(dry.json).toMatchObject({ dryRun: true, replayed: null })
  expect((await api.call('POST', path, { body: { eventIds: [eventId] } })).json).toMatchObject({
    replayed: 1,
  })
  expect((await api.call('POST', path, { body: {} })).json).toMatchObject({ replayed: 2 })
  expect((await api.call('GET', path)).json.items).toEqual([])
})

test('who is no admin neither tests, sees nor replays; an unknown sink is 404', async () => {
  const operator = await api.token(['operator', 'viewer', 'auditor'])
  for (const [method, path] of [
    ['POST', '/v1/sinks/oncall/tests'],
    ['GET', '/v1/sinks/oncall/deadLetters'],
    ['POST', '/v1/sinks/oncall/deadLetters'],
  ] as const) {
    const body = method === 'POST' ? { body: {} } : {}
    // oxlint-disable-next-line no-await-in-loop -- one server
    expect((await api.call(method, path, { ...body, token: operator })).status).toBe(403)
    // oxlint-disable-next-line no-await-in-loop -- one server
    expect((await api.call(method, path.replace('oncall', 'nobody'), body)).status).toBe(404)
  }
})
