// Tells sinks. The audit events are the outbox: nothing is written twice, and what was committed is told.
//
// One pass: each sink's cursor moves over the new events, and those that it is to be told of become deliveries; then every
// sink's due deliveries are sent, one after the other, all sinks side by side. A sink that hangs holds up nobody: the pass
// goes on without it after a second, and the next ones leave it alone until it is done.
//
// The sinks that a token to break glass with froze are told by the same pass, of everything that it does, from its first use on
// and for a week. Who is also in the present list is told twice, under one webhook-id.
//
// At least once. A delivery is leased, sent, then marked; a crash between sending and marking sends it again, under the same
// webhook-id. Nothing in Rekey waits for a sink.

import { systemActor } from '#domain/actor.ts'
import { type AuditAction, auditActions } from '#domain/audit.ts'
import type { FrozenSink } from '#domain/break-glass.ts'
import type { Sink } from '#domain/connection.ts'
import { isTold, newsActions, noticeData, noticeOf, subjectOf } from '#domain/notice.ts'
import type {
  Clock,
  Delivery,
  Ids,
  Ledger,
  Outbox,
  SendToSink,
  SinkAnswer,
  SinkMessage,
} from '#domain/ports.ts'
import { judgeAnswer } from '#domain/retry-schedule.ts'
import type { Secret } from '#domain/secret.ts'

export interface DeliverDeps {
  readonly ledger: Ledger
  readonly outbox: Outbox
  readonly send: SendToSink
  readonly ids: Pick<Ids, 'fraction'>
  readonly clock: Pick<Clock, 'now' | 'pause'>
}

type Told = Sink | FrozenSink

const actor = systemActor('worker', 'sinks')
/** Longer than the longest try. */
const leaseMs = 60_000
const mostPerPass = 20
const mostBatches = 10
const patienceMs = 1_000
const tidyEvery = 600
/** Longer than a message is tried for. */
const frozenMs = 7 * 24 * 3_600_000

/** Returns a pass, and the pass how many deliveries succeeded in it. */
export const makeDeliverToSinks = (deps: DeliverDeps): (() => Promise<number>) => {
  const busy = new Set<string>()
  let passes = 0
  return async () => {
    if (passes++ % tidyEvery === 0) await deps.outbox.tidy()
    const { sinks, glasses } = await deps.ledger.read(async (db) => {
      const since = new Date(deps.clock.now().getTime() - frozenMs)
      return { sinks: await db.sinks.all(), glasses: await db.breakGlass.usedSince(since) }
    })
    // oxlint-disable no-await-in-loop -- one connection
    for (const sink of sinks) await queueNews(deps, sink)
    for (const glass of glasses)
      for (const sink of glass.sinks) await queueUse(deps, sink, glass.apiKeyId)
    // oxlint-enable no-await-in-loop
    let done = 0
    const frozen = glasses.flatMap((glass) => glass.sinks)
    const lanes = [...sinks.filter(({ disabledReason }) => disabledReason === null), ...frozen]
      .filter((sink) => !busy.has(sink.name))
      .map(async (sink) => {
        busy.add(sink.name)
        try {
          await deliverDue(deps, sink, () => (done += 1))
        } finally {
          busy.delete(sink.name)
        }
      })
    const finished = new AbortController()
    await Promise.race([Promise.all(lanes), deps.clock.pause(patienceMs, finished.signal)])
    finished.abort()
    return done
  }
}

/** New events become deliveries. A sink that is switched off is told nothing, not even later. */
const queueNews = async ({ ledger, outbox }: DeliverDeps, sink: Sink): Promise<void> => {
  if (sink.disabledReason !== null) await outbox.bury(sink.name, sink.disabledReason)
  for (let batch = 0; batch < mostBatches; batch++) {
    // oxlint-disable-next-line no-await-in-loop -- each batch begins where the one before ended
    const passed = await outbox.advance(sink.name, newsActions, async (events) => {
      if (sink.disabledReason !== null || events.length === 0) return []
      const policies = await ledger.read((db) => db.policies.all())
      const notify = new Map(policies.map(({ name, spec }) => [name, spec.notify ?? []]))
      return events
        .filter((event) => {
          const notice = noticeOf(event)
          const { policy } = subjectOf(event)
          return notice !== null && isTold(sink, notice, notify.get(policy ?? '') ?? [])
        })
        .map((event) => event.id)
    })
    if (passed === 0) return
  }
}

/** What the token did, and what was done with it. */
const queueUse = async (
  { outbox }: DeliverDeps,
  sink: FrozenSink,
  token: string,
): Promise<void> => {
  for (let batch = 0; batch < mostBatches; batch++) {
    // oxlint-disable-next-line no-await-in-loop -- each batch begins where the one before ended
    const passed = await outbox.advance(sink.name, actions, async (events) =>
      events
        .filter((event) => event.actor.id === token || event.target.id === token)
        .filter((event) => noticeOf(event) === 'breakGlass')
        .map((event) => event.id),
    )
    if (passed === 0) return
  }
}

const actions = Object.keys(auditActions) as readonly AuditAction[]

/** Stops at the first failure: a receiver that is down is asked once a pass, not once a message. */
const deliverDue = async (deps: DeliverDeps, sink: Told, onDone: () => void): Promise<void> => {
  for (let i = 0; i < mostPerPass; i++) {
    // oxlint-disable no-await-in-loop -- in order, and each try may be the last
    const delivery = await deps.outbox.claim(sink.name, leaseMs)
    if (delivery === null || !(await deliver(deps, sink, delivery))) return
    // oxlint-enable no-await-in-loop
    onDone()
  }
}

const deliver = async (deps: DeliverDeps, sink: Told, delivery: Delivery): Promise<boolean> => {
  const { outbox } = deps
  const prepared = await prepare(deps, sink, delivery)
  if (typeof prepared === 'string') {
    await outbox.failed(delivery, { status: null, error: prepared }, null)
    return false
  }
  const answer = await deps.send(sink, prepared.secret, prepared.message)
  const verdict = judgeAnswer(answer, delivery.attempts, deps.ids.fraction())
  const failure = failureOf(answer)
  switch (verdict.verdict) {
    case 'delivered':
      await outbox.delivered(delivery)
      return true
    case 'retry':
      await outbox.failed(delivery, failure, verdict.afterMs)
      if (verdict.hold) await outbox.hold(sink, verdict.afterMs)
      return false
    case 'dead':
      await outbox.failed(delivery, failure, null)
      return false
    case 'gone':
      await outbox.failed(delivery, failure, null)
      // A frozen one is tried with the next message again.
      if ('revision' in sink && (await disable(deps, sink))) await outbox.bury(sink.name, gone)
      return false
  }
}

const prepare = (
  { ledger }: DeliverDeps,
  sink: Told,
  delivery: Delivery,
): Promise<{ readonly message: SinkMessage; readonly secret: Secret<Uint8Array> } | string> =>
  ledger.read(async (db) => {
    const event = (await db.audit.get(delivery.eventId))?.body
    const notice = event === undefined ? null : noticeOf(event)
    if (event === undefined || notice === null) return 'the audit event is not there'
    const secret = await db.sealed.open(sink.sealedId)
    if (secret === null) return 'the signing secret was erased'
    const { keyId } = subjectOf(event)
    const key = keyId === null ? null : await db.keys.byId(keyId)
    const data = noticeData(event, key?.owner ?? null)
    return {
      message: { id: event.id, type: `rekey.${notice}`, timestamp: event.at, data },
      secret,
    }
  })

const failureOf = (answer: SinkAnswer) =>
  answer.kind === 'answered'
    ? { status: answer.status, error: `the receiver answered ${answer.status}` }
    : { status: null, error: answer.why }

const gone = 'the receiver answered 410 Gone'

/** Compares the revision: an address that somebody just changed is not switched off for what the old one said. */
const disable = async ({ ledger }: DeliverDeps, sink: Sink): Promise<boolean> => {
  const { value } = await ledger.commit(actor, async (tx) => {
    const next = { ...sink, disabledReason: gone, revision: sink.revision + 1 }
    const disabled = await tx.writeSink.put({ ...next, updatedAt: await tx.now() }, sink.revision)
    return {
      value: disabled,
      audit: [
        {
          action: 'sink.disabled' as const,
          target: { id: sink.name, name: sink.name },
          outcome: disabled ? ('succeeded' as const) : ('failed' as const),
          reason: gone,
          after: { revision: disabled ? next.revision : sink.revision },
        },
      ],
    }
  })
  return value
}
