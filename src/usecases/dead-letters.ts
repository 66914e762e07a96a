// What a sink was not told in spite of all tries: to be seen, and to be sent again.

import type { Actor } from '#domain/actor.ts'
import type { Receipt } from '#domain/audit.ts'
import type { DeadLetter, Ledger, Outbox, Page, Paged } from '#domain/ports.ts'
import { RekeyError } from '#domain/errors.ts'
import { notFound } from './rights.ts'

export interface DeadLetterDeps {
  readonly ledger: Ledger
  readonly outbox: Outbox
}

export const makeListDeadLetters =
  ({ ledger, outbox }: DeadLetterDeps) =>
  async (name: string, page: Page): Promise<Paged<DeadLetter>> => {
    const sink = await ledger.read((db) => db.sinks.get(name))
    if (sink === null) throw notFound('sink', name)
    return outbox.deadLetters(name, page)
  }

/** `eventIds` null: all. They are sent by the next pass; a letter that is not dead (any more) is passed over. A crash between
 *  the record and the change leaves a record of what was asked for, and letters that are still dead: ask again. */
export const makeReplayDeadLetters =
  ({ ledger, outbox }: DeadLetterDeps) =>
  async (
    actor: Actor,
    name: string,
    eventIds: readonly string[] | null,
    dryRun: boolean,
  ): Promise<{ readonly replayed: number | null; readonly receipts: readonly Receipt[] }> => {
    const { receipts } = await ledger.commit(actor, async (tx) => {
      const sink = await tx.sinks.get(name)
      if (sink === null) throw notFound('sink', name)
      if (sink.disabledReason !== null) {
        throw new RekeyError('request.impossible', {
          detail: `The sink "${name}" is switched off: ${sink.disabledReason}.`,
          hint: 'Put the sink again to switch it on, then replay.',
        })
      }
      return {
        value: null,
        audit: [
          {
            action: 'sink.replayed' as const,
            target: { id: name, name },
            outcome: 'succeeded' as const,
            after: { events: eventIds === null ? 'all' : [...eventIds] },
          },
        ],
      }
    })
    return { replayed: dryRun ? null : await outbox.replay(name, eventIds), receipts }
  }
