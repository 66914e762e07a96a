// A deleted sink is told nothing any more, and its secret is erased.

import type { Actor } from '#domain/actor.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { notFound } from './rights.ts'
import { mustHold } from './written.ts'

export const deleteSink =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (
    actor: Actor,
    { name, precondition }: { readonly name: string; readonly precondition: Precondition },
  ): Promise<Committed<null>> =>
    ledger.commit(actor, async (tx) => {
      const sink = await tx.sinks.get(name)
      if (!sink) throw notFound('sink', name)
      checkPrecondition(precondition, sink.revision)
      mustHold(await tx.writeSink.delete(name, sink.revision))
      await tx.writeSealed.erase(sink.sealedId)
      return {
        value: null,
        audit: [
          {
            action: 'sink.deleted',
            target: { id: name, name },
            outcome: 'succeeded',
            before: { url: sink.url, events: sink.events, revision: sink.revision },
          },
        ],
      }
    })
