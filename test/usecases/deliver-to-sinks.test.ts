import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import type { AuditAction } from '#domain/audit.ts'
import type { Sink } from '#domain/connection.ts'
import type { LedgerEvent, Outbox } from '#domain/ports.ts'
import type { PolicySpec } from '#domain/policy.ts'
import { Secret } from '#domain/secret.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeEgress } from '#runtime/egress.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { makeListDeadLetters, makeReplayDeadLetters } from '#usecases/dead-letters.ts'
import { makeDeliverToSinks } from '#usecases/deliver-to-sinks.ts'
import { withLastLook } from '#usecases/last-look.ts'
import { makeTestSink } from '#usecases/test-sink.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import {
  answerWith,
  startWebhookReceiver,
  type WebhookReceiver,
} from '#test/support/webhook-receiver.ts'

const worker = systemActor('worker', 'test')
const http = makeSafeFetch({
  egress: makeEgress({ allow: ['127.0.0.1'] }),
  kind: 'webhook',
  insecure: false,
})
// The process's clock is the real one here: receivers compare the signed timestamp with theirs.
const send = makeSendToWebhook({ fetch: http.fetch, clock: systemClock, timeoutMs: 120_000 })

let db: TestDatabase
let receiver: WebhookReceiver
let pass: () => Promise<number>

beforeEach(async () => {
  db = await openTestDatabase()
  receiver = await startWebhookReceiver()
  pass = newWorker()
})
afterEach(async () => {
  await receiver.close()
  await db.close()
})

const newWorker = (over: Partial<Outbox> = {}): (() => Promise<number>) =>
  makeDeliverToSinks({
    ledger: db.ledger,
    outbox: { ...db.outbox, ...over },
    send: withLastLook({
      ledger: db.ledger,
      send,
    }),
    ids: db.ids,
    clock: systemClock,
  })

const putSink = (over: Partial<Sink> = {}, to = receiver): Promise<Sink> =>
  db.ledger
    .commit(worker, async (tx) => {
      const present = await tx.sinks.get(over.name ?? 'oncall')
      const at = await tx.now()
      const sink: Sink = {
        name: 'oncall',
        type: 'webhook',
        url: to.url,
        sealedId: await tx.writeSealed.insert(new Secret(to.secret), 'sink'),
        events: null,
        disabledReason: null,
        createdAt: at,
        updatedAt: at,
        ...over,
        revision: (present?.revision ?? 0) + 1,
      }
      await tx.writeSink.put(sink, present?.revision ?? null)
      return {
        value: sink,
        audit: [
          { action: 'sink.put', target: { id: sink.name, name: sink.name }, outcome: 'succeeded' },
        ],
      }
    })
    .then(({ value }) => value)

const aRotation = '0199a1b2-0000-7000-8000-00000000abcd'

const newsOf = (action: AuditAction, over: Partial<LedgerEvent> = {}): LedgerEvent => ({
  action,
  target: { id: aRotation, name: 'billing' },
  outcome: 'failed',
  correlationId: aRotation,
  reason: 'the provider refused the credential',
  after: {
    keyId: '0199a1b2-0000-7000-8000-00000000eeee',
    policy: 'monthly',
    preImage: 'not for others',
  },
  ...over,
})

const happens = async (
  action: AuditAction = 'rotation.stalled',
  over: Partial<LedgerEvent> = {},
) => {
  const { eventId } = await db.ledger.note(worker, newsOf(action, over))
  return eventId
}

/** Passes until `count` requests came in: transactions of other files hold up what may be told for a moment. */
const untilReceived = async (count: number, to = receiver): Promise<void> => {
  for (let i = 0; i < 1_000 && to.received.length < count; i++) {
    await pass() // oxlint-disable-line no-await-in-loop -- a poll
    if (to.received.length < count) await systemClock.pause(30) // oxlint-disable-line no-await-in-loop
  }
  expect(to.received).toHaveLength(count)
}

/** Until every sink was asked about everything that is committed, and once more. */
const settled = async (): Promise<void> => {
  for (let i = 0; i < 1_000; i++) {
    await pass() // oxlint-disable-line no-await-in-loop -- a poll
    // oxlint-disable-next-line no-await-in-loop
    const left = await db.sql(`
      SELECT FROM audit.event e, app.sink_cursor c
      WHERE (e.txid, e.id) > (c.after_txid::text::xid8, c.after_id) LIMIT 1`)
    if (left.length === 0) break
    await systemClock.pause(20) // oxlint-disable-line no-await-in-loop
  }
  await pass()
}

const idsOf = (to = receiver) => to.received.map(({ headers }) => String(headers['webhook-id']))
const deadLetters = () =>
  makeListDeadLetters(db)('oncall', { limit: 10, after: null }).then(({ items }) => items)

test('a stalled rotation is told once, signed, with the named fields and no other', async () => {
  await putSink()
  const eventId = await happens()
  await untilReceived(1)
  await settled()
  const [request] = receiver.received
  if (!request) throw new Error('nothing came in')
  expect(receiver.received).toHaveLength(1)
  expect(receiver.verify(request)).toEqual({
    type: 'rekey.stalled',
    timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    data: {
      key: 'billing',
      rotation: aRotation,
      policy: 'monthly',
      owner: null,
      reason: 'the provider refused the credential',
      next: `rekey describe rotation/${aRotation}`,
      auditEvent: eventId,
    },
  })
  expect(idsOf()).toEqual([eventId])
})

test('a sink hears what happens from the moment it is written, and nothing older', async () => {
  await happens()
  await putSink()
  const after = await happens()
  await untilReceived(1)
  await settled()
  expect(idsOf()).toEqual([after])
})

test('an event that commits late, behind younger ones, is not passed by', async () => {
  await putSink()
  await settled()
  let release = (): void => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  let begun = (): void => {}
  const inside = new Promise<void>((resolve) => (begun = resolve))
  const late = db.ledger.commit(worker, async (tx) => {
    // A write gives the transaction its number: it is older than that of the event below.
    await tx.writeSealed.insert(new Secret('x'), 'test')
    begun()
    await held
    return { value: null, audit: [newsOf('rotation.stalled', { reason: 'late' })] }
  })
  await inside
  await happens('rotation.stalled', { reason: 'early' })
  await pass()
  expect(receiver.received).toHaveLength(0)
  release()
  await late
  await untilReceived(2)
})

test('a receiver that fails is tried again after the schedule, under the same id', async () => {
  await putSink()
  receiver.answer(answerWith(500))
  const eventId = await happens()
  await untilReceived(1)
  await settled()
  expect(receiver.received).toHaveLength(1)
  receiver.answer(answerWith(200))
  await db.clock.advance(6_000)
  await untilReceived(2)
  await db.clock.advance(3_600_000)
  await settled()
  expect(idsOf()).toEqual([eventId, eventId])
  expect(await deadLetters()).toEqual([])
})

test('Retry-After silences the whole sink, not only the message', async () => {
  await putSink()
  receiver.answer(answerWith(429, { 'retry-after': '600' }))
  await happens()
  await happens()
  await untilReceived(1)
  await settled()
  receiver.answer(answerWith(200))
  // What happens during the silence waits for its end too.
  await happens()
  await db.clock.advance(300_000)
  await settled()
  expect(receiver.received).toHaveLength(1)
  await db.clock.advance(301_000)
  await untilReceived(4)
})

/** A receiver that asked for ten minutes of silence, of which the sink was told twice. */
const silenced = async (): Promise<Sink> => {
  const sink = await putSink()
  receiver.answer(answerWith(429, { 'retry-after': '600' }))
  await happens()
  await untilReceived(1)
  await settled()
  receiver.answer(answerWith(200))
  return sink
}

test('a silence ends when the sink gets another address, which never asked for it', async () => {
  await silenced()
  const other = await startWebhookReceiver()
  try {
    await putSink({}, other)
    await happens()
    await untilReceived(1, other)
  } finally {
    await other.close()
  }
})

test('a silence outlasts every other change of the sink, and what its former address asks for is not heard', async () => {
  const { name, url, sealedId } = await silenced()
  await putSink({ sealedId, events: ['stalled'] })
  await happens()
  await settled()
  expect(receiver.received).toHaveLength(1)
  await putSink({ sealedId, url: `${url}?moved` })
  await db.outbox.hold({ name, url }, 3_600_000)
  await untilReceived(2)
})

test('a silence is not shortened by an answer that was under way', async () => {
  const sink = await silenced()
  await db.outbox.hold(sink, 1_000)
  await happens()
  await db.clock.advance(300_000)
  await settled()
  expect(receiver.received).toHaveLength(1)
})

test('a replay ends a silence: whoever asks for it wants it sent now', async () => {
  await silenced()
  await db.outbox.bury('oncall', 'a test')
  const replay = makeReplayDeadLetters(db)
  expect((await replay(worker, 'oncall', null, false)).replayed).toBe(1)
  await untilReceived(2)
})

test('410 switches the sink off, on the record, and what is open becomes dead letters', async () => {
  await putSink()
  receiver.answer(answerWith(410))
  await happens()
  await happens()
  await untilReceived(1)
  await settled()
  const sink = await db.ledger.read((reads) => reads.sinks.get('oncall'))
  expect(sink?.disabledReason).toBe('the receiver answered 410 Gone')
  const told = await db.ledger.read((reads) =>
    reads.audit.list({ action: 'sink.disabled' }, { limit: 5, after: null }),
  )
  expect(told.items).toHaveLength(1)
  await happens()
  await settled()
  expect(receiver.received).toHaveLength(1)
  expect(await deadLetters()).toHaveLength(2)
  await expect(makeReplayDeadLetters(db)(worker, 'oncall', null, false)).rejects.toMatchObject({
    code: 'request.impossible',
  })
})

test('a sink that is put again hears what comes, and its dead letters when they are replayed', async () => {
  await putSink()
  receiver.answer(answerWith(410))
  const first = await happens()
  await untilReceived(1)
  await happens()
  await settled()
  receiver.answer(answerWith(200))
  await putSink()
  const later = await happens()
  await untilReceived(2)
  const { replayed } = await makeReplayDeadLetters(db)(worker, 'oncall', [first], false)
  expect(replayed).toBe(1)
  await untilReceived(3)
  await settled()
  expect(idsOf()).toEqual([first, later, first])
})

test('what the receiver refuses is a dead letter after three tries, to be seen and replayed', async () => {
  await putSink()
  receiver.answer(answerWith(400))
  const eventId = await happens()
  for (let tries = 1; tries <= 3; tries++) {
    await untilReceived(tries) // oxlint-disable-line no-await-in-loop -- one try after the other
    await db.clock.advance(3_600_000) // oxlint-disable-line no-await-in-loop
  }
  await settled()
  expect(receiver.received).toHaveLength(3)
  expect(await deadLetters()).toMatchObject([
    { eventId, attempts: 3, lastStatus: 400, lastError: 'the receiver answered 400' },
  ])
  receiver.answer(answerWith(204))
  expect(await makeReplayDeadLetters(db)(worker, 'oncall', null, false)).toMatchObject({
    replayed: 1,
  })
  await untilReceived(4)
  expect(await deadLetters()).toEqual([])
})

test('a rehearsed replay replays nothing', async () => {
  await putSink()
  receiver.answer(answerWith(500))
  await happens()
  await untilReceived(1)
  await db.outbox.bury('oncall', 'given up')
  const { ledger, outbox } = db
  const rehearsing: typeof ledger = {
    ...ledger,
    commit: (actor, work) => ledger.rehearse(actor, work),
  }
  const replay = makeReplayDeadLetters({ outbox, ledger: rehearsing })
  expect(await replay(worker, 'oncall', null, true)).toMatchObject({ replayed: null })
  expect(await deadLetters()).toHaveLength(1)
})

test('a worker that dies between sending and marking: another sends it again, under the same id', async () => {
  await putSink()
  const eventId = await happens()
  pass = newWorker({ delivered: () => Promise.reject(new Error('killed')) })
  await expect(untilReceived(1)).rejects.toThrow('killed')
  pass = newWorker()
  await settled()
  expect(receiver.received).toHaveLength(1)
  await db.clock.advance(61_000)
  await untilReceived(2)
  await db.clock.advance(61_000)
  await settled()
  expect(idsOf()).toEqual([eventId, eventId])
})

test('two workers send each message once', async () => {
  await putSink()
  const sent = await Promise.all(Array.from({ length: 30 }, () => happens()))
  const workers = [newWorker(), newWorker()]
  for (let i = 0; i < 1_000 && receiver.received.length < 30; i++) {
    await Promise.all(workers.map((each) => each())) // oxlint-disable-line no-await-in-loop -- a poll
    await systemClock.pause(20) // oxlint-disable-line no-await-in-loop
  }
  expect(idsOf().toSorted()).toEqual(sent.toSorted())
})

test('a sink that hangs holds up no other', async () => {
  const deaf = await startWebhookReceiver()
  const hanging: ServerResponse[] = []
  deaf.answer((response) => void hanging.push(response))
  await putSink({ name: 'deaf' }, deaf)
  await putSink()
  await happens()
  const passes: Promise<unknown>[] = []
  let passing = false
  await expect
    .poll(() => {
      if (!passing) {
        passing = true
        passes.push(pass().finally(() => (passing = false)))
      }
      return [receiver.received.length, hanging.length]
    })
    .toEqual([1, 1])
  for (const response of hanging) response.writeHead(204).end()
  await Promise.all(passes)
  await deaf.close()
})

test('a policy that names sinks decides who hears of its keys', async () => {
  const spec: PolicySpec = {
    selector: { matchLabels: { app: 'x' } },
    notify: [{ sink: 'oncall', events: ['stalled'] }],
  }
  await db.ledger.commit(worker, async (tx) => {
    const at = await tx.now()
    await tx.writePolicy.put(
      {
        name: 'monthly',
        labels: {},
        annotations: {},
        spec,
        revision: 1,
        author: { id: 'user:ada', name: 'ada' },
        managedBy: null,
        createdAt: at,
        updatedAt: at,
      },
      null,
    )
    const target = { id: 'monthly', name: 'monthly' }
    return { value: null, audit: [{ action: 'policy.put', target, outcome: 'succeeded' }] }
  })
  const siem = await startWebhookReceiver()
  await putSink({ name: 'siem' }, siem)
  await putSink()
  const stalled = await happens()
  await happens('rotation.ackMissing')
  const elsewhere = await happens('key.overdue', { after: { policy: 'another' } })
  await untilReceived(2)
  await untilReceived(1, siem)
  await settled()
  expect(idsOf()).toEqual([stalled, elsewhere])
  expect(idsOf(siem)).toEqual([elsewhere])
  await siem.close()
})

test('a secret that somebody wrote into a reason does not leave the house', async () => {
  const material = 'correct-horse-battery-staple'
  await db.ledger.commit(worker, async (tx) => {
    const at = await tx.now()
    const keyId = db.ids.next()
    await tx.writeConnection.insert({
      name: 'local',
      provider: 'local',
      settings: {},
      credential: { from: 'none' },
      grants: [],
      labels: {},
      managedBy: null,
      revision: 1,
      createdAt: at,
      updatedAt: at,
    })
    await tx.writeKey.insert({
      id: keyId,
      name: 'billing',
      connection: 'local',
      type: 'local.secret',
      ref: {},
      objectId: 'local:billing',
      purpose: 'test',
      owner: 'payments',
      environment: 'test',
      labels: {},
      consumers: [],
      usableBy: [],
      observe: null,
      generate: null,
      policy: null,
      policySelectedAt: null,
      managedBy: null,
      revision: 1,
      createdAt: at,
      updatedAt: at,
      deletedAt: null,
    })
    await tx.writeVersion.insert({
      keyId,
      version: 1,
      state: 'active',
      primary: true,
      providerVersions: ['1'],
      materialKnown: true,
      fingerprint: tx.fingerprint(new Secret(material)),
      sealedId: null,
      rotationId: null,
      verifiedAt: null,
      createdAt: at,
      activatedAt: at,
      suspendedAt: null,
      deactivatedAt: null,
      compromisedAt: null,
      destroyedAt: null,
    })
    const target = { id: keyId, name: 'billing' }
    return { value: null, audit: [{ action: 'key.registered', target, outcome: 'succeeded' }] }
  })
  await putSink()
  await happens('rotation.stalled', { reason: `login with password="${material}", then retry` })
  await untilReceived(1)
  expect(receiver.received[0]?.body).not.toContain(material)
  expect(JSON.parse(receiver.received[0]?.body ?? '')).toMatchObject({
    data: { reason: 'login with password="«redacted»", then retry' },
  })
})

test('a test event is real, and both the try and its end are on the record', async () => {
  await putSink()
  const test = makeTestSink({ ledger: db.ledger, send, ids: db.ids, clock: systemClock })
  const first = await test(worker, 'oncall', false)
  expect(first.test).toMatchObject({ delivered: true, status: 204 })
  const [request] = receiver.received
  expect(request && receiver.verify(request)).toMatchObject({
    type: 'rekey.test',
    data: { sink: 'oncall' },
  })
  receiver.answer(answerWith(403, {}, 'who are you?'))
  expect((await test(worker, 'oncall', false)).test).toMatchObject({
    delivered: false,
    status: 403,
    detail: 'who are you?',
  })
  const { items } = await db.ledger.read((reads) =>
    reads.audit.list({ action: 'sink.tested' }, { limit: 10, after: null }),
  )
  expect(items.map(({ body }) => body.outcome).toSorted()).toEqual([
    'failed',
    'intent',
    'intent',
    'succeeded',
  ])
  await expect(test(worker, 'nobody', false)).rejects.toMatchObject({ code: 'resource.notFound' })
})

test('what belonged to a sink that was deleted is tidied away', async () => {
  const sink = await putSink()
  receiver.answer(answerWith(500))
  await happens()
  await untilReceived(1)
  await db.ledger.commit(worker, async (tx) => {
    await tx.writeSink.delete(sink.name, sink.revision)
    const target = { id: sink.name, name: sink.name }
    return { value: null, audit: [{ action: 'sink.deleted', target, outcome: 'succeeded' }] }
  })
  await db.outbox.tidy()
  expect(
    await db.sql('SELECT sink FROM app.sink_delivery UNION ALL SELECT sink FROM app.sink_cursor'),
  ).toEqual([])
})
