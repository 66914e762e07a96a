// A deleted consumer is no longer asked for acknowledgements, but by rotations that froze it in their plan.

import type { Actor } from '#domain/actor.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { mustSee } from './rights.ts'
import { mustHold } from './written.ts'

export const deleteConsumer =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (
    actor: Actor,
    { name, precondition }: { readonly name: string; readonly precondition: Precondition },
  ): Promise<Committed<null>> =>
    ledger.commit(actor, async (tx) => {
      const consumer = mustSee(actor, await tx.consumers.get(name), 'consumer', name)
      checkPrecondition(precondition, consumer.revision)
      mustHold(await tx.writeConsumer.delete(name, consumer.revision))
      if (consumer.reload) await tx.writeSealed.erase(consumer.reload.sealedId)
      return {
        value: null,
        audit: [
          {
            action: 'consumer.deleted',
            target: { id: name, name },
            outcome: 'succeeded',
            before: {
              owner: consumer.owner,
              labels: consumer.labels,
              keys: consumer.keys,
              revision: consumer.revision,
            },
          },
        ],
      }
    })
