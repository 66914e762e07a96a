// Sends a real message to a sink, now, and says what the receiver answered. Recorded before and after, like every effect.

import type { Actor } from '#domain/actor.ts'
import type { Receipt } from '#domain/audit.ts'
import type { Clock, Ids, Ledger, LedgerEvent, SendToSink } from '#domain/ports.ts'
import { RekeyError } from '#domain/errors.ts'
import { notFound } from './rights.ts'

export interface TestSinkDeps {
  readonly ledger: Ledger
  readonly send: SendToSink
  readonly ids: Pick<Ids, 'next'>
  readonly clock: Pick<Clock, 'now'>
}

export interface SinkTest {
  /** The webhook-id of the message. */
  readonly id: string
  /** Null on a dry run: nothing was sent. */
  readonly delivered: boolean | null
  readonly status: number | null
  /** What the receiver wrote, or why it could not be asked. */
  readonly detail: string
}

export const makeTestSink =
  ({ ledger, send, ids, clock }: TestSinkDeps) =>
  async (
    actor: Actor,
    name: string,
    dryRun: boolean,
  ): Promise<{ readonly test: SinkTest; readonly receipts: readonly Receipt[] }> => {
    const id = ids.next()
    const about = { action: 'sink.tested', target: { id: name, name } } as const
    const { value, receipts } = await ledger.commit(actor, async (tx) => {
      const sink = await tx.sinks.get(name)
      if (sink === null) throw notFound('sink', name)
      const secret = await tx.sealed.open(sink.sealedId)
      if (secret === null) {
        throw new RekeyError('request.impossible', {
          detail: `The signing secret of the sink "${name}" was erased.`,
          hint: 'Put the sink again with a secret.',
        })
      }
      const intent: LedgerEvent = {
        ...about,
        id,
        outcome: 'intent',
        after: { host: hostOf(sink.url) },
      }
      return { value: { sink, secret }, audit: [intent] }
    })
    if (dryRun) {
      const detail = `a test event would be sent to ${hostOf(value.sink.url)}`
      return { test: { id, delivered: null, status: null, detail }, receipts }
    }
    const answer = await send(value.sink, value.secret, {
      id,
      type: 'rekey.test',
      timestamp: clock.now().toISOString(),
      data: { sink: name, reason: 'a test that somebody asked for', auditEvent: id },
    })
    const status = answer.kind === 'answered' ? answer.status : null
    const delivered = status !== null && status >= 200 && status < 300
    const detail = answer.kind === 'answered' ? answer.text : answer.why
    await ledger.note(actor, {
      ...about,
      outcome: delivered ? 'succeeded' : 'failed',
      causationId: id,
      after: { status },
    })
    return { test: { id, delivered, status, detail }, receipts }
  }

const hostOf = (url: string): string => new URL(url).host
